"""Two levels: limits on both sides, groups without an outcome, steps without a reward."""

from __future__ import annotations

import pytest
import torch

from milepost.credit.audit import audit
from milepost.credit.by_root import ByRoot
from milepost.credit.group import Centred, LeaveOneOut, Normalised
from milepost.credit.tree.steps import SameParent, Steps
from milepost.credit.tree.two_level import TwoLevel
from milepost.errors import SettingError
from milepost.testing import check_part
from milepost.testing.forests import batch, tree
from tests.credit.tree.conftest import scored


def two_turns(outcomes=(1.0, 0.0), steps=((0.3, 0.1), (0.2, -0.2))):
    """Two trajectories of two steps."""
    forest = scored([-1, 0, 1, 0, 3], [None, None, outcomes[0], None, outcomes[1]])
    given = [0.0, *steps[0], *steps[1]]
    ok = [False] + [True] * 4
    return forest.with_columns({"reward.implicit": torch.tensor(given), "ok.implicit": ok})


@pytest.mark.parametrize("rule", [Normalised(), LeaveOneOut()])
def test_contract(rule):
    names = ("total", "implicit")
    check_part(TwoLevel(step_reward="implicit", episode=rule, step=rule), forest=batch(names))
    check_part(TwoLevel(step_reward="implicit", gate=True), forest=tree(names))


def test_hand_example():
    found = TwoLevel(step_reward="implicit", episode=Centred(), step=Centred(), weight=2.0)(two_turns())
    assert found["advantage"].tolist() == pytest.approx([0, 0.5 + 0.4, 0.5 + 0.0, -0.5 + 0.2, -0.5 - 0.6])


@pytest.mark.parametrize("rule", [Normalised(), Centred(), LeaveOneOut()])
def test_weight_0_is_the_credit_of_the_episodes_to_the_bit(rule):
    for forest in (batch(("total", "implicit")), tree(("total", "implicit"))):
        mine, theirs = TwoLevel(step_reward="implicit", episode=rule, weight=0.0)(forest), ByRoot(rule=rule)(forest)
        assert torch.equal(mine["advantage"], theirs["advantage"])
        assert torch.equal(mine.valid("advantage"), theirs.valid("advantage"))
    flat = batch(("total", "implicit"))
    alone = TwoLevel(step_reward="implicit", episode=rule, weight=0.0)(flat)
    assert torch.equal(alone["advantage"], rule(flat)["advantage"])


def test_equal_outcomes_are_told_apart_by_the_steps_alone_unless_gated():
    forest = two_turns(outcomes=(1.0, 1.0))
    open_, gated = (TwoLevel(step_reward="implicit", step=Centred(), gate=gate)(forest) for gate in (False, True))
    assert open_["advantage"][1:].tolist() == pytest.approx([0.2, 0.0, 0.1, -0.3], abs=1e-6)
    assert gated["advantage"].tolist() == [0] * 5


def test_a_step_without_the_reward_has_the_credit_of_its_trajectory():
    forest = two_turns()
    forest = forest.with_columns({"ok.implicit": [False, True, False, True, True]})
    found = TwoLevel(step_reward="implicit", episode=Centred(), step=Centred())(forest)
    assert found["advantage"][2] == 0.5


def test_a_trajectory_without_an_outcome_has_none_and_its_steps_do_not_count():
    forest = scored([-1, 0, 0, 0], [None, 1.0, 0.0, None])
    forest = forest.with_columns(
        {"reward.implicit": torch.tensor([0, 1.0, 2.0, 99.0]), "ok.implicit": [False] + [True] * 3}
    )
    found = TwoLevel(step_reward="implicit", episode=Centred(), step=Centred())(forest)
    assert found["advantage"].tolist() == [0, 0.0, 0.0, 0]
    assert found.valid("advantage").tolist() == [False, True, True, False]


def test_with_steps_of_one_parent_it_adds_the_step_groups():
    forest = two_turns()
    both = TwoLevel(step_reward="implicit", episode=Centred(), step=Centred(), among=SameParent())(forest)
    episode = ByRoot(rule=Centred())(forest)["advantage"]
    step = Steps(rule=Centred(), reward="implicit")(forest)["advantage"]
    assert torch.allclose(both["advantage"], episode + step)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_checker_holds(weight):
    rule = TwoLevel(step_reward="implicit", weight=weight)
    for forest in (two_turns(), batch(("total", "implicit")), tree(("total", "implicit"))):
        found = audit(rule(forest), rule)
        assert found.clean, str(found)


def test_settings():
    with pytest.raises(SettingError):
        TwoLevel(step_reward="implicit", weight=-1.0)
