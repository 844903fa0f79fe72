"""A user's own reward function: TRL's signature, and a clear message for each way that it can go wrong."""

import asyncio
import functools
import math

import numpy as np
import pytest
import torch

from milepost.errors import SettingError
from milepost.rewards import guard
from milepost.rewards.function import Function, load_function

TEN_LINES = '''
"""Reward: the number of vowels, up to ten."""


def reward(completions, **kwargs):
    scores = []
    for completion in completions:
        vowels = sum(letter in "aeiou" for letter in completion)
        scores.append(min(vowels, 10) / 10 if completion else None)
    return scores
'''


def scored(function, forest, **settings):
    reward = Function(source=function, label="own", **settings)
    forest = guard.score(reward, forest)
    return forest["reward.own"][1:].tolist(), forest.text("reason.own")[1:]


def test_ten_lines_in_a_file(grow, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(TEN_LINES)
    reward = Function(source=f"{path}:reward")
    assert reward.name == "reward"
    forest = guard.score(reward, grow(({}, ["banana", "", "xyz"])))
    assert forest["ok.reward"].tolist() == [False, True, False, True]
    assert forest["reward.reward"][[1, 3]].tolist() == pytest.approx([0.3, 0])
    assert forest.text("reason.reward")[2] == "reward_error: the function returned None"


def test_columns_are_those_of_trl(grow):
    seen = {}

    def reward(prompts, completions, **columns):
        seen.update(prompts=prompts, completions=completions, **columns)
        return [1.0] * len(prompts)

    forest = grow(({"prompt": "p", "answer": "7"}, ["a", "b"]), ({"prompt": "q", "level": 2}, ["c"]), tokens=True)
    values, reasons = (
        guard.score(Function(source=reward), forest)["reward.reward"],
        guard.score(Function(source=reward), forest).text("reason.reward"),
    )
    assert values[[1, 2, 4]].tolist() == [1, 1, 1]
    assert reasons == [None] * 5
    assert seen["prompts"] == ["p", "p", "q"]
    assert seen["completions"] == ["a", "b", "c"]
    assert seen["completion_ids"] == [[97], [98], [99]]
    assert seen["answer"] == ["7", "7", None]
    assert seen["level"] == [None, None, 2]
    assert seen["trainer_state"].global_step == 3
    assert seen["log_metric"]("name", 1.0) is None
    assert "prompt" not in seen


def test_functions_that_name_only_some_columns(grow):
    forest = grow(({"answer": "7"}, ["7", "8"]))
    assert scored(lambda completions, answer: [c == a for c, a in zip(completions, answer)], forest)[0] == [1, 0]  # noqa: B905
    assert scored(lambda completions, missing=None: [missing is None] * 2, forest)[0] == [1, 1]
    assert scored(functools.partial(lambda scale, completions: [scale] * 2, 0.5), forest)[0] == [0.5, 0.5]

    class Judge:
        def __call__(self, completions, **_):
            return [float(len(c)) for c in completions]

    assert scored(Judge(), forest)[0] == [1, 1]


def test_async_functions(grow):
    async def reward(completions, **_):
        await asyncio.sleep(0)
        return [0.5 for _ in completions]

    assert scored(reward, grow(({}, ["a", "b"])))[0] == [0.5, 0.5]

    async def inside():
        return scored(reward, grow(({}, ["a"])))  # a loop runs already, as in a notebook

    assert asyncio.run(inside())[0] == [0.5]


@pytest.mark.parametrize(
    "values", [[1, 0], (1.0, 0.0), np.array([1.0, 0.0]), torch.tensor([1.0, 0.0]), [True, False], iter([1, 0])]
)
def test_what_counts_as_numbers(grow, values):
    def reward(completions, **_):
        return values

    assert scored(reward, grow(({}, ["a", "b"])))[0] == [1, 0]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "returned NoneType, expected a list"),
        (0.5, "returned float, expected a list"),
        ("0.5", "returned str, expected a list"),
        ({"a": 1}, "returned dict, expected a list"),
        ([0.5] * 9, "returned 9 values for 1 completions"),
        (["0.5"], "returned '0.5', expected a number"),
        ([[0.5]], "returned [0.5], expected a number"),
        ([math.nan], "the value is nan"),
        ([math.inf], "the value is inf"),
        ([None], "returned None"),
        ([7.0], "outside [0, 1]"),
    ],
)
def test_answers_that_are_no_numbers_are_failures(grow, answer, reason):
    values, reasons = scored(lambda completions: answer, grow(({}, ["a"])), low=0, high=1)
    assert math.isnan(values[0])
    assert reasons[0].startswith("reward_error")
    assert reason in reasons[0]


def test_only_the_rows_on_which_it_raises_are_lost(grow):
    def reward(completions, **_):
        return [1 / int(completion) for completion in completions]

    values, reasons = scored(reward, grow(({}, ["1", "0", "4", "x"])))
    assert values[0] == 1
    assert values[2] == 0.25
    assert [reason is None for reason in reasons] == [True, False, True, False]
    assert "ZeroDivisionError" in reasons[1]
    assert "ValueError" in reasons[3]


def test_a_function_that_asks_for_what_does_not_exist_stops_the_run(grow):
    forest = grow(({"answer": "7"}, ["a"]))
    with pytest.raises(SettingError, match=r"do not exist: \['solution'\].*answer, completions"):
        scored(lambda completions, solution: [1.0], forest)
    with pytest.raises(SettingError, match="by position only"):
        scored(lambda completions, /: [1.0], forest)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("def reward(completions): return []", "rewards", "Did you mean 'reward'"),
        ("reward = 3", "reward", "is int, expected a function"),
        ("def reward(:", "reward", "SyntaxError"),
        ("import nothing_of_that_name", "reward", "ModuleNotFoundError"),
        ("1 / 0", "reward", "ZeroDivisionError"),
        ("import sys; sys.exit(1)", "reward", "SystemExit"),
    ],
)
def test_files_that_cannot_be_used_say_why(tmp_path, text, name, message):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(SettingError, match=message):
        Function(source=f"{path}:{name}").load()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("mine.py", "no form that can be read"),
        ("mine.py:", "no form that can be read"),
        (":reward", "no form that can be read"),
        ("mine.py:not a name", "no form that can be read"),
        ("nowhere.py:reward", "does not exist"),
        ("no.such.module:reward", "ModuleNotFoundError"),
        ("math:no_such", "Unknown function in math"),
        ("math:pi", "is float, expected a function"),
    ],
)
def test_sources_that_cannot_be_used_say_why(source, message):
    with pytest.raises(SettingError, match=message):
        Function(source=source).load()


def test_a_module_that_is_a_file_beside_you_gets_a_hint(tmp_path, monkeypatch):
    (tmp_path / "beside_you.py").write_text(TEN_LINES)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match=r"Did you mean 'beside_you\.py:reward'"):
        load_function("beside_you:reward")
    assert load_function("beside_you.py:reward")(completions=["a"]) == [0.1]


def test_modules_and_settings():
    assert Function(source="math:fsum").load() is math.fsum
    assert Function(source="a.b:thing").name == "thing"
    assert Function(source=len).name == "len"
    assert Function(source=lambda completions: []).name == "function"
    assert Function(source=len, label="mine").name == "mine"
    with pytest.raises(SettingError, match="no form that can be read"):
        Function(source="mine.py")
    with pytest.raises(SettingError, match="cannot name a column"):
        Function(source=len, label="two words")
    with pytest.raises(SettingError, match="no range"):
        Function(source=len, low=1, high=0)
