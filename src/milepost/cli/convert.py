"""`milepost convert`: stored conversations and episodes from one format to another, to forests, or to data sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from milepost import storage
from milepost.bridges import formats
from milepost.cli import output
from milepost.curation.pairs.attempts import TARGETS
from milepost.errors import SettingError
from milepost.optional import load
from milepost.traces.record import Fault

if TYPE_CHECKING:
    from milepost.forest import Forest
    from milepost.traces.record import Trace

FOREST = "forest"
ROWS_AT_ONCE = 1 << 16
"""Rows of one stored forest; what has more is stored as several."""
_LISTED = 1000


def main(argv: Sequence[str]) -> int:
    """Convert a file; exit code 1 when records of it could not be read or used.

    With --json: an object with `source`, `out`, `from`, `to`, `read`, `faults`, and `found`, an array of `line` and
    `reason` of the first thousand faults; of a data set also `written`, its rows.
    """
    options = _parser().parse_args(argv)
    if options.out.exists():
        raise SettingError(f"{options.out} exists already, and nothing is overwritten: choose another place.")
    if not options.source.exists():
        raise SettingError(f"There is no {options.source}.")
    known = (*formats.FORMATS, FOREST, "minari", "")
    if options.source_format not in known:
        raise SettingError(f"--from {options.source_format!r} is unknown: give one of {', '.join(known[:-1])}.")
    target = options.to or ("chat" if options.out.suffix in (".jsonl", ".json") else FOREST)
    if target not in TARGETS and (options.reward or options.least is not None):
        raise SettingError(f"--reward and --least are of data sets: give --to {', '.join(TARGETS)}, not {target}.")
    name = options.source_format or _recognised(options.source)
    seen = _Seen()
    row = {"source": str(options.source), "out": str(options.out), "from": name, "to": target}
    if target in TARGETS:
        row["written"] = _data_set(options, name, target, seen)
    else:
        _convert(options.source, name, options.out, target, seen)
    if options.json:
        found = [{"line": fault.line, "reason": fault.reason} for fault in seen.first]
        output.document({**row, "read": seen.read, "faults": seen.faults, "found": found})
    else:
        rows = f", {row['written']} rows" if target in TARGETS else ""
        unread = "could not be used" if target in TARGETS else "could not be read"
        output.say(f"{options.out}: {seen.read} records from {name} to {target}{rows}, {seen.faults} {unread}.")
    return output.FOUND if seen.faults else output.DONE


def _parser() -> output.Parser:
    parser = output.Parser(
        prog="milepost convert",
        description="Convert stored conversations. A record that cannot be read is named and left out.",
        epilog="Formats: " + "; ".join(f"{name}: {text}" for name, (_, text) in formats.FORMATS.items()) + "; "
        "forest: a folder that milepost stored; minari: the folder of a Minari data set (read only). Data sets, from "
        "conversations with rewards or from grown forests: "
        + "; ".join(f"{name}: {text}" for name, text in TARGETS.items())
        + ".",
    )
    parser.add_argument("source", type=Path, help="a file, the folder of a stored forest or of a Minari data set")
    parser.add_argument("out", type=Path, help="what to write, which must not exist yet")
    parser.add_argument("--from", dest="source_format", default="", metavar="FORMAT", help="by default recognised")
    parser.add_argument(
        "--to", default="", metavar="FORMAT",
        help=f"one of {', '.join((FOREST, *formats.WRITABLE))}, by default chat for a file.jsonl, else forest; or a "
        f"data set of TRL's trainers: {', '.join(TARGETS)}",
    )  # fmt: skip
    parser.add_argument(
        "--reward", default="", metavar="NAME",
        help="of a data set: what counts; by default total, else outcome, else the only one",
    )  # fmt: skip
    parser.add_argument(
        "--least", type=float, default=None, metavar="VALUE",
        help="of sft and kto: the smallest reward that is good, 1 by default",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    return parser


@dataclass
class _Seen:
    """Counts of records; faults are named on standard error as they come."""

    read: int = 0
    faults: int = 0
    first: list[Fault] = field(default_factory=list[Fault])

    def good(self, found: Iterable[Any]) -> Iterator[Any]:
        """What could be read."""
        for one in found:
            if isinstance(one, Fault):
                self.bad(one)
            else:
                self.read += 1
                yield one

    def trees(self, forests: Iterable[Forest]) -> Iterator[Forest]:
        """Forests, their trees counted."""
        for forest in forests:
            self.read += len(forest.roots())
            yield forest

    def bad(self, fault: Fault) -> None:
        """Count and name what is left out."""
        self.faults += 1
        self.first += [fault] if len(self.first) < _LISTED else []
        output.warn(str(fault))


def _recognised(source: Path) -> str:
    if source.is_dir():
        minari = (source / "data" / "metadata.json").is_file() or (source / "main_data.hdf5").is_file()
        return "minari" if minari else FOREST
    return formats.detect(source)


def _convert(source: Path, name: str, out: Path, target: str, seen: _Seen) -> None:
    if name == "minari":
        from milepost.bridges import minari

        if target != FOREST:
            raise SettingError("Episodes of Minari are no conversations: they are converted to a forest only.")
        _store(seen.good(minari.episodes(source)), out)
        return
    traces: Iterator[Trace] = seen.good(_stored(source) if name == FOREST else formats.read(source, name))
    if target != FOREST:
        formats.write(traces, out, target)
        return
    from milepost.traces.forests import forest_of

    _store((forest_of(batch) for batch in _batches(traces)), out)


def _data_set(options: Any, name: str, target: str, seen: _Seen) -> int:
    """Write the rows of a data set as JSON lines, and count them."""
    from milepost.engines.stored.sets import DataSet

    if name == "minari":
        raise SettingError("Episodes of Minari are no conversations: there is nothing to say in a data set of texts.")
    made = DataSet(target=target, reward=options.reward, least=1.0 if options.least is None else options.least)
    if name == FOREST:
        rows = made.of_forests(seen.trees(_forests(options.source)))
    else:
        rows = made.of_traces(seen.good(formats.read(options.source, name)))
    dumps = load("orjson", extra="traces", purpose="Writing traces").dumps
    written = 0
    with options.out.open("xb") as file:
        for row in rows:
            if isinstance(row, Fault):
                seen.bad(row)
            else:
                file.write(dumps(row) + b"\n")
                written += 1
    return written


def _forests(folder: Path) -> Iterator[Forest]:
    """A stored forest, or the forests of a run."""
    from milepost.report.stored import run

    for place in [one.folder for one in run.stored(folder / "forests")] or [folder]:
        yield storage.read(place)


def _stored(folder: Path) -> Iterator[Trace]:
    """Traces of a stored forest, or of the forests of a run, one forest at a time."""
    from milepost.traces.forests import traces_of

    for forest in _forests(folder):
        yield from traces_of(forest)


def _batches(traces: Iterable[Trace]) -> Iterator[list[Trace]]:
    batch: list[Trace] = []
    rows = 0
    for trace in traces:
        batch.append(trace)
        rows += len(trace.messages)
        if rows >= ROWS_AT_ONCE:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch


def _store(forests: Iterable[Forest], out: Path) -> None:
    """Write forests: one to the folder itself, several to `forests/step-<number>` below it, as runs have them."""
    from milepost.forest import Forest

    held: list[Forest] = []
    written = 0
    for forest in forests:
        if held and sum(map(len, held)) + len(forest) > ROWS_AT_ONCE:
            storage.write(Forest.concatenate(held), out / "forests" / f"step-{written:06d}")
            held, written = [], written + 1
        held.append(forest)
    last = out / "forests" / f"step-{written:06d}" if written else out
    storage.write(Forest.concatenate(held), last)
