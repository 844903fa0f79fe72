"""milepost's rewards called as TRL calls them, and TRL's called as milepost calls them."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from milepost.engines.trl.rewards import RewardFunction, answer_of, groups_of
from milepost.errors import SettingError
from milepost.part import Scores
from milepost.rewards import guard
from milepost.rewards.function import Function
from milepost.rewards.outcome import Outcome
from milepost.rewards.text import Format
from milepost.testing.forests import Forest

PROMPTS = ["1 + 1?", "1 + 1?", "2 + 2?"]
COMPLETIONS = ["<answer>2</answer>", "<answer>3</answer>", "<answer>4</answer>"]
COLUMNS = {"answer": ["2", "2", "4"], "verifier": ["exact", "exact", "nonsense"]}


def test_a_reward_as_trl_calls_it():
    told, metrics = {}, {}
    function = RewardFunction(reward=Outcome())
    assert function.__name__ == "outcome"
    found = function(
        prompts=PROMPTS,
        completions=COMPLETIONS,
        completion_ids=[[1], [2], [3]],
        trainer_state=SimpleNamespace(global_step=4),
        log_extra=told.__setitem__,
        log_metric=metrics.__setitem__,
        environments=None,
        **COLUMNS,
    )
    assert found == [1.0, 0.0, None]
    assert function.reasons[:2] == [None, None]
    assert "nonsense" in function.reasons[2]
    assert told == {"reason.outcome": ["", "", function.reasons[2]]}
    assert metrics == {"reward/outcome_failed": pytest.approx(1 / 3)}


def test_the_same_numbers_as_in_milepost():
    forest = Forest.of([-1, 0, 0, -1, 3], {"text": [PROMPTS[0], *COMPLETIONS[:2], PROMPTS[2], COMPLETIONS[2]]})
    expected = guard.score(Format(), forest)["reward.format"][forest.leaves()].tolist()
    assert RewardFunction(reward=Format())(prompts=PROMPTS, completions=COMPLETIONS) == expected


def test_messages():
    asked = [[{"role": "user", "content": prompt}] for prompt in PROMPTS[:2]]
    said = [[{"role": "assistant", "content": one}] for one in COMPLETIONS[:2]]
    columns = {name: values[:2] for name, values in COLUMNS.items()}
    assert RewardFunction(reward=Outcome())(prompts=asked, completions=said, **columns) == [1.0, 0.0]


def test_answers_of_several_turns():
    said = [
        {"role": "assistant", "content": "a", "tool_calls": []},
        {"role": "tool", "content": "x"},
        {"role": "assistant", "content": "b"},
    ]
    assert answer_of(said) == "ab"
    assert answer_of([{"role": "assistant", "content": None}]) == ""
    assert answer_of("plain") == "plain"


def test_groups_are_neighbours_of_one_task():
    sizes = [len(group.samples) for group in groups_of(PROMPTS, COMPLETIONS, None, COLUMNS)]
    assert sizes == [2, 1]
    other = {**COLUMNS, "answer": ["2", "3", "4"]}
    assert [len(group.samples) for group in groups_of(PROMPTS, COMPLETIONS, None, other)] == [1, 1, 1]


@dataclass(frozen=True, kw_only=True)
class OfSteps:
    """A reward that TRL cannot hold."""

    name, range, when, side = "steps", (0.0, 1.0), "step", "after"

    def __call__(self, forest, rows):
        return Scores(
            values=torch.ones(len(rows)), ok=torch.ones(len(rows), dtype=torch.bool), reasons=[None] * len(rows)
        )


def test_rewards_of_steps_are_refused():
    with pytest.raises(SettingError, match="step_rewards"):
        RewardFunction(reward=OfSteps())


def test_the_way_back():
    def theirs(prompts, completions, answer, **kwargs):
        return [float(right in text) for text, right in zip(completions, answer, strict=True)]

    record = ['{"prompt": "1 + 1?", "answer": "2"}', None, None]
    forest = Forest.of([-1, 0, 0], {"text": [PROMPTS[0], *COMPLETIONS[:2]], "record": record})
    scored = guard.score(Function(source=theirs), forest)
    assert scored["reward.theirs"][1:].tolist() == [1.0, 0.0]
