"""Failures of rewards are data: each kind has its reason, costs only its own rows, and never becomes 0 or a crash."""

import math
import sys
import threading
import time

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from milepost.columns import REASONS, End
from milepost.credit import group
from milepost.errors import MissingExtra, SandboxError, SettingError, ShapeError
from milepost.part import Scores
from milepost.rewards import combine, guard


def values_of(forest, name="rule"):
    return forest[f"reward.{name}"].tolist()


def test_hand_example(grow, rule, fine):
    forest = grow(({}, ["a", "bb"]), ({}, ["ccc"]))
    scored = guard.score(rule(act=lambda _f, rows: fine(rows / 10)), forest)
    assert scored["ok.rule"].tolist() == [False, True, True, False, True]
    assert values_of(scored)[1:3] == pytest.approx([0.1, 0.2])
    assert math.isnan(values_of(scored)[0])
    assert scored.text("reason.rule") == [None] * 5
    assert scored["cost.reward_calls"].tolist() == [0, 1, 1, 0, 1]
    assert "reward.rule" not in forest
    assert scored.valid("reward.rule").tolist() == scored["ok.rule"].tolist()


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("kind", ["raises", "nan", "infinite", "not ok", "out of range"])
def test_injected_failures_cost_exactly_their_rows(grow, rule, share, kind):
    count = 100
    forest = grow(({}, [str(number) for number in range(count)]))
    bad = set(torch.randperm(count, generator=torch.Generator().manual_seed(4))[: round(share * count)].tolist())
    odd = {"nan": math.nan, "infinite": -math.inf, "out of range": 7.0}

    def act(forest, rows):
        found = [int(forest.text("text")[row]) for row in rows.tolist()]
        if kind == "raises" and any(number in bad for number in found):
            raise RuntimeError("injected")
        wrong = [number in bad for number in found]
        values = [odd.get(kind, 0.0) if w else number / count for w, number in zip(wrong, found, strict=True)]
        ok = [not (w and kind == "not ok") for w in wrong]
        reasons = ["sandbox_limit: memory" if w and kind == "not ok" else None for w in wrong]
        return Scores(values=torch.tensor(values), ok=torch.tensor(ok), reasons=reasons)

    scored = guard.score(rule(act=act), forest)
    for row in range(1, count + 1):
        number = row - 1
        if number in bad:
            assert not scored["ok.rule"][row]
            assert math.isnan(values_of(scored)[row])
            assert scored.text("reason.rule")[row].partition(":")[0] in REASONS
        else:
            assert scored["ok.rule"][row]
            assert values_of(scored)[row] == pytest.approx(number / count)
            assert scored.text("reason.rule")[row] is None


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda f, rows: 1 / 0, "reward_error: ZeroDivisionError: division by zero"),
        (lambda f, rows: None, "reward_error: FormatError: the reward returned NoneType, expected part.Scores"),
        (lambda f, rows: sys.exit(3), "reward_error: FormatError: the reward tried to end the run with SystemExit"),
        (
            lambda f, rows: Scores(values=torch.zeros(9), ok=torch.ones(9, dtype=torch.bool), reasons=[None] * 9),
            "reward_error: FormatError: Scores.values is (9,), expected a tensor of shape (1,)",
        ),
        (
            lambda f, rows: Scores(values=[1.0], ok=torch.ones(1, dtype=torch.bool), reasons=[None]),
            "reward_error: FormatError: Scores.values is list, expected a tensor of shape (1,)",
        ),
        (
            lambda f, rows: Scores(values=torch.zeros(len(rows)), ok=torch.ones(len(rows)), reasons=[None] * len(rows)),
            "reward_error: FormatError: Scores has values of torch.float32 and ok of torch.float32",
        ),
        (
            lambda f, rows: Scores(
                values=torch.zeros(len(rows)), ok=torch.ones(len(rows), dtype=torch.bool), reasons=[]
            ),
            "reward_error: FormatError: Scores has 0 reasons, expected 1",
        ),
        (
            lambda f, rows: Scores(
                values=torch.zeros(len(rows)), ok=torch.zeros(len(rows), dtype=torch.bool), reasons=["odd"] * len(rows)
            ),
            "reward_error: odd",
        ),
        (
            lambda f, rows: Scores(
                values=torch.zeros(len(rows)), ok=torch.zeros(len(rows), dtype=torch.bool), reasons=[None] * len(rows)
            ),
            "reward_error: no reason was given",
        ),
        (lambda f, rows: raising(TimeoutError("judge")), "reward_timeout: judge"),
        (lambda f, rows: raising(SandboxError("memory")), "sandbox_limit: memory"),
        (lambda f, rows: raising(RuntimeError("two\nlines " + "x" * 900)), "reward_error: RuntimeError: two lines xxx"),
    ],
)
def test_each_failure_has_its_reason(grow, rule, act, reason):
    scored = guard.score(rule(act=act), grow(({}, ["a", "b"])))
    for row in (1, 2):
        text = scored.text("reason.rule")[row]
        assert text.startswith(reason), text
        assert len(text) < 230
        assert "\n" not in text
    assert scored["ok.rule"].tolist() == [False] * 3


