"""Which child is followed, and how many there may be."""

import math

import pytest
import torch

from milepost import keys
from milepost.errors import SettingError
from milepost.sampling.search_tree.selection import Boltzmann, Budget, Children, UpperBound, Widening, boltzmann

KEY = keys.root(2)


def children(value, group, visits=None, above=None, spread=None):
    value, group = torch.tensor(value, dtype=torch.float64), torch.tensor(group)
    one = torch.ones_like(group)
    return Children(
        value=value,
        visits=one if visits is None else torch.tensor(visits),
        above=10 * one if above is None else torch.tensor(above),
        spread=one.double() if spread is None else torch.tensor(spread),
        group=group,
        groups=int(group.max()) + 1,
    )


def test_boltzmann_by_hand():
    """Shares 1/4 and 3/4 in the first group, whose rows do not stand together; a lone row in the second."""
    value, group = torch.tensor([0.0, 5.0, math.log(3)]).double(), torch.tensor([0, 1, 0])
    for draw, first in ((0.0, 0), (0.2499, 0), (0.2501, 2), (0.9999, 2)):
        found = boltzmann(value, group, 2, torch.tensor([draw, draw]).double(), temperature=1.0)
        assert found.tolist() == [first, 1]


@pytest.mark.statistical
def test_boltzmann_follows_its_law():
    """40,000 draws, four children: every frequency within 5 standard errors."""
    value = torch.tensor([0.3, -0.5, 1.0, 0.1]).double()
    count = 40_000
    draw = torch.from_numpy(keys.generator(KEY).random(count))
    every = children(value.repeat(count).tolist(), torch.arange(count).repeat_interleave(4).tolist())
    chosen = Boltzmann(temperature=0.5)(every, draw) % 4
    share = (value / 0.5).softmax(0)
    apart = torch.bincount(chosen, minlength=4) / count - share
    assert bool((apart.abs() < 5 * (share * (1 - share) / count).sqrt()).all())


def test_boltzmann_limits():
    every, draw = children([1.0, 2.0, 0.0], [0, 0, 0]), torch.tensor([0.999]).double()
    assert Boltzmann(temperature=1e-3)(every, torch.tensor([0.0]).double()).tolist() == [1]
    assert [int(Boltzmann(temperature=1e9)(every, torch.tensor([u]).double())) for u in (0.1, 0.5, 0.9)] == [0, 1, 2]
    assert UpperBound(exploration=0.0)(every, draw).tolist() == [1]


def test_upper_bound_by_hand():
    """value + 2 sqrt(ln 10 / N): 1.0 + 0.96 for the often visited one, 0.2 + 3.03 for the other; spread scales both."""
    every = children([1.0, 0.2], [0, 0], visits=[10, 1])
    assert UpperBound(exploration=2.0)(every, torch.zeros(1)).tolist() == [1]
    flat = children([1.0, 0.2], [0, 0], visits=[10, 1], spread=[0.1, 0.1])
    assert UpperBound(exploration=2.0)(flat, torch.zeros(1)).tolist() == [0]


def test_of_equals_the_first():
    assert UpperBound()(children([1.0, 1.0], [0, 0]), torch.zeros(1)).tolist() == [0]


def test_widening_by_hand():
    assert Widening().limit(torch.tensor([1, 32])).tolist() == pytest.approx([2.0, 32.0])
    assert Widening(scale=1.0, exponent=0.0).limit(torch.tensor([7])).tolist() == [1.0]


def test_a_budget_is_that_of_trajectories():
    assert Budget.worth(images=64, steps=10, at_once=8) == Budget(calls=640.0, at_once=8)


def test_ranges():
    for part, change in (
        (Boltzmann, {"temperature": 0.0}), (UpperBound, {"exploration": -1.0}), (Widening, {"exponent": 1.5}),
        (Widening, {"scale": 0.0}), (Budget, {"calls": 0.0}), (Budget, {"descents": 0}), (Budget, {"at_once": 0}),
    ):  # fmt: skip
        with pytest.raises(SettingError, match=next(iter(change))):
            part(**change)


def test_a_budget_without_a_branch_is_refused():
    """C = 2, alpha = 0.8: a node is full when N > 2 N^0.8, after 32 visits; with alpha = 1 never."""
    assert Widening().branching(33) == 33
    assert Widening(exponent=0.5).branching(5) == 5
    for wide, images in ((Widening(), 32), (Widening(exponent=0.5), 4)):
        with pytest.raises(SettingError, match=f"images={images} .* before image {images}"):
            wide.branching(images)
    with pytest.raises(SettingError, match="nothing ever branches"):
        Widening(exponent=1.0).branching(10**9)
