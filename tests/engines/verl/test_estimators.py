"""verl's batches as forests, and credit on its tokens: by hand and by identity. See test_estimators_in_verl.py too."""

from __future__ import annotations

import pytest
import torch

from milepost.credit.asymmetric import Asymmetric, Smoothed
from milepost.credit.group import Centred
from milepost.engines.verl.estimators import ESTIMATORS, Estimator, lay
from milepost.errors import SettingError, ShapeError
from milepost.recipe import builder
from tests.engines.verl.ragged_batches import random_batch


def test_a_row_is_a_chain_of_turns():
    rewards = torch.tensor([[0.0, 0.25, 0.0, 0.0, 1.0, 0.0], [0.5, 0.0, 0.0, 0.0, 0.0, 0.0]])
    mask = torch.tensor([[1, 1, 0, 0, 1, 0], [1, 0, 0, 0, 0, 0]])
    laid = lay(rewards, mask, ["a", "a"])
    assert laid.forest.parent.tolist() == [-1, 0, 1, 0]
    assert laid.forest["reward.total"].tolist() == [0.0, 0.25, 1.0, 0.5]
    assert laid.forest["ok.total"].tolist() == [False, True, True, True]
    assert laid.row.tolist() == [[1, 1, 1, 1, 2, 2], [3, 3, 3, 3, 3, 3]]
    assert laid.forest["discount"].tolist() == [1, 1, 0, 0]


def test_what_stands_before_the_first_word():
    laid = lay(torch.zeros(1, 4), torch.tensor([[0, 0, 1, 0]]), ["a"])
    assert laid.forest.parent.tolist() == [-1, 0]
    assert lay(torch.zeros(1, 3), torch.zeros(1, 3), ["a"]).forest.parent.tolist() == [-1, 0]
    assert len(lay(torch.zeros(0, 3), torch.zeros(0, 3), []).forest) == 0
    assert lay(torch.zeros(2, 0), torch.zeros(2, 0), ["a", "b"]).forest.parent.tolist() == [-1, -1, 0, 1]


def test_no_row_is_lost_or_moved():
    for number in range(20):
        batch = random_batch(number, dense=True)
        laid = lay(batch.rewards, batch.mask, batch.index)
        forest = laid.forest
        leaves = forest.leaves()
        assert len(leaves) == len(batch.rewards)
        paths = forest.paths(leaves)
        summed = torch.zeros(len(leaves)).index_add(0, paths.row, forest["reward.total"][paths.values])
        assert torch.allclose(summed, batch.rewards.sum(1), atol=1e-6)
        turns = (batch.mask.diff(dim=1, prepend=torch.zeros_like(batch.mask[:, :1])) == 1).sum(1)
        assert torch.equal(paths.lengths - 1, turns)
        roots = forest.root_of()[leaves].tolist()
        assert len({(str(name), root) for name, root in zip(batch.index, roots, strict=True)}) == len(set(roots))


def test_credit_by_hand():
    rewards = torch.tensor([[0.0, 1.0], [0.0, 0.0], [3.0, 0.0]])
    mask = torch.tensor([[1, 1], [1, 1], [1, 0]])
    found, returns = Estimator(credit=Centred())(rewards, mask, index=["a", "a", "b"], config=None)
    assert found.tolist() == [[0.5, 0.5], [-0.5, -0.5], [0.0, 0.0]]
    assert torch.equal(found, returns)
    alone, _ = Estimator(credit=Centred())(rewards, mask)
    assert alone.abs().sum() == 0


def test_a_reward_that_could_not_be_had_does_not_count():
    rewards = torch.tensor([[0.0, 1.0], [0.0, 0.0], [torch.nan, 0.0]])
    found, _ = Estimator(credit=Centred())(rewards, torch.ones(3, 2), index=["a"] * 3)
    assert found.tolist() == [[0.5, 0.5], [-0.5, -0.5], [0.0, 0.0]]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_order_of_rows_does_not_matter(name):
    batch = random_batch(3)
    order = torch.randperm(len(batch.rewards), generator=torch.Generator().manual_seed(1))
    estimator = Estimator(credit=ESTIMATORS[name])
    found, _ = estimator(batch.rewards, batch.mask, index=batch.index)
    moved, _ = estimator(batch.rewards[order], batch.mask[order], index=batch.index[order.numpy()])
    assert torch.allclose(found[order], moved, atol=1e-6)
    assert found.abs().max() > 0
    assert (found * (1 - batch.mask)).abs().sum() == 0


def test_rules_that_verl_cannot_feed():
    with pytest.raises(SettingError, match="accuracy"):
        Estimator(credit=Asymmetric())
    with pytest.raises(SettingError, match="remembers"):
        Estimator(credit=Smoothed(credit=Asymmetric(accuracy="total", limits=(0.0, 1.0))))
    for name in ("g2rl", "oprl"):
        with pytest.raises(SettingError):
            Estimator(credit=builder(name)().credit)
    with pytest.raises(SettingError, match=r"credit is the class Centred"):
        Estimator(credit=Centred)


def test_shapes_must_agree():
    with pytest.raises(ShapeError, match="one prompt per row"):
        lay(torch.zeros(2, 3), torch.zeros(2, 3), ["a"])
