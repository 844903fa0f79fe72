"""`milepost score`: stored trajectories scored again with another reward, into a new folder."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from milepost import storage
from milepost.cli import output
from milepost.errors import SettingError

if TYPE_CHECKING:
    from milepost.forest import Forest
    from milepost.part import Reward


def main(argv: Sequence[str]) -> int:
    """Score stored trajectories.

    With --json: an object with `forests`: an array of `forest` and `out` (paths), and `rewards`, an array of `name`,
    `scored`, `failed`, `mean` (null when nothing counts) and `reasons` (code to count).
    """
    parser = argparse.ArgumentParser(
        prog="milepost score",
        description="Score stored trajectories again. What is stored stays as it is; the result is a new folder.",
    )
    parser.add_argument("forest", type=Path, help="folder of a stored forest, or of a run")
    parser.add_argument(
        "--reward",
        action="append",
        required=True,
        metavar="SOURCE",
        help="file.py:function or module:function with TRL's signature, or module:Class of a reward part; repeatable",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write, which must not exist yet")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options = parser.parse_args(argv)
    if options.out.exists():
        raise SettingError(f"{options.out} exists already, and nothing is overwritten: choose another --out.")
    rewards = [load(source) for source in options.reward]
    rows = [_one(found, out, rewards) for found, out in _places(options.forest, options.out)]
    if options.json:
        output.document({"forests": rows})
    else:
        output.say("\n\n".join(map(_text, rows)))
    return output.DONE


def _places(source: Path, out: Path) -> list[tuple[Path, Path]]:
    """Stored forests below a path, each with the folder that its copy goes to."""
    from milepost.report.stored import run

    steps = run.stored(source / "forests")
    if steps:
        return [(one.folder, out / "forests" / one.folder.name) for one in steps]
    return [(source, out)]


def load(source: str) -> Reward:
    """Load a reward.

    Args:
        source: "file.py:name" or "module:name"; a class is a part with its default settings, all else a function.

    Returns:
        The reward.

    Raises:
        SettingError: it cannot be loaded.
    """
    from milepost.rewards.function import Function, load_function

    found: Any = load_function(source)
    return found() if isinstance(found, type) else Function(source=source)


def _one(source: Path, out: Path, rewards: Sequence[Reward]) -> dict[str, Any]:
    from milepost.rewards import combine, guard

    forest = storage.read(source)
    for reward in rewards:
        forest = guard.score(reward, forest)
    names = [reward.name for reward in rewards]
    forest = combine.total(forest, names, [1.0] * len(names))
    stale = [name for name in ("advantage", "value", "return") if name in forest]
    storage.write(forest.without(*stale), out)  # credit of the old total explains nothing any more
    return {"forest": str(source), "out": str(out), "rewards": [_summary(forest, name) for name in (*names, "total")]}


def _summary(forest: Forest, name: str) -> dict[str, Any]:
    ok = forest.valid(f"ok.{name}") & forest[f"ok.{name}"].bool()
    values = forest[f"reward.{name}"][ok].double()
    reasons = Counter(reason.partition(":")[0] for reason in forest.text(f"reason.{name}") if reason)
    return {
        "name": name,
        "scored": int(ok.sum()),
        "failed": reasons.total(),
        "mean": float(values.mean()) if len(values) else None,
        "reasons": dict(reasons),
    }


def _text(row: dict[str, Any]) -> str:
    def line(reward: dict[str, Any]) -> tuple[str, ...]:
        mean = "-" if reward["mean"] is None else f"{reward['mean']:.4f}"
        reasons = ", ".join(f"{code} x {count}" for code, count in reward["reasons"].items())
        return reward["name"], str(reward["scored"]), str(reward["failed"]), mean, reasons

    head = ("reward", "scored", "failed", "mean", "reasons")
    return f"{row['out']}\n{output.table([head, *map(line, row['rewards'])])}"
