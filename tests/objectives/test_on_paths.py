"""Losses on trajectories that share steps equal those of the same trajectories laid out one by one."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.objectives.clipped import Clipped, DualClipped
from milepost.objectives.normalise import FixedLength, SequenceMean, TokenMean
from milepost.objectives.on_paths import (
    ClippedOnPaths,
    SequenceOnPaths,
    credit_sums,
    entry_weights,
    leaf_credit,
    on_paths,
)
from milepost.objectives.sequence_ratio import SequenceClipped
from milepost.ragged import Ragged

SHAPES = {
    "flat": ([-1, 0, 0, 0], [2, 3, 1, 4]),
    "fork at the first turn": ([-1, 0, 0, 1, 1, 2, 2], [3, 2, 4, 1, 3, 2, 5]),
    "ragged": ([-1, -1, 0, 1, 2, 2, 2, 4, 4, 3, 1, 7], [2, 1, 3, 2, 4, 1, 2, 3, 0, 2, 5, 1]),
    "chain": ([-1, 0, 1, 2, 3], [2, 3, 1, 2, 4]),
    "comb": ([-1, 0, 0, 2, 2, 4, 4, 6, 6], [2] * 9),
}
NORMALISERS = {"tokens": TokenMean(), "sequences": SequenceMean(), "fixed length": FixedLength(length=7)}


def laid_out(forest: Forest) -> tuple[Forest, torch.Tensor]:
    """Every trajectory as a path of its own with the credit of its leaf, and where each token stands in the tree."""
    parent, rows, credit = [], [], []
    valid = forest.valid("advantage").tolist()
    for leaf in forest.leaves().tolist():
        for place, row in enumerate(forest.path(leaf).tolist()):
            parent.append(len(parent) - 1 if place else -1)
            rows.append(row)
            credit.append(float(forest["advantage"][leaf]) if valid[leaf] and place else None)
    places = [torch.arange(int(forest.token_offsets[row]), int(forest.token_offsets[row + 1])) for row in rows]
    columns = {
        name: Ragged.of([forest[name][place] for place in places], forest[name].dtype)
        for name in ("tokens.id", "tokens.role", "tokens.train", "tokens.log_prob")
    }
    return Forest.of(parent, {**columns, "advantage": credit}), torch.cat(places)


def check(case, ours, plain) -> None:
    tree, now = case.forest, case.now.clone().requires_grad_()
    separate, place = laid_out(tree)
    found, expected = ours(tree, now), plain(separate, now[place])
    assert_close(found.loss, expected.loss, rtol=1e-11, atol=1e-13)
    slopes = [torch.autograd.grad(one.loss, now, retain_graph=True)[0] for one in (found, expected)]
    assert_close(*slopes, rtol=1e-11, atol=1e-13)
    assert bool((slopes[0] != 0).any())
    for name, value in expected.metrics.items():
        if name != "objective/trained_units":  # counts a shared unit once
            assert found.metrics[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize("normalise", NORMALISERS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spread", [0.05, 0.6])
def test_equal_to_the_trajectories_laid_out(batch, shape: str, normalise: str, spread: float) -> None:
    case, by = batch(*SHAPES[shape], spread=spread), NORMALISERS[normalise]
    check(case, ClippedOnPaths(low=0.1, high=0.3, normalise=by), Clipped(low=0.1, high=0.3, normalise=by))
    dual = {"low": 0.1, "high": 0.3, "bound": 1.5, "normalise": by}
    check(case, ClippedOnPaths(**dual), DualClipped(**dual))


@pytest.mark.parametrize("shape", SHAPES)
def test_sequence_ratios_equal_those_laid_out(batch, shape: str) -> None:
    check(batch(*SHAPES[shape], spread=0.3), SequenceOnPaths(low=0.05, high=0.1), SequenceClipped(low=0.05, high=0.1))


def test_trajectories_that_failed_count_nowhere(batch) -> None:
    case = batch(*SHAPES["ragged"])
    leaves = case.forest.leaves()
    valid = torch.ones(len(case.forest), dtype=torch.bool).index_fill(0, leaves[1:3], False)
    tree = case.forest.with_valid("advantage", valid)
    separate, place = laid_out(tree)
    for ours, plain in ((ClippedOnPaths(), Clipped()), (SequenceOnPaths(), SequenceClipped())):
        assert_close(ours(tree, case.now).loss, plain(separate, case.now[place]).loss, rtol=1e-11, atol=1e-13)


def test_credit_above_the_leaves_is_not_read(batch) -> None:
    case = batch(*SHAPES["comb"])
    inner = torch.ones(9, dtype=torch.bool).index_fill(0, case.forest.leaves(), False)
    other = case.forest.with_columns({"advantage": torch.where(inner, 99.0, case.forest["advantage"])})
    missing = case.forest.with_valid("advantage", ~inner)
    for objective in (ClippedOnPaths(), SequenceOnPaths()):
        losses = [objective(one, case.now).loss for one in (case.forest, other, missing)]
        assert losses[0] == losses[1] == losses[2]


def test_a_mean_instead_of_two_sums_is_another_loss(batch) -> None:
    """Why two sums: with one number per step the clip of a step that is good and bad at once is lost."""
    case = batch([-1, 0, 1, 1], [2, 3, 1, 1], masked=False)
    tree = case.forest.with_columns({"advantage": [0.0, 0.0, 1.0, -1.0]})
    now = tree["tokens.log_prob"].double().clone()
    now[2:5] += 0.5
    mean, sums = Clipped()(tree, now).loss, ClippedOnPaths()(tree, now).loss
    weight, ratio = 1 / 8, math.exp(0.5)
    assert_close(mean, torch.tensor(0.0, dtype=torch.float64))
    assert_close(sums, torch.tensor(-weight * 3 * (1.2 - ratio), dtype=torch.float64))


def test_sums_by_hand() -> None:
    paths = Ragged.of([[0, 1], [0, 2], [0, 2]], torch.int64)
    found = credit_sums(torch.tensor([1.0, -2.0, 3.0]), torch.tensor([1.0, 1, 0.5, 1, 2, 1]), paths, 4)
    assert found.up.tolist() == [1 + 6, 1, 3, 0]
    assert found.down.tolist() == [-1, 0, -2, 0]


@pytest.mark.parametrize("normalise", NORMALISERS)
def test_entry_weights_add_up_to_the_weights_of_rows(tree, normalise: str) -> None:
    units, by = on_paths(tree.forest, tree.now), NORMALISERS[normalise]
    entry = entry_weights(units.count, units.trajectories, by)
    total = torch.zeros(len(tree.forest), dtype=torch.float64).index_add(0, units.trajectories.values, entry)
    assert_close(total, by(units.count, units.trajectories))


def test_leaf_credit(tree) -> None:
    leaves = tree.forest.leaves()
    assert torch.equal(leaf_credit(tree.forest, tree.forest.paths(leaves)), tree.forest["advantage"][leaves])


def test_credit_is_asked_for() -> None:
    with pytest.raises(ColumnError, match="'advantage'"):
        ClippedOnPaths()(Forest.of([-1, 0], {"log_prob": [None, -1.0]}), torch.zeros(2))
