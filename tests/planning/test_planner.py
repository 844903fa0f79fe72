"""The planner: RRT* in the limit, never worse with time, never below the straight line, quicker for being informed."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from milepost import keys
from milepost.errors import MissingExtra, SettingError
from milepost.planning import compiling
from milepost.planning.planner import CHUNK, RRTStar
from milepost.planning.problems import NAMES, Problem, motions_free, problem

KEY = keys.root(5)


def blocked(size, side):
    """A box of half side 0.25 between start and goal, one apart: the optimum in the plane is 1.207."""
    box = ((-0.25,) * size, (0.25,) * size)
    half = (side / 2,) * size
    start = (-0.5, *(0.0,) * (size - 1))
    return Problem(
        name=f"blocked-{size}", low=tuple(-one for one in half), high=half, start=start,
        goal=tuple(-one for one in start), boxes=(box,),
    )  # fmt: skip


def plan(task, iterations, *, fast=False, key=KEY, **settings):
    return RRTStar(**settings).plan(task, key=key, iterations=iterations, fast=fast)


def lengths(path):
    return (path[1:] - path[:-1]).norm(dim=1)


@pytest.mark.parametrize("name", NAMES)
def test_the_path_is_allowed_and_as_long_as_it_says(name):
    task = problem(name)
    found = plan(task, 3000, fast=True)
    assert found.path[0].tolist() == list(task.start)
    assert found.path[-1].tolist() == list(task.goal)
    assert float(lengths(found.path).sum()) == pytest.approx(found.cost, abs=1e-9)
    assert found.cost >= task.least
    assert bool(motions_free(task, found.path[:-1], found.path[1:]).all())
    costs = [note.cost for note in found.progress]
    assert costs == sorted(costs, reverse=True)


def test_every_cost_of_the_tree_is_its_path(monkeypatch):
    found = plan(problem("gap"), 1500)
    for row in range(len(found.states)):
        above, total = row, 0.0
        while int(found.parent[above]) >= 0:
            total += float((found.states[above] - found.states[int(found.parent[above])]).norm())
            above = int(found.parent[above])
        assert above == 0
        assert total == pytest.approx(float(found.costs[row]), abs=1e-9)


def test_machine_code_makes_the_same_tree():
    for name in ("wide", "arm-pillar"):
        slow, quick = (plan(problem(name), 700, fast=fast) for fast in (False, True))
        assert torch.equal(slow.states, quick.states)
        assert torch.equal(slow.parent, quick.parent)
        assert slow.cost == quick.cost


def test_before_the_first_path_informed_is_plain():
    """Limit: with an infinite best cost the trees agree vertex for vertex."""
    walled = Problem(
        name="closed", low=(0, 0), high=(1, 1), start=(0.1, 0.5), goal=(0.9, 0.5), boxes=(((0.5, 0.0), (0.6, 1.0)),)
    )
    informed, plain = (plan(walled, 1000, informed=one) for one in (True, False))
    assert informed.cost == plain.cost == math.inf
    assert len(informed.path) == 0
    assert informed.goal == -1
    assert torch.equal(informed.states, plain.states)
    assert torch.equal(informed.parent, plain.parent)


def test_without_obstacles_the_straight_line_is_found():
    empty = Problem(name="empty", low=(-1, -1), high=(1, 1), start=(-0.1, 0), goal=(0.1, 0))
    found = plan(empty, 10_000, steer=1.0, fast=True)
    assert found.cost == pytest.approx(0.2)
    assert found.progress[-1].iterations < 10_000  # it stops when nothing can be shorter
    still = Problem(name="still", low=(-1, -1), high=(1, 1), start=(0, 0), goal=(0, 0))
    assert plan(still, 100).cost == 0.0


def test_informed_beats_plain_in_four_dimensions():
    """At equal iterations, in a world of side 6: in at least 18 of 20 seeds, by 0.3 on average."""
    task = blocked(4, 6.0)
    gaps = []
    for seed in range(20):
        informed, plain = (plan(task, 6000, fast=True, key=keys.root(seed), informed=one).cost for one in (True, False))
        gaps.append(plain - informed)
    assert sum(gap > 0 for gap in gaps) >= 18
    assert sum(gaps) / 20 >= 0.3


def test_the_known_optimum_is_approached():
    found = plan(blocked(2, 6.0), 20_000, fast=True)
    optimum = 2 * math.hypot(0.25, 0.25) + 0.5
    assert optimum <= found.cost < optimum + 0.01


@pytest.mark.parametrize("seed", range(50))
def test_pruning_never_costs_anything(seed):
    """In 50 worlds: what is pruned is no part of the path, and the path is not longer than where nothing was pruned."""
    stream = keys.generator(keys.fold(KEY, "world", seed))
    boxes = []
    while len(boxes) < 6:
        low = stream.uniform(0.15, 0.75, 2)
        high = low + stream.uniform(0.02, 0.2, 2)
        boxes.append((tuple(low.tolist()), tuple(high.tolist())))
    task = Problem(name="random", low=(0, 0), high=(1, 1), start=(0.1, 0.1), goal=(0.98, 0.98), boxes=tuple(boxes))
    pruned, whole = (plan(task, 4000, fast=True, prune=one) for one in (0.0, 1.0))
    assert len(pruned.states) <= len(whole.states)
    for found in (pruned, whole):
        assert found.cost >= task.least
        assert float(lengths(found.path).sum()) == pytest.approx(found.cost, abs=1e-9)
        costs = [note.cost for note in found.progress]
        assert costs == sorted(costs, reverse=True)
    assert abs(pruned.cost - whole.cost) < 0.02  # other neighbours are drawn, so the trees are not the same


@given(st.integers(1, 3 * CHUNK))
@settings(max_examples=8, deadline=None)
def test_the_tree_depends_on_key_and_iterations_only(iterations):
    first, again = (plan(problem("gap"), iterations) for _ in range(2))
    assert torch.equal(first.states, again.states)
    assert first.progress[-1].iterations == iterations
    longer = plan(problem("gap"), iterations + CHUNK, informed=False)
    shorter = plan(problem("gap"), iterations, informed=False)
    assert torch.equal(longer.states[: len(shorter.states)], shorter.states)


def test_a_budget_in_seconds_ends():
    found = RRTStar().plan(problem("gap"), key=KEY, seconds=0.05, fast=True)
    assert found.progress[-1].seconds < 2.0


def test_what_is_refused(monkeypatch):
    with pytest.raises(SettingError, match="needs a budget"):
        RRTStar().plan(problem("gap"), key=KEY)
    for settings_ in ({"steer": -1}, {"goal_bias": 2}, {"neighbours": 0}, {"prune": 1.5}):
        with pytest.raises(SettingError):
            RRTStar(**settings_)
    compiling.loop.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "numba", None)
    with pytest.raises(MissingExtra, match="planning"):
        plan(problem("gap"), 10, fast=True)
    compiling.loop.cache_clear()