def raising(error):
    raise error


@pytest.mark.parametrize("error", [MissingExtra("install it"), SettingError("wrong")])
def test_errors_of_the_set_up_stop_the_run(grow, rule, error):
    with pytest.raises(type(error)):
        guard.score(rule(act=lambda f, rows: raising(error)), grow(({}, ["a", "b"])))


def test_a_call_that_takes_too_long_is_abandoned(grow, rule, fine):
    release = threading.Event()

    def act(_forest, rows):
        release.wait(30)
        return fine(torch.zeros(len(rows)))

    started = time.monotonic()
    scored = guard.score(rule(act=act), grow(({}, ["a", "b"])), timeout_s=0.1)
    release.set()
    assert time.monotonic() - started < 5
    assert scored.text("reason.rule")[1:] == ["reward_timeout: the call for 2 rows took longer than 0.1 s"] * 2
    assert scored["ok.rule"].tolist() == [False] * 3
    assert scored["cost.reward_calls"].tolist() == [0, 1, 1]


def test_rows_asked_one_by_one_cannot_hang_for_ever(grow, rule, fine):
    release = threading.Event()

    def act(forest, rows):
        if len(rows) > 1:
            raise RuntimeError("not in batches")
        release.wait(30)
        return fine(torch.zeros(1))

    scored = guard.score(rule(act=act), grow(({}, list("abcdef"))), timeout_s=0.05)
    release.set()
    reasons = scored.text("reason.rule")[1:]
    assert all(reason.startswith("reward_timeout") for reason in reasons)
    assert sum("not tried" in reason for reason in reasons) == 6 - guard.MOST_TIMEOUTS
    assert scored["cost.reward_calls"].tolist() == [0, 2, 2, 2, 1, 1, 1]


def test_rows_that_are_not_asked_keep_what_they_had(grow, rule, fine):
    forest = grow(({}, ["a", "b", "c"]))
    once = guard.score(rule(act=lambda f, rows: fine(torch.full((len(rows),), 0.25))), forest, torch.tensor([1]))
    twice = guard.score(rule(act=lambda f, rows: raising(RuntimeError("no"))), once, torch.tensor([3]))
    assert twice["ok.rule"].tolist() == [False, True, False, False]
    assert values_of(twice)[1] == 0.25
    assert [reason is not None for reason in twice.text("reason.rule")] == [False, False, False, True]
    assert twice["cost.reward_calls"].tolist() == [0, 1, 0, 1]
    again = guard.score(rule(act=lambda f, rows: fine(torch.full((len(rows),), 0.75))), twice, torch.tensor([3]))
    assert again.text("reason.rule") == [None] * 4
    assert values_of(again)[3] == 0.75


def test_steps_that_ended_in_error_are_not_asked_about(grow, rule, fine):
    forest = grow(({}, ["a", "b"])).with_columns({"end": [int(End.OPEN), int(End.ERROR), int(End.TERMINATED)]})
    asked = []

    def act(_forest, rows):
        asked.extend(rows.tolist())
        return fine(torch.ones(len(rows)))

    scored = guard.score(rule(act=act), forest)
    assert asked == [2]
    assert scored.text("reason.rule") == [None, "environment_error", None]
    assert scored["cost.reward_calls"].tolist() == [0, 0, 1]


def test_step_rewards_are_asked_about_every_step_but_roots(grow, rule, fine):
    forest = grow(({}, ["a"])).append([1], {"text": ["b"]})
    scored = guard.score(rule(act=lambda f, rows: fine(torch.ones(len(rows))), when="step"), forest)
    assert scored["ok.rule"].tolist() == [False, True, True]
    leaf = guard.score(rule(act=lambda f, rows: fine(torch.ones(len(rows)))), forest)
    assert leaf["ok.rule"].tolist() == [False, False, True]


def test_nothing_to_score(grow, rule):
    forest, calls = grow(({}, [])), []
    scored = guard.score(rule(act=lambda f, rows: calls.append(rows)), forest)
    assert calls == []
    assert scored["ok.rule"].tolist() == [False]
    empty = guard.score(
        rule(act=lambda f, rows: raising(AssertionError("called"))), forest.select(torch.tensor([], dtype=torch.int64))
    )
    assert len(empty) == 0


