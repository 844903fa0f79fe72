"""Rewards for a task: written by a model, after feedback, and one without a goal to show what AUC misses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from jaxtyping import Bool, Float
from torch import Tensor

from milepost.programs.card import EnvironmentCard
from milepost.rewards.written import scoring
from milepost.rewards.written.prompt import Round
from milepost.rewards.written.template import Template
from milepost.rewards.written.writing import Writer, Written


class Episode(Protocol):
    """What a program is run on."""

    @property
    def seen(self) -> Float[Tensor, "t o"]:
        """Observation arrived at, one row per step."""
        ...

    @property
    def taken(self) -> Float[Tensor, "t a"]:
        """Action of each step."""
        ...


@dataclass(frozen=True, kw_only=True)
class Source:
    """Writes the programs of a study. Implements `evaluation.written.experiment.Rewards`.

    Beside the model's program stands one without a goal: the distance from hand to object alone.
    """

    writer: Writer
    card: EnvironmentCard
    sentence: Callable[[str], str]
    """Task to a sentence."""
    feedback: Mapping[str, Round] = field(default_factory=dict[str, Round])
    """Arm to what was thought of a first program: the arm begins with it."""

    def write(self, task: str, probe: Episode, key: int) -> Mapping[str, Written]:
        """Programs by arm."""
        sample = (probe.seen, probe.taken)
        said = self.sentence(task)
        plain = replace(self.writer, chat=Template(terms=("reach", "effort")))
        rounds = {arm: [one] for arm, one in self.feedback.items()}
        return {
            "written": self.writer.write(self.card, said, sample, key=key),
            **{arm: self.writer.write(self.card, said, sample, rounds=own, key=key) for arm, own in rounds.items()},
            "without a goal": plain.write(self.card, said, sample, key=key),
        }

    def score(self, program: Written, lifts: Sequence[Episode]) -> tuple[list[Float[Tensor, " t"]], int]:
        """One number per step, and how many were clamped."""
        found = scoring.scored(program.program, self.writer.jail, [(one.seen, one.taken) for one in lifts])
        return [one.value for one in found], sum(one.clamped for one in found)

    def told(self, program: Written) -> str:
        """The program and its history."""
        head = f"# by {program.model}, card {program.card}, lineage {' > '.join(one[:8] for one in program.lineage)}\n"
        before = "".join(f"# before: {one.behaviour} {one.wish}\n" for one in program.rounds)
        return head + before + program.source

    def auc(self, score: Float[Tensor, " n"], good: Bool[Tensor, " n"]) -> float:
        """Chance that a good episode scores above a bad one."""
        return scoring.auc(score, good)
