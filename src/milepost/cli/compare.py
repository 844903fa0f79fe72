"""`milepost compare`: two recipes, or two sets of finished runs, at equal cost and with paired seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from milepost import recipe
from milepost.cli import flags, output
from milepost.errors import MissingExtra, SettingError, unknown_name

if TYPE_CHECKING:
    from milepost.engines.pairs import Pairs, Side
    from milepost.evaluation.compare import Comparison, Difference

REPEATS = 5
USAGE = """usage: milepost compare <a> <b> [@ shared.toml] [--repeats 5] [--cost tokens=200000] [--out folder] [flags]
       milepost compare <folder a> <folder b>

Which of two methods is better on held-out tasks, at equal cost, in one sentence with an interval.

<a> and <b> are recipes, or TOML files as `milepost run` reads them. Each pair of runs shares the derived seed, the task
pool, the held-out tasks and the initial weights. The first sets the pace: it runs --steps steps, or until --cost is
spent; the second then gets the budget that the first spent. The last step is cut to fit, the first never.
All flags of milepost run are allowed; one that only one of the recipes has goes to that one.
--cost seconds=60 makes the time equal instead: a pilot says how many steps that is on this machine.
Two folders of finished runs or repeats are compared as they are: paired where the seeds are the same. --unit UNIT is
the cost that must be equal (default tokens). The name of a recipe is the recipe: write ./grpo for a folder grpo.

  --repeats K   pairs of runs (default 5)
  --out FOLDER  where the runs, comparison.json and comparison.html go (default: the first free runs/compare-<n>); a
                folder that holds some of the runs already is continued. With two folders: only if given
  --json        JSON lines, the last with the comparison

Exit code 1: the costs differ by more than 5 % in the mean or 15 % in a pair, so there is no verdict.
"""


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """Two methods to run."""

    first: Side
    second: Side
    launch: flags.Launch
    unit: str
    seconds: float = 0.0
    """Of each run of the first method; 0: its steps or its budget say when it ends."""


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Finished runs, and how they are to be compared."""

    pairs: Pairs
    names: tuple[str, str]
    unit: str


def main(argv: Sequence[str]) -> int:
    """Compare.

    With --json, lines: the events of the runs as in `milepost run --json`, then one object with `event` "comparison",
    `sentence`, `verdict` ("first", "second", "undecided", "unequal cost"), `names`, `paired`, `runs`, `unit`,
    `differences` (an array of `metric`, `first`, `second`, `difference` with `estimate`, `low`, `high`; `sign`;
    `pairs`), `costs` (an array of `unit`, `first`, `second`, `ratio`), `over_tasks`, and `runs_of` (`first` and
    `second`: arrays of `folder`, `seed`, `steps_done`, `cost`, `first`, `last`), and `report` (a path).
    """
    words = flags.split(argv)
    if any(flag in ("-h", "--help") for flag in words.flags):
        output.say(USAGE)
        return output.DONE
    if len(words.names) != 2:
        output.warn(USAGE)
        return output.WRONG_USAGE
    if all(Path(name).is_dir() and name not in recipe.names() for name in words.names):
        return _folders(words)
    asked = _asked(words)
    if asked.launch.dry_run:
        _show(asked)
        return output.DONE
    out = Path(asked.launch.out) if asked.launch.out else _free_folder()
    try:
        found = _run(asked, out)
    except KeyboardInterrupt:
        again = [*argv] if asked.launch.out else [*argv, "--out", str(out)]
        output.warn(f"Stopped. Continue with: milepost compare {' '.join(again)}")
        return output.FAILED
    launch = asked.launch
    return _conclude(
        _Found(pairs=found, names=(asked.first.name, asked.second.name), unit=asked.unit),
        out=out,
        as_json=launch.json,
        with_report=launch.report,
    )


def _folders(words: flags.Words) -> int:
    """Compare finished runs."""
    given = dict(flags.chunks(words.flags))
    known = ("--json", "--unit", "--out")
    for name in given:
        if name not in known:
            raise unknown_name("flag for two folders", name, known)
    from milepost.engines import pairs

    first, second = (Path(name) for name in words.names)
    unit = given.get("--unit", ("", "tokens"))[-1]
    found = _Found(pairs=pairs.finished(first, second), names=(str(first), str(second)), unit=unit)
    out = Path(given["--out"][-1]) if "--out" in given else None
    return _conclude(found, out=out, as_json="--json" in given, with_report=True)