def test_rows_that_do_not_exist_or_repeat_are_refused(grow, rule, fine):
    reward = rule(act=lambda f, rows: fine(torch.ones(len(rows))))
    forest = grow(({}, ["a"]))
    with pytest.raises(ShapeError, match=r"rows in \[5, 5\]"):
        guard.score(reward, forest, torch.tensor([5]))
    with pytest.raises(ShapeError, match="twice"):
        guard.score(reward, forest, torch.tensor([1, 1]))
    with pytest.raises(SettingError, match="timeout_s"):
        guard.score(reward, forest, timeout_s=0)


@given(rows=st.permutations(list(range(1, 9))))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_order_of_rows_does_not_matter(grow, rule, fine, rows):
    forest = grow(({}, list("abcdefgh")))
    reward = rule(act=lambda f, asked: fine(asked / 100))
    assert torch.equal(
        guard.score(reward, forest, torch.tensor(rows))["reward.rule"][1:],
        guard.score(reward, forest)["reward.rule"][1:],
    )


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("credit", [group.Normalised(eps=0.0), group.Centred(), group.LeaveOneOut()])
def test_credit_of_ok_rows_is_that_of_a_batch_without_the_others(grow, rule, fine, share, credit):
    forest = grow(*(({}, [f"{task}.{draw}" for draw in range(8)]) for task in range(25)))
    leaves = forest.leaves()
    lost = torch.rand(len(leaves), generator=torch.Generator().manual_seed(9)) < share
    bad = set(leaves[lost].tolist())

    def act(_forest, rows):
        if bad & set(rows.tolist()):
            raise RuntimeError("injected")
        return fine(((rows * 7919) % 101) / 101)

    scored = combine.total(guard.score(rule(act=act), forest), ["rule"], [1.0])
    kept = scored.with_ancestors(torch.tensor([row for row in leaves.tolist() if row not in bad], dtype=torch.int64))
    whole, without = credit(scored)["advantage"], credit(scored.select(kept))["advantage"]
    assert torch.allclose(whole[kept], without, atol=1e-6)
    assert (whole[leaves[lost]] == 0).all()
    assert int(scored["ok.total"].sum()) == len(leaves) - len(bad)


def test_what_a_reward_says_it_cost_is_added_up(grow, rule, fine):
    forest = grow(({}, ["a", "bb"]))

    def act(_forest, rows):
        scores = fine(rows / 10)
        return Scores(values=scores.values, ok=scores.ok, reasons=scores.reasons, cost={"judge_tokens": rows * 2.0})

    once = guard.score(rule(act=act), forest)
    assert once["cost.judge_tokens"].tolist() == [0, 2, 4]
    assert guard.score(rule(act=act), once)["cost.judge_tokens"].tolist() == [0, 4, 8]


def test_failed_rows_cost_too(grow, rule):
    """A call that raises is asked again row by row; what the rows that answered cost is kept."""
    forest = grow(({}, ["a", "bb"]))

    def act(_forest, rows):
        if 2 in rows.tolist():
            raise RuntimeError("injected")
        return Scores(
            values=rows * math.nan, ok=rows < 0, reasons=["reward_error: no"], cost={"judge_calls": rows * 3.0}
        )

    scored = guard.score(rule(act=act), forest)
    assert scored["cost.judge_calls"].tolist() == [0, 3, 0]
    assert scored["cost.reward_calls"].tolist() == [0, 2, 2]


@pytest.mark.parametrize(
    "cost", [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, -1.0]), torch.tensor([1.0, math.nan])]
)
def test_a_cost_that_is_none_is_a_failure(grow, rule, cost):
    forest = grow(({}, ["a", "bb"]))

    def act(_f, rows):
        return Scores(values=rows * 0.0, ok=rows > 0, reasons=[None] * len(rows), cost={"judge_calls": cost})

    scored = guard.score(rule(act=act), forest)
    assert not scored["ok.rule"].all()
    assert "Scores.cost" in next(t for t in scored.text("reason.rule") if t)


def test_a_slow_reward_says_how_long_it_may_take(grow, rule, fine):
    forest = grow(({}, ["a"]))

    def act(_forest, rows):
        time.sleep(0.3)
        return fine(rows / 10)

    slow = rule(act=act)
    object.__setattr__(slow, "timeout_s", 0.05)
    assert guard.score(slow, forest).text("reason.rule")[1].startswith("reward_timeout")
    object.__setattr__(slow, "timeout_s", 30.0)
    assert bool(guard.score(slow, forest)["ok.rule"][1])
