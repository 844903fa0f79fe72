"""Grouped and tree reductions against loops over dictionaries, with the promises that credit rules rest on."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from milepost import segments
from milepost.errors import ShapeError
from tests.trees import draws, grouped, parents, seeds, up

F64 = {"rtol": 1e-12, "atol": 1e-12}


def members(value, group, groups, ok):
    found = defaultdict(list)
    for number, where, fine in zip(value.tolist(), group.tolist(), ok.tolist(), strict=True):
        if fine:
            found[where].append(number)
    return [found[g] for g in range(groups)]


def log_mean_exp(numbers, temperature):
    top = max(numbers)
    return top + temperature * math.log(sum(math.exp((n - top) / temperature) for n in numbers) / len(numbers))


PER_GROUP = {
    "sum": (segments.group_sum, lambda n: math.fsum(n), 0.0),
    "max": (segments.group_max, max, -math.inf),
    "min": (segments.group_min, min, math.inf),
    "mean": (segments.group_mean, lambda n: math.fsum(n) / len(n), 0.0),
    "log_sum_exp": (segments.group_log_sum_exp, lambda n: log_mean_exp(n, 1.0) + math.log(len(n)), -math.inf),
    "std0": (lambda *a: segments.group_std(*a, ddof=0), lambda n: float(np.std(n)), 0.0),
    "std1": (lambda *a: segments.group_std(*a, ddof=1), lambda n: float(np.std(n, ddof=1)) if len(n) > 1 else 0.0, 0.0),
    "soft": (lambda *a: segments.group_soft_mean(*a, temperature=0.7), lambda n: log_mean_exp(n, 0.7), 0.0),
}


@pytest.mark.parametrize("name", PER_GROUP)
@given(seed=seeds)
def test_one_number_per_group(name, seed):
    case = grouped(seed)
    function, oracle, empty = PER_GROUP[name]
    expected = [oracle(numbers) if numbers else empty for numbers in members(*case)]
    torch.testing.assert_close(function(*case), torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9)


@given(seeds)
def test_count_centre_softmax_and_rank(seed):
    value, group, groups, ok = case = grouped(seed)
    inside = members(*case)
    assert segments.group_count(group, groups, ok).tolist() == [len(numbers) for numbers in inside]
    centre, share, rank = (f(*case) for f in (segments.group_centre, segments.group_softmax, segments.group_rank))
    for row, (number, where, fine) in enumerate(zip(value.tolist(), group.tolist(), ok.tolist(), strict=True)):
        if not fine:
            assert centre[row] == share[row] == rank[row] == 0
            continue
        numbers = inside[where]
        assert float(centre[row]) == pytest.approx(number - math.fsum(numbers) / len(numbers), abs=1e-9)
        weight = [math.exp(other - max(numbers)) for other in numbers]
        assert float(share[row]) == pytest.approx(math.exp(number - max(numbers)) / math.fsum(weight), abs=1e-9)
        ties = sum(other == number for other in numbers)
        assert float(rank[row]) == sum(other < number for other in numbers) + (ties - 1) / 2


PER_ROW = {"centre": segments.group_centre, "softmax": segments.group_softmax, "rank": segments.group_rank}
ALL = {**{name: function for name, (function, _, _) in PER_GROUP.items()}, **PER_ROW}


@pytest.mark.parametrize("name", ALL)
@given(seed=seeds, odd=st.sampled_from([math.nan, math.inf, -math.inf, 1e300, 0.0]))
def test_rows_that_are_not_ok_never_matter(name, seed, odd):
    value, group, groups, ok = grouped(seed)
    first = ALL[name](value, group, groups, ok)
    second = ALL[name](torch.where(ok, value, odd), group, groups, ok)
    assert torch.equal(first, second)
    assert not bool(first.isnan().any())


@pytest.mark.parametrize("name", ALL)
@given(seed=seeds)
def test_the_order_of_rows_does_not_matter(name, seed):
    value, group, groups, ok = grouped(seed)
    order = torch.from_numpy(draws(seed + 1).permutation(len(value)))
    first = ALL[name](value, group, groups, ok)
    second = ALL[name](value[order], group[order], groups, ok[order])
    expected = first[order] if name in PER_ROW else first
    torch.testing.assert_close(expected, second, **F64)


@pytest.mark.parametrize("name", ALL)
@given(seed=seeds)
def test_float32_agrees_with_float64(name, seed):
    value, group, groups, ok = grouped(seed, -1.0, 1.0)
    rounded = value.float()
    fine = ALL[name](rounded.double(), group, groups, ok)
    coarse = ALL[name](rounded, group, groups, ok)
    assert coarse.dtype == torch.float32
    torch.testing.assert_close(coarse.double(), fine, rtol=1e-5, atol=1e-5)


FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(FLOATS, st.integers(1, 9), st.sampled_from([torch.float32, torch.float64]))
def test_a_constant_group_is_exactly_nothing(constant, size, dtype):
    value = torch.full((size,), constant, dtype=dtype)
    case = (value, torch.zeros(size, dtype=torch.int64), 1, torch.ones(size, dtype=torch.bool))
    assert bool((segments.group_centre(*case) == 0).all())
    assert [float(segments.group_std(*case, ddof=ddof)) for ddof in (0, 1)] == [0.0, 0.0]
    assert float(segments.group_mean(*case)) == float(value[0])


@given(seeds)
def test_lone_rows_are_exactly_nothing(seed):
    _, group, groups, ok = case = grouped(seed)
    lone = ok & (segments.group_count(group, groups, ok)[group] == 1)
    assert bool((segments.group_centre(*case)[lone] == 0).all())
    assert bool((segments.group_softmax(*case)[lone] == 1).all())
    assert bool((segments.group_rank(*case)[lone] == 0).all())


@given(seeds)
def test_identities(seed):
    _, group, groups, ok = case = grouped(seed)
    again = segments.group_sum(segments.group_centre(*case), group, groups, ok)
    assert float(again.abs().max()) < 1e-10
    total = segments.group_sum(segments.group_softmax(*case), group, groups, ok)
    assert total[segments.group_count(group, groups, ok) > 0].tolist() == pytest.approx([1.0] * int((total > 0).sum()))
    ranks = segments.group_sum(segments.group_rank(*case), group, groups, ok)
    count = segments.group_count(group, groups, ok)
    assert ranks.tolist() == (count * (count - 1) / 2).tolist()


def test_hand_example():
    value = torch.tensor([1.0, 5.0, 3.0, math.nan, 2.0])
    case = (value, torch.tensor([0, 1, 0, 0, 2]), 4, torch.tensor([True, True, True, False, True]))
    assert segments.group_mean(*case).tolist() == [2.0, 5.0, 2.0, 0.0]
    assert segments.group_centre(*case).tolist() == [-1.0, 0.0, 1.0, 0.0, 0.0]
    assert segments.group_std(*case, ddof=0).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert segments.group_rank(*case).tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]


def test_limits_of_the_soft_mean():
    case = (
        torch.tensor([0.0, 1.0, 4.0], dtype=torch.float64),
        torch.zeros(3, dtype=torch.int64),
        1,
        torch.ones(3, dtype=torch.bool),
    )
    cold, hot = (float(segments.group_soft_mean(*case, temperature=t)) for t in (1e-3, 1e7))
    assert cold == pytest.approx(4.0, abs=0.002)
    assert hot == pytest.approx(5 / 3, abs=1e-6)


def test_log_zero_is_a_value():
    value = torch.tensor([-math.inf, 0.0, -math.inf, -math.inf])
    case = (value, torch.tensor([0, 0, 1, 1]), 2, torch.ones(4, dtype=torch.bool))
    assert segments.group_log_sum_exp(*case).tolist() == [0.0, -math.inf]
    assert segments.group_softmax(*case).tolist() == [0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ALL)
def test_no_rows(name):
    empty = (torch.empty(0), torch.empty(0, dtype=torch.int64), 3, torch.empty(0, dtype=torch.bool))
    assert len(ALL[name](*empty)) in (0, 3)


def test_groups_that_do_not_fit_are_refused():
    value, group = torch.ones(3), torch.tensor([0, 1, 1])
    segments.check_groups(value, group, 2, torch.ones(3, dtype=torch.bool))
    with pytest.raises(ShapeError, match=r"\[0, 1\], expected \[0, 1\)"):
        segments.check_groups(value, group, 1)
    with pytest.raises(ShapeError, match="one entry for each of 3 rows"):
        segments.check_groups(value, group[:2], 2)
    with pytest.raises(ShapeError, match="int64"):
        segments.check_groups(value, group.int(), 2)
    with pytest.raises(ShapeError, match="ok has shape"):
        segments.check_groups(value, group, 2, torch.ones(2, dtype=torch.bool))


# ---- trees ----


@given(seeds)
def test_tree_passes(seed):
    parent, chance = parents(seed), draws(seed + 1)
    rows = len(parent)
    value = torch.from_numpy(chance.standard_normal(rows))
    has = torch.from_numpy(chance.random(rows) < 0.3)
    paths = [up(parent, row) for row in range(rows)]
    assert segments.child_count(parent).tolist() == [int((parent == row).sum()) for row in range(rows)]
    assert segments.root_of(parent).tolist() == [path[-1] for path in paths]
    assert segments.depth(parent).tolist() == [len(path) - 1 for path in paths]
    assert segments.nearest(parent, has).tolist() == [next((r for r in path if has[r]), -1) for path in paths]
    expected = torch.tensor([math.fsum(value[path].tolist()) for path in paths], dtype=torch.float64)
    torch.testing.assert_close(segments.path_sum(value, parent), expected, rtol=1e-9, atol=1e-9)


def test_a_long_chain_takes_few_passes():
    rows = 100_000
    chain = torch.arange(-1, rows - 1)
    assert segments.depth(chain)[-1] == rows - 1
    assert bool((segments.root_of(chain) == 0).all())
    assert segments.path_sum(torch.ones(rows, dtype=torch.float64), chain)[-1] == rows
