"""Proxy labels, true labels and the labelled trajectories alone: the same learners, the same data, the same key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from milepost import checks, keys
from milepost.evaluation.offline import errors
from milepost.forest import Forest
from milepost.recipe import Measured
from milepost.traces.moves import Controller, Moves, moves_of, returns

_TENTHS = 10


class Hidden(Protocol):
    """Trajectories after a split."""

    @property
    def forest(self) -> Forest:
        """With the actions of the labelled ones only."""
        ...

    @property
    def labelled(self) -> Bool[Tensor, " m"]:
        """Which keep their actions."""
        ...

    @property
    def inside(self) -> Bool[Tensor, " m"]:
        """Unlabelled ones like the labelled."""
        ...

    @property
    def outside(self) -> Bool[Tensor, " m"]:
        """Unlabelled ones that are better."""
        ...


class Labeller(Protocol):
    """Writes missing actions."""

    def apply(self, forest: Forest, low: Sequence[float], high: Sequence[float], key: int) -> tuple[Forest, Any]:
        """The forest with all actions, their variance in `extra.action_variance`, and the ensemble that wrote them."""
        ...


class Learner(Protocol):
    """Learns a controller from moves."""

    def __call__(self, moves: Moves, low: Tensor, high: Tensor, key: int) -> Controller:
        """Learn."""
        ...


class Arena(Protocol):
    """Plays a task."""

    def bounds(self, task: str) -> tuple[Sequence[float], Sequence[float]]:
        """Smallest and largest value of each number of an action."""
        ...

    def returns(self, task: str, controller: Controller | None, count: int, key: int) -> Float[Tensor, " e"]:
        """Returns of some episodes; without a controller, of random actions."""
        ...

    def film(self, task: str, controller: Controller, key: int) -> list[dict[str, Any]]:
        """Frames of the first of these episodes: `png` (see `milepost.images.png.text`) and `told`, lines below it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Records, hides, labels, learns from each set of labels and plays. Implements `recipe.Experiment`."""

    record: Callable[[str, int], Forest]
    split: Callable[[Forest, int], Hidden]
    labels: Labeller
    learners: Mapping[str, Learner]
    """By name."""
    arena: Arena
    episodes: int = 20
    """Episodes that each controller plays."""

    def __post_init__(self) -> None:
        """Check that there is something to do."""
        checks.not_empty("learners", self.learners)
        checks.at_least("episodes", self.episodes, 1)

    def __call__(self, task: str, key: int) -> Measured:
        """Measure; the first arm is the one with proxy labels."""
        low, high = self.arena.bounds(task)
        truth = self.record(task, keys.fold(key, "record"))
        cut = self.split(truth, keys.fold(key, "split"))
        labelled, model = self.labels.apply(cut.forest, low, high, keys.fold(key, "labels"))
        real, proxy, known = moves_of(truth), moves_of(labelled), moves_of(cut.forest)
        arms = {"proxy labels": proxy, "true labels": real, "labelled only": known.take(known.known)}
        bottom, top = torch.tensor(list(low)), torch.tensor(list(high))
        numbers = {arm: dict[str, float]() for arm in (*arms, "random actions")}
        play = keys.fold(key, "play")
        chance = float(self.arena.returns(task, None, self.episodes, play).mean())
        films: list[dict[str, Any]] = []
        for name, learner in self.learners.items():
            for arm, moves in arms.items():
                controller = learner(moves, bottom, top, keys.fold(key, "learn", name))
                numbers[arm][f"return, {name}"] = float(
                    self.arena.returns(task, controller, self.episodes, play).mean()
                )
                films.append({"title": f"{name}, {arm}", "frames": self.arena.film(task, controller, play)})
            numbers["random actions"][f"return, {name}"] = chance
            oracle = numbers["true labels"][f"return, {name}"]
            for arm in arms:
                lost = errors.gap(oracle, numbers[arm][f"return, {name}"], chance)
                numbers[arm][f"gap, {name}"] = lost
        numbers["proxy labels"] |= _label_errors(cut, real, proxy, labelled)
        scene = {"charts": _charts(cut, real, proxy, labelled, model), "films": films}
        return Measured(numbers=numbers, forests={"labelled": labelled}, scene=scene)


def _label_errors(cut: Hidden, real: Moves, proxy: Moves, labelled: Forest) -> dict[str, float]:
    doubt = labelled["extra.action_variance"][proxy.row]
    found: dict[str, float] = {}
    for name, which in (("inside", cut.inside), ("outside", cut.outside)):
        rows = which[real.trajectory]
        guess, truth = proxy.action[rows], real.action[rows]
        found[f"label R2, {name}"] = errors.determined(guess, truth)
        found[f"doubt and error, {name}"] = errors.rank_correlation(doubt[rows], (guess - truth).square().mean(1))
    return found


def _charts(cut: Hidden, real: Moves, proxy: Moves, labelled: Forest, model: Any) -> list[dict[str, Any]]:
    total = returns(real)
    order = torch.argsort(total, stable=True)
    sorted_returns = total[order].tolist()
    places = list(range(len(total)))

    def only(which: Tensor) -> list[float | None]:
        return [value if flag else None for value, flag in zip(sorted_returns, which[order].tolist(), strict=True)]

    unknown = (~cut.labelled)[real.trajectory]
    doubt = labelled["extra.action_variance"][proxy.row][unknown]
    wrong = (proxy.action - real.action)[unknown].square().mean(1)
    lines: list[dict[str, Any]] = []
    if len(doubt):
        chunks = torch.argsort(doubt, stable=True).tensor_split(_TENTHS)
        tenths = [float(wrong[part].mean()) if len(part) else None for part in chunks]
        said = [float(doubt[part].mean()) if len(part) else None for part in chunks]
        steps = list(range(1, _TENTHS + 1))
        lines = [{"name": "squared error", "x": steps, "y": tenths}, {"name": "variance", "x": steps, "y": said}]
    first = model.members[0]
    return [
        {
            "title": "returns of the recorded episodes, sorted",
            "note": "Only the labelled ones keep their actions.",
            "lines": [
                {"name": "without actions", "x": places, "y": only(~cut.labelled)},
                {"name": "labelled", "x": places, "y": only(cut.labelled)},
            ],
        },
        {
            "title": "inverse dynamics: validation loss over updates",
            "note": "Nats per action; the best weights label, not the last.",
            "lines": [{"name": "validation", "x": list(first.steps), "y": list(first.losses)}],
        },
        *([{"title": "by tenths of the stated variance", "note": "Of the labels, least variance first.",
            "lines": lines}] if lines else []),
    ]  # fmt: skip
