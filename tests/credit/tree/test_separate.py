"""Separate trajectories: nothing lost, nothing shared, the policy gradient unchanged."""

from __future__ import annotations

import torch
from hypothesis import given

from milepost.columns import Role
from milepost.credit.by_root import ByRoot
from milepost.credit.group import Centred
from milepost.credit.tree.separate import Separate, as_its_own, branched, inserted_rows, rebuilt, separate
from milepost.forest import Forest
from milepost.objectives.clipped import Clipped
from milepost.testing.forests import difference, tree
from tests import trees
from tests.credit.tree.conftest import leaves_of, retried


def test_who_is_inserted_and_who_lies_below():
    forest = retried()
    assert inserted_rows(forest).nonzero().squeeze(1).tolist() == [4]
    assert branched(forest).nonzero().squeeze(1).tolist() == [4, 5, 6]
    assert not bool(inserted_rows(Forest.of([-1, 0])).any())


def test_every_trajectory_is_a_chain_with_the_credit_of_its_leaf():
    forest = ByRoot(rule=Centred())(retried(base=(0.0, 1.0), retry=(1.0, None)))
    chains = separate(forest)
    assert len(chains.roots()) == len(forest.leaves()) == 3
    assert bool((torch.bincount(chains.parent[chains.parent >= 0]) <= 1).all())
    texts, keys = chains.text("text"), chains["key"]
    for leaf, root in zip(chains.leaves().tolist(), forest.leaves().tolist(), strict=True):
        path, own = chains.path(leaf), forest.path(root)
        assert keys[path].tolist() == forest["key"][own].tolist()
        assert [texts[row] for row in path.tolist()] == [forest.text("text")[row] for row in own.tolist()]
        for row, source in zip(path.tolist(), own.tolist(), strict=True):
            assert torch.equal(chains.ragged("tokens.id")[row], forest.ragged("tokens.id")[source])
        assert set(chains["advantage"][path[1:]].tolist()) == {float(forest["advantage"][root])}


def test_the_loss_of_a_policy_that_did_not_change_is_the_same():
    """At ratio 1 the mean over trajectories on shared steps and separate copies of them give one loss."""
    forest = ByRoot(rule=Centred())(retried(base=(0.0, 1.0), retry=(0.25, None)))
    chains = separate(forest)
    one, other = (Clipped()(f, f["tokens.log_prob"].double()).loss for f in (forest, chains))
    assert torch.allclose(one, other, atol=1e-7)


@given(trees.seeds)
def test_rows_of_a_random_tree_are_kept(seed):
    forest = ByRoot(rule=Centred())(tree(rows=25, roots=2, key=seed))
    chains = separate(forest)
    leaf = forest.leaves()
    leaf = leaf[forest.parent[leaf] >= 0]
    assert len(chains) == int((forest.depth()[leaf] + 1).sum())
    assert torch.equal(chains["advantage"][chains.leaves()], forest["advantage"][leaf])
    assert torch.equal(chains.valid("advantage")[chains.leaves()], forest.valid("advantage")[leaf])


def test_rebuilt_in_the_same_order_is_the_forest():
    forest = retried()
    assert difference(forest, rebuilt(forest, torch.arange(len(forest)), forest.parent)) is None


def test_trained_insertions_become_the_policys():
    forest = retried()
    inserted = forest["tokens.role"] == int(Role.INSERTED)
    assert torch.equal(as_its_own(forest)["tokens.role"], forest["tokens.role"]), "advice that is not trained stays"
    trained = forest.with_columns({"tokens.train": forest["tokens.train"] | inserted})
    assert bool((as_its_own(trained)["tokens.role"][inserted] == int(Role.POLICY)).all())


def test_the_view_leaves_a_forest_without_insertions_alone():
    forest = Centred()(retried(retry=(None,)))
    assert Separate()(forest) is forest
    with_retry = ByRoot(rule=Centred())(retried())
    assert len(Separate()(with_retry).roots()) == 2
    assert leaves_of(with_retry)[1].tolist() == [6]
