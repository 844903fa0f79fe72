"""`milepost score`: stored trajectories scored again with another reward, into a new folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from milepost.cli import output
from milepost.errors import SettingError

if TYPE_CHECKING:
    from milepost.engines.stored.work import Place
    from milepost.part import Reward


def main(argv: Sequence[str]) -> int:
    """Score stored trajectories.

    With --json: an object with `forests`: an array of `forest` and `out` (paths), and `rewards`, an array of `name`,
    `scored`, `failed`, `mean` (null when nothing counts) and `reasons` (code to count) and `details` (the commonest
    whole reasons to their counts).
    """
    parser = output.Parser(
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
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        default="",
        help='score on a cluster of Ray, with the same result; "auto": the one that runs, else one on this machine',
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options = parser.parse_args(argv)
    if options.out.exists():
        raise SettingError(f"{options.out} exists already, and nothing is overwritten: choose another --out.")
    sources = [_absolute(source) for source in options.reward] if options.ray else options.reward
    rewards = [load(source) for source in sources]
    rows = _scored(_places(options.forest, options.out), rewards, options.ray)
    if options.json:
        output.document({"forests": rows})
    else:
        output.say("\n\n".join(map(_text, rows)))
    return output.DONE


def _places(source: Path, out: Path) -> list[Place]:
    """Stored forests below a path, each with the folder that its copy goes to."""
    from milepost.engines.stored.work import Place
    from milepost.report.stored import run

    steps = run.stored(source / "forests")
    if steps:
        return [Place(source=one.folder, out=out / "forests" / one.folder.name) for one in steps]
    return [Place(source=source, out=out)]


def _absolute(source: str) -> str:
    """A source whose file is found from any folder: workers of a cluster do not work in this one."""
    place, colon, name = source.rpartition(":")
    return f"{Path(place).resolve()}{colon}{name}" if place.endswith(".py") else source


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


def _scored(places: Sequence[Place], rewards: Sequence[Reward], address: str) -> list[dict[str, Any]]:
    from milepost.engines.stored.work import Scoring, done

    work = Scoring(rewards=tuple(rewards))
    if address:
        from milepost.engines.on_ray.cluster import cluster
        from milepost.engines.on_ray.forests import apply

        with cluster(address):
            said = apply(work, places)
    else:
        said = [done(work, place) for place in places]
    found = zip(places, said, strict=True)
    return [{"forest": str(place.source), "out": str(place.out), "rewards": list(one)} for place, one in found]


def _text(row: dict[str, Any]) -> str:
    def line(reward: dict[str, Any]) -> tuple[str, ...]:
        mean = "-" if reward["mean"] is None else f"{reward['mean']:.4f}"
        reasons = ", ".join(f"{code} x {count}" for code, count in reward["reasons"].items())
        return reward["name"], str(reward["scored"]), str(reward["failed"]), mean, reasons

    head = ("reward", "scored", "failed", "mean", "reasons")
    failed = [
        f"{count} x {one['name']}: {reason}"
        for one in row["rewards"]
        if one["name"] != "total"
        for reason, count in one["details"].items()
    ]
    return "\n".join([row["out"], output.table([head, *map(line, row["rewards"])]), *failed])
