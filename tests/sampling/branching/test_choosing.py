"""Choice among candidates: frequencies, limits, ties, failures, and independence of the batch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from milepost import keys
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.sampling.branching.choosing import (
    HighestReward,
    SoftmaxByAdvantage,
    Told,
    advantage_softmax,
    prune,
    top,
)
from tests import trees


def candidates(values, roots=1, ok=None, key=0):
    """`roots` parents with the same candidates each; parents come first."""
    size = len(values)
    fine = [True] * size if ok is None else list(ok)
    parent = [-1] * roots + [root for root in range(roots) for _ in range(size)]
    columns = {
        "key": [keys.fold(key, "row", row) for row in range(len(parent))],
        "end": [0] * len(parent),
        "reward.total": torch.tensor([torch.nan] * roots + list(values) * roots),
        "ok.total": [False] * roots + fine * roots,
    }
    return Forest.of(parent, columns)


def rows_of(forest):
    return (forest.parent >= 0).nonzero().squeeze(1)


def test_hand_example_of_the_chances():
    value = torch.tensor([1.0, 0.0], dtype=torch.float64)
    found = advantage_softmax(value, torch.zeros(2).long(), 1, torch.ones(2).bool(), temperature=1.0)
    assert found[0] / found[1] == pytest.approx(torch.e**2, rel=1e-4), "one standard deviation above, one below"


@given(trees.seeds)
def test_chances_of_a_group_sum_to_1(seed):
    value, group, groups, ok = trees.grouped(seed)
    found = advantage_softmax(value, group, groups, ok, temperature=0.7)
    total = torch.zeros(groups, dtype=found.dtype).index_add(0, group, found)
    has = torch.zeros(groups).index_add(0, group, ok.float()) > 0
    assert torch.allclose(total, has.to(total.dtype))
    assert bool((found[~ok] == 0).all())


@pytest.mark.statistical
def test_frequencies_follow_the_softmax():
    """Chi-square over 4 000 groups of 4 candidates; 3 degrees of freedom, 40 is beyond 5 standard errors."""
    values, roots = [0.0, 1.0, 1.5, 2.0], 4000
    forest = candidates(values, roots)
    chosen = SoftmaxByAdvantage(temperature=0.7)(forest, rows_of(forest))
    assert len(chosen) == roots
    counts = torch.bincount((chosen - roots) % 4, minlength=4).double()
    every = torch.ones(4).bool()
    chance = advantage_softmax(torch.tensor(values).double(), torch.zeros(4).long(), 1, every, temperature=0.7)
    assert float(((counts - roots * chance).square() / (roots * chance)).sum()) < 40


@pytest.mark.statistical
def test_ties_are_broken_at_random():
    roots = 2000
    forest = candidates([1.0, 0.2, 1.0], roots)
    for selector in (HighestReward(), SoftmaxByAdvantage(temperature=1e-4)):
        counts = torch.bincount((selector(forest, rows_of(forest)) - roots) % 3, minlength=3)
        assert counts[1] == 0
        assert abs(int(counts[0]) - roots / 2) < 5 * (roots / 4) ** 0.5


def test_a_small_temperature_takes_the_best():
    forest = candidates([0.3, 0.1, 0.9], 50)
    assert torch.equal(
        SoftmaxByAdvantage(temperature=1e-4)(forest, rows_of(forest)), HighestReward()(forest, rows_of(forest))
    )


@pytest.mark.parametrize("selector", [HighestReward(), SoftmaxByAdvantage()])
def test_failed_candidates_are_never_chosen(selector):
    forest = candidates([torch.nan, 0.5, 9.0], 20, ok=[False, True, False])
    assert torch.equal((selector(forest, rows_of(forest)) - 20) % 3, torch.ones(20).long())
    failed = candidates([0.1, 0.2], 3, ok=[False, False])
    assert len(selector(failed, rows_of(failed))) == 0


@pytest.mark.parametrize("selector", [HighestReward(), SoftmaxByAdvantage()])
def test_the_batch_and_the_order_do_not_matter(selector):
    forest = candidates([0.5, 0.5, 0.5, 0.5], 30)
    rows = rows_of(forest)
    whole = selector(forest, rows)
    assert torch.equal(selector(forest, rows[::1]), whole)
    alone = [selector(forest, rows[forest.parent[rows] == root]) for root in range(30)]
    assert torch.equal(torch.cat(alone), whole)
    assert len(selector(forest, rows[:0])) == 0


@given(trees.seeds, st.integers(1, 4))
def test_top_marks_the_largest_of_each_group(seed, count):
    value, group, groups, ok = trees.grouped(seed)
    found = top(value, group, ok, count=count)
    for number in range(groups):
        own = ((group == number) & ok).nonzero().squeeze(1).tolist()
        best = sorted(own, key=lambda row: (-float(value[row]), row))[:count]
        assert (found & (group == number)).nonzero().squeeze(1).tolist() == sorted(best)


def test_pruned_rows_have_ended():
    forest = prune(candidates([0.1, 0.2]), torch.tensor([2]))
    assert forest.open_rows().tolist() == [1]


def test_settings():
    with pytest.raises(SettingError):
        SoftmaxByAdvantage(temperature=0.0)
    assert Told().extensions == 0
