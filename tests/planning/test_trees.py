"""A tree as a forest: structure, lengths and ends are the plan's."""

import pytest
import torch

from milepost import keys
from milepost.columns import End
from milepost.planning.planner import RRTStar
from milepost.planning.problems import problem
from milepost.planning.trees import forest_of, order


def test_parents_come_first():
    parent = torch.tensor([-1, 3, 0, 0, 1])
    rows = order(parent)
    assert rows.tolist() == [0, 2, 3, 1, 4]


def test_the_path_of_the_forest_is_the_plan():
    plan = RRTStar().plan(problem("gap"), key=keys.root(1), iterations=1500, fast=False)
    forest = forest_of(plan)
    (goal,) = (forest["end"] == int(End.TERMINATED)).nonzero().flatten().tolist()
    path = forest.path(goal)
    assert torch.allclose(forest["observation"][path], plan.path.float())
    assert -float(forest["reward.length"][path[1:]].sum()) == pytest.approx(plan.cost, rel=1e-5)
    assert forest["ok.length"].tolist() == [False] + [True] * (len(forest) - 1)
    assert bool((forest["value"] <= 0).all())
    assert len(forest.roots()) == 1
    assert set(forest["end"][forest.leaves()].tolist()) <= {int(End.BUDGET), int(End.TERMINATED)}


def test_a_tree_without_a_path():
    plan = RRTStar(goal_bias=0.0).plan(problem("walls"), key=keys.root(1), iterations=5, fast=False)
    forest = forest_of(plan)
    assert int(End.TERMINATED) not in forest["end"].tolist()
