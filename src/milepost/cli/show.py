"""`milepost show`: a run, a stored forest, one of its steps with path and siblings, or traces after a triage."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from milepost.cli import output, traces
from milepost.cli.run import failures
from milepost.engines import repeats, searching
from milepost.engines.experiments import run as experiments
from milepost.errors import SettingError
from milepost.report import figures, literal, terminal
from milepost.report.drawing import shades
from milepost.report.samples import prompt
from milepost.report.stored import groups, run, steps
from milepost.report.stored.steps import Steps
from milepost.report.traces import table

WIDTH = 56


def main(argv: Sequence[str]) -> int:
    """Show something stored.

    With --json, an object. Of a run: `run`, `recipe`, `seed`, `step`, `steps`, `finished`, `cost`, `evaluations`,
    `metrics` (of the last step), `failed`, `forests` (paths). Of a forest: `forest`, `rows`, `columns`, `rewards` (name
    to `mean`, `counted`, `failed`), `ends`, `trees` (an array of `root`, `task`, `prompt`, `answers`, `mean`, `dead`).
    Of a step: `forest`, `row`, `path` and `siblings`: arrays of `row`, `parent`, `origin`, `end`, `text`, `call`,
    `result`, `rewards` (name to `value` and `reason`), `advantage`, `value`, `tokens`, `cost`. Of a triage: `triage`,
    `traces`, `kept`, `sentinels`, `signals` (name to `traces` and `kept`) and `listed`: an array of the table's rows
    with `row` and `why`. Of one of its conversations: its row, `fault`, `messages` (arrays of `message`, `role`,
    `text`, `calls`) and `found` (an array of `message`, `signal`, `confidence`, `snippet`).
    """
    parser = output.Parser(
        prog="milepost show",
        description="Show a run, a stored forest, one of its steps with path and siblings, or traces after a triage.",
    )
    parser.add_argument(
        "target",
        metavar="place[#row]",
        help="folder of a run, of a stored forest or of a triage; #17 shows row 17 (of a run: the last)",
    )
    parser.add_argument("--signal", default="", metavar="KIND", help="of a triage: only conversations with this signal")
    parser.add_argument("--all", action="store_true", help="of a triage: also what was not kept")
    parser.add_argument("--most", type=int, default=20, help="of a triage: conversations to list; default 20")
    parser.add_argument("--source", type=Path, help="of a triage: where the conversations are, if not beside it")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options = parser.parse_args(argv)
    where = terminal.address(options.target)
    folder = output.existing(where.folder, "show")
    if table.is_triage(folder):
        if where.row is not None:
            return traces.show_one(folder, where.row, options.source, as_json=options.json)
        listing = {"signal": options.signal, "every": options.all, "most": options.most}
        return traces.show(folder, **listing, as_json=options.json)
    if searching.is_search(folder) or experiments.is_experiment(folder):
        raise SettingError(
            f"{folder} holds a search or an experiment: `milepost report {folder}` shows it, and `milepost show` each "
            f"forest in {folder}/forests."
        )
    if where.row is not None:
        return _step(_forest_of(folder), where.row, as_json=options.json)
    if (folder / repeats.NAME).is_file() or repeats.is_run(folder):
        return _run(folder, as_json=options.json)
    return _forest(folder, as_json=options.json)


# ---- a run ----


def _run(folder: Path, *, as_json: bool) -> int:
    found = [_run_data(one) for one in repeats.runs_in(folder)]
    if as_json:
        output.document(found[0] if repeats.is_run(folder) else {"repeats": found})
    else:
        output.say("\n\n".join(map(_run_text, found)))
    return output.DONE


def _run_data(folder: Path) -> dict[str, Any]:
    standing, stored = repeats.standing(folder), run.read(folder)
    return {
        "run": str(folder),
        "recipe": standing.settings.recipe,
        "seed": standing.settings.seed,
        "step": standing.step,
        "steps": standing.settings.update.steps,
        "finished": standing.finished,
        "cost": dict(standing.cost),
        "evaluations": list(stored.evaluations),
        "metrics": dict(stored.metrics[-1]) if stored.metrics else {},
        "failed": failures(folder),
        "forests": [str(one.folder) for one in stored.forests],
    }


def _run_text(found: Mapping[str, Any]) -> str:
    state = "finished" if found["finished"] else f"stopped; continue with: milepost resume {found['run']}"
    head = [
        ("run", found["run"]),
        ("recipe", f"{found['recipe']}, seed {found['seed']}"),
        ("steps", f"{found['step']} of {found['steps']}, {state}"),
        *((f"spent {unit}", figures.count(value)) for unit, value in sorted(found["cost"].items())),
        *(
            (f"held out at step {one['step']}", f"{one['success']:.1%} ({one['low']:.1%} to {one['high']:.1%})")
            for one in found["evaluations"]
        ),
        *(
            ("failed rewards", f"{row['count']} of reward {row['reward']}: {row['code']}: {row['example']}")
            for row in found["failed"]
        ),
    ]
    metrics = [(f"  {name}", figures.plain(value, 4)) for name, value in found["metrics"].items() if name != "step"]
    last = found["forests"][-1:]
    following = [f"forests: {len(found['forests'])}. Next: milepost show {last[0]}"] if last else []
    return "\n".join([output.table(head), *(["last step:", output.table(metrics)] if metrics else []), *following])


# ---- a forest ----


def _forest_of(folder: Path) -> Path:
    """A stored forest: the folder itself, or the last that a run keeps."""
    if not repeats.is_run(folder):
        return folder
    kept = run.stored(folder / "forests") or run.stored(folder / "evaluation")
    if not kept:
        raise SettingError(f"{folder} keeps no forest yet: see `milepost show {folder}`.")
    return kept[-1].folder


def _forest(folder: Path, *, as_json: bool) -> int:
    found = steps.read(folder)
    data = _forest_data(folder, found)
    if as_json:
        output.document(data)
        return output.DONE
    rewards = [
        (name, figures.plain(one["mean"], 4), str(one["counted"]), str(one["failed"]))
        for name, one in data["rewards"].items()
    ]
    ends = ", ".join(f"{name} {count}" for name, count in data["ends"].items())
    _print(terminal.styled(folder))
    output.say(f"\ncolumns: {', '.join(data['columns'])}\nends: {ends or 'none stored'}")
    if rewards:
        output.say("\n" + output.table([("reward", "mean", "counted", "failed"), *rewards]))
    output.say(f"\nNext: milepost show {folder}#{_first_answer(found)}")
    return output.DONE


def _print(lines: Sequence[Text]) -> None:
    """Lines in colour where the output is a terminal that has any."""
    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        line.rstrip()
        console.print(line)


def _first_answer(found: Steps) -> int:
    return next((row for row, parent in enumerate(found.parent.tolist()) if parent >= 0), 0)


def _forest_data(folder: Path, found: Steps) -> dict[str, Any]:
    leaves = [leaf for root in found.roots for leaf in found.leaves_below(root)]
    rewards: dict[str, Any] = {}
    for name in found.rewards:
        known = [value for leaf in leaves if (value := found.number(f"reward.{name}", leaf)) is not None]
        mean = math.fsum(known) / len(known) if known else None
        rewards[name] = {"mean": mean, "counted": len(known), "failed": len(leaves) - len(known)}
    trees = [
        {
            "root": one.root,
            "task": found.text("task", one.root) or "",
            "prompt": prompt(found, one.root),
            "answers": len(one.leaves),
            "mean": one.spread.mean,
            "dead": one.dead,
        }
        for one in groups.groups(found, found.main_reward)
    ]
    return {
        "forest": str(folder),
        "rows": len(found),
        "columns": found.names,
        "rewards": rewards,
        "ends": dict(Counter(found.end(leaf).name.lower() for leaf in leaves)),
        "trees": trees,
    }


# ---- a step ----


def _step(folder: Path, row: int, *, as_json: bool) -> int:
    found = steps.read(folder)
    path = [_step_data(found, one) for one in found.path(row)]
    above = int(found.parent[row])
    beside = [one for one in (found.children[above] if above >= 0 else ()) if one != row]
    siblings = [_step_data(found, one) for one in beside]
    if as_json:
        output.document({"forest": str(folder), "row": row, "path": path, "siblings": siblings})
        return output.DONE
    _print(terminal.styled(folder, row))
    if siblings:
        scale = shades.scale_of(one["advantage"] for one in (*path, *siblings))
        _print([Text(f"\n{len(siblings)} siblings of #{row}:", style="bold")])
        _print([_sibling(one, scale) for one in siblings])
    return output.DONE


def _step_data(found: Steps, row: int) -> dict[str, Any]:
    origin = found.origin(row)
    said = prompt(found, row) if int(found.parent[row]) < 0 else found.text("text", row)
    rewards = {
        name: {"value": found.number(f"reward.{name}", row), "reason": found.text(f"reason.{name}", row)}
        for name in found.rewards
    }
    return {
        "row": row,
        "parent": int(found.parent[row]),
        "origin": origin.name.lower() if origin is not None else None,
        "end": found.end(row).name.lower(),
        "text": said,
        "call": found.text("call", row),
        "result": found.text("result", row),
        "rewards": {n: one for n, one in rewards.items() if one["value"] is not None or one["reason"]},
        "advantage": found.number("advantage", row),
        "value": found.number("value", row),
        "tokens": len(found.span("tokens.id", row)),
        "cost": {name: found.number(f"cost.{name}", row) for name in found.costs},
    }


def _sibling(one: Mapping[str, Any], scale: float) -> Text:
    """A sibling as one line, coloured by its credit, which is written with its sign too."""
    level = shades.level(one["advantage"], scale)
    colour = "dim" if not level else ("blue" if level > 0 else "dark_orange3")
    scores = [
        f"{output.plain(name)} {figures.fixed(reward['value'])}"
        if reward["value"] is not None
        else f"{output.plain(name)} failed ({literal.one_line(reward['reason'], 40)})"
        for name, reward in one["rewards"].items()
    ]
    said = literal.one_line(one["text"] or one["call"] or "", WIDTH)
    credit = f"{figures.signed(one['advantage']):>7}"
    return Text.assemble((credit, colour), f"  #{one['row']:<5}  {said:<{WIDTH}}  {'  '.join(scores)}")
