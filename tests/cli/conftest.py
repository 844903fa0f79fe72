"""Two invented recipes and an engine that trains nothing, so that the command is tested apart from the real ones."""

import json
import sys
import types
from dataclasses import asdict

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import milepost.engines
from milepost import keys, recipe, storage
from milepost.cli import flags, main
from milepost.columns import End, Role
from milepost.engines import toml_file
from milepost.engines.events import Evaluation, Event
from milepost.errors import ResumeError
from milepost.forest import Forest
from milepost.ragged import Ragged

BARGE = '''
"""Barge."""
from __future__ import annotations
from typing import Literal
from milepost.recipe import Card, Train

CARD = Card(
    title="Barge", paper="arXiv:0000.00001", year=2026, domains=("text",), summary="Slow and steady.",
    parts={"credit": "eq. 4"}, claims={"sums to 0": "tests/recipes/test_barge.py::test_sums"}, departs=("a judge",),
    advice=("use it",), bibtex="@article{barge,\\n  title = {Barge}\\n}",
)


def build(*, width: int = 8, clip: float = 0.2, kind: Literal["a", "b"] = "a", cap: float | None = None) -> Train:
    """Build it.

    Args:
        width: answers per task.
        clip: half width of the trust region,
            around 1.
        kind: which.
        cap: largest value.

    Returns:
        The job.
    """
'''
FERRY = (
    BARGE.replace("Barge", "Ferry")
    .replace("barge", "ferry")
    .replace('("text",)', '("flow", "control")')
    .replace("year=2026, domains", 'year=2025, job="curate", domains')
    .replace(
        'clip: float = 0.2, kind: Literal["a", "b"] = "a", cap: float | None = None',
        'alpha: float = 0.5, names: tuple[str, ...] = ("x",), temperature: float = 2.0, sharp: bool = False',
    )
)


