"""Frame strips: pictures along an episode of control, with the critic's value and the rewards of their steps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from milepost.errors import MilepostError
from milepost.report import figures
from milepost.report.drawing import episodes, pictures
from milepost.report.stored import arrays
from milepost.report.stored.steps import Steps

if TYPE_CHECKING:
    from milepost.environments.control.gym import Gymnasium

MOST_FRAMES = 8
"""Pictures of one episode."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A picture of a strip, and what is told below it."""

    picture: Markup
    told: tuple[str, ...]


@dataclass(kw_only=True)
class Studio:
    """Takes pictures of the episodes of a run, by repeating them."""

    world: Gymnasium | None = None
    """What they were played in; None where the run is not one of control."""
    note: str = ""
    """Why there are no pictures; the first reason."""
    kept: dict[tuple[Path, str], NDArray[Any] | None] = field(default_factory=dict[Any, Any])

    @staticmethod
    def of(settings: Mapping[str, Any]) -> Studio:
        """Open the environment that a run was made in.

        Args:
            settings: of the run, as run.toml has them.

        Returns:
            The studio; without a world where there is nothing to picture.
        """
        tasks = settings.get("tasks", {})
        names = tasks.get("names", ()) if isinstance(tasks, dict) else ()
        if len(names) != 1:
            return Studio()
        from milepost.environments.control import by_name  # torch: only for runs of control

        if not by_name.is_control(names[0]):
            return Studio()
        options = cast("Mapping[str, Any]", tasks).get("options", {}).get(names[0], {})
        try:
            found = by_name.control(names[0], options, train_size=1, held_out_size=1)
        except MilepostError as error:
            return Studio(note=str(error))
        return Studio(world=by_name.surveyed(found))

    def strip(self, folder: Path, steps: Steps, root: int) -> tuple[Frame, ...]:
        """Pictures along the longest episode of a tree.

        Args:
            folder: of the stored forest.
            steps: its columns.
            root: of the tree.

        Returns:
            At most `MOST_FRAMES`, evenly chosen, the first and the last step among them; nothing where the episode
            cannot be repeated, and the reason is in `note`.
        """
        path = episodes.longest(steps, root)
        if self.world is None or len(path) < 2:
            return ()
        from milepost.environments.control import filming

        wanted = [int(place) for place in np.unique(np.linspace(0, len(path) - 1, MOST_FRAMES).round())]
        try:
            taken = filming.film(self.world, self._played(folder, steps, path), wanted)
        except MilepostError as error:
            self.note = self.note or str(error)
            return ()
        return tuple(_frame(steps, path, place, image) for place, image in zip(wanted, taken, strict=True))

    def _played(self, folder: Path, steps: Steps, path: Sequence[int]) -> Any:
        from milepost.environments.control.filming import Played
        from milepost.sampling.frontier import world_key

        record, shown = json.loads(steps.text("record", path[0]) or "{}"), self._column(folder, steps, "observation")
        actions = self._column(folder, steps, "action")
        if shown is None or actions is None or "seed" not in record or "key" not in steps.numbers:
            raise MilepostError("the forest lacks observations, actions, keys or the seed of its start.")
        return Played(
            seed=int(record["seed"]),
            actions=[actions[row] for row in path[1:]],
            keys=[world_key(int(steps.numbers["key"][row])) for row in path[1:]],
            shown=shown[list(path)].astype(np.float32),
        )

    def _column(self, folder: Path, steps: Steps, name: str) -> NDArray[Any] | None:
        if name in steps.numbers:
            return steps.numbers[name]
        if (folder, name) not in self.kept:
            self.kept[folder, name] = arrays.read(folder, name)
        return self.kept[folder, name]


def _frame(steps: Steps, path: Sequence[int], place: int, image: NDArray[np.uint8]) -> Frame:
    row = path[place]
    told = [f"step {place}"]
    if (value := steps.number("value", row)) is not None:
        told.append(f"value {figures.fixed(value)}")
    for name in steps.rewards:
        if name != "total" and (paid := steps.number(f"reward.{name}", row)) is not None:
            told.append(f"{name} {figures.fixed(paid)}")
    return Frame(picture=pictures.photograph(image, f"step {place} of the episode"), told=tuple(told))
