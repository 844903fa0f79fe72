"""Backup and inheritance against recursion by hand, on trees of every shape, by levels and by forks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from milepost import backup, segments
from tests.trees import draws, parents, seeds, up

REDUCERS = {
    "mean": (segments.group_mean, lambda n: math.fsum(n) / len(n)),
    "max": (segments.group_max, max),
    "soft": (
        lambda *a: segments.group_soft_mean(*a, temperature=0.5),
        lambda n: max(n) + 0.5 * math.log(math.fsum(math.exp((x - max(n)) / 0.5) for x in n) / len(n)),
    ),
}


def by_hand(reward, discount, leaf_value, parent, ok, reduce):
    """State, step and ok of every row, from the last row to the first."""
    rows = len(parent)
    below = [[child for child in range(rows) if parent[child] == row] for row in range(rows)]
    state, known, step = [0.0] * rows, [False] * rows, [0.0] * rows
    for row in reversed(range(rows)):
        if not below[row]:
            known[row], state[row] = ok[row], leaf_value[row]
        else:
            good = [child for child in below[row] if known[child] and ok[child]]
            known[row] = bool(good)
            state[row] = reduce([step[child] for child in good]) if good else 0.0
        step[row] = reward[row] + discount[row] * state[row] if known[row] and ok[row] else 0.0
    fine = [a and b for a, b in zip(known, ok, strict=True)]
    return [s if k else 0.0 for s, k in zip(state, known, strict=True)], step, fine


def random_case(seed, most=40):
    parent, chance = parents(seed, most), draws(seed + 1)
    rows = len(parent)
    ok = chance.random(rows) < chance.choice([0.6, 0.9, 1.0])
    odd = np.where(ok, 0.0, math.nan)
    leaf = torch.bincount(parent + 1, minlength=rows + 1)[1:].numpy() == 0
    reward = chance.standard_normal(rows) + odd
    discount = chance.choice([0.0, 0.5, 0.99, 1.0], rows)
    leaf_value = np.where(leaf, chance.standard_normal(rows) + odd, math.nan)
    return [*(torch.from_numpy(x) for x in (reward, discount, leaf_value)), parent, torch.from_numpy(ok)]


@pytest.mark.parametrize("most_levels", [0, 2, 10_000])
@pytest.mark.parametrize("name", REDUCERS)
@given(seed=seeds)
def test_against_recursion(name, most_levels, seed):
    function, oracle = REDUCERS[name]
    case = random_case(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backup, "_MOST_LEVELS", most_levels)
        found = backup.backup(*case, reduce=function)
    state, step, ok = by_hand(*(x.tolist() for x in case), oracle)
    assert found.ok.tolist() == ok
    assert found.step.tolist() == pytest.approx(step, abs=1e-9)
    assert found.state.tolist() == pytest.approx(state, abs=1e-9)


@given(seed=seeds, odd=st.sampled_from([0.0, 1e300, math.inf, math.nan]))
def test_numbers_that_do_not_count_never_matter(seed, odd):
    reward, discount, leaf_value, parent, ok = random_case(seed)
    inner = segments.child_count(parent) > 0
    first = backup.backup(reward, discount, leaf_value, parent, ok, reduce=segments.group_mean)
    spoilt = torch.where(ok & ~inner, leaf_value, odd)
    second = backup.backup(torch.where(ok, reward, odd), discount, spoilt, parent, ok, reduce=segments.group_mean)
    assert torch.equal(first.state, second.state)
    assert torch.equal(first.step, second.step)


def full_tree(width, levels):
    """Parents of a full tree, level by level."""
    above, last = [-1], [0]
    for _ in range(levels):
        fresh = list(range(len(above), len(above) + width * len(last)))
        above += [row for row in last for _ in range(width)]
        last = fresh
    return torch.tensor(above)


@pytest.mark.parametrize(("width", "levels"), [(2, 5), (3, 3), (1, 6)])
def test_rewards_at_the_leaves_give_the_mean_over_all_paths(width, levels):
    parent = full_tree(width, levels)
    rows = len(parent)
    leaf = segments.child_count(parent) == 0
    value = torch.where(leaf, torch.from_numpy(draws(3).standard_normal(rows)), 0.0)
    case = (value, torch.ones(rows).double(), torch.zeros(rows).double(), parent, torch.ones(rows, dtype=torch.bool))
    found = backup.backup(*case, reduce=segments.group_mean)
    best = backup.backup(*case, reduce=segments.group_max)
    for row in range(rows):
        ends = [end for end in leaf.nonzero().squeeze(1).tolist() if row in up(parent, end)]
        assert float(found.step[row]) == pytest.approx(float(value[ends].mean()))
        assert float(best.step[row]) == pytest.approx(float(value[ends].max()))


def test_a_forest_that_branches_at_the_root_only_gives_group_statistics():
    sizes = [3, 1, 5]
    parent = torch.tensor([-1, -1, -1] + [root for root, size in enumerate(sizes) for _ in range(size)])
    reward = torch.from_numpy(draws(5).standard_normal(len(parent)))
    every, zero = torch.ones(len(parent), dtype=torch.bool), torch.zeros(len(parent)).double()
    found = backup.backup(reward, zero, zero, parent, every, reduce=segments.group_mean)
    leaves = slice(3, None)
    mean = segments.group_mean(reward[leaves], parent[leaves], 3, every[leaves])
    assert torch.equal(found.state[:3], mean)
    assert torch.equal(found.step[leaves], reward[leaves])


def test_hand_example():
    parent = torch.tensor([-1, 0, 0, 1, 1, 2])
    reward = torch.tensor([0.0, 1.0, 0.0, 2.0, 4.0, 8.0])
    discount = torch.tensor([1.0, 0.5, 1.0, 0.0, 0.0, 0.0])
    leaf = torch.tensor([0.0, 0.0, 0.0, 9.0, 9.0, 9.0])
    found = backup.backup(reward, discount, leaf, parent, torch.ones(6, dtype=torch.bool), reduce=segments.group_mean)
    assert found.step.tolist() == [5.25, 2.5, 8.0, 2.0, 4.0, 8.0]
    assert found.state.tolist() == [5.25, 3.0, 8.0, 9.0, 9.0, 9.0]


def test_truncation_keeps_the_value_of_the_last_state_and_termination_drops_it():
    parent, reward = torch.tensor([-1, 0, 1, 0, 3]), torch.ones(5)
    leaf = torch.tensor([0.0, 0.0, 10.0, 0.0, 10.0])
    discount = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0])
    found = backup.backup(reward, discount, leaf, parent, torch.ones(5, dtype=torch.bool), reduce=segments.group_mean)
    assert found.step[[2, 4]].tolist() == [11.0, 1.0]


@pytest.mark.parametrize("rows", [300, 5000])
def test_a_chain_is_the_discounted_return(rows):
    parent, gamma = torch.arange(-1, rows - 1), 0.97
    reward = torch.from_numpy(draws(1).standard_normal(rows))
    every = torch.ones(rows, dtype=torch.bool)
    discount = torch.full((rows,), gamma, dtype=torch.float64)
    found = backup.backup(
        reward, discount, torch.full((rows,), 2.0).double(), parent, every, reduce=segments.group_mean
    )
    total = 2.0
    for row in reversed(range(rows)):
        total = float(reward[row]) + gamma * total
        assert float(found.step[row]) == pytest.approx(total, rel=1e-9)


def test_a_million_interleaved_steps_agree_with_a_loop_over_time():
    width, length = 1000, 1000
    parent = torch.cat((torch.full((width,), -1), torch.arange(width * (length - 1))))
    reward = torch.from_numpy(draws(2).standard_normal(width * length))
    every, zero = torch.ones(width * length, dtype=torch.bool), torch.zeros(width * length).double()
    discount = torch.full((width * length,), 0.99, dtype=torch.float64)
    found = backup.backup(reward, discount, zero, parent, every, reduce=segments.group_mean).step.view(length, width)
    after = torch.zeros(width).double()
    for step in reversed(range(length)):
        after = reward.view(length, width)[step] + 0.99 * after
        torch.testing.assert_close(found[step], after, rtol=1e-9, atol=1e-9)


@given(seeds)
def test_at_or_above_is_every_ancestor_of_a_marked_row(seed):
    parent = parents(seed)
    marked = torch.from_numpy(draws(seed + 1).random(len(parent)) < 0.2)
    above = {row for start in marked.nonzero().squeeze(1).tolist() for row in up(parent, start)}
    assert backup.at_or_above(marked, parent).nonzero().squeeze(1).tolist() == sorted(above)


def test_no_rows():
    none = torch.empty(0)
    empty = (none, none, none, torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.bool))
    assert len(backup.backup(*empty, reduce=segments.group_mean).step) == 0
