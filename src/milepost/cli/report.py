"""`milepost report`: one self-contained HTML file about a run, or linked pages about a triage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from milepost.cli import output, traces
from milepost.engines import repeats
from milepost.errors import SettingError
from milepost.report.traces import table


def main(argv: Sequence[str]) -> int:
    """Write a report.

    With --json: an object with `reports`, an array of `run` and `report` (paths) and `bytes`; of a triage `report`,
    `pages` and `bytes`.
    """
    parser = output.Parser(
        prog="milepost report", description="Write one HTML file about a run, without script, that opens from disk."
    )
    parser.add_argument("run", type=Path, help="folder of a run, of repeats, or of a triage")
    parser.add_argument(
        "-o", "--out", type=Path, help="file to write; by default report.html in the run's folder; of a triage a folder"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.add_argument("--source", type=Path, help="of a triage: where the conversations are, if not beside it")
    options = parser.parse_args(argv)
    if table.is_triage(options.run):
        return traces.report(options.run, options.out, options.source, as_json=options.json)
    folders = repeats.runs_in(output.existing(options.run, "report"))
    if options.out is not None and len(folders) > 1:
        raise SettingError(f"{options.run} holds {len(folders)} runs, and --out names one file: leave --out away.")
    written = [(folder, write(folder, options.out or folder / "report.html")) for folder in folders]
    if options.json:
        rows = [{"run": str(run), "report": str(path), "bytes": path.stat().st_size} for run, path in written]
        output.document({"reports": rows})
    else:
        output.say("\n".join(f"report: {path}" for _, path in written))
    return output.DONE


def write(folder: Path, out: Path) -> Path:
    """Write the report of a run; what draws it is imported here, because it is an extra.

    Args:
        folder: the run's folder.
        out: the file to write.

    Returns:
        The file.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    from milepost import optional

    optional.load("jinja2", extra="report", purpose="The HTML report")
    from milepost.report import page

    return page.write(folder, out)
