"""Numbers of a batch: hand examples, failures that count as failures, and groups without a signal."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from milepost.columns import End
from milepost.engines import measure
from milepost.forest import Forest
from milepost.ragged import Ragged


def batch() -> Forest:
    """Two tasks with three answers each; the second answer of the second task failed to score."""
    nan = float("nan")
    total = [0.0, 0.0, 1.0, 0.0, 1.0, 0.5, nan, 0.5]
    ok = [False, False, True, True, True, True, False, True]
    end = [End.OPEN, End.OPEN] + [End.TERMINATED] * 5 + [End.TOKEN_LIMIT]
    return Forest.of(
        [-1, -1, 0, 0, 0, 1, 1, 1],
        {
            "ok.total": ok,
            "reward.total": torch.tensor(total),
            "end": [int(one) for one in end],
            "tokens.id": Ragged.of([[1] * 9, [1] * 9, *[[2] * n for n in (1, 2, 3, 4, 5, 6)]], torch.int32),
            "cost.tokens": [None, None, 1, 2, 3, 4, 5, 6],
            "cost.model_calls": [0.0] * 2 + [1.0] * 6,
        },
    )


def test_rewards_leave_failures_out_and_count_them() -> None:
    found = measure.rewards(batch(), ("total",))
    assert found["reward/total_mean"] == pytest.approx(3 / 5)
    assert found["reward/total_std"] == pytest.approx(0.14**0.5)
    assert found["reward/total_failed"] == pytest.approx(1 / 6)


def test_all_failed_has_no_mean() -> None:
    forest = batch().with_columns({"ok.total": [False] * 8})
    assert measure.rewards(forest, ("total",)) == {"reward/total_failed": 1.0}
    assert measure.groups(forest) == {"credit/groups": 0.0, "credit/dead_groups": 1.0, "credit/lone_rows": 0.0}


def test_rewards_of_steps_count_at_every_step_and_so_do_their_failures() -> None:
    columns = {
        "ok.total": [False, True, True, False, False],
        "reward.total": [None, 1.0, 0.0, None, None],
        "reason.total": [None, None, None, "reward_error", "reward_error"],
        "end": [int(End.OPEN), int(End.OPEN), int(End.TERMINATED), int(End.TERMINATED), int(End.PRUNED)],
    }
    found = measure.rewards(Forest.of([-1, 0, 1, 1, 0], columns), ("total",))
    assert found == {"reward/total_failed": 0.5, "reward/total_mean": 0.5, "reward/total_std": 0.5}


def test_groups_with_equal_ok_rewards_are_dead() -> None:
    assert measure.groups(batch()) == {"credit/groups": 2.0, "credit/dead_groups": 0.5, "credit/lone_rows": 0.0}


def test_where_no_step_has_a_sibling_no_group_is_dead() -> None:
    forest = Forest.of([-1, 0, -1, 2], {"reward.total": [None, 1.0, None, 1.0], "ok.total": [False, True, False, True]})
    assert measure.groups(forest) == {"credit/groups": 0.0, "credit/lone_rows": 2.0}


def test_a_lone_row_is_counted_and_is_no_group() -> None:
    forest = batch().with_columns({"ok.total": [False, False, True, True, True, True, False, False]})
    assert measure.groups(forest) == {"credit/groups": 1.0, "credit/dead_groups": 0.0, "credit/lone_rows": 1.0}


def test_turns_belong_to_the_fork_above_them() -> None:
    forest = Forest.of(
        [-1, -1, 0, 0, 1, 1, 2, 3, 4],  # two tasks, two trajectories each; the last of the second is one turn
        {
            "ok.total": [False, False, False, False, False, True, True, True, True],
            "reward.total": [None, None, None, None, None, 1.0, 1.0, 0.0, 1.0],
            "reason.total": [None] * 9,
        },
    )
    assert measure.groups(forest) == {"credit/groups": 2.0, "credit/dead_groups": 0.5, "credit/lone_rows": 0.0}


def test_answers_and_cost() -> None:
    assert measure.answers(batch()) == {"grow/truncated": pytest.approx(1 / 6), "grow/tokens_mean": pytest.approx(3.5)}
    assert measure.cost(batch()) == {"tokens": 21.0, "model_calls": 6.0}


def test_pruned_candidates_are_no_trajectories() -> None:
    """They are neither failed rewards nor answers, though they are leaves."""
    ends = [int(End.OPEN), int(End.TERMINATED), int(End.PRUNED), int(End.PRUNED)]
    columns = {
        "end": ends,
        "reward.total": torch.tensor([0.0, 1.0, 0.0, 0.0]),
        "ok.total": [False, True, False, False],
        "reason.total": [None] * 4,
    }
    forest = Forest.of([-1, 0, 0, 0], columns)
    assert measure.finished(forest).tolist() == [1]
    assert measure.rewards(forest, ("total",))["reward/total_failed"] == 0
    assert measure.answers(forest)["grow/truncated"] == 0


def test_failures_in_words() -> None:
    columns = {
        "end": [int(End.OPEN), int(End.TERMINATED), int(End.TERMINATED)],
        "ok.total": [False, True, False],
        "reward.total": torch.tensor([0.0, 1.0, 0.0]),
        "reason.total": [None, None, "reward_error: gone"],
    }
    said = measure.failures(Forest.of([-1, 0, 0], columns), 5)
    assert said == "50% of the rewards failed in 5 steps in a row, the last with: 'reward_error: gone'"


def test_a_pruned_candidate_is_judged_only_where_its_reward_failed():
    """Where every verdict fails all candidates are pruned, and the batch has failed, not nothing in it."""
    ends = [int(End.OPEN), int(End.PRUNED), int(End.PRUNED), int(End.TERMINATED)]
    columns = {"end": ends, "ok.total": [False, False, True, True], "reward.total": [None, None, 1.0, 1.0]}
    forest = Forest.of([-1, 0, 0, 0], {**columns, "reason.total": [None, "reward_error: gone", None, None]})
    assert measure.finished(forest).tolist() == [1, 3]
    assert measure.finished(forest, "other").tolist() == [3]
    assert measure.rewards(forest, ("total",))["reward/total_failed"] == pytest.approx(1 / 3)
    lost = forest.with_columns(
        {
            "end": [int(End.OPEN), *[int(End.PRUNED)] * 3],
            "ok.total": [False] * 4,
            "reason.total": [None, *["reward_error: gone"] * 3],
        }
    )
    assert measure.rewards(lost, ("total",)) == {"reward/total_failed": 1.0}


def test_a_run_that_changed_nothing_says_why(tmp_path: Path) -> None:
    columns = {"ok.total": [False, False, True], "reason.total": [None, "reward_error: never: no", None]}
    failed = Forest.of([-1, 0, 0], columns)
    said = measure.unchanged(failed, tmp_path, 3)
    assert said.startswith(f"None of the 3 steps of {tmp_path} made an update")
    assert "50% of the rewards failed in the last, most with: 'reward_error: never: no'" in said
    fine = Forest.of([-1, 0, 0], {"ok.total": [False, True, True], "reason.total": [None, None, None]})
    assert "No task had answers with different rewards" in measure.unchanged(fine, tmp_path, 3)
