"""Text, tables, JSON and errors."""

import json
import math

import pytest

from milepost.cli import output
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
