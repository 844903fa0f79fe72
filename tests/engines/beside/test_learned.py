"""A learned reward beside the policy: its own weights, skipped without pairs, and the same bytes after a stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from milepost import keys
from milepost.credit.tree.two_level import TwoLevel
from milepost.engines import build, checkpoint, local
from milepost.engines.beside.learned import Beside
from milepost.engines.settings import RunSettings, UpdateSettings
from milepost.objectives.pairs import TrajectoryPreference
from milepost.objectives.step_ratio import StepClipped
from milepost.rewards.combine import Scored
from milepost.rewards.learned.implicit import Implicit
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.testing.worlds import Letters, Payoff, TabularPolicy
from tests.engines import letter_world
from tests.engines.test_local import Stop, digest, quiet, stop_at


def policy() -> TabularPolicy:
    return TabularPolicy.random("abcd", key=keys.root(5), length=2)


def implicit() -> Implicit:
    return Implicit(objective=TrajectoryPreference(beta=0.5), beta=0.5, learning_rate=0.05)


def world(chosen: RunSettings) -> build.World:
    """The world of letters, with a reward that is learned beside the policy."""
    found = letter_world.world(chosen)
    credit = TwoLevel(step_reward="implicit")
    job = replace(found.job, learned=implicit(), credit=credit, objective=StepClipped())
    return replace(found, job=job, learned=letter_world.world(chosen).policy)


@pytest.fixture(autouse=True)
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "world", world)


def batch(pays: float = 1.0):
    tasks = letter_world.tasks(4, 0)
    draws = [Draw(task=task) for task in tasks]
    forest = grow(draws, policy=policy(), environment=Letters(), sampler=Independent(width=8), key=keys.root(1))
    return Scored(rewards=(Payoff(),), weights=(pays,))(forest, torch.arange(len(forest)))  # pyright: ignore[reportArgumentType]


def test_it_learns_before_it_scores_and_leaves_the_policy_alone() -> None:
    learner = policy()
    beside = Beside.of(implicit(), learner, UpdateSettings())
    forest = batch()
    found = beside(forest, 0)
    assert found.numbers["learned/skipped"] == 0
    assert found.numbers["learned/pairs"] > 0
    assert learner.version == 1
    own = found.forest["ok.implicit"]
    assert bool((found.forest["reward.implicit"][own] != 0).any()), "scored with the new weights"
    again = beside(forest, 1)
    assert again.numbers["learned/loss"] < found.numbers["learned/loss"]


def test_without_a_pair_the_weights_stay_to_the_bit() -> None:
    learner = policy()
    beside = Beside.of(implicit(), learner, UpdateSettings())
    beside(batch(), 0)
    before, version = learner.table.detach().clone(), learner.version
    found = beside(batch(pays=0.0), 1)
    assert found.numbers == {"learned/skipped": 1.0}
    assert torch.equal(learner.table, before)
    assert learner.version == version


def test_its_optimiser_is_its_own() -> None:
    beside = Beside.of(implicit(), policy(), UpdateSettings(learning_rate=9.0, minibatches=4))
    assert beside.updater.settings.learning_rate == 0.05
    assert beside.updater.settings.gradient_clip == 10.0
    assert beside.updater.settings.minibatches == 1


def test_weights_and_moments_are_put_back() -> None:
    one, other = (Beside.of(implicit(), policy(), UpdateSettings()) for _ in range(2))
    one(batch(), 0)
    other.restore({name: value.detach().clone() for name, value in one.tensors().items()}, 1)
    first, second = (beside(batch(), 1).forest["reward.implicit"] for beside in (one, other))
    assert torch.equal(first.nan_to_num(), second.nan_to_num())
    assert one.tensors().keys() == other.tensors().keys()


@pytest.mark.parametrize("step", [1, 3])
def test_a_stopped_run_goes_on_to_the_byte(tmp_path: Path, step: int) -> None:
    local.run(letter_world.settings(), tmp_path / "whole", on_event=quiet)
    with pytest.raises(Stop):
        local.run(letter_world.settings(), tmp_path / "cut", on_event=stop_at("update", step))
    local.resume(tmp_path / "cut", on_event=quiet)
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
    held = checkpoint.read(tmp_path / "cut")
    assert "learned/weights/table" in held.tensors
    assert int(held.record["learned_version"]) > 0
