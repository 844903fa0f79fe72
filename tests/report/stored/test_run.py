import json

import pytest

from milepost.errors import FormatError, UnknownName
from milepost.report.stored import run
from tests.report import worlds


def test_a_whole_run(tmp_path):
    found = run.read(worlds.run(tmp_path / "demo", steps=4))
    assert (found.name, found.recipe, len(found.metrics), len(found.evaluations)) == ("demo", "grpo", 4, 3)
    assert [one.step for one in found.forests] == [1, 2, 3, 4]
    assert [one.step for one in found.held_out] == [0, 2, 4]
    assert found.settings["update"]["steps"] == 4
    assert found.card is not None


def test_what_is_missing_is_empty(tmp_path):
    (tmp_path / "manifest.json").write_text('{"recipe": "nobody-has-this"}')
    found = run.read(tmp_path)
    assert (found.metrics, found.evaluations, found.forests, found.card) == ((), (), (), None)


def test_no_run(tmp_path):
    with pytest.raises(UnknownName, match="holds no run"):
        run.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.json", "{"),
        ("manifest.json", "[1]"),
        ("metrics.jsonl", '{"step": 1}\n{"st'),
        ("metrics.jsonl", "3\n"),
        ("run.toml", "= 1"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, content):
    (tmp_path / "manifest.json").write_text(json.dumps({"recipe": "grpo"}))
    (tmp_path / name).write_text(content)
    with pytest.raises(FormatError, match=name):
        run.read(tmp_path)


def test_other_folders_are_not_forests(tmp_path):
    for name in ("step-000002", "step-000010", "other", "step-x"):
        (tmp_path / name).mkdir()
    assert [one.step for one in run.stored(tmp_path)] == [2, 10]
