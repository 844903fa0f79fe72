from pathlib import Path

import pytest

from milepost import storage
from milepost.errors import FormatError, UnknownName
from milepost.forest import Forest
from milepost.report import terminal
from tests.report import worlds
from tests.report.hostile import STRINGS


@pytest.fixture
def flat(tmp_path):
    storage.write(worlds.answers(6, 12, fail=0.1), tmp_path)
    return tmp_path


@pytest.fixture
def deep(tmp_path):
    storage.write(worlds.tree(), tmp_path)
    return tmp_path


def test_address():
    assert terminal.address("a/b") == terminal.Address(folder=Path("a/b"), row=None)
    assert terminal.address("a#b/c#17") == terminal.Address(folder=Path("a#b/c"), row=17)
    for wrong in ("a#", "a#x", "a#-1", "a#\u0661"):
        with pytest.raises(UnknownName, match="whole number"):
            terminal.address(wrong)


def test_trees(flat):
    found = terminal.lines(flat)
    assert found[0].startswith("72 steps, 8 trees, 64 trajectories")
    text = "\n".join(found)
    assert "#0 chain_sum:1000000  mean return" in text
    assert sum(line.lstrip().startswith(("├", "└")) for line in found) == 64
    assert "failed (reward_" in text
    assert "token limit" in text


def test_credit_is_written_with_its_sign(flat):
    from milepost.report.stored import steps

    stored = steps.read(flat)
    row = next(r for r in range(len(stored)) if (stored.number("advantage", r) or 0) < 0)
    (line,) = [line for line in terminal.lines(flat) if f"#{row} " in line]
    assert f"−{abs(stored.number('advantage', row)):.2f}" in line


def test_every_step_of_a_deep_tree_is_written_once(deep):
    found = terminal.lines(deep)
    rows = [int(line.split("#")[1].split()[0]) for line in found[4:]]
    assert sorted(rows) == list(range(1, 59))


def test_a_trajectory(deep):
    found = terminal.lines(deep, 25)
    assert found[0] == "Trajectory to #25: 3 steps below search:17"
    text = "\n".join(found)
    assert "Who designed the bridge" in text
    assert "call: {" in text
    assert "siblings, mean" in text


def test_unknown_row_and_folder(flat, tmp_path):
    with pytest.raises(UnknownName, match="rows 0 to 71"):
        terminal.lines(flat, 72)
    with pytest.raises(FormatError):
        terminal.lines(tmp_path / "nowhere")


@pytest.mark.parametrize(("row", "chain"), [(None, False), (None, True), (len(STRINGS), True)])
def test_control_sequences_are_neutralised(tmp_path, row, chain):
    columns = {"text": ["ask", *STRINGS], "call": [None, *STRINGS], "task": [STRINGS[0], *[None] * len(STRINGS)]}
    columns |= {"reward.a": [None] * (len(STRINGS) + 1), "ok.a": [False] * (len(STRINGS) + 1)}
    columns["reason.a"] = [None, *(f"reward_error: {text}" for text in STRINGS)]
    below = range(len(STRINGS)) if chain else [0] * len(STRINGS)
    storage.write(Forest.of([-1, *below], columns), tmp_path)
    for line in terminal.lines(tmp_path, row):
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or 0x202A <= ord(c) <= 0x2069 for c in line), line


def test_styled_lines_hold_the_same_characters(flat):
    plain, styled = terminal.lines(flat), terminal.styled(flat)
    assert [line.plain.rstrip() for line in styled] == plain
    assert {str(span.style) for line in styled for span in line.spans} >= {"blue", "bold"}


def test_many_trees_and_rows_are_cut_and_counted(tmp_path):
    storage.write(Forest.of([*[-1] * 12, *range(12)]), tmp_path / "wide")
    assert terminal.lines(tmp_path / "wide")[-1] == "4 more trees"
    storage.write(Forest.of([-1, *[0] * 500]), tmp_path / "long")
    assert terminal.lines(tmp_path / "long")[-1] == "   300 more steps"
