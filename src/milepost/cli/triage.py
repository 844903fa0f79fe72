"""`milepost triage`: signals, near duplicates and a selection for files of conversations of any size."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from milepost.cli import output
from milepost.curation.selection.rules import ByLength, BySignals, Random, Rule, Selection, Stratified
from milepost.curation.signals.taxonomy import GROUPS, KINDS, LAYERS
from milepost.engines.triage.run import Done, Triage, triage

RULES = ("signals", "length", "stratified", "random")


def main(argv: Sequence[str]) -> int:
    """Triage files of conversations; exit code 1 when records of them could not be read.

    With --json: an object with `source`, `out`, `files`, `formats`, `traces`, `faults`, `duplicates`, `kept`,
    `sentinel`, `expected`, `seconds`, `levels`, and `signals`, an array of `layer`, `group`, `kind`, `traces`, `kept`.
    """
    options = _parser().parse_args(argv)
    rule = _rule(options.rule, tuple(options.without))
    selection = Selection(rule=rule, keep=options.keep, sentinel=options.sentinel, seed=options.seed)
    settings = Triage(selection=selection, alike=options.alike, workers=options.workers or os.cpu_count() or 1)
    out = options.out or options.source.with_name(f"{options.source.name}.triage")
    start = time.perf_counter()
    done = _done(options, out, settings)
    row = _row(options.source, out, done, time.perf_counter() - start)
    (out / "report.txt").write_text(_text(row, options) + "\n", encoding="utf-8")
    if options.json:
        output.document(row)
    else:
        output.say(_text(row, options))
    return output.FOUND if done.faults else output.DONE


def _done(options: argparse.Namespace, out: Path, settings: Triage) -> Done:
    if not options.ray:
        return triage(options.source, out, settings, form=options.format, tell=lambda _: None)
    from milepost.engines.on_ray.cluster import cluster
    from milepost.engines.on_ray.traces import scanning

    with cluster(options.ray):
        source, out = options.source.resolve(), out.resolve()
        return triage(source, out, settings, form=options.format, tell=lambda _: None, scanning=scanning)


def _parser() -> argparse.ArgumentParser:
    parser = output.Parser(
        prog="milepost triage",
        description="Find the stored conversations that are worth reading. The traces are only read; the result is a "
        "folder with traces.parquet (one row each: signals, severities, score, keep, inclusion, duplicate_of), "
        "signals.parquet (one row per signal), faults.parquet and report.txt.",
    )
    parser.add_argument("source", type=Path, help="a file of conversations, or a folder of such files")
    parser.add_argument("--keep", type=float, default=0.2, help="share to keep, as an expectation; default 0.2")
    parser.add_argument("--out", type=Path, help="folder to write, which must not exist; default SOURCE.triage")
    parser.add_argument("--rule", choices=RULES, default="signals", help="what goes first; default signals")
    parser.add_argument("--without", action="append", default=[], metavar="KIND", help="signal that does not count")
    parser.add_argument("--sentinel", type=float, default=0.2, help="share of the kept that is drawn uniformly")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--alike", type=float, default=0.8, help="resemblance of near duplicates; above 1: none")
    parser.add_argument("--workers", type=int, default=0, help="processes; default one per processor")
    parser.add_argument("--ray", metavar="ADDRESS", default="", help='on a cluster of Ray; "auto": the one at hand')
    parser.add_argument("--format", default="", help="of the files; by default recognised, see milepost convert --help")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    return parser


def _rule(name: str, without: tuple[str, ...]) -> Rule:
    rules: dict[str, Rule] = {"length": ByLength(), "stratified": Stratified(), "random": Random()}
    return rules.get(name) or BySignals(without=without)


def _row(source: Path, out: Path, done: Done, seconds: float) -> dict[str, Any]:
    chosen = done.chosen
    counts = dict(zip(KINDS, zip(chosen.kinds, chosen.kinds_kept, strict=True), strict=True))
    return {
        "source": str(source),
        "out": str(out),
        "files": done.files,
        "formats": done.formats,
        "traces": chosen.traces,
        "faults": done.faults,
        "duplicates": chosen.duplicates,
        "kept": chosen.kept,
        "sentinel": chosen.sentinel,
        "expected": round(chosen.expected, 3),
        "seconds": round(seconds, 3),
        "levels": chosen.levels,
        "signals": [
            {"layer": layer, "group": group, "kind": kind, "traces": counts[kind][0], "kept": counts[kind][1]}
            for layer, groups in LAYERS.items()
            for group in groups
            for kind in GROUPS[group]
        ],
    }


def _text(row: dict[str, Any], options: argparse.Namespace) -> str:
    size = max(row["traces"], 1)
    lines = [
        (one["layer"], one["group"], one["kind"], str(one["traces"]), f"{one['traces'] / size:.1%}", str(one["kept"]))
        for one in row["signals"]
        if one["traces"]
    ]
    rate = row["traces"] / row["seconds"] if row["seconds"] else 0.0
    read = (
        f"{row['traces']} traces in {row['files']} files ({', '.join(row['formats'])}), {rate:.0f} a second; "
        f"{row['faults']} records could not be read, {row['duplicates']} are near duplicates of an earlier one."
    )
    kept = (
        f"Kept by {options.rule}: {row['kept']} ({row['expected']:.0f} expected), of them {row['sentinel']} drawn "
        "uniformly from all."
    )
    caution = (
        "The kept are enriched: their rates are not those of the pool. Divide by `inclusion` to estimate a rate, or "
        "read the sentinels alone."
    )
    table = output.table([("layer", "group", "signal", "traces", "share", "kept"), *lines])
    return "\n".join([read, kept, "", table, "", caution, f"Tables: {row['out']}"])
