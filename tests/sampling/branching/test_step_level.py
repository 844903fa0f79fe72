"""Truncated step-level sampling: one prefix, k candidates, one executed."""

from __future__ import annotations

import pytest
import torch

from milepost.columns import End
from milepost.errors import SettingError, ShapeError
from milepost.sampling.branching.choosing import HighestReward, SoftmaxByAdvantage
from milepost.sampling.branching.step_level import StepLevel
from milepost.sampling.independent import Independent
from milepost.testing import check_sampler
from milepost.testing.worlds import Letters, TabularPolicy
from tests.sampling.branching.conftest import Counted, Worth, said, scorer


def sampler(worth, width=4, selector=None):
    return StepLevel(width=width, scorer=worth, selector=selector or SoftmaxByAdvantage())


def test_contract(worth):
    check_sampler(sampler(worth))


def test_one_candidate_of_each_step_is_executed(rollout, worth):
    steps = []
    forest = rollout(sampler(worth), count=3, turns=4, world=Counted(Letters(turns=4), steps))
    assert len(steps) == 3 * 4, "as many calls as executed steps, not as candidates"
    assert len(forest) == 3 + 3 * 4 * 4
    children = torch.bincount(forest.parent[forest.parent >= 0], minlength=len(forest))
    assert set(children.tolist()) == {0, 4}
    ends = torch.bincount(forest["end"], minlength=9)
    assert ends[int(End.TERMINATED)] == 3
    assert ends[int(End.PRUNED)] == 3 * 4 * 3


def test_candidates_share_their_prefix_bit_for_bit(rollout, worth):
    """They are children of one row: there is one copy of the prefix, and no token of it is trained twice."""
    forest = rollout(sampler(worth), count=2, turns=3)
    for row in range(len(forest)):
        siblings = (forest.parent == row).nonzero().squeeze(1).tolist()
        above = {tuple(forest.path(one)[:-1].tolist()) for one in siblings}
        assert len(above) <= 1


def test_it_goes_on_from_the_best(rollout, worth):
    forest = rollout(sampler(worth, selector=HighestReward()), count=4, turns=3)
    for row in (torch.bincount(forest.parent[forest.parent >= 0], minlength=len(forest)) > 0).nonzero().squeeze(1):
        own = (forest.parent == row).nonzero().squeeze(1)
        executed = own[forest["end"][own] != int(End.PRUNED)]
        assert len(executed) == 1
        assert forest["reward.total"][executed][0] == forest["reward.total"][own].max()


def test_rewards_are_paid_once_per_candidate(rollout, worth):
    forest = rollout(sampler(worth), count=2, turns=3)
    spent = forest["cost.reward_calls"]
    assert spent[forest.parent >= 0].tolist() == [1.0] * (len(forest) - 2)
    again = worth(forest, torch.arange(len(forest)))
    assert torch.equal(again["cost.reward_calls"], spent)


def test_where_every_reward_fails_the_trajectory_ends(rollout):
    steps = []
    forest = rollout(sampler(scorer(Worth(forbidden="abc"))), count=2, turns=3, world=Counted(Letters(turns=3), steps))
    assert not steps
    assert len(forest) == 2 + 2 * 4
    assert forest["end"][2:].tolist() == [int(End.PRUNED)] * 8


def test_a_candidate_that_was_cut_off_is_kept_for_credit_and_not_chosen(rollout, worth):
    acts = TabularPolicy(vocabulary="abc", table=torch.zeros(3, 3), length=2, stop="a")
    forest = rollout(sampler(worth, selector=HighestReward()), count=3, turns=2, acts=acts)
    cut = forest["end"] == int(End.TOKEN_LIMIT)
    assert bool(cut.any())
    assert bool(forest["ok.total"][cut].all())
    assert bool((torch.bincount(forest.parent[forest.parent >= 0], minlength=len(forest))[cut] == 0).all())


def test_the_batch_and_the_workers_do_not_matter(rollout, worth):
    whole = said(rollout(sampler(worth), count=3))
    assert said(rollout(sampler(worth), count=3, workers=3)) == whole
    assert said(rollout(sampler(worth), count=1))["t0"] == whole["t0"]


def test_one_step_gives_the_groups_of_independent_answers(rollout, worth):
    assert said(rollout(sampler(worth, width=5), turns=1)) == said(rollout(Independent(width=5), turns=1))


def test_a_single_candidate_is_refused(worth):
    with pytest.raises(SettingError, match="width"):
        sampler(worth, width=1)


@pytest.mark.parametrize("choose", [lambda forest, rows: rows[:2], lambda forest, rows: torch.tensor([0])])
def test_a_selector_that_chooses_otherwise_is_told(rollout, worth, choose):
    with pytest.raises(ShapeError, match="at most one"):
        rollout(sampler(worth, selector=choose), count=1)
