"""A whole run in a world of letters: quick, without transformers, for tests of the loop. Runs as a program too."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from milepost import keys
from milepost.engines import build, local
from milepost.engines.build import World
from milepost.engines.settings import KeepSettings, RunSettings, UpdateSettings
from milepost.forest import Forest
from milepost.part import Loss, Scores, Task
from milepost.recipe import Train
from milepost.rewards.outcome import Solved
from milepost.sampling.choice import Uniform
from milepost.sampling.independent import Independent
from milepost.testing.worlds import Letters, Payoff, TabularPolicy


@dataclass(frozen=True, kw_only=True)
class Centred:
    """Reward less the mean of the group, by the plainest loop."""

    reads, writes = ("reward.total", "ok.total"), ("advantage",)

    def __call__(self, forest: Forest) -> Forest:
        value, ok = forest["reward.total"], forest["ok.total"]
        credit = torch.zeros(len(forest))
        for root in forest.roots().tolist():
            rows = ((forest.parent == root) & ok).nonzero().squeeze(1)
            if len(rows):
                credit[rows] = value[rows] - value[rows].mean()
        return forest.with_columns({"advantage": credit})


@dataclass(frozen=True, kw_only=True)
class PolicyGradient:
    """Minus the mean over tokens of credit times log-probability."""

    needs_reference: bool = False

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:
        train = forest["tokens.train"]
        loss = -(log_prob * forest["advantage"][forest.token_row])[train].mean()
        return Loss(loss=loss, metrics={"objective/loss": float(loss.detach())})


@dataclass(frozen=True, kw_only=True)
class Failing:
    """Wraps a reward: fails for answers that begin with one of the given letters."""

    of: Payoff
    letters: str
    name: str = "payoff"
    when = "leaf"
    side = "after"
    range: tuple[float, float] = (0.0, 1.0)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        texts = forest.text("text")
        if self.letters == "*":
            raise ConnectionError("the judge is gone")
        found = self.of(forest, rows)
        bad = torch.tensor([(texts[row] or "")[:1] in self.letters for row in rows.tolist()])
        values = found.values.masked_fill(bad, torch.nan)
        reasons = ["reward_error: planted" if b else r for b, r in zip(bad.tolist(), found.reasons, strict=True)]
        return Scores(values=values, ok=found.ok & ~bad, reasons=reasons)


def tasks(count: int, first: int) -> list[Task]:
    """Task i pays for one of four answers; its record also lets `Solved` judge."""
    found = []
    for number in range(first, first + count):
        answer = "abcd"[number % 4] * 2
        record: Mapping[str, object] = {
            "prompt": "abcd"[number % 4],
            "payoff": {answer: 1.0},
            "verifier": "exact",
            "answer": answer,
        }
        found.append(Task(id=f"letters:{number}", record=record, family="letters"))
    return found


def settings(steps: int = 6, **keep: float) -> RunSettings:
    """A short run."""
    update = UpdateSettings(steps=steps, tasks_per_step=4, learning_rate=0.2, minibatches=2)
    return RunSettings(recipe="grpo", seed=5, update=update, keep=KeepSettings(**keep))  # pyright: ignore[reportArgumentType]


def world(chosen: RunSettings, failing: str = "", choice: object | None = None) -> World:
    """Parts for `settings`."""
    reward = Failing(of=Payoff(), letters=failing) if failing else Payoff()
    job = Train(
        choice=choice or Uniform(),  # pyright: ignore[reportArgumentType]
        sampler=Independent(width=4),
        rewards=(reward,),  # pyright: ignore[reportArgumentType]
        weights=(1.0,),
        credit=Centred(),
        objective=PolicyGradient(),
    )
    return World(
        job=job,
        environment=Letters(),
        train=tasks(12, 0),
        held_out=tasks(8, 100),
        policy=TabularPolicy.random("abcd", key=keys.fold(keys.root(chosen.seed), "policy"), length=2),
        reference=None,
    )


SOLVED = Solved()


def main(folder: str, verb: str, steps: str) -> None:
    """Run or resume, for tests that kill the process."""
    build.world = world  # the engine asks this module's world for its parts
    out = Path(folder)
    if verb == "resume" and (out / "manifest.json").is_file():
        local.resume(out, on_event=lambda event: print(event.stage, event.step, flush=True))
    else:
        local.run(settings(int(steps)), out, on_event=lambda event: print(event.stage, event.step, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
