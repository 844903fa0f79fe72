"""`milepost run` for recipes that search: settings from defaults, then a TOML file, then flags."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from milepost.cli import build_settings, output
from milepost.errors import MissingExtra, SettingError, unknown_name

if TYPE_CHECKING:
    from milepost.engines.searching import Outcome


def run(name: str, given: Mapping[str, Any], flags: Sequence[str], *, free: Path) -> int:
    """Search.

    With --json: one object per search with `task`, `seeker`, `repeat`, `cost`, `steps`, then one with `folder`, `rows`
    and `report`.

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
    chosen = choose(name, given, flags)
    return output.DONE if chosen is None else _go(name, chosen, chosen.out or free)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What the user asked for."""

    settings: Mapping[str, Any]
    seed: int
    out: Path | None
    report: bool
    json: bool


def choose(name: str, given: Mapping[str, Any], flags: Sequence[str]) -> Chosen | None:
    """Resolve the settings of a recipe that neither trains nor curates: default, then file, then flag.

    Args:
        name: the recipe.
        given: content of the file after @: `seed` and `settings`.
        flags: what the user typed after the recipe.

    Returns:
        The choice; None where only the configuration was asked for, which is printed.

    Raises:
        UnknownName: a key of the file does not exist.
        SettingError: a value is not allowed.
    """
    own = build_settings.of(name)
    options = _parser(name, own).parse_args(flags)
    known = {one.name for one in own}
    from_file = dict(given.get("settings", {}))
    for key in [*from_file, *(key for key in given if key not in ("recipe", "seed", "settings"))]:
        if key not in known or key not in from_file:
            raise unknown_name(f"setting of recipe {name!r}", key, known)
    chosen = {**from_file, **{one.name: getattr(options, one.name) for one in own if hasattr(options, one.name)}}
    seed = options.seed if options.seed is not None else int(given.get("seed", 0))
    if options.dry_run:
        resolved = {one.name: one.default for one in own} | chosen
        output.say(tomli_w.dumps({"recipe": name, "seed": seed, "settings": resolved}).rstrip())
        return None
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in chosen.items()}
    out = Path(options.out) if options.out else None
    return Chosen(settings=settings, seed=seed, out=out, report=options.report, json=options.json)


def conclude(chosen: Chosen, out: Path, counted: Mapping[str, int]) -> None:
    """Draw the report where it is wanted and can be, and say where everything is.

    Args:
        chosen: what the user asked for.
        out: the folder that was written.
        counted: what was done how often, by its name in JSON.
    """
    from milepost.cli import report as drawing

    report = ""
    if chosen.report:
        try:
            report = str(drawing.write(out, out / "report.html"))
        except (MissingExtra, ModuleNotFoundError) as error:
            report = f"not written: {error}"
    if chosen.json:
        output.line({"folder": str(out), **counted, "report": report})
    else:
        output.say(output.table([("run", str(out)), *([("report", report)] if report else [])]))


def _parser(name: str, own: Sequence[build_settings.Setting]) -> argparse.ArgumentParser:
    parser = output.Parser(prog=f"milepost run {name}", argument_default=argparse.SUPPRESS)
    for one in own:
        listed = not isinstance(one.default, int | float | str | bool)
        kind = type(one.default[0]) if listed and one.default else str if listed else type(one.default)
        flag = "--" + one.name.replace("_", "-")
        help_line = f"{one.doc} (default: {one.default})".replace("%", "%%")
        if isinstance(one.default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=help_line)
        elif listed:
            parser.add_argument(flag, nargs="+", type=kind, help=help_line)
        else:
            parser.add_argument(flag, type=kind, help=help_line)
    parser.add_argument("--seed", type=int, default=None, help="every random draw follows from it")
    parser.add_argument(
        "--out", default="", help="folder to write; default: the first free of runs/<recipe>-1, -2, ..."
    )
    parser.add_argument("--no-report", dest="report", action="store_false", default=True, help="write no report.html")
    parser.add_argument("--dry-run", action="store_true", default=False, help="print the configuration and stop")
    parser.add_argument("--json", action="store_true", default=False, help="print JSON lines")
    return parser


def _go(name: str, chosen: Chosen, out: Path) -> int:
    from milepost.engines import searching

    def tell(one: Outcome) -> None:
        if chosen.json:
            output.line(
                {"task": one.task, "seeker": one.seeker, "repeat": one.repeat, "cost": one.cost, "steps": one.steps}
            )
        else:
            output.say(f"{one.task}, {one.seeker}, {one.repeat + 1}: {came_to(one)}")

    if "tasks" in chosen.settings:
        raise SettingError("A search has no --tasks: name its problems by the recipe's own setting.")
    found = searching.run(name, chosen.settings, out, seed=chosen.seed, tell=tell)
    conclude(chosen, out, {"searches": len(found)})
    return output.DONE


def came_to(one: Outcome) -> str:
    """What a search found, in words: the cost of the best, or what its draws are worth where there are draws."""
    if one.cost is None:
        return f"nothing found, {one.steps} steps"
    if "drawn" not in one.scene:
        return f"cost {one.cost:.4f}, {one.steps} steps"
    means = ", ".join(f"{name} {value:.3f}" for name, value in one.scene["rewards"].items())
    return f"best reward {-one.cost:.4f}, mean of the draws: {means}; {one.scene['calls']:.0f} model calls"
