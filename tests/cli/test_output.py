"""Text, tables, JSON and errors."""

import json
import math
import sys
from pathlib import Path

import pytest

from milepost.cli import main, output
from milepost.errors import FormatError, MissingExtra, ResumeError, SettingError, UnknownName, unknown_name


def test_control_characters_are_shown_not_obeyed(capsys):
    output.say("a\x1b[31mb\u202ec\td")
    assert capsys.readouterr().out == "a⟨U+001B⟩[31mb⟨U+202E⟩c\td\n"


def test_json_has_no_nan(capsys):
    output.document({"a": [math.nan, 1.5, (math.inf, None)], 3: True})
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.5, [None, None]], "3": True}


def test_a_line_is_one_line(capsys):
    output.line({"text": "two\nlines \u2028 \x1b"})
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert said.isascii()


def test_table():
    assert output.table([("a", "bb"), ("ccc", "d"), ("e",)]) == "a    bb\nccc  d\ne"
    assert output.table([]) == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [(SettingError("x"), 2), (UnknownName("x"), 2), (FormatError("x"), 3), (ResumeError("x"), 3), (OSError("x"), 3)],
)
def test_exit_codes(error, code, capsys):
    assert output.refuse("run", ["grpo"], error) == code
    assert capsys.readouterr().err.startswith("milepost run: x")


def test_errors_as_json(capsys):
    output.refuse("explain", ["grop", "--json"], unknown_name("recipe", "grop", ["grpo"]))
    found = json.loads(capsys.readouterr().out)["error"]
    assert (found["kind"], found["next"]) == ("UnknownName", "milepost list")


def test_the_next_command():
    assert output.next_command("run", ["grpo", "--steps", "0"], SettingError("x")) == "milepost run grpo --help"
    assert output.next_command("run", ["@", "a.toml"], SettingError("x")) == "milepost run --help"
    assert output.next_command("lst", [], unknown_name("command", "lst", ["list"])) == "milepost --help"
    assert output.next_command("run", [], MissingExtra("pip install 'milepost[lm]'")) == ""
    assert output.next_command("report", [], FormatError("start one with `milepost run`")) == ""


def test_a_path_that_is_not_there_names_the_latest_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match=r"runs/x does not exist. Start a run: `milepost run grpo`"):
        output.existing(Path("runs/x"), "show")
    (tmp_path / "runs" / "grpo-1").mkdir(parents=True)
    (tmp_path / "runs" / "grpo-1" / "run.toml").write_text("")
    with pytest.raises(SettingError, match="The latest run here: `milepost show runs/grpo-1`"):
        output.existing(Path("runs/x"), "show")
    assert output.existing(Path("runs"), "show") == Path("runs")


@pytest.mark.parametrize("verb", ["list", "show", "report", "cite", "check", "explain", "score", "resume", "run grpo"])
def test_an_unknown_flag_looks_the_same_everywhere(verb, capsys):
    given = [*verb.split(), *(["x", "--reward", "a:b", "--out", "y"] if verb == "score" else ["x"] * (verb != "list"))]
    assert main([*(given[:2] if verb == "run grpo" else given), "--nope"]) == 2
    first, following, *rest = capsys.readouterr().err.splitlines()
    assert first.startswith(f"milepost {given[0]}: Unknown flag '--nope'.")
    assert following.startswith(f"Next: milepost {given[0]}")
    assert not rest


def test_what_a_parser_says_in_a_box_is_one_sentence():
    def boxed():
        sys.stderr.write("╭─ Value error ─╮\n│ Error parsing --n: no number │\n│ For full helptext, run x │\n╰──╯\n")
        raise SystemExit(2)

    with pytest.raises(SettingError, match=r"^--n: no number$"):
        output.parsed(boxed)
    assert output.parsed(lambda: 3) == 3
