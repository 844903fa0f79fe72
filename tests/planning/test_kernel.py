"""The inner loop's parts against slow, plain ones."""

import math

import numpy as np
import pytest
import torch

from milepost import keys
from milepost.planning import collision, kernel
from milepost.planning.planner import RRTStar, _plant, _room
from milepost.planning.problems import problem
from milepost.planning.spheroid import focal_sum, volume

KEY = keys.fold(keys.root(4), "kernel")


def tree_of(points):
    tree = _room(points.shape[1], len(points) + 4)
    world = problem("gap" if points.shape[1] == 2 else "arm-pillar").world()
    _plant(tree, world._replace(start=points[0]))
    kernel.insert(tree, 0)
    for point in points[1:]:
        kernel.add(tree, point, 0, collision.distance(points[0], point))
    return tree


@pytest.mark.parametrize("size", [2, 6])
@pytest.mark.parametrize("count", [1, 7, 40])
def test_nearest_equals_brute_force(size, count):
    points = keys.generator(keys.fold(KEY, size)).random((300, size))
    points[100:110] = points[5]  # equal points, and equal coordinates
    points[:50, 0] = 0.5
    tree = tree_of(points)
    for state in keys.generator(keys.fold(KEY, "asked", size)).random((30, size)):
        found = kernel.nearest(tree, state, count)
        gaps = np.sort(np.linalg.norm(points - state, axis=1))[:count]
        assert np.allclose(tree.gap[:found], gaps)
        assert np.allclose(np.linalg.norm(points[tree.near[:found]] - state, axis=1), gaps)
    assert kernel.nearest(tree_of(points[:3]), points[0], count) == min(3, count)


def test_a_move_reaches_the_whole_subtree():
    points = np.array([[0.0, 0], [1, 0], [2, 0], [2, 1], [0, 1]])
    tree = tree_of(points)
    for vertex, parent in ((2, 1), (3, 2), (4, 3)):
        kernel.move(tree, vertex, parent, tree.cost[parent] + collision.distance(points[parent], points[vertex]))
    assert tree.cost[:5].tolist() == [0, 1, 2, 3, 5]
    kernel.move(tree, 3, 0, math.sqrt(5))
    assert tree.cost[:5].tolist() == pytest.approx([0, 1, 2, math.sqrt(5), math.sqrt(5) + 2])
    children = {parent: set() for parent in range(5)}
    for parent in range(5):
        child = tree.first[parent]
        while child >= 0:
            children[parent].add(int(child))
            child = tree.after[child]
    assert children == {0: {1, 3}, 1: {2}, 2: set(), 3: {4}, 4: set()}


@pytest.mark.parametrize("size", [2, 6])
def test_samples_are_those_of_the_spheroid(size):
    task = problem("wide") if size == 2 else problem("arm-pillar")
    world = task.world()._replace(boxes_low=np.empty((0, size)), boxes_high=np.empty((0, size)))
    rule = kernel.Rule(steer=1.0, goal_bias=0.0, neighbours=1.1, informed=True)
    best = 1.3 * task.least
    stream, kept = keys.generator(keys.fold(KEY, "samples", size)), []
    for _ in range(4000):
        draws = np.concatenate([stream.random(size), stream.standard_normal(size), stream.random(1)])
        state = np.empty(size)
        if kernel.sample(world, rule, draws, best, state):
            kept.append(state)
    start, goal = torch.tensor(task.start).double(), torch.tensor(task.goal).double()
    sums = focal_sum(torch.from_numpy(np.array(kept)), start, goal)
    assert float(sums.max()) <= best + 1e-9
    if size == 2:  # the whole spheroid is in bounds
        assert len(kept) == 4000
        expected = (2 * best**2 + task.least**2) / (3 * best)
        assert abs(float(sums.mean()) - expected) < 5 * float(sums.std()) / math.sqrt(4000)


def test_volume_is_the_formula():
    for cost, least, size in ((1.5, 1.0, 2), (2.0, 0.5, 6), (1.0, 1.0, 3)):
        assert kernel.spheroid_volume(cost, least, size) == pytest.approx(volume(cost, least, size))


def test_where_the_spheroid_is_larger_than_the_bounds_the_bounds_are_sampled():
    task = problem("gap")
    rule = kernel.Rule(steer=1.0, goal_bias=0.0, neighbours=1.1, informed=True)
    state = np.empty(2)
    assert kernel.sample(task.world(), rule, np.array([0.5, 0.5, 9.0, 9.0, 0.9]), 50.0, state)
    assert state.tolist() == [0.5, 0.5]


def test_neighbours_grow_with_the_logarithm():
    tree = _room(2, 100_000)
    rule = kernel.Rule(steer=1.0, goal_bias=0.0, neighbours=1.1, informed=True)
    for count in (1, 100, 10_000):
        tree.numbers[kernel.COUNT] = count
        assert kernel.wanted(tree, rule) == math.ceil(1.1 * math.e * 1.5 * math.log(count + 1))


def test_pruning_keeps_what_can_help_and_what_leads_there():
    grown = RRTStar(prune=1.0).plan(problem("wide"), key=KEY, iterations=2000, fast=False)
    tight = RRTStar(prune=0.0).plan(problem("wide"), key=KEY, iterations=2000, fast=False)
    bound = focal_sum(
        tight.states, torch.tensor(tight.problem.start).double(), torch.tensor(tight.problem.goal).double()
    )
    leaf = torch.ones(len(tight.states), dtype=torch.bool)
    leaf[tight.parent[tight.parent >= 0]] = False
    assert bool((bound[leaf] <= tight.progress[-2].cost + 1e-9).all())
    assert len(tight.states) < len(grown.states)
