"""The command `milepost`: verbs in files of their own, imported when they are called.

Exit codes: 0 done, 1 found a problem that it was asked to look for, 2 wrong usage, 3 failed or interrupted.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

import milepost
from milepost.cli import output
from milepost.errors import MilepostError, unknown_name

VERBS = {
    "list": ("listing", "the recipes: name, year, domains, title"),
    "explain": ("explain", "one recipe: parts, departures, claims, cost, citation"),
    "run": ("run", "train with a recipe: settings from defaults, then a TOML file, then flags"),
    "resume": ("resume", "continue a run that was stopped or killed, to the same bytes"),
    "show": ("show", "a run, a stored forest or one of its steps, in the terminal"),
    "report": ("report", "one self-contained HTML file about a run"),
    "compare": ("compare", "two recipes or finished runs at equal cost, paired, with intervals"),
    "cite": ("cite", "BibTeX of a recipe, or of what a run used"),
    "check": ("check", "the credit of a stored run, or the claims of a recipe"),
    "convert": ("convert", "stored conversations from one format to another, to forests, or to data sets of TRL"),
    "doctor": ("doctor", "a reward: is it fit to train on? and which levels of isolation does this machine have?"),
    "triage": ("triage", "which of many stored conversations to read: signals, near duplicates, a selection"),
    "score": ("score", "stored trajectories scored again with another reward, into a new folder"),
}
"""Verb to the module that holds it and one line of help."""


SURROUNDINGS = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""What the command sets for the libraries it starts, unless the user did: no network, no bars across its own lines."""


def overview() -> str:
    """Text of `milepost --help`."""
    width = max(len(verb) for verb in VERBS)
    lines = [f"  {verb:<{width}}  {help_line}" for verb, (_, help_line) in VERBS.items()]
    return "\n".join(
        [
            "usage: milepost <command> [arguments]",
            "",
            "Reward-guided trajectory sampling: grow trajectories, score their steps, turn scores into credit, train.",
            "",
            "commands:",
            *lines,
            "",
            "Each command has --help and --json. Start with: milepost run @ examples/demo.toml",
            "Exit codes: 0 done, 1 found a problem it was asked to look for, 2 wrong usage, 3 failed or interrupted.",
            "MILEPOST_DEBUG=1 shows the traceback of an error.",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments without the program's name; by default those of the process.

    Returns:
        The exit code.
    """
    arguments = [*(sys.argv[1:] if argv is None else argv)]
    if not arguments:
        sys.stderr.write(overview() + "\n")
        return output.WRONG_USAGE
    if arguments[0] in ("-h", "--help", "help"):
        output.say(overview())
        return output.DONE
    if arguments[0] == "--version":
        output.say(f"milepost {milepost.__version__}")
        return output.DONE
    return _guarded(arguments[0], arguments[1:])


def _guarded(verb: str, arguments: Sequence[str]) -> int:
    """Run a verb; what milepost raises on purpose becomes one message and an exit code."""
    for name, value in SURROUNDINGS.items():
        os.environ.setdefault(name, value)
    try:
        if verb not in VERBS:
            raise unknown_name("command", verb, VERBS)
        return int(import_module(f"milepost.cli.{VERBS[verb][0]}").main(arguments))
    except SystemExit as stop:  # the parsers leave this way, with 0 after --help and 2 after wrong usage
        return stop.code if isinstance(stop.code, int) else output.DONE
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return output.DONE
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return output.FAILED
    except (MilepostError, OSError) as error:
        if os.environ.get("MILEPOST_DEBUG"):
            traceback.print_exc()
        return output.refuse(verb, arguments, error)
    except Exception:  # noqa: BLE001 - Python's own exit code 1 means something else here
        traceback.print_exc()
        return output.FAILED
