"""The first script of docs/how-to/trl.md, as a user runs it after the change: its lines, from the page."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import datasets
import pytest
import trl.rewards

from milepost.engines.trl import GRPOTrainer
from milepost.policies.loading import EMBEDDED
from tests.engines.trl.quick_start import config, dataset

pytestmark = pytest.mark.trainers
PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "trl.md"


def script(recipe):
    """The changed script, with a model and settings that a CPU can bear, and the recipe that is asked for."""
    diff = re.search(r"```diff\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL).group(1)
    lines = diff.splitlines()
    assert sum(line.startswith("+") for line in lines) == 3
    kept = "\n".join(line[1:] for line in lines if not line.startswith("-"))
    for before, after in (
        ('"Qwen/Qwen2-0.5B-Instruct"', repr(str(EMBEDDED))),
        ("    train_dataset=dataset,", "    train_dataset=dataset, args=ARGS,"),
        ("import a_grae", f"import {recipe.partition('.')[0]}"),
        ('a_grae.build(accuracy="accuracy_reward")', recipe),
    ):
        assert before in kept
        kept = kept.replace(before, after)
    return kept


@pytest.mark.parametrize("recipe", ['a_grae.build(accuracy="accuracy_reward")', "vas.build(refresh_every=0)"])
def test_the_page_runs(recipe, tmp_path, monkeypatch):
    def accuracy_reward(completion_ids, **_columns):
        return [float(sum(ids) % 2) for ids in completion_ids]

    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: dataset())
    monkeypatch.setattr(trl.rewards, "accuracy_reward", accuracy_reward)
    (tmp_path / "script.py").write_text(script(recipe))
    args = config(tmp_path, num_generations=8, max_steps=1, max_completion_length=4)
    found = runpy.run_path(str(tmp_path / "script.py"), init_globals={"ARGS": args})["trainer"]
    assert isinstance(found, GRPOTrainer)
    assert found.state.global_step == 1
    assert found.reward_func_names == ["accuracy_reward"]
