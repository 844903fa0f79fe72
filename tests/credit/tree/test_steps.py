"""Credit of steps: hand examples, GRPO as a limit, and the bias of comparing by turn."""

from __future__ import annotations

import itertools

import pytest
import torch

from milepost.columns import Origin
from milepost.credit.audit import audit
from milepost.credit.by_root import ByRoot
from milepost.credit.group import Centred, LeaveOneOut, Normalised
from milepost.credit.tree.steps import SameParent, SameRoot, SameTurn, Steps
from milepost.forest import Forest
from milepost.testing import check_part
from milepost.testing.forests import batch
from tests.credit.tree.conftest import scored


@pytest.mark.parametrize("among", [SameParent(), SameRoot(), SameTurn()])
@pytest.mark.parametrize("rule", [Normalised(), Centred(), LeaveOneOut()])
def test_contract(rule, among):
    check_part(Steps(rule=rule, among=among))


def truncated():
    """Three candidates, the second goes on, three more."""
    return scored([-1, 0, 0, 0, 2, 2, 2], [None, 1.0, 2.0, 0.0, 1.0, 1.0, -2.0])


def test_hand_example_each_step_has_its_own_group():
    found = Steps(rule=Centred())(truncated())
    assert found["advantage"].tolist() == pytest.approx([0, 0, 1, -1, 1, 1, -2])
    assert found.valid("advantage").tolist() == [False] + [True] * 6


def test_what_follows_does_not_count():
    """Myopia: the step that leads to more gets no more for it."""
    forest = scored([-1, 0, 0, 1, 2], [None, 0.0, 0.0, 1.0, 0.0])
    assert Steps(rule=Centred())(forest)["advantage"][1:3].tolist() == [0, 0]


def test_equal_rewards_give_exactly_0():
    forest = scored([-1, 0, 0, 0], [None, 0.1, 0.1, 0.1])
    assert Steps(rule=Normalised(eps=0.0))(forest)["advantage"].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("rule", [Normalised(), Centred(), LeaveOneOut()])
def test_answers_of_one_step_give_grpo_to_the_bit(rule):
    forest = batch()
    mine, theirs = Steps(rule=rule)(forest), rule(forest)
    assert torch.equal(mine["advantage"], theirs["advantage"])
    assert torch.equal(mine.valid("advantage"), theirs.valid("advantage"))


def test_a_failed_candidate_is_left_out_of_its_group():
    forest = scored([-1, 0, 0, 0], [None, 1.0, None, 0.0])
    found = Steps(rule=Centred())(forest)
    assert found["advantage"].tolist() == [0, 0.5, 0, -0.5]
    assert found.valid("advantage").tolist() == [False, True, False, True]


def test_inserted_rows_are_no_candidates():
    forest = scored([-1, 0, 0, 0], [None, 1.0, 5.0, 0.0], origin=[4, 0, int(Origin.INSERTED), 0])
    assert Steps(rule=Centred())(forest)["advantage"].tolist() == [0, 0.5, 0, -0.5]


@pytest.mark.parametrize("among", [SameParent(), SameRoot(), SameTurn()])
def test_the_checker_holds(among):
    rule = Steps(rule=Centred(), among=among)
    found = audit(rule(truncated()), rule)
    assert found.clean, str(found)
    assert {"group_sum", "recomputed"} <= set(found.checked)


def test_the_checker_sees_credit_that_is_not_the_rules():
    rule = Steps(rule=Centred())
    wrong = rule(truncated())
    wrong = wrong.with_columns({"advantage": wrong["advantage"] + 0.5 * (wrong.parent == 2)})
    assert audit(wrong, rule).named("group_sum")


# ---- the bias of comparing steps by turn, when the policy chooses when to stop (verl 7244) ----

STOP, WIDTH = 0.4, 3


def ways(stop, pays):
    """Every way of at most three turns after each of which one may stop: probability, and how many turns it took."""
    chances = [stop, (1 - stop) * stop, (1 - stop) ** 2]
    return [(chance, [pays] * turns) for chance, turns in zip(chances, (1, 2, 3), strict=True)]


def slopes(turns):
    """Derivative of the log-probability of each choice in the logit of stopping; the third turn leaves no choice."""
    return [-STOP if turn < turns else 1 - STOP for turn in range(1, min(turns, 2) + 1)] + [0.0] * (turns == 3)


def true_slope(pays):
    """Derivative of the expected return in the logit of stopping."""
    step = 1e-6
    high, low = (sum(p * sum(r) for p, r in ways(STOP + one, pays)) for one in (step, -step))
    return (high - low) / (2 * step) * STOP * (1 - STOP)


def expected_slope(rule, pays):
    """Expectation of the estimate by credit, over all groups of trajectories."""
    total = 0.0
    for group in itertools.product(ways(STOP, pays), repeat=WIDTH):
        chance, parent, reward, slope = 1.0, [-1], [None], [0.0]
        for probability, rewards in group:
            chance *= probability
            parent += [0, *range(len(parent), len(parent) + len(rewards) - 1)]
            reward += rewards
            slope += slopes(len(rewards))
        credit = rule(scored(parent, reward))["advantage"].double()
        total += chance * float((credit * torch.tensor(slope).double()).sum()) / WIDTH
    return total


@pytest.mark.parametrize("pays", [1.0, -0.5])
def test_by_turn_length_has_a_hidden_bonus(pays):
    """Every turn pays the same. What by-turn credit climbs is the return with minus that mean added for every turn:
    here nothing at all, though to stop gives up 1 (or saves 0.5) a turn. Whole trajectories are credited right."""
    assert abs(true_slope(pays)) > 0.1
    assert true_slope(pays) * pays < 0
    assert expected_slope(Steps(rule=Centred(), among=SameTurn()), pays) == 0
    whole = expected_slope(ByRoot(rule=Centred()), pays)
    assert whole == pytest.approx((WIDTH - 1) / WIDTH * true_slope(pays), abs=1e-6)


def test_the_default_is_not_by_turn():
    assert Steps().among == SameParent()


def test_groups_of_turns_of_a_ragged_batch():
    forest = Forest.of([-1, 0, 0, 1, -1, 4])
    group = SameTurn()(forest)
    assert group[1] == group[2]
    assert len(group.unique()) == 5
