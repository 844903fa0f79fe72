"""milepost's rewards as verl asks for them."""

from __future__ import annotations

import math

import pytest

from milepost.engines.verl.rewards import compute_score, load
from milepost.errors import SettingError

LONG = """
def long(prompts, completions, asked, **_):
    return [len(p) + len(c) + asked[0] for p, c in zip(prompts, completions)]
"""


def test_right_and_wrong():
    assert compute_score("sums", "<answer>7</answer>", "7") == {"score": 1.0, "ok": 1, "reason": ""}
    assert compute_score("sums", "<answer>8</answer>", "7", {"index": 3, "split": "train"})["score"] == 0.0


def test_a_failed_reward_is_no_number():
    found = compute_score("sums", "<answer>7</answer>", "7", verifier="nonsense")
    assert math.isnan(found["score"])
    assert found["ok"] == 0
    assert "nonsense" in found["reason"]


def test_rewards_by_name(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(LONG)
    found = compute_score("x", "four", "y", {"question": "why", "asked": 100}, reward=f"{file}:long")
    assert found["score"] == 107.0
    assert compute_score("x", "<answer>7</answer>", "7", reward="milepost.rewards.text:Format")["score"] == 1.0
    with pytest.raises(SettingError, match="no form that can be read"):
        load("nothing")
