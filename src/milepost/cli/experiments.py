"""`milepost run` for recipes that measure: settings from defaults, then a TOML file, then flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from milepost.cli import output, searching

if TYPE_CHECKING:
    from milepost.engines.experiments.run import Row


def run(name: str, given: Mapping[str, Any], flags: Sequence[str], *, free: Path) -> int:
    """Measure.

    With --json: one object per measurement with `task`, `repeat`, `numbers` (arm to quantity to number), then one with
    `folder`, `rows` and `report`.

    Args:
        name: the recipe.
        given: content of the file after @: `seed` and `settings`.
        flags: what the user typed after the recipe.
        free: folder to write where none is named.

    Returns:
        The exit code.

    Raises:
        UnknownName: a key of the file does not exist.
        SettingError: a value is not allowed.
    """
    chosen = searching.choose(name, given, flags)
    if chosen is None:
        return output.DONE
    from milepost.engines.experiments import run as engine

    def tell(one: Row) -> None:
        if chosen.json:
            output.line({"task": one.task, "repeat": one.repeat, "numbers": one.numbers})
        else:
            output.say(f"{one.task}, {one.repeat + 1}:\n{output.table(_lines(one))}")

    out = chosen.out or free
    found = engine.run(name, chosen.settings, out, seed=chosen.seed, tell=tell)
    searching.conclude(chosen, out, {"rows": len(found)})
    return output.DONE


def _lines(one: Row) -> list[tuple[str, ...]]:
    quantities = list(dict.fromkeys(name for own in one.numbers.values() for name in own))
    shown = [
        (arm, *("-" if own.get(name) is None else f"{own[name]:.4g}" for name in quantities))
        for arm, own in one.numbers.items()
    ]
    return [("", *quantities), *shown]
