"""Settings in TOML: both ways without loss, and every mistake is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from milepost.engines import toml_file
from milepost.engines.settings import KeepSettings, PolicySettings, RunSettings, TaskSettings
from milepost.errors import FormatError, MilepostError, SettingError, UnknownName


def test_what_is_written_is_read(tmp_path: Path) -> None:
    settings = RunSettings(
        recipe="grpo",
        seed=3,
        settings={"width": 4, "clip": 0.3},
        tasks=TaskSettings(names=("chain_sum", "countdown"), options={"chain_sum": {"max_terms": 3}}),
        policy=PolicySettings(model="smollm2", temperature=0.7),
        keep=KeepSettings(max_invalid=0.5),
        reward=("mine.py:reward",),
        cost={"tokens": 2e5},
    )
    toml_file.write(tmp_path / "run.toml", settings)
    assert toml_file.read(tmp_path / "run.toml") == settings


def read(tmp_path: Path, text: str) -> RunSettings:
    (tmp_path / "run.toml").write_text(text)
    return toml_file.read(tmp_path / "run.toml")


def test_what_is_left_out_keeps_its_default(tmp_path: Path) -> None:
    settings = read(tmp_path, 'recipe = "vas"\n[update]\nsteps = 5\nlearning_rate = 1\n')
    assert settings.update.steps == 5
    assert settings.update.learning_rate == 1.0
    assert settings.policy == PolicySettings()


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ('recipe = "grpo"\nsed = 3\n', UnknownName, "Did you mean 'seed'"),
        ('recipe = "grpo"\n[update]\nstep = 3\n', UnknownName, "Did you mean 'steps'"),
        ("seed = 3\n", SettingError, "'recipe' is missing"),
        ('recipe = "grpo"\nseed = "three"\n', SettingError, "expected int"),
        ('recipe = "grpo"\nseed = true\n', SettingError, "expected int"),
        ('recipe = "grpo"\nupdate = 3\n', SettingError, r"expected a section \[update\]"),
        ('recipe = "grpo"\nreward = "mine.py:f"\n', SettingError, "expected a list"),
        ('recipe = "grpo"\nreward = ["mine.py"]\n', SettingError, "file.py:function"),
        ('recipe = "grpo"\n[cost]\ntoken = 3\n', SettingError, "one of 'tokens'"),
        ('recipe = "grpo"\n[policy]\ntop_p = 0.0\n', SettingError, r"in \[1e-06, 1.0\]"),
        ("recipe = \n", FormatError, "TOML"),
        ("\udcff", FormatError, "TOML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, error: type[MilepostError], says: str) -> None:
    (tmp_path / "run.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(error, match=says):
        toml_file.read(tmp_path / "run.toml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"nothing\.toml"):
        toml_file.read(tmp_path / "nothing.toml")
