"""Whether the final answer is right: the verdict of the task's own verifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from milepost.forest import Forest
from milepost.part import Scores
from milepost.rewards.answer import parse_answer
from milepost.rewards.leaf import Leaf, score_each
from milepost.rewards.verifier import verify


def final_answer(leaf: Leaf) -> str | None:
    """Find the final answer of a trajectory.

    Args:
        leaf: the trajectory.

    Returns:
        Where the environment says what it took each step for (`call`), the answer that it took; an earlier attempt does
        not count. Elsewhere what stands between the tags of the completion. None where there is no answer.
    """
    if leaf.call is None:
        return parse_answer(leaf.completion).answer
    answer = leaf.call.get("answer")
    return None if answer is None else str(answer)


def outcome(leaf: Leaf) -> float:
    """Score the final answer of a trajectory.

        outcome = verify(record, answer);   0 where there is no answer

    Args:
        leaf: the trajectory; its record names the verifier.

    Returns:
        A score in [0, 1]; part marks as the verifier gives them.

    Raises:
        FormatError: the record cannot be scored.
        TimeoutError: the verifier took too long.
    """
    answer = final_answer(leaf)
    score = verify(leaf.record, answer or "")  # also without an answer: a record that cannot be scored must say so
    return score if answer else 0.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Verdict of the task's verifier on the final answer, part marks included. Implements `part.Reward`.

    Example:
        >>> from milepost.rewards import guard
        >>> record = '{"verifier": "exact", "answer": "7"}'
        >>> texts = {"text": ["3 + 4 =", "<answer>7</answer>", "<answer>8</answer>"], "record": [record, None, None]}
        >>> guard.score(Outcome(), Forest.of([-1, 0, 0], texts))["reward.outcome"].tolist()
        [nan, 1.0, 0.0]
    """

    name: str = "outcome"
    """Name of the columns it fills."""
    when: ClassVar[Literal["step", "leaf"]] = "leaf"
    side: ClassVar[Literal["before", "after"]] = "after"
    range = (0.0, 1.0)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score the rows one by one; a record that cannot be scored is that row's failure."""
        return score_each(forest, rows, outcome)


@dataclass(frozen=True, kw_only=True)
class Solved:
    """1 for full marks and 0 for anything less: what a success rate counts. Implements `part.Reward`.

    Example:
        >>> from milepost.rewards import guard
        >>> record = '{"verifier": "exact", "answer": "7"}'
        >>> texts = {"text": ["3 + 4 =", "<answer>7</answer>"], "record": [record, None]}
        >>> guard.score(Solved(), Forest.of([-1, 0], texts))["reward.solved"].tolist()
        [nan, 1.0]
    """

    name: str = "solved"
    """Name of the columns it fills."""
    when: ClassVar[Literal["step", "leaf"]] = "leaf"
    side: ClassVar[Literal["before", "after"]] = "after"
    range = (0.0, 1.0)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score the rows one by one; a record that cannot be scored is that row's failure."""
        return score_each(forest, rows, lambda leaf: float(outcome(leaf) >= 1.0))
