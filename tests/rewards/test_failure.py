"""Reasons stay within the closed list and on one short line."""

import pytest

from milepost.columns import REASONS
from milepost.errors import SandboxError
from milepost.rewards import failure


def test_codes_of_errors():
    assert failure.reason_of(TimeoutError("slow")) == "reward_timeout: slow"
    assert failure.reason_of(SandboxError("memory")) == "sandbox_limit: memory"
    assert failure.reason_of(KeyError("x")) == "reward_error: KeyError: 'x'"
    assert failure.reason_of(TimeoutError()) == "reward_timeout"


@pytest.mark.parametrize("given", [*REASONS, "truncated: at 512 tokens"])
def test_reasons_of_the_list_are_kept(given):
    assert failure.checked_reason(given) == given


@pytest.mark.parametrize("given", [None, "", "judge is down", 7, "ok"])
def test_other_reasons_become_errors(given):
    assert failure.checked_reason(given).startswith("reward_error: ")


def test_details_are_cut_and_flat():
    text = failure.reason("reward_error", "a\n\t b" * 200)
    assert "\n" not in text
    assert len(text) <= failure.DETAIL_CHARACTERS + len("reward_error: ")
