"""`milepost resume`: continue a run, or a set of repeats, to the same bytes as if it had not been stopped."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from milepost.cli import flags, output, progress, run
from milepost.engines import repeats, toml_file
from milepost.engines.repeats import Standing
from milepost.errors import SettingError


def main(argv: Sequence[str]) -> int:
    """Continue a run.

    With --json: the lines of `milepost run --json`.
    """
    parser = output.Parser(
        prog="milepost resume",
        description="Continue a run that was stopped or killed; the result has the same bytes as an uninterrupted run.",
    )
    parser.add_argument("run", type=Path, help="folder of a run, or of repeats")
    parser.add_argument(
        "--accept-change",
        action="store_true",
        help="continue though settings, data, rewards, code or versions changed; the result may then differ",
    )
    parser.add_argument("--repeats", type=int, default=0, help="more repeats than were asked for at the start")
    parser.add_argument("--track", default="", help="trackers by comma: tensorboard, trackio")
    parser.add_argument("--no-report", action="store_true", help="write no report.html")
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    options = parser.parse_args(argv)
    try:
        found = _continue(options)
    except KeyboardInterrupt:
        return run.interrupted(options.run, as_json=options.json)
    run.conclude(found, options.run, as_json=options.json, with_report=not options.no_report)
    return output.DONE


def _continue(options: argparse.Namespace) -> tuple[Standing, ...]:
    folder: Path = output.existing(options.run, "resume")
    track = flags.comma_separated(options.track)
    asked = repeats.asked(folder)
    if options.repeats and not asked:
        raise SettingError(f"{folder} is not a folder of repeats: start them with `milepost run <recipe> --repeats 5`.")
    with progress.view(as_json=options.json) as view:
        if not asked:
            began = repeats.standing(folder).settings
            limits = began.cost
            if not options.json:
                output.say(run.loading(began))
            accept = options.accept_change
            return (repeats.resume(folder, on_event=view.of("", limits), accept_change=accept, track=track),)
        settings = toml_file.read(folder / "run.toml")
        count = max(asked, options.repeats)
        tellers = [view.of(f"repeat {number}", settings.cost) for number in range(count)]
        return repeats.repeat(
            settings,
            count,
            folder,
            on_event=lambda number, event: tellers[number](event),
            track=track,
            accept_change=options.accept_change,
        )
