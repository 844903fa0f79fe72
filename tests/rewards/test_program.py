"""Rewards as programs: run in a jail, one row at a time; what fails is that row's."""

import math

import pytest
import torch

from milepost.columns import REASONS
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.jail import levels
from milepost.programs.program import Answer, Limits, Program
from milepost.rewards import guard
from milepost.rewards.program import StepProgram, TrajectoryProgram, scores_of

LIMITS = Limits(timeout_s=0.5)
FORM = """
import numpy as np
def compute_reward(before, action, after):
    near = -np.linalg.norm(after[:2] - after[2:4])
    return {"near": near, "still": -0.001 * np.square(action).sum(), "moved": float(before[0] != after[0])}
"""
TREACHEROUS = """
seen = []
def compute_reward(completion):
    seen.append(completion)
    if completion == "endless":
        while True: pass
    if completion == "nothing":
        return None
    if completion == "infinite":
        return float("inf")
    if completion == "yes":
        return True
    return len(seen) * len(completion)
"""


@pytest.fixture(scope="module", params=["interpreter", "process"])
def jail(request):
    return levels.opened(request.param, limits=LIMITS)


def test_hand_example(jail):
    program = Program(
        source="def compute_reward(prompt, completion, record): return record['answer'] in completion and 1"
    )
    forest = Forest.of(
        [-1, 0, 0], {"text": ["?", "it is 7", "8"], "record": ['{"answer": "7", "prompt": "3 + 4 ="}', None, None]}
    )
    scored = guard.score(TrajectoryProgram(program=program, jail=jail), forest)
    assert scored["reward.program"].tolist()[1] == 1.0
    assert scored.text("reason.program")[2] == "reward_error: the program answered False, expected a number"
    assert scored["cost.program_seconds"][1] > 0


def test_each_failure_is_its_own_row(jail):
    texts = ["endless", "nothing", "infinite", "yes", "abc", "abcd"]
    forest = Forest.of([-1] + [0] * 6, {"text": ["?", *texts]})
    reward = TrajectoryProgram(program=Program(source=TREACHEROUS), jail=jail, fields=("completion",))
    scored = guard.score(reward, forest)
    assert scored["ok.program"].tolist() == [False] * 5 + [True, True]
    assert scored["reward.program"].tolist()[5:] == [3.0, 4.0]  # nothing is remembered from row to row
    reasons = scored.text("reason.program")[1:5]
    assert all(reason.partition(":")[0] in REASONS for reason in reasons)
    assert reasons[0].startswith("reward_timeout")


def test_steps_get_arrays():
    observation = torch.tensor([[0.0, 0, 3, 4], [3.0, 4, 3, 4], [0.0, 0, 0, 1]])
    forest = Forest.of([-1, 0, 0], {"observation": observation, "action": torch.tensor([[0.0], [1.0], [2.0]])})
    program = Program(source=FORM, arrays=True)
    scored = guard.score(StepProgram(program=program, jail=levels.opened("process", limits=LIMITS)), forest)
    assert scored["reward.program"].tolist()[1:] == pytest.approx([0 - 0.001 + 1, -1 - 0.004 + 0])


def test_a_column_that_is_missing_is_named():
    reward = StepProgram(program=Program(source=FORM), jail=levels.opened("process", limits=LIMITS))
    scored = guard.score(reward, Forest.of([-1, 0], {"action": torch.zeros(2, 1)}))
    assert "there is no column 'observation'" in scored.text("reason.program")[1]


def test_a_row_that_cannot_be_read_costs_only_itself(jail):
    forest = Forest.of([-1, 0, -1, 2], {"text": ["?", "ab", "?", "abc"], "record": ["[]", None, "{}", None]})
    program = Program(source="def compute_reward(completion): return len(completion)")
    scored = guard.score(TrajectoryProgram(program=program, jail=jail, fields=("completion",)), forest)
    assert scored["ok.program"].tolist() == [False, False, False, True]
    assert "expected a JSON object" in scored.text("reason.program")[1]


def test_no_rows(jail):
    reward = TrajectoryProgram(program=Program(source="x = 1"), jail=jail)
    assert len(reward(Forest.of([-1], {"text": ["?"]}), torch.tensor([], dtype=torch.int64)).values) == 0


def test_answers_become_scores():
    given = [
        Answer(value=1),
        Answer(value={"a": 0.5, "b": 1}),
        Answer(value="1.0"),
        Answer(reason="sandbox_limit: memory"),
    ]
    scores = scores_of(given)
    assert scores.values.tolist()[:2] == [1.0, 1.5]
    assert all(math.isnan(value) for value in scores.values.tolist()[2:])
    assert scores.ok.tolist() == [True, True, False, False]
    assert scores.reasons[3] == "sandbox_limit: memory"


@pytest.mark.parametrize("settings", [{"fields": ()}, {"fields": ("weights",)}, {"name": "a b"}])
@pytest.mark.parametrize("kind", [TrajectoryProgram, StepProgram])
def test_settings(kind, settings):
    with pytest.raises(SettingError):
        kind(program=Program(source="x"), jail=None, **settings)
