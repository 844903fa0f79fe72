"""Dispatch: overview, exit codes, one clear message, what is imported."""

import json
import subprocess
import sys

import pytest

import milepost
from milepost.cli import VERBS, main


def python(*arguments, **more):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, **more)


def test_overview_names_every_verb(call):
    done = call("--help")
    assert done.code == 0
    assert all(f"\n  {verb} " in done.out for verb in VERBS)
    assert "Exit codes: 0 done, 1 found a problem" in done.out


def test_without_a_command_it_is_wrong_usage(call):
    done = call()
    assert done.code == 2
    assert "usage: milepost" in done.err
    assert done.out == ""


def test_version(call):
    assert call("--version").out == f"milepost {milepost.__version__}\n"


def test_an_unknown_command_names_the_nearest(call):
    done = call("explian", "barge")
    assert done.code == 2
    assert "Did you mean 'explain'?" in done.err
    assert "Next: milepost --help" in done.err


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_help_and_json(call, verb):
    done = call(verb, "barge", "--help") if verb == "run" else call(verb, "--help")
    assert done.code == 0
    assert "--json" in done.out


def test_an_error_of_ours_has_no_traceback_but_with_debug(call, monkeypatch):
    assert "Traceback" not in call("explain", "x").err
    monkeypatch.setenv("MILEPOST_DEBUG", "1")
    assert "Traceback" in call("explain", "x").err


def test_an_error_that_is_a_bug_has_code_3_and_its_traceback(call, engine):
    engine.error = RuntimeError("surprise")
    done = call("run", "barge", "--steps", "1")
    assert done.code == 3
    assert "RuntimeError: surprise" in done.err


def test_an_error_of_the_system_has_code_3(call, engine, tmp_path):
    (tmp_path / "here" / "file").write_text("")
    done = call("run", "barge", "--out", "file/run")
    assert done.code == 3
    assert "Traceback" not in done.err


def test_a_reader_that_stops_early_is_no_error(tmp_path):
    command = f"{sys.executable} -m milepost.cli list --json | head -c 1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0


def test_as_a_program():
    done = python("-m", "milepost.cli", "explain", "nothing-of-the-kind", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["kind"] == "UnknownName"


LIGHT = """
import sys
from milepost.cli import main
for words in (["--help"], ["list"], ["list", "--json"], ["run", "--help"], ["compare", "--help"]):
    code = main(words)
    assert code == 0, (words, code)
heavy = {"torch", "tyro", "numpy", "pyarrow", "transformers", "rich"} & set(sys.modules)
assert not heavy, heavy
"""


def test_overview_list_and_help_import_nothing_heavy():
    done = python("-c", LIGHT)
    assert done.returncode == 0, done.stderr


HELP_OF_A_RECIPE = """
import sys
from milepost import recipe
from milepost.cli import main
for name in recipe.names():
    assert main(["run", name, "--help"]) == 0
heavy = {"torch", "pyarrow", "transformers", "reasoning_gym"} & set(sys.modules)
assert not heavy, heavy
"""


def test_flags_of_a_recipe_do_not_import_what_it_composes():
    done = python("-c", HELP_OF_A_RECIPE)
    assert done.returncode == 0, done.stderr


def test_main_returns_an_exit_code(capsys):
    assert main(["--help"]) == 0
