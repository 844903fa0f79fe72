"""Trees with a width per depth."""

from __future__ import annotations

import pytest
import torch

from milepost.errors import SettingError
from milepost.sampling.branching.tree import Tree
from milepost.sampling.independent import Independent
from milepost.testing import check_sampler
from tests.sampling.branching.conftest import said


def test_contract():
    check_sampler(Tree(widths=(3, 1, 2)))


def test_every_depth_is_as_wide_as_it_says(rollout):
    forest = rollout(Tree(widths=(4, 1, 3)), count=2, turns=4)
    children = torch.bincount(forest.parent[forest.parent >= 0], minlength=len(forest))
    for depth, width in enumerate((4, 1, 3, 1, 0)):
        assert set(children[forest.depth() == depth].tolist()) == {width}
    assert len(forest.leaves()) == 2 * 4 * 3


def test_one_width_is_independent(rollout):
    assert said(rollout(Tree(widths=(4,)))) == said(rollout(Independent(width=4)))


def test_a_wider_tree_holds_the_narrower_one(rollout):
    few, many = said(rollout(Tree(widths=(2, 2))))["t1"], said(rollout(Tree(widths=(3, 2))))["t1"]
    assert set(few) <= set(many)


@pytest.mark.parametrize("widths", [(), (2, 0)])
def test_settings(widths):
    with pytest.raises(SettingError, match="widths"):
        Tree(widths=widths)
