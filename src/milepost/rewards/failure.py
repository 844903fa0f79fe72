"""Why a reward could not be had: an exception becomes one of the closed list of reasons, with a short detail."""

from __future__ import annotations

from milepost.columns import REASONS
from milepost.errors import MissingExtra, SandboxError, SettingError

DETAIL_CHARACTERS = 200
"""Longest detail that a reason carries."""

SETUP_ERRORS = (MissingExtra, SettingError)
"""Errors of the set-up: every row would fail alike, so they stop the run instead of becoming data."""


def reason(code: str, detail: str = "") -> str:
    """Write a reason: a code of `columns.REASONS`, and a detail on one line.

    Args:
        code: one of `columns.REASONS`.
        detail: free text; it may come from model output, so it is cut and its line breaks are removed.

    Returns:
        "code" or "code: detail".
    """
    line = " ".join(detail.split())[:DETAIL_CHARACTERS]
    return f"{code}: {line}" if line else code


def reason_of(error: BaseException) -> str:
    """Return the reason of a failure.

    Args:
        error: what the reward raised.

    Returns:
        "reward_timeout" for a `TimeoutError`, "sandbox_limit" for a `SandboxError`, else "reward_error"; with a detail.
    """
    if isinstance(error, TimeoutError):
        return reason("reward_timeout", str(error))
    if isinstance(error, SandboxError):
        return reason("sandbox_limit", str(error))
    return reason("reward_error", f"{type(error).__name__}: {error}")


def checked_reason(given: object) -> str:
    """Return a reason that a reward gave itself, moved into the closed list if it is not of it."""
    text = given if isinstance(given, str) else ""
    code, _, detail = text.partition(":")
    return reason(code, detail) if code in REASONS else reason("reward_error", text or "no reason was given")
