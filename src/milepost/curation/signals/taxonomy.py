"""The taxonomy: three layers, seven groups, 25 kinds of signal, and the severity of a group.

Source: Signals 2026; the groups, kinds and severities are those of its open implementation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LAYERS = {
    "interaction": ("misalignment", "stagnation", "disengagement", "satisfaction"),
    "execution": ("failure", "loops"),
    "environment": ("exhaustion",),
}
"""Layer to its groups."""
GROUPS = {
    "misalignment": ("correction", "rephrase", "clarification"),
    "stagnation": ("dragging", "repetition"),
    "disengagement": ("escalation", "quit", "negative_stance"),
    "satisfaction": ("gratitude", "confirmation", "success"),
    "failure": ("invalid_args", "bad_query", "tool_not_found", "auth_misuse", "state_error"),
    "loops": ("retry", "parameter_drift", "oscillation"),
    "exhaustion": ("api_error", "timeout", "rate_limit", "network", "malformed_response", "context_overflow"),
}
"""Group to its kinds."""
KINDS = tuple(kind for kinds in GROUPS.values() for kind in kinds)
"""All kinds; a kind's number is its place here."""
NUMBER = {kind: number for number, kind in enumerate(KINDS)}
GROUP_OF = np.array([place for place, kinds in enumerate(GROUPS.values()) for _ in kinds])
"""Place of the group of every kind."""
CERTAIN = 0.5
"""Signals of at least this confidence count; those below are kept and shown, and count nowhere."""


def severity(count: NDArray[np.int64]) -> NDArray[np.int8]:
    """Severity of groups from how often their signals occur: 0 for none, 1 for 1 or 2, 2 for 3 or 4, 3 for more.

        severity = #{bound in (1, 3, 5): count >= bound}

    Args:
        count: signals of each group, of any shape.

    Returns:
        Numbers from 0 to 3 of the same shape.
    """
    return ((count >= 1).astype(np.int8) + (count >= 3) + (count >= 5)).astype(np.int8)