# ---- two methods to run ----


def _show(asked: _Asked) -> None:
    """The resolved configurations: of the second method the steps and the budget follow from what the first spends."""
    both = {side.name: asdict(side.settings) for side in (asked.first, asked.second)}
    if asked.launch.json:
        output.document(both)
    else:
        output.say(tomli_w.dumps(both).rstrip())


def _asked(given: flags.Words) -> _Asked:
    from milepost.engines.pairs import UNLIMITED, Side

    words, seconds = _without_seconds(given)
    shared = flags.read_file(words.file)
    files = [flags.read_file(Path(name)) if name.endswith(".toml") else {} for name in words.names]
    recipes = [str(file.get("recipe", "")) or name for name, file in zip(words.names, files, strict=True)]
    known = [flags.names_of(name) for name in recipes]
    _check_settings(shared, known)
    names = _names(words.names)
    chosen = [
        flags.resolve(
            name,
            flags.merged(_fitting(shared, own), file),
            _for_side(words.flags, own, known[0] | known[1]),
            prog=f"milepost compare {' '.join(words.names)}",
            domain=flags.domain_of(recipes),
        )
        for name, file, own in zip(recipes, files, known, strict=True)
    ]
    sides = [Side(name=name, settings=one.settings) for name, one in zip(names, chosen, strict=True)]
    cost = chosen[0].settings.cost
    if len(cost) > 1:
        raise SettingError(f"cost={dict(cost)} has several units: expected one, in which the costs are made equal.")
    said = {name for name, _ in flags.chunks(words.flags)} & {"--steps", "--update.steps"}
    in_file = any("steps" in file.get("update", {}) for file in (shared, files[0]))
    if cost and not said and not in_file:
        settings = sides[0].settings
        sides[0] = replace(sides[0], settings=replace(settings, update=replace(settings.update, steps=UNLIMITED)))
    unit = "seconds" if seconds else next(iter(cost), "tokens")
    if seconds and cost:
        raise SettingError(f"cost={dict(cost)} stands beside seconds={seconds:g}: expected one unit to make equal.")
    return _Asked(first=sides[0], second=sides[1], launch=chosen[0].launch, unit=unit, seconds=seconds)


def _without_seconds(words: flags.Words) -> tuple[flags.Words, float]:
    """The words without a budget in seconds, which no run has, and that budget; 0 where there is none."""
    kept: list[str] = []
    seconds = 0.0
    for name, chunk in flags.chunks(words.flags):
        value = chunk[-1].removeprefix("--cost=") if name == "--cost" else ""
        if not value.startswith("seconds="):
            kept += chunk
            continue
        try:
            seconds = float(value.removeprefix("seconds="))
        except ValueError:
            seconds = 0.0
        if not (0 < seconds < math.inf):
            raise SettingError(f"--cost {value} is not allowed: expected a number of seconds above 0.")
    return replace(words, flags=tuple(kept)), seconds


def _names(given: Sequence[str]) -> tuple[str, str]:
    """What the two are called: recipe or file name; two equal names are numbered."""
    first, second = (Path(name).stem if name.endswith(".toml") else name for name in given)
    return (first, second) if first != second else (f"{first}-a", f"{second}-b")


def _for_side(words: Sequence[str], own: frozenset[str], every: frozenset[str]) -> list[str]:
    """Flags of one side: all but those that only the other recipe has."""
    return [word for name, chunk in flags.chunks(words) if name not in every or name in own for word in chunk]


def _fitting(shared: Mapping[str, Any], own: frozenset[str]) -> dict[str, Any]:
    """A shared file with those of its recipe settings that the recipe has."""
    settings = {n: v for n, v in shared.get("settings", {}).items() if f"--settings.{n}".replace("_", "-") in own}
    return {**{name: value for name, value in shared.items() if name != "recipe"}, "settings": settings}


def _check_settings(shared: Mapping[str, Any], known: Sequence[frozenset[str]]) -> None:
    every = {name.removeprefix("--settings.") for own in known for name in own if name.startswith("--settings.")}
    for name in shared.get("settings", {}):
        if name.replace("_", "-") not in every:
            raise unknown_name("key in settings of the shared file", name, every)


