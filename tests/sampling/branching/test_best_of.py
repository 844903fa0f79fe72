"""Best of n: what is kept, what it cost, and the law of the best."""

from __future__ import annotations

import pytest
import torch

from milepost import keys
from milepost.columns import End
from milepost.errors import SettingError
from milepost.sampling.branching.best_of import BestOf
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.testing import check_sampler
from milepost.testing.worlds import Letters, Payoff, expected_payoff, letter_task
from tests.sampling.branching.conftest import policy, said, scorer

PAYS: dict[str, float | None] = {"ab": 1.0, "ba": 0.5, "cc": None}


def test_contract(pays):
    check_sampler(BestOf(of=4, scorer=pays))


def test_the_best_path_is_kept_and_all_stay(rollout, pays):
    forest = rollout(BestOf(of=6, kept=2, scorer=pays), count=4, turns=2, payoff=PAYS)
    assert said(forest) == said(rollout(Independent(width=6), count=4, turns=2, payoff=PAYS))
    assert forest["end"][forest.leaves()].tolist() == [int(End.TERMINATED)] * 24
    for root in range(4):
        leaf = forest.leaves()[forest.root_of()[forest.leaves()] == root]
        fine = leaf[forest["ok.total"][leaf]]
        kept = leaf[forest["keep"][leaf]]
        best = forest["reward.total"][fine].sort(descending=True).values[:2]
        assert torch.equal(forest["reward.total"][kept].sort(descending=True).values, best)
        assert all(bool(forest["keep"][forest.path(row)].all()) for row in kept.tolist())


def test_a_failed_reward_is_never_kept(rollout):
    forest = rollout(BestOf(of=4, scorer=scorer(Payoff())), count=3, turns=1, payoff=dict.fromkeys("abc"))
    assert not bool(forest["keep"].any())


def test_it_costs_what_all_of_them_cost(rollout, pays):
    forest = rollout(BestOf(of=5, scorer=pays), count=2, turns=2, payoff=PAYS)
    leaf = forest.leaves()
    assert forest["cost.reward_calls"].sum() == 10
    assert forest["cost.tokens"].where(forest.valid("cost.tokens"), 0).sum() == 20
    assert float(forest["cost.environment_steps"].where(forest.valid("cost.environment_steps"), 0).sum()) == 20
    assert len(leaf) == 10


@pytest.mark.statistical
def test_the_best_of_n_pays_1_less_the_chance_that_all_fail(pays):
    """Payoff 0 or 1 with probability p: the best of n pays 1 - (1 - p)^n; 2 000 draws, 5 standard errors."""
    task, world, times = letter_task("t0", prompt="a", payoff={"b": 1.0}), Letters(turns=1), 2000
    chance = float(expected_payoff(policy(), world, task))
    forest = grow(
        [Draw(task=task, number=number) for number in range(times)],
        policy=policy(),
        environment=world,
        sampler=BestOf(of=3, scorer=pays),
        key=keys.root(0),
    )
    leaf = forest.leaves()
    won = forest["reward.total"][leaf][forest["keep"][leaf]]
    assert len(won) == times
    truth = 1 - (1 - chance) ** 3
    assert abs(float(won.mean()) - truth) < 5 * (truth * (1 - truth) / times) ** 0.5


def test_settings(pays):
    with pytest.raises(SettingError):
        BestOf(of=2, kept=3, scorer=pays)
    with pytest.raises(SettingError):
        BestOf(of=2, kept=0, scorer=pays)
