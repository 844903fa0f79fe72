"""The weighted sum keeps its parts, and a needed part that failed fails the sum."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from milepost.columns import End, Origin
from milepost.errors import ColumnError, SettingError, ShapeError
from milepost.part import Scores
from milepost.rewards import guard
from milepost.rewards.combine import Scored, total, weighted_sum
from milepost.rewards.text import Format


def scored(grow, rule, **parts):
    forest = grow(({}, ["a", "b", "c"]))
    for name, (values, reasons) in parts.items():
        ok = torch.tensor([reason is None for reason in reasons])
        scores = Scores(values=torch.tensor(values), ok=ok, reasons=reasons)
        forest = guard.score(rule(act=lambda f, rows, scores=scores: scores, name=name, range=(-9.0, 9.0)), forest)
    return forest


def test_hand_example(grow, rule):
    forest = scored(
        grow,
        rule,
        one=([1.0, 2.0, math.nan], [None, None, "reward_timeout: slow"]),
        two=([4.0, math.nan, math.nan], [None, "reward_error", "truncated"]),
    )
    summed = total(forest, ["one", "two"], [2.0, -0.5])
    assert summed["ok.total"].tolist() == [False, True, False, False]
    assert summed["reward.total"][1] == 2 * 1 - 0.5 * 4
    assert summed["reward.total"][[0, 2, 3]].isnan().all()
    assert summed.text("reason.total") == [None, None, "reward_error: two", "reward_timeout: one: slow"]
    assert summed["reward.one"][2] == 2  # the parts stay
    other = total(forest, ["one", "two"], [0.0, 1.0])
    assert other.text("reason.total")[2:] == ["reward_error: two", "truncated: two"]  # the first that is needed


def test_a_reward_that_is_only_watched_does_no_harm(grow, rule):
    forest = scored(grow, rule, one=([1.0, 2.0, 3.0], [None] * 3), two=([math.nan] * 3, ["reward_error"] * 3))
    summed = total(forest, ["one", "two"], [1.0, 0.0])
    assert summed["reward.total"][1:].tolist() == [1, 2, 3]
    assert summed.text("reason.total") == [None] * 4
    nothing = total(forest, ["two"], [0.0])
    assert not nothing["ok.total"].any()
    assert nothing.text("reason.total") == [None] * 4


def test_a_reward_of_leaves_has_nothing_to_say_on_inner_steps(grow, rule, fine):
    forest = grow(({}, ["a"])).append([1], {"text": ["b"]})
    forest = guard.score(rule(act=lambda f, rows: fine(torch.ones(len(rows))), name="step", when="step"), forest)
    forest = guard.score(rule(act=lambda f, rows: fine(torch.ones(len(rows))), name="leaf"), forest)
    summed = total(forest, ["step", "leaf"], [1.0, 1.0])
    assert summed["ok.total"].tolist() == [False, True, True]
    assert summed["reward.total"][1:].tolist() == [1, 2]


@given(
    st.lists(
        st.lists(st.tuples(st.floats(-3, 3), st.booleans(), st.booleans()), min_size=4, max_size=4),
        min_size=1,
        max_size=4,
    ),
    st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=4, max_size=4),
)
def test_equals_the_slow_loop(cells, weights):
    weights = weights[: len(cells)]
    asked = torch.tensor([[cell[2] for cell in row] for row in cells])
    ok = torch.tensor([[cell[1] for cell in row] for row in cells]) & asked
    values = torch.tensor([[cell[0] for cell in row] for row in cells], dtype=torch.float64).where(ok, math.nan)
    found = weighted_sum(values, torch.tensor(weights, dtype=torch.float64), ok, asked)
    for column in range(4):
        parts = [j for j in range(len(cells)) if asked[j, column]]
        needed = [j for j in parts if weights[j] != 0]
        broken = not needed or any(not ok[j, column] for j in needed)
        if broken:
            assert found[column].isnan()
        else:
            slow = sum(weights[j] * float(values[j, column]) for j in parts if ok[j, column])
            assert float(found[column]) == pytest.approx(slow, abs=1e-12)


def test_one_reward_of_weight_one_is_itself(grow, rule):
    forest = scored(grow, rule, one=([0.1, 0.2, 0.3], [None] * 3))
    summed = total(forest, ["one"], [1.0])
    assert torch.equal(summed["reward.total"][1:], forest["reward.one"][1:])


def test_bad_input_says_what_was_expected(grow, rule):
    forest = scored(grow, rule, one=([0.1, 0.2, 0.3], [None] * 3))
    with pytest.raises(SettingError, match="one finite weight"):
        total(forest, ["one"], [1.0, 2.0])
    with pytest.raises(SettingError, match="one finite weight"):
        total(forest, ["one"], [math.nan])
    with pytest.raises(SettingError, match="at least one"):
        total(forest, [], [])
    with pytest.raises(ColumnError, match=r"reason\.two"):
        total(forest, ["two"], [1.0])
    ones = torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(ShapeError, match="expected"):
        weighted_sum(torch.zeros(2, 3), torch.zeros(3), ones, ones)


def test_scored_asks_each_reward_where_it_applies_and_once(grow):
    """Leaf rewards: trajectories that ended and were not pruned; nobody is asked about a row that has its verdict."""
    forest = grow(({}, ["<answer>1</answer>", "no", "cut", "open", "put in"]))
    ends = [
        int(End.OPEN),
        int(End.TERMINATED),
        int(End.TERMINATED),
        int(End.PRUNED),
        int(End.OPEN),
        int(End.TERMINATED),
    ]
    origin = [int(Origin.ENVIRONMENT), 0, 0, 0, 0, int(Origin.INSERTED)]
    forest = forest.with_columns({"end": ends, "origin": origin})
    ask = Scored(rewards=(Format(),), weights=(2.0,))
    part = ask(forest, torch.tensor([2]))
    assert part["cost.reward_calls"].tolist() == [0, 0, 1, 0, 0, 0]
    whole = ask(part, torch.arange(6))
    assert whole["cost.reward_calls"].tolist() == [0, 1, 1, 0, 0, 0]
    assert whole["ok.total"].tolist() == [False, True, True, False, False, False]
    assert whole["reward.total"][1:3].tolist() == [2.0, 0.0]
    assert torch.equal(whole["ok.format"], guard.score(Format(), forest, torch.tensor([1, 2]))["ok.format"])
