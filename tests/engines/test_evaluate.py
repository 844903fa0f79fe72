"""Evaluation: success by task from stored answers, paired gains, failures that are not zeros."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from milepost import keys, storage
from milepost.engines import evaluate
from milepost.forest import Forest
from milepost.testing.worlds import Letters, Payoff, TabularPolicy
from tests.engines import letter_world


def answers(solved: list[float | None]) -> Forest:
    """Two tasks of two families; the first has answers 0 and 1, the second 2 and 3."""
    values = [float("nan") if one is None else one for one in solved]
    ok = [one is not None for one in solved]
    return Forest.of(
        [-1, -1, 0, 0, 1, 1],
        {
            "label.family": ["sum", "spell", None, None, None, None],
            "ok.solved": [False, False, *ok],
            "reward.solved": torch.tensor([0.0, 0.0, *values]),
        },
    )


def test_success_is_the_share_of_scored_answers() -> None:
    families, success = evaluate.success_by_task(answers([1.0, 0.0, 1.0, None]))
    assert families == ["sum", "spell"]
    assert success.tolist() == [0.5, 1.0]


def test_a_task_whose_answers_all_failed_to_score_does_not_count() -> None:
    found = evaluate.summarise(answers([1.0, 0.0, None, None]), 7, ["solved"])
    assert found.tasks == 1
    assert found.success == 0.5
    assert found.step == 7
    assert found.rewards == {"solved": 0.5}


def test_a_gain_is_paired_by_task(tmp_path: Path) -> None:
    storage.write(answers([0.0, 0.0, 1.0, 0.0]), evaluate.stored(tmp_path, 0))
    storage.write(answers([1.0, 0.0, 1.0, 1.0]), evaluate.stored(tmp_path, 3))
    found = evaluate.gain(tmp_path, 0, 3)
    assert found.estimate == pytest.approx(0.5)
    assert found.low == pytest.approx(0.5)


def test_two_evaluations_of_one_policy_are_the_same() -> None:
    evaluator = evaluate.Evaluator(
        policy=TabularPolicy.random("abcd", key=keys.root(1), length=2),
        environment=Letters(),
        tasks=letter_world.tasks(5, 0),
        rewards=(Payoff(),),
        key=keys.root(2),
        workers=1,
    )
    one, two = evaluator.grow(), evaluator.grow()
    assert one.text("text") == two.text("text")
    assert len(one.leaves()) == 5 * evaluate.SAMPLES
    assert {"ok.solved", "ok.payoff"} <= set(one.names)


def test_measures_of_the_whole_are_kept_and_those_that_cannot_be_had_left_out() -> None:
    class Leaves:
        name = "leaves"

        def __call__(self, forest: Forest) -> float:
            return float(len(forest.leaves()))

    class Nothing:
        name = "nothing"

        def __call__(self, forest: Forest) -> float:
            return float("nan")

    found = evaluate.summarise(answers([1.0, 0.0, 1.0, 0.0]), 7, ["solved"], (Leaves(), Nothing()))
    assert found.measures == {"leaves": 4.0}
