import math
import re

import pytest
import torch

from milepost.credit.group import centred, leave_one_out, normalised
from milepost.report.why import explain

REWARDS = [1.0, 0.0, 0.2, 1.2, 0.2]


def credits_of(rule, rewards, **more):
    value = torch.tensor([math.nan if r is None else r for r in rewards], dtype=torch.float64)
    ok = torch.tensor([r is not None for r in rewards])
    return rule(value, torch.zeros(len(rewards), dtype=torch.int64), 1, ok, **more).tolist()


@pytest.mark.parametrize(
    ("credit", "rule"),
    [
        (credits_of(centred, REWARDS), "reward − mean"),
        (credits_of(normalised, REWARDS, ddof=0, eps=1e-6), "(reward − mean) / std, divisor n"),
        (credits_of(normalised, REWARDS, ddof=1, eps=1e-4), "(reward − mean) / std, divisor n − 1"),
        (credits_of(leave_one_out, REWARDS), "reward − mean of the others"),
    ],
)
def test_the_rule_is_found(credit, rule):
    found = explain(REWARDS, credit)
    assert found.found
    assert found.rule == rule
    assert all(line.exact for line in found.lines)


def test_hand_example():
    found = explain([1.0, 0.0, 0.0, 0.0], [1.7320508, -0.5773503, -0.5773503, -0.5773503])
    assert found.lines[0].formula == "(1 − 0.25) / 0.433"
    assert (found.spread.mean, found.spread.std) == (0.25, pytest.approx(math.sqrt(3) / 4))


@pytest.mark.parametrize("rewards", [[0.1, 1.0, 1.0, 0.1, 1.0, 1.0, 1.0, 1.0], [0.3, 0.7, 0.2], [3.0, -14.0, 1e-3]])
def test_a_reader_who_computes_gets_what_is_written(rewards):
    for line in explain(rewards, credits_of(normalised, rewards, ddof=0, eps=1e-6)).lines:
        left, right, below = re.fullmatch(r"\((\S+) − (\S+)\) / (\S+)", line.formula).groups()
        left, right, below = (float(part.replace("−", "-")) for part in (left, right, below))
        assert (left - right) / below == pytest.approx(line.credit, abs=0.005)


def test_leave_one_out_shows_the_mean_of_the_others():
    assert explain([1.0, 0.0, 0.0], [1.0, -0.5, -0.5]).lines[1].formula == "0 − 0.5"


def test_gain_on_positive_credit_is_found():
    credit = [3 * c if c > 0 else c for c in credits_of(normalised, REWARDS, ddof=0, eps=0.0)]
    found = explain(REWARDS, credit)
    gain = "× 3 where positive; these gains are read from the stored credits"
    assert found.rule == f"(reward − mean) / std, divisor n, {gain}"
    assert found.lines[0].formula.endswith("× 3")


def test_another_rule_is_not_claimed():
    found = explain(REWARDS, [0.3, -0.9, 0.4, 0.1, 0.1])
    assert not found.found
    assert "No group rule" in found.rule
    assert not any(line.exact for line in found.lines)
    assert "stored credit / difference" in found.lines[0].note


def test_a_failed_reward_is_left_out():
    rewards = [1.0, None, 0.0]
    found = explain(rewards, credits_of(centred, rewards))
    assert found.found
    assert found.spread.count == 2
    assert "failed" in found.lines[1].note
    assert found.lines[1].formula == ""


def test_equal_rewards_give_zero():
    found = explain([0.7] * 4, [0.0] * 4)
    assert "exactly 0" in found.rule
    assert "yet some" in explain([0.7] * 4, [0.1] * 4).rule


@pytest.mark.parametrize(
    ("rewards", "credit"), [((), ()), ((None, None), (None, None)), ((1.0,), (0.0,)), ((1.0,), (None,))]
)
def test_nothing_to_compare(rewards, credit):
    found = explain(rewards, credit)
    assert not found.found or found.spread.std == 0
    assert len(found.lines) == len(rewards)