@pytest.fixture
def recipes(tmp_path, monkeypatch):
    """A folder with the recipes barge and long-ferry in place of milepost's own."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "barge.py").write_text(BARGE)
    (folder / "long_ferry.py").write_text(FERRY)
    monkeypatch.setattr(recipe, "FOLDER", folder)
    monkeypatch.setattr(flags, "DOMAINS", {})  # the two have the same defaults
    return folder


@pytest.fixture
def call(recipes, tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder: exit code, standard output, standard error."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*argv):
        code = main([str(word) for word in argv])
        captured = capsys.readouterr()
        return types.SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return run


def held_out(success, tasks=40, samples=4):
    """Held-out answers of which about that share is solved."""
    roots, answers = tasks, tasks * samples
    parent = [-1] * roots + [row % roots for row in range(answers)]
    solved = [float("nan")] * roots + [
        float((row * 7919) % answers < round(success * answers)) for row in range(answers)
    ]
    lengths = [2] * roots + [3] * answers
    offsets = torch.tensor([0, *np.cumsum(lengths).tolist()])
    chosen = torch.tensor([False, False] * roots + [True, True, True] * answers)
    forest = Forest.of(
        parent,
        {
            "task": [f"t:{row % roots}" for row in range(roots + answers)],
            "text": [f"say {row}" for row in range(roots + answers)],
            "label.family": ["chain_sum"] * (roots + answers),
            "end": [int(End.OPEN)] * roots + [int(End.TERMINATED)] * answers,
            "tokens.id": Ragged(torch.zeros(int(offsets[-1]), dtype=torch.int32), offsets),
            "tokens.role": Ragged(torch.where(chosen, int(Role.POLICY), int(Role.PROMPT)).to(torch.int8), offsets),
            "tokens.log_prob": Ragged(torch.where(chosen, -0.5, 0.0), offsets),
        },
    )
    ok = torch.tensor([False] * roots + [True] * answers)
    return forest.with_columns(
        {
            "reward.solved": torch.tensor(solved).nan_to_num(),
            "ok.solved": ok,
            "reason.solved": ["not_run"] * roots + [None] * answers,
        }
    ).with_valid("reward.solved", ok)


class Engine:
    """Stands in for `engines.local`: writes the files of a run; how well it does is a function of its settings."""

    tokens_per_step = 100.0

    def __init__(self):
        self.started, self.resumed, self.interrupt_at, self.error = [], [], None, None
        self.track = None

    def success(self, settings):
        """Depends on the seed (shared luck of a pair) and on the recipe."""
        luck = float(keys.uniform([settings.seed], 1)[0, 0]) / 10
        return 0.5 + luck + (0.2 if settings.recipe == "barge" else 0.0)

    def run(self, settings, out, *, on_event, track=()):
        """Start a run."""
        if out.exists() and any(out.iterdir()):
            raise ResumeError(f"{out} is not empty: continue it with `milepost resume {out}`.")
        self.started.append(settings)
        self.track = track
        out.mkdir(parents=True, exist_ok=True)
        toml_file.write(out / "run.toml", settings)
        fingerprints = {"data": f"{settings.tasks.names} {settings.tasks.train}"}
        record = {"schema": 1, "recipe": settings.recipe, "seed": settings.seed, "fingerprints": fingerprints}
        (out / "manifest.json").write_text(json.dumps(record))
        self.checkpoint(out, 0, [self.evaluation(out, 0, 0.125)], 0.0)
        return self.go(settings, out, 0, on_event)

    def resume(self, out, *, on_event, accept_change=False, track=()):
        """Continue a run."""
        self.resumed.append((out, accept_change))
        self.track = track
        from milepost.engines import repeats

        found = repeats.standing(out)
        return self.go(found.settings, out, found.step, on_event)

    def go(self, settings, out, step, on_event):
        """Do the steps that are left."""
        steps, limit = settings.update.steps, settings.cost.get("tokens", float("inf"))

        def tell(stage, numbers, message=""):
            on_event(Event(stage=stage, step=step, steps=steps, numbers=numbers, message=message))

        spent = step * self.tokens(settings)
        tell("start", {"cost/tokens": spent})
        tell("evaluate", {"evaluate/success": 0.125, "evaluate/low": 0.1, "evaluate/high": 0.2})
        first = self.evaluation(out, 0, 0.125)
        while step < steps and spent < limit:
            if self.error:
                raise self.error
            if self.interrupt_at == step:
                self.interrupt_at = None
                raise KeyboardInterrupt
            step, spent = step + 1, spent + self.tokens(settings)
            tell(
                "update", {"cost/tokens": spent, "reward/total_failed": 0.25, "reward/total_mean": 0.5, "seconds": 1.0}
            )
            self.checkpoint(out, step, [first], spent)
        if step % 2:
            tell("warning", {}, "odd \x1b[31m number")
        self.checkpoint(out, step, [first, self.evaluation(out, step, self.success(settings))], spent)
        tell("done", {})

    def tokens(self, settings):
        """Tokens of a step."""
        return self.tokens_per_step * (3.5 if settings.recipe == "long-ferry" else 1.0)

    def evaluation(self, out, step, success):
        """Store held-out answers, and say how they did."""
        folder = out / "evaluation" / f"step-{step:06d}"
        if not folder.exists():
            storage.write(held_out(success), folder)
        real = round(success * 160) / 160
        return Evaluation(
            step=step, success=real, low=real - 0.1, high=real + 0.1, tasks=40, samples=4,
            by_family={"chain_sum": real}, rewards={"solved": real},
        )  # fmt: skip

    def checkpoint(self, out, step, evaluations, spent):
        """What `repeats.standing` reads."""
        record = {"step": step, "evaluations": [asdict(one) for one in evaluations]}
        record |= {"cost": {"tokens": spent}, "sampled": {"tokens": spent}}
        save_file({"w": np.zeros(1)}, out / "checkpoint.safetensors", metadata={"milepost": json.dumps(record)})


@pytest.fixture
def engine(monkeypatch):
    """The invented engine in place of the local one."""
    found = Engine()
    fake = types.ModuleType("milepost.engines.local")
    fake.run, fake.resume = found.run, found.resume
    monkeypatch.setitem(sys.modules, "milepost.engines.local", fake)
    monkeypatch.setattr(milepost.engines, "local", fake, raising=False)
    return found
