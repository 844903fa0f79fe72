"""`milepost doctor` finds what is wrong with a reward, and says so by its exit code."""

import json
import re
import time
from pathlib import Path

import pytest

from milepost.cli import doctor
from milepost.errors import FormatError, SettingError
from milepost.evaluation.diagnosis.questions import Case

GOLD = "".join(json.dumps({"prompt": f"{n} + {n} =", "answer": str(2 * n)}) + "\n" for n in range(11, 23))
SOUND = "def exact(completions, answer, **_): return [float(a == b) for a, b in zip(completions, answer)]\n"
HOLLOW = "def kind(completions, **_): return [1.0 for _ in completions]\n"
PROGRAM = """
def compute_reward(prompt, completion, record):
    return float(completion == record["answer"])
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gold.jsonl").write_text(GOLD)
    (tmp_path / "few.jsonl").write_text("".join(GOLD.splitlines(keepends=True)[:4]))
    (tmp_path / "sound.py").write_text("import math\ndef _own(): ...\n" + SOUND)
    (tmp_path / "hollow.py").write_text(HOLLOW)
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "thief.py").write_text("def compute_reward(**_): return len(open('gold.jsonl').read())\n")
    (tmp_path / "two.py").write_text(SOUND + HOLLOW)
    return tmp_path


@pytest.fixture
def ask(folder, capsys):
    def run(*arguments):
        code = doctor.main([*arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def problems(found):
    return [one["check"] for one in found["findings"] if not one["ok"]]


def test_a_sound_reward(ask):
    code, (found,) = ask("sound.py", "--reference", "gold.jsonl")
    assert (code, found["fit"], found["cases"]) == (0, True, 12)


def test_a_hollow_reward(ask):
    code, (found,) = ask("hollow.py:kind", "--reference", "gold.jsonl")
    assert code == 1
    assert "nonsense is not paid" in problems(found)


@pytest.mark.parametrize("level", ["interpreter", "process"])
def test_a_program_in_a_jail(ask, level):
    code, (found,) = ask("program.py", "--reference", "few.jsonl", "--jail", level)
    assert (code, found["fit"]) == (0, True), problems(found)
    code, (found,) = ask("thief.py", "--reference", "few.jsonl", "--jail", level)
    assert code == 1
    assert {"never fails", "accepts references"} <= set(problems(found))


def test_the_hole_of_game_of_life_halting(ask):
    code, (found,) = ask("game_of_life_halting")
    assert code == 1
    nonsense = next(one for one in found["findings"] if one["check"] == "nonsense is not paid")
    assert "such as 'xx'" in nonsense["text"]
    assert nonsense["measure"] > 0.5


def test_the_hole_of_coin_flip_and_a_sound_generator(ask):
    assert "no constant pays" in problems(ask("coin_flip")[1][0])
    assert ask("chain_sum", "--tasks", "8")[0] == 0


def test_generators_that_run_code_are_not_asked(ask):
    code, (found,) = ask("n_queens")
    assert (code, found["refused"]) == (1, "its scorer runs the answer as Python code")


def test_levels(ask, monkeypatch):
    code, found = ask("--jail")
    assert code == 0
    assert [one["level"] for one in found] == ["interpreter", "process"]
    assert all(attack["refused"] for one in found for attack in one["probes"])


def test_what_is_printed(folder, capsys, monkeypatch):
    assert doctor.main(["hollow.py", "--reference", "gold.jsonl"]) == 1
    text = capsys.readouterr().out
    assert text.startswith("hollow.py: not fit to train on")
    assert "PROBLEM  nonsense is not paid" in text
    monkeypatch.setattr(doctor, "_generators", lambda: ["chain_sum", "coin_flip", "n_queens"])
    assert doctor.main(["reasoning-gym", "--tasks", "8"]) == 1
    assert capsys.readouterr().out.strip().endswith("1 fit, 1 with problems, 1 not examined")
    assert doctor.main(["n_queens"]) == 1
    assert "not examined, because" in capsys.readouterr().out
    assert doctor.main(["--jail"]) == 0
    assert "read a file" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Name a reward"),
        (["sound.py"], "add --reference"),
        (["two.py", "--reference", "gold.jsonl"], "2 public functions"),
        (["absent.py", "--reference", "gold.jsonl"], "does not exist"),
        (["sound.py", "--reference", "absent.jsonl"], "does not exist"),
        (["sound.py", "--reference", "gold.jsonl", "--template", "x"], "no place for the answer"),
        (["program.py", "--reference", "gold.jsonl", "--jail", "external"], "from Python only"),
        (["sound.py", "--reference", "gold.jsonl", "--jail", "process"], "is given any of prompt, completion"),
        (["os:getpid", "--reference", "gold.jsonl", "--jail", "process"], "--jail runs a file"),
    ],
)
def test_wrong_usage(folder, arguments, said):
    with pytest.raises(SettingError, match=said):
        doctor.main(arguments)


@pytest.mark.parametrize(
    ("text", "said"), [("[1]\n", "has no 'completion'"), ("{\n", "is not JSON"), ('{"answer": "1"}\n', "has 1 tasks")]
)
def test_references_that_are_none(tmp_path, text, said):
    (tmp_path / "gold.jsonl").write_text(text)
    with pytest.raises(FormatError, match=said):
        doctor.read_cases(tmp_path / "gold.jsonl")


def test_references_by_their_field(tmp_path):
    lines = [{"completion": "a", "answer": "b"}, {"answer": 7}, {"references": ["c", "d"]}]
    (tmp_path / "gold.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    assert [case.reference for case in doctor.read_cases(tmp_path / "gold.jsonl")] == ["a", "7", "c"]


def test_a_template_stands_around_the_answer():
    from milepost.rewards.text import Format

    cases = [Case(record={"prompt": "?"}, reference=text) for text in ("a", "b", "c")]
    found = doctor.diagnose(Format(), cases, source="format", template="<answer>{}</answer>")
    assert {"nonsense is not paid", "wrong answers are not paid"} <= {one.check for one in found.findings if not one.ok}


def test_a_file_that_is_not_python(tmp_path):
    (tmp_path / "x.py").write_text("def (:")
    with pytest.raises(SettingError, match="is not Python"):
        doctor.only_function(tmp_path / "x.py")


@pytest.mark.parametrize(
    ("takes", "given"),
    [
        ("completion, record", ("completion", "record")),
        ("references, *, prompt", ("prompt", "references")),
        ("completion, weight=2", ("completion",)),
        ("**fields", ("prompt", "completion", "record")),
        ("references, **fields", ("prompt", "completion", "record", "references")),
    ],
)
def test_a_program_is_given_what_it_takes(takes, given):
    assert doctor.fields_of(f"def other(x): ...\ndef f({takes}): raise SystemExit", "f") == given


@pytest.mark.parametrize("takes", ["", "text", "completion, /", "completion, *, text", "weight=1"])
def test_a_program_that_asks_for_something_else(takes):
    with pytest.raises(SettingError, match="is given any of prompt, completion, record, references"):
        doctor.fields_of(f"def f({takes}): ...", "f")


def test_a_name_that_is_no_function_is_given_the_usual():
    assert doctor.fields_of("def f(:", "f") == ("prompt", "completion", "record")
    assert doctor.fields_of("f = print", "f") == ("prompt", "completion", "record")


def test_the_program_of_the_page(ask, folder):
    page = Path(__file__).parents[2] / "docs" / "how-to" / "doctor.md"
    (source,) = re.findall(r'Program\(source="(.*)"\)', page.read_text())
    (folder / "page.py").write_text(source)
    code, (found,) = ask("page.py", "--reference", "few.jsonl", "--jail", "process")
    assert (code, found["fit"]) == (0, True), problems(found)


def test_a_program_without_end_is_asked_no_further(folder, capsys):
    (folder / "endless.py").write_text("def compute_reward(completion):\n    while True: pass\n")
    begun = time.monotonic()
    assert doctor.main(["endless.py", "--reference", "gold.jsonl", "--jail", "process"]) == 1
    assert time.monotonic() - begun < 20
    text = capsys.readouterr().out
    assert "(5 answers to 12 tasks)" in text
    assert "PROBLEM  too slow  5 answers in a row took too long" in text


def test_it_says_how_far_it_is(folder, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "_SAY_EVERY_S", 0.0)
    doctor.main(["program.py", "--reference", "gold.jsonl", "--jail", "interpreter"])
    said = capsys.readouterr().err
    assert "asked: 10 of " in said
    assert "asked again: 10 of " in said


def test_what_fails_always_is_not_measured(folder, capsys):
    (folder / "broken.py").write_text("def compute_reward(completion): return 1 / 0\n")
    assert doctor.main(["broken.py", "--reference", "gold.jsonl", "--jail", "interpreter"]) == 1
    rows = {row[14:].split("  ")[0].strip(): row[:12].strip() for row in capsys.readouterr().out.splitlines()[1:]}
    bad = ["accepts references", "never fails"]
    assert [check for check, verdict in rows.items() if verdict == "PROBLEM"] == bad
    assert [check for check, verdict in rows.items() if verdict == "ok"] == ["fast"]
