"""Written rewards judged twice: do they rank probes rightly, and does what is trained on them succeed?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from milepost import checks, keys
from milepost.columns import End, Origin
from milepost.forest import Forest
from milepost.recipe import Measured

WORTH_TRAINING = 0.9
"""AUC below which a program would be dropped; here all are trained, to see what that is worth."""


class Lift(Protocol):
    """An episode; see `environments.manipulation.arm.Lift`."""

    @property
    def seen(self) -> Float[Tensor, "t o"]:
        """Observation arrived at, one row per step."""
        ...

    @property
    def taken(self) -> Float[Tensor, "t a"]:
        """Action of each step."""
        ...

    @property
    def dense(self) -> Float[Tensor, " t"]:
        """The environment's own dense reward of each step."""
        ...

    @property
    def success(self) -> Bool[Tensor, " t"]:
        """Whether the task was solved after each step."""
        ...

    @property
    def done(self) -> bool:
        """Whether it was solved at any time."""
        ...


class Probe(Protocol):
    """A probe; see `environments.manipulation.probes.Probe`."""

    @property
    def kind(self) -> str:
        """What it is: expert, near miss, random."""
        ...

    @property
    def lift(self) -> Lift:
        """Its episode."""
        ...


class Rewards(Protocol):
    """Where programs come from, and what they say of episodes."""

    def write(self, task: str, probe: Lift, key: int) -> Mapping[str, Any]:
        """Programs by the name of their arm; the first is the method's."""
        ...

    def score(self, program: Any, lifts: Sequence[Lift]) -> tuple[list[Float[Tensor, " t"]], int]:
        """One number per step of each episode, and how many of them were clamped."""
        ...

    def told(self, program: Any) -> str:
        """The program and its history, as text."""
        ...

    def auc(self, score: Float[Tensor, " n"], good: Bool[Tensor, " n"]) -> float:
        """Chance that a good episode scores above a bad one."""
        ...


class Climb(Protocol):
    """Finds a setting of a small policy; see `policies.search.cross_entropy`."""

    def __call__(self, score: Callable[[Tensor, int], Tensor], size: int, key: int) -> Any:
        """Search."""
        ...


class Stage(Protocol):
    """Plays a task with settings of a small policy."""

    @property
    def size(self) -> int:
        """Numbers of a setting."""
        ...

    def __call__(self, task: str, setting: Tensor, key: int) -> Lift:
        """Play one episode; the key decides the places of things."""
        ...

    def film(self, task: str, setting: Tensor, key: int) -> list[dict[str, Any]]:
        """Frames of the same episode: `png` (see `milepost.images.png.text`) and `told`, lines below it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Study:
    """Writes rewards, judges them on probes, trains on each. Implements `recipe.Experiment`."""

    rewards: Rewards
    probes: Callable[[str, int], Sequence[Probe]]
    stage: Stage
    climb: Climb
    episodes: int = 10
    """Fresh starts on which what was trained is tried."""

    def __post_init__(self) -> None:
        """Check the range."""
        checks.at_least("episodes", self.episodes, 1)

    def __call__(self, task: str, key: int) -> Measured:
        """Measure; the arms are the programs, then the environment's own reward, then success alone."""
        probes = self.probes(task, keys.fold(key, "probes"))
        programs = self.rewards.write(task, probes[0].lift, keys.fold(key, "write"))
        scorers: dict[str, Callable[[Sequence[Lift]], list[Tensor]]] = {
            name: lambda lifts, own=own: self.rewards.score(own, lifts)[0] for name, own in programs.items()
        }
        scorers["environment's reward"] = lambda lifts: [one.dense for one in lifts]
        scorers["success alone"] = lambda lifts: [one.success.float() for one in lifts]
        numbers: dict[str, dict[str, float]] = {}
        lines: list[dict[str, Any]] = []
        films: list[dict[str, Any]] = []
        for name, scorer in scorers.items():
            numbers[name] = {**self._judged(scorer, probes), **self._trained(task, scorer, key, lines, films, name)}
        texts = [{"title": name, "text": self.rewards.told(own)} for name, own in programs.items()]
        chart = {
            "title": "success in training, by generation",
            "lines": lines,
            "note": "Share of a generation's episodes.",
        }
        notes = [
            f"{name}: AUC {numbers[name]['AUC']:.2f}; below {WORTH_TRAINING} a program would not be trained on."
            for name in programs
            if not numbers[name]["AUC"] >= WORTH_TRAINING
        ]
        forest = forest_of(task, [probe.lift for probe in probes])
        return Measured(
            numbers=numbers,
            forests={"probes": forest},
            scene={"charts": [chart], "texts": texts, "notes": notes, "films": films},
        )

    def _judged(self, scorer: Callable[[Sequence[Lift]], list[Tensor]], probes: Sequence[Probe]) -> dict[str, float]:
        means = torch.stack([one.mean() for one in scorer([probe.lift for probe in probes])])
        good = torch.tensor([probe.lift.done for probe in probes])
        far = torch.tensor([probe.kind != "near miss" for probe in probes])
        return {
            "AUC without near misses": self.rewards.auc(means[far], good[far]),
            "AUC": self.rewards.auc(means, good),
        }

    def _trained(
        self,
        task: str,
        scorer: Callable[[Sequence[Lift]], list[Tensor]],
        key: int,
        lines: list[dict[str, Any]],
        films: list[dict[str, Any]],
        name: str,
    ) -> dict[str, float]:
        shares: list[float] = []

        def score(settings: Tensor, own: int) -> Tensor:
            lifts = [self.stage(task, one, own) for one in settings]
            shares.append(sum(one.done for one in lifts) / len(lifts))
            return torch.stack([one.sum() for one in scorer(lifts)])

        found = self.climb(score, self.stage.size, keys.fold(key, "climb"))
        lines.append({"name": name, "x": list(range(1, len(shares) + 1)), "y": shares})
        tried = [self.stage(task, found.best, keys.fold(key, "try", place)) for place in range(self.episodes)]
        films.append({"title": name, "frames": self.stage.film(task, found.best, keys.fold(key, "try", 0))})
        return {"success after training": sum(one.done for one in tried) / len(tried)}


def forest_of(task: str, lifts: Sequence[Lift]) -> Forest:
    """Put episodes into a forest, with the environment's own reward and success as rewards.

    Args:
        task: what was played.
        lifts: the episodes; the observation before the first step is not known.

    Returns:
        A root and a row per step for each episode.
    """
    parent = list[int]()
    for one in lifts:
        start = len(parent)
        parent += [-1, *range(start, start + len(one.seen))]
    moved = torch.tensor(parent) >= 0
    end = torch.zeros(len(parent), dtype=torch.int64)
    end[torch.cat((moved[1:], torch.tensor([False]))) ^ moved] = 0
    leaves = moved & torch.cat((~moved[1:], torch.tensor([True])))
    end[leaves] = int(End.TIME_LIMIT)

    def column(part: str) -> Tensor:
        values = [getattr(one, part).float() for one in lifts]
        return torch.cat([torch.cat((torch.zeros_like(one[:1]), one)) for one in values])

    columns = {
        "task": [None if flag else task for flag in moved.tolist()],
        "origin": torch.where(moved, int(Origin.POLICY), int(Origin.ENVIRONMENT)),
        "observation": column("seen"),
        "action": column("taken"),
        "end": end,
        "ok.dense": moved,
        "reward.dense": column("dense"),
        "ok.success": moved,
        "reward.success": column("success"),
    }
    forest = Forest.of(parent, columns)
    for name in ("observation", "action", "reward.dense", "reward.success"):
        forest = forest.with_valid(name, moved)
    return forest
