"""`milepost run`: choose a recipe, then its settings, and train."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from milepost import recipe
from milepost.cli import experiments, flags, output, searching
from milepost.errors import MissingExtra, SettingError

if TYPE_CHECKING:
    from milepost.engines.repeats import Standing
    from milepost.engines.settings import RunSettings

NOTHING = "every reward failed, in every step: see why below, and mend it"
NO_INTERVAL = "no interval: it needs two held-out tasks at least"
MOST_REASONS = 20
"""Reasons of failure that are listed."""
USAGE = """usage: milepost run <recipe> [@ file.toml] [flags]
       milepost run @ file.toml [flags]

Order of weight: default, then the file, then a flag. The flags depend on the recipe:

  milepost run <recipe> --help        flags of a recipe, with their defaults
  milepost run <recipe> --dry-run     the resolved configuration as TOML, fit for @

recipes: {names}
"""


def main(argv: Sequence[str]) -> int:
    """Train.

    With --json, lines: one object per event with `event` (start, refresh, update, checkpoint, evaluate, warning, done),
    `run`, `step`, `steps`, `numbers`, `message` and `remaining_s`; then one with `event` "outcome", see `record`, or
    "interrupted" with `resume`, the command to type. With --repeats, one outcome per repeat and one `event` "summary".
    """
    words = flags.split(argv)
    given = flags.read_file(words.file)
    name = words.names[0] if words.names else str(given.get("recipe", ""))
    if len(words.names) > 1:
        raise SettingError(f"One recipe at a time: received {' '.join(words.names)}. To compare, see milepost compare.")
    if not name:
        return _without_recipe(words)
    whole = {"search": searching.run, "evaluate": experiments.run}.get(recipe.card(name).job)
    if whole is not None:
        return whole(name, given, words.flags, free=free_folder(name))
    chosen = flags.resolve(name, given, words.flags, prog=f"milepost run {name}")
    if chosen.launch.dry_run:
        _show(chosen)
        return output.DONE
    out = Path(chosen.launch.out) if chosen.launch.out else free_folder(name)
    try:
        return _go(chosen, out)
    except KeyboardInterrupt:
        return interrupted(out, as_json=chosen.launch.json)


def _without_recipe(words: flags.Words) -> int:
    usage = USAGE.format(names=", ".join(recipe.names()))
    if any(flag in ("-h", "--help") for flag in words.flags):
        output.say(usage)
        return output.DONE
    if words.file is not None:
        raise SettingError(f'{words.file} names no recipe: add a line such as recipe = "grpo".')
    output.warn(usage)
    return output.WRONG_USAGE


def _show(chosen: flags.Chosen) -> None:
    values = asdict(chosen.settings)
    if chosen.launch.json:
        output.document(values)
    else:
        output.say(tomli_w.dumps(values).rstrip())


def free_folder(name: str) -> Path:
    """The first of runs/<name>-1, -2, ... that does not exist."""
    number = 1
    while Path("runs", f"{name}-{number}").exists():
        number += 1
    return Path("runs", f"{name}-{number}")


def interrupted(out: Path, *, as_json: bool) -> int:
    """Say how to go on after Ctrl-C; the exit code is 3, because the run is not done."""
    from milepost.engines import repeats

    begun = repeats.is_run(out) or repeats.asked(out) > 0
    command = f"milepost resume {out}" if begun else ""
    if as_json:
        output.line({"event": "interrupted", "folder": out, "resume": command})
    output.warn(f"Stopped. Continue with: {command}" if begun else "Stopped before the run began: nothing was written.")
    return output.FAILED


def _go(chosen: flags.Chosen, out: Path) -> int:
    from milepost.cli import progress
    from milepost.engines import repeats

    settings, launch = chosen.settings, chosen.launch
    if not launch.json:
        output.say(loading(settings))
    with progress.view(as_json=launch.json) as view:
        if launch.repeats == 0:
            tell = view.of("", settings.cost)
            found = (repeats.begin(settings, out, on_event=tell, track=launch.trackers),)
        else:
            tellers = [view.of(f"repeat {number}", settings.cost) for number in range(launch.repeats)]
            found = repeats.repeat(
                settings,
                launch.repeats,
                out,
                on_event=lambda number, event: tellers[number](event),
                track=launch.trackers,
            )
    conclude(found, out, as_json=launch.json, with_report=launch.report)
    return output.DONE


def loading(settings: RunSettings) -> str:
    """What is said before anything is loaded, which takes seconds."""
    tasks = " ".join(settings.tasks.names)
    return f"{settings.recipe} on {tasks}: loading the model {settings.policy.model!r} and the tasks ..."


def conclude(found: Sequence[Standing], out: Path, *, as_json: bool, with_report: bool) -> None:
    """Print what finished runs came to: each of them, and with several the mean and its interval.

    Args:
        found: finished runs.
        out: folder of the run, or above the repeats.
        as_json: print JSON lines.
        with_report: write a report.html into each run's folder.
    """
    records: list[dict[str, Any]] = []
    for one in found:
        written = _report(one.folder) if with_report else ""
        records.append({**record(one), "report": written})
        if as_json:
            output.line({"event": "outcome", **records[-1]})
    if not as_json and len(records) == 1:
        output.say(_text(records[0]))
    if out != found[0].folder:
        summary = _summary(records, out)
        if as_json:
            output.line({"event": "summary", **summary})
        else:
            output.say(_summary_text(records, summary))


def _report(folder: Path) -> str:
    """Path of the report; a note in its place when what draws it is not installed."""
    from milepost.cli import report

    try:
        return str(report.write(folder, folder / "report.html"))
    except MissingExtra as error:
        return f"not written: {error}"


def record(found: Standing) -> dict[str, Any]:
    """What a run came to, as data.

    Args:
        found: a finished run.

    Returns:
        `folder`, `recipe`, `seed`, `steps_done`, `stopped` ("finished" or "budget"), `first` and `last` (evaluations:
        `step`, `success`, `low`, `high`, `tasks`, `samples`, `by_family`, `rewards`, `measures`), `gain`, `gain_low`,
        `gain_high` (success after less before, paired by task), `cost` by unit, `failed`, see `failures`, and
        `all_failed`, and `trees` (in words, how the trees were trained).
    """
    from milepost.engines import evaluate

    first, last = found.evaluations[0], found.evaluations[-1]
    gain = evaluate.gain(found.folder, first.step, last.step)
    return {
        "folder": str(found.folder),
        "recipe": found.settings.recipe,
        "seed": found.settings.seed,
        "steps_done": found.step,
        "stopped": "finished" if found.step >= found.settings.update.steps else "budget",
        "first": asdict(first),
        "last": asdict(last),
        "gain": gain.estimate,
        "gain_low": gain.low,
        "gain_high": gain.high,
        "cost": dict(found.cost),
        "failed": failures(found.folder),
        "all_failed": all_failed(found.folder),
        "trees": trees(found.folder),
    }


def trees(folder: Path) -> str:
    """How the trees of all updates were trained, and what sharing saved; empty where the policy does not say."""
    from milepost.engines import update
    from milepost.report.stored import run

    every: Counter[str] = Counter()
    for one in run.read(folder).metrics:
        every.update({name: float(value) for name, value in one.items() if name.startswith("update/")})
    unique, repeated = every["update/unique_tokens"], every["update/repeated_tokens"]
    ways = update.ways(every)
    return f"{ways}; {unique / repeated:.0%} of the tokens of separate paths" if ways and repeated else ways


def all_failed(folder: Path) -> bool:
    """Whether a run has done steps, and every reward failed in every one of them."""
    from milepost.report.stored import run

    told = [float(one["reward/total_failed"]) for one in run.read(folder).metrics if "reward/total_failed" in one]
    return bool(told) and all(share >= 1.0 for share in told)


def failures(folder: Path) -> list[dict[str, Any]]:
    """Why rewards failed in the forests that a run kept: `reward`, `code`, `count`, `example`, the commonest first."""
    from milepost.report.stored import run, steps

    counts: Counter[tuple[str, str]] = Counter()
    for one in run.stored(folder / "forests"):
        found = steps.read(one.folder)
        for name in found.rewards:
            if name != "total" or len(found.rewards) == 1:
                counts.update((name, reason) for reason in found.texts.get(f"reason.{name}", ()) if reason is not None)
    return [
        {"reward": name, "code": reason.partition(": ")[0], "count": count, "example": reason.partition(": ")[2]}
        for (name, reason), count in counts.most_common(MOST_REASONS)
    ]


def success(evaluation: Mapping[str, Any]) -> str:
    """Success of an evaluation in words, with its interval where there are tasks enough for one."""
    if evaluation["tasks"] == 0:
        return "not measured: no held-out task has an answer that could be scored"
    spread = f"95 % interval {evaluation['low']:.1%} to {evaluation['high']:.1%}"
    tasks = f"{evaluation['tasks']} task{'s' if evaluation['tasks'] > 1 else ''} x {evaluation['samples']} answers"
    return f"{evaluation['success']:.1%} ({spread if math.isfinite(evaluation['low']) else NO_INTERVAL}; {tasks})"


def points(number: float) -> str:
    """A difference of shares in percentage points, such as +12.5."""
    return f"{100 * number:+.1f}" if math.isfinite(number) else "?"


def _text(found: Mapping[str, Any]) -> str:
    from milepost.cli import progress

    spread = f"95 % interval {points(found['gain_low'])} to {points(found['gain_high'])}"
    gain = f"{points(found['gain'])} points ({spread if math.isfinite(found['gain_low']) else NO_INTERVAL})"
    spent = "  ".join(f"{unit} {progress.short(value)}" for unit, value in sorted(found["cost"].items()) if value)
    rows = [
        ("held-out success before", success(found["first"])),
        ("held-out success after", success(found["last"])),
        ("difference", gain),
        *(_measured(name, found) for name in found["last"]["measures"]),
        *([("spent", spent)] if spent else []),
        *([("trees trained", found["trees"])] if found["trees"] else []),
        *([("nothing learnt", NOTHING)] if found["all_failed"] else []),
        *(("failed rewards", _failed(row)) for row in found["failed"][:5]),
        ("stopped", f"{found['stopped']} after {found['steps_done']} steps"),
        ("run", found["folder"]),
        *([("report", found["report"])] if found["report"] else []),
    ]
    return output.table(rows)


def _measured(name: str, found: Mapping[str, Any]) -> tuple[str, str]:
    """A measure before and after."""
    values = (one["measures"].get(name, math.nan) for one in (found["first"], found["last"]))
    return f"held-out {name.replace('_', ' ')}", " -> ".join(f"{value:.3f}" for value in values)


def _failed(row: Mapping[str, Any]) -> str:
    detail = f": {row['example']}" if row["example"] else ""
    return f"{row['count']} of reward {row['reward']}: {row['code']}{detail}"


def _summary(records: Sequence[Mapping[str, Any]], out: Path) -> dict[str, Any]:
    from milepost.evaluation import intervals

    after = intervals.mean_interval([one["last"]["success"] for one in records])
    gain = intervals.mean_interval([one["gain"] for one in records])
    return {"folder": str(out), "repeats": len(records), "success": asdict(after), "gain": asdict(gain)}


def _summary_text(records: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> str:
    rows = [("run", "seed", "before", "after", "difference")]
    rows += [
        (
            one["folder"],
            str(one["seed"]),
            f"{one['first']['success']:.1%}",
            f"{one['last']['success']:.1%}",
            points(one["gain"]),
        )
        for one in records
    ]
    after, gain = summary["success"], summary["gain"]
    known = math.isfinite(after["low"])
    spread = f" (95 % interval {after['low']:.1%} to {after['high']:.1%})" if known else " (one run has no interval)"
    change = f" ({points(gain['low'])} to {points(gain['high'])})" if known else ""
    return (
        f"{output.table(rows)}\n\n"
        f"held-out success, mean of {summary['repeats']} repeats: {after['estimate']:.1%}{spread}\n"
        f"difference to the start: {points(gain['estimate'])} points{change}"
    )