def _free_folder() -> Path:
    number = 1
    while Path("runs", f"compare-{number}").exists():
        number += 1
    return Path("runs", f"compare-{number}")


def _run(asked: _Asked, out: Path) -> Pairs:
    from milepost.cli import progress
    from milepost.engines import pairs, repeats

    with progress.view(as_json=asked.launch.json) as view:
        tellers: dict[tuple[str, int], Any] = {}

        def tell(name: str, number: int, event: Any) -> None:
            if (name, number) not in tellers:
                place = out / name / f"repeat-{number}"
                limits = repeats.standing(place).settings.cost if repeats.is_run(place) else {}
                tellers[name, number] = view.of(f"{name} {number}", limits)
            tellers[name, number](event)

        count = asked.launch.repeats or REPEATS
        first = pairs.timed(asked.first, asked.seconds, out, tell) if asked.seconds else asked.first
        return pairs.run(first, asked.second, count=count, unit=asked.unit, out=out, on_event=tell)


# ---- what came out ----


def _conclude(found: _Found, *, out: Path | None, as_json: bool, with_report: bool) -> int:
    """Print the comparison, and write it to the output folder if there is one."""
    from milepost import keys
    from milepost.engines import pairs
    from milepost.evaluation import compare

    first, second = found.pairs.first, found.pairs.second
    key = keys.fold(keys.root(first[0].settings.seed), "compare")
    compared = compare.compare(pairs.results(first), pairs.results(second), found.names, unit=found.unit, key=key)
    said = compare.sentence(compared)
    document = output.portable({"sentence": said, **_data(compared), "runs_of": pairs.describe(found.pairs)})
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "comparison.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
        document["report"] = _report(document, found.pairs, out / "comparison.html") if with_report else ""
    if as_json:
        output.line({"event": "comparison", **document})
    else:
        output.say(_text(compared, said) + (f"\nreport: {document['report']}" if document.get("report") else ""))
        if compared.verdict == "unequal cost":
            output.say(f"Next: {_next(found, compared)}")
    return output.FOUND if compared.verdict == "unequal cost" else output.DONE


def _next(found: _Found, compared: Comparison) -> str:
    """What to type where the costs are not equal: the one that spent more sets the pace, because its cost has lumps."""
    ways = [found.pairs.first[0].settings.recipe, found.pairs.second[0].settings.recipe]
    coarse, fine = ways[::-1] if compared.checked_cost.ratio < 1 else ways
    least = math.floor(min(compared.checked_cost.first, compared.checked_cost.second))
    return f"milepost compare {coarse} {fine} --cost {found.unit}={max(least, 1)}"


def _report(document: Mapping[str, Any], found: Pairs, out: Path) -> str:
    """Path of the page; a note in its place when what draws it is not installed."""
    from milepost import optional

    try:
        optional.load("jinja2", extra="report", purpose="The HTML report")
    except MissingExtra as error:
        return f"not written: {error}"
    from milepost.report import comparison

    first, second = ([one.folder for one in side] for side in (found.first, found.second))
    return str(comparison.write(document, first, second, out))


def _data(found: Comparison) -> dict[str, Any]:
    costs = [{"unit": one.unit, "first": one.first, "second": one.second, "ratio": one.ratio} for one in found.costs]
    return {**asdict(found), "costs": costs}


def _text(found: Comparison, said: str) -> str:
    from milepost.cli.progress import short

    first, second = found.names
    metrics = [("held-out metric", first, second, "difference", "95 % interval", "sign test")]
    metrics += [_row(one) for one in found.differences]
    costs = [("mean cost", first, second, "ratio")]
    costs += [(one.unit, short(one.first), short(one.second), _number(one.ratio)) for one in found.costs]
    return "\n\n".join([output.table(metrics), output.table(costs), said])


def _row(one: Difference) -> tuple[str, ...]:
    found = one.difference
    interval = (
        f"{_number(found.low, sign=True)} to {_number(found.high, sign=True)}" if math.isfinite(found.low) else "-"
    )
    sign = f"p = {one.sign:.3g}" if math.isfinite(one.sign) else "-"
    return one.metric, _number(one.first), _number(one.second), _number(found.estimate, sign=True), interval, sign


def _number(value: float, *, sign: bool = False) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:+.3f}" if sign else f"{value:.3f}"
