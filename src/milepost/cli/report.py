"""`milepost report`: one self-contained HTML file about a run, a search or an experiment, or pages about a triage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from milepost import recipe
from milepost.cli import flags, output, traces
from milepost.engines import repeats, searching
from milepost.engines.experiments import run as experiments
from milepost.errors import FormatError, SettingError
from milepost.report.traces import table


def main(argv: Sequence[str]) -> int:
    """Write a report.

    With --json: an object with `reports`, an array of `run` and `report` (paths) and `bytes`; of a triage `report`,
    `pages` and `bytes`.
    """
    parser = output.Parser(
        prog="milepost report", description="Write one HTML file about a run, without script, that opens from disk."
    )
    parser.add_argument(
        "run", type=Path, help="folder of a run, of repeats, of a search, of an experiment or of a triage"
    )
    parser.add_argument(
        "-o", "--out", type=Path, help="file to write; by default report.html in the run's folder; of a triage a folder"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.add_argument("--source", type=Path, help="of a triage: where the conversations are, if not beside it")
    options = parser.parse_args(argv)
    if table.is_triage(options.run):
        return traces.report(options.run, options.out, options.source, as_json=options.json)
    folders = _folders(output.existing(options.run, "report"))
    if options.out is not None and len(folders) > 1:
        raise SettingError(f"{options.run} holds {len(folders)} runs, and --out names one file: leave --out away.")
    written = [(folder, write(folder, options.out or folder / "report.html")) for folder in folders]
    if options.json:
        rows = [{"run": str(run), "report": str(path), "bytes": path.stat().st_size} for run, path in written]
        output.document({"reports": rows})
    else:
        output.say("\n".join(f"report: {path}" for _, path in written))
    return output.DONE


def _folders(folder: Path) -> tuple[Path, ...]:
    """What there is to report on in a folder: itself, or its repeats."""
    if searching.is_search(folder) or experiments.is_experiment(folder):
        return (folder,)
    chosen = folder / "run.toml"
    if chosen.is_file() and recipe.card(str(flags.read_file(chosen).get("recipe", ""))).job in ("search", "evaluate"):
        raise FormatError(f"{folder} was begun and not finished. Do it again: `milepost run @ {chosen} --out ...`.")
    return repeats.runs_in(folder)


def write(folder: Path, out: Path) -> Path:
    """Write the report of a run, a search or an experiment; what draws it is imported here, because it is an extra.

    Args:
        folder: the folder.
        out: the file to write.

    Returns:
        The file.

    Raises:
        FormatError: a file of the folder is damaged.
        MissingExtra: jinja2 is not installed.
    """
    from milepost import optional

    optional.load("jinja2", extra="report", purpose="The HTML report")
    from milepost.report import experiments as measured
    from milepost.report import page, searches

    if searching.is_search(folder):
        return searches.write(folder, out)
    if experiments.is_experiment(folder):
        return measured.write(folder, out)
    return page.write(folder, out)
