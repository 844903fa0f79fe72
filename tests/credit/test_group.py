"""Group credit: hand examples, identities, limits, and the failures of other libraries by name."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from milepost import keys
from milepost.credit.group import Centred, LeaveOneOut, Normalised, centred, leave_one_out, normalised
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.testing.answers import scored

RULES = (Normalised(), Normalised(ddof=1, eps=1e-4), Normalised(eps=0.0), Centred(), LeaveOneOut())
FORMULAS = (
    lambda r, g, n, ok: normalised(r, g, n, ok, ddof=0, eps=1e-6),
    lambda r, g, n, ok: normalised(r, g, n, ok, ddof=1, eps=0.0),
    centred,
    leave_one_out,
)


def credit_of(rule, groups: list[list[float | None]]) -> list[list[float]]:
    found = rule(scored(groups))["advantage"].tolist()[len(groups) :]
    sizes = iter(found)
    return [[next(sizes) for _ in group] for group in groups]


def everything(count: int) -> torch.Tensor:
    return torch.ones(count, dtype=torch.bool)


# ---- hand examples ----


def test_hand_example_of_each_rule():
    groups = [[1.0, 0.0, 0.0, 0.0]]
    assert credit_of(Centred(), groups) == [[0.75, -0.25, -0.25, -0.25]]
    assert_close(torch.tensor(credit_of(LeaveOneOut(), groups)), torch.tensor([[1.0, -1 / 3, -1 / 3, -1 / 3]]))
    std = math.sqrt(3) / 4
    expected = torch.tensor([[0.75, -0.25, -0.25, -0.25]]) / std
    assert_close(torch.tensor(credit_of(Normalised(eps=0.0), groups)), expected)
    sample = std * math.sqrt(4 / 3)
    assert_close(torch.tensor(credit_of(Normalised(eps=0.0, ddof=1), groups)), expected * std / sample)


def test_normalised_equals_the_statements_of_trl_and_of_verl():
    reward = torch.from_numpy(keys.normal([1], (16, 8))[0])
    flat_reward, group = reward.reshape(-1), torch.arange(16).repeat_interleave(8)
    trl = (reward - reward.mean(1, keepdim=True)) / (reward.std(1, keepdim=True) + 1e-4)
    verl = (reward - reward.mean(1, keepdim=True)) / (reward.std(1, keepdim=True) + 1e-6)
    for oracle, eps in ((trl, 1e-4), (verl, 1e-6)):
        found = normalised(flat_reward, group, 16, everything(128), ddof=1, eps=eps)
        assert_close(found, oracle.reshape(-1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_flat_forest_of_one_turn_is_grpo_exactly(rule):
    groups = [[1.0, 0.0, 0.5], [2.0, -1.0], [0.25, 0.5, 0.75, 1.0]]
    forest = scored(groups)
    rows = torch.arange(3, len(forest))
    reward, ok = forest["reward.total"][rows].double(), everything(len(rows))
    formula = {Centred: centred, LeaveOneOut: leave_one_out}.get(type(rule))
    if formula is None:
        found = normalised(reward, forest.parent[rows], 3, ok, ddof=rule.ddof, eps=rule.eps)
    else:
        found = formula(reward, forest.parent[rows], 3, ok)
    assert torch.equal(rule(forest)["advantage"][rows], found.float())


# ---- identities ----


@given(st.lists(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=9), min_size=1, max_size=6), st.data())
def test_random_groups_against_a_dictionary(groups, data):
    """AReaL 1419: partial groups shift all later groups. Here groups are ids, of any size, in any order."""
    rows = data.draw(st.permutations([(g, value) for g, group in enumerate(groups) for value in group]))
    group = torch.tensor([g for g, _ in rows])
    reward = torch.tensor([value for _, value in rows], dtype=torch.float64)
    mean = {g: sum(values) / len(values) for g, values in enumerate(groups)}
    std = {g: math.sqrt(sum((v - mean[g]) ** 2 for v in values) / len(values)) for g, values in enumerate(groups)}
    found = normalised(reward, group, len(groups), everything(len(rows)), ddof=0, eps=1e-6)
    oracle = torch.tensor([(value - mean[g]) / (std[g] + 1e-6) for g, value in rows], dtype=torch.float64)
    oracle = torch.where(torch.tensor([len(set(groups[g])) == 1 for g, _ in rows]), 0, oracle)
    assert_close(found, oracle, rtol=1e-6, atol=1e-6)
    others = [
        0.0 if len(groups[g]) == 1 else value - (sum(groups[g]) - value) / (len(groups[g]) - 1) for g, value in rows
    ]
    loo = leave_one_out(reward, group, len(groups), everything(len(rows)))
    assert_close(loo, torch.tensor(others, dtype=torch.float64), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("formula", FORMULAS)
def test_every_group_sums_to_zero(formula):
    for size in range(1, 10):
        reward = torch.from_numpy(keys.normal([size], (size * 3,))[0])
        found = formula(reward, torch.arange(3).repeat_interleave(size), 3, everything(size * 3))
        assert_close(found.view(3, size).sum(1), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-12)


@given(st.floats(-(2.0**99), 2.0**99, width=32), st.integers(1, 9))
def test_constant_group_is_exactly_zero(value, size):
    """NeMo-RL 4158: a constant group gets a tiny spread and a huge advantage. Here it is 0, to the bit."""
    reward, group = torch.full((size,), value, dtype=torch.float32), torch.zeros(size, dtype=torch.int64)
    for formula in FORMULAS:
        assert torch.equal(formula(reward, group, 1, everything(size)), torch.zeros(size))


@pytest.mark.parametrize("rule", RULES)
def test_lone_rows_are_zero_and_count(rule):
    """OpenRLHF 1250: a group of one makes every advantage 0 silently, and square batches hide a wrong axis."""
    assert credit_of(rule, [[3.0], [1.0, 0.0]])[0] == [0.0]
    square = credit_of(rule, [[1.0, 0.0], [1.0, 0.0]])
    assert square[0] == square[1]
    assert square[0][0] == -square[0][1] > 0


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 1.0])
def test_failed_rewards_count_nowhere(rule, share):
    """NeMo Gym 2552: rollouts that failed entered the group as reward 0 and dragged the baseline down."""
    draws = keys.uniform([3], 320)[0]
    values = keys.normal([4], (320,))[0].astype("float32").tolist()
    groups = [[None if draws[i] < share else values[i] for i in range(g * 8, g * 8 + 8)] for g in range(40)]
    found = credit_of(rule, groups)
    without = credit_of(rule, [[value for value in group if value is not None] for group in groups])
    for group, received, expected in zip(groups, found, without, strict=True):
        kept = [credit for value, credit in zip(group, received, strict=True) if value is not None]
        assert kept == expected
        assert all(credit == 0 for value, credit in zip(group, received, strict=True) if value is None)


def test_masked_response_leaves_the_mean_of_the_others_alone():
    """NeMo-RL 3467: fully masked responses changed the group mean."""
    assert credit_of(LeaveOneOut(), [[1.0, 0.0, None, 0.0]]) == [[1.0, -0.5, 0.0, -0.5]]


@pytest.mark.parametrize("formula", FORMULAS)
def test_nan_where_not_ok_never_matters(formula):
    reward = torch.tensor([1.0, math.nan, 0.0, 0.5, math.inf])
    ok = torch.tensor([True, False, True, True, False])
    group = torch.zeros(5, dtype=torch.int64)
    found = formula(reward, group, 1, ok)
    assert torch.equal(found[ok], formula(reward[ok], group[ok], 1, everything(3)))
    assert found[~ok].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("formula", FORMULAS)
def test_float32_agrees_with_float64(formula):
    reward = torch.from_numpy(keys.normal([9], (512,))[0])
    group = torch.arange(64).repeat_interleave(8)
    low, high = (formula(reward.to(d), group, 64, everything(512)) for d in (torch.float32, torch.float64))
    assert low.dtype == torch.float32
    assert_close(low.double(), high, rtol=1e-5, atol=1e-5)


# ---- limits ----


def test_limits_between_the_rules():
    n = 4096
    reward, group = torch.from_numpy(keys.normal([5], (n,))[0]), torch.zeros(n, dtype=torch.int64)
    centre = centred(reward, group, 1, everything(n))
    assert_close(centre, reward - reward.mean())
    assert_close(leave_one_out(reward, group, 1, everything(n)), centre * n / (n - 1))
    assert_close(
        normalised(reward, group, 1, everything(n), ddof=0, eps=1e9) * 1e9, centre, rtol=1e-6, atol=1e-9
    )  # a large eps: the division is by a constant


@pytest.mark.statistical
@pytest.mark.parametrize(("formula", "factor"), [(leave_one_out, 1.0), (centred, 7 / 8)])
def test_policy_gradient_is_unbiased(formula, factor):
    """Bernoulli policy, reward 2a + 5: the true slope is 2 p (1 - p); a mean that holds oneself costs 1 / n of it."""
    p, groups, size = 0.3, 20_000, 8
    action = torch.from_numpy(keys.uniform([11], groups * size)[0] < p).double()
    group = torch.arange(groups).repeat_interleave(size)
    credit = formula(2 * action + 5, group, groups, everything(groups * size))
    estimate = (credit * (action - p)).view(groups, size).mean(1)
    truth = factor * 2 * p * (1 - p)
    assert abs(estimate.mean() - truth) < 5 * estimate.std() / math.sqrt(groups)
    assert estimate.std() / math.sqrt(groups) < truth / 50  # the test could tell a wrong factor


# ---- trees ----


def test_chains_give_the_credit_of_the_flat_batch():
    rewards = [[1.0, 0.0, 0.5, 0.0]] * 3
    expected = credit_of(Normalised(), rewards)
    parent, values = [-1] * 3, [None] * 3
    tips = [root for root in range(3) for _ in range(4)]
    for turn in range(3):
        start = len(parent)
        parent += tips
        values += [r for group in rewards for r in group] if turn == 2 else [None] * 12
        tips = list(range(start, start + 12))
    forest = Normalised()(Forest.of(parent, {"reward.total": values, "ok.total": [v is not None for v in values]}))
    for turn in range(3):
        rows = forest["advantage"][3 + 12 * turn : 15 + 12 * turn]
        assert torch.equal(rows, torch.tensor(expected).reshape(-1))
    assert bool(forest.valid("advantage")[3:].all())


@pytest.mark.parametrize("rule", RULES)
def test_empty_batch_and_bare_roots(rule):
    empty = Forest.of([], {"reward.total": [], "ok.total": torch.zeros(0, dtype=torch.bool)})
    assert len(rule(empty)["advantage"]) == 0
    roots = Forest.of([-1, -1], {"reward.total": [None, None], "ok.total": [False, False]})
    assert rule(roots)["advantage"].tolist() == [0.0, 0.0]


# ---- errors ----


def test_settings_are_checked():
    with pytest.raises(SettingError, match="ddof=2"):
        Normalised(ddof=2)
    with pytest.raises(SettingError, match="eps=-1"):
        Normalised(eps=-1)
