"""The forests that parts are checked with hold what they promise, and moving rows loses nothing."""

from __future__ import annotations

import pytest
import torch

from milepost.columns import Role
from milepost.testing.forests import GROUPS, batch, difference, reordered, shuffle, tree


def test_batch_holds_every_kind_of_group():
    forest = batch(("total", "solved"))
    sizes = [len(group) for group in GROUPS]
    assert len(forest) == len(sizes) + sum(sizes)
    ok, reward = forest["ok.total"], forest["reward.total"]
    assert bool(reward[~ok].isnan().all())
    assert [row is None for row in forest.text("reason.solved")[len(sizes) :]] == ok[len(sizes) :].tolist()
    assert torch.equal(forest["tokens.train"], forest["tokens.role"] == int(Role.POLICY))
    assert {1, 2, 9} <= set(sizes)


@pytest.mark.parametrize("key", range(5))
def test_tree_has_forks_chains_and_scored_leaves(key):
    forest = tree(key=key)
    children = torch.bincount(forest.parent[forest.parent >= 0], minlength=len(forest))
    assert {1, 2} <= set(children.tolist())
    assert not bool(forest["ok.total"][children > 0].any())
    assert bool(forest["ok.total"][forest.leaves()].any())


@pytest.mark.parametrize("forest", [batch(), tree()], ids=["batch", "tree"])
def test_moving_rows_there_and_back_is_nothing(forest):
    order = shuffle(forest, 1)
    back = torch.empty_like(order).index_copy_(0, order, torch.arange(len(order)))
    moved = reordered(forest, order)
    assert difference(moved, forest) is not None
    assert difference(reordered(moved, back), forest) is None
    assert torch.equal(moved.depth(), forest.depth()[order])


def test_difference_sees_every_kind():
    one = batch()
    assert difference(one, batch()) is None
    assert "only" in str(difference(one, one.without("draw")))
    assert "texts" in str(difference(one, one.with_columns({"text": ["x"] * len(one)})))
    assert "values" in str(difference(one, one.with_columns({"discount": torch.ones(len(one))})))
    assert "places" in str(difference(one, one.with_valid("discount", torch.zeros(len(one), dtype=torch.bool))))
    other = one.with_columns({"extra.x": torch.zeros(len(one))})
    assert "float64" in str(difference(other, one.with_columns({"extra.x": torch.zeros(len(one)).double()})))
    assert difference(one, tree()) == "the parents differ"
