"""Control, measured: exploration with and without a bonus, what a driver learns from two rewards, and another PPO.

python -m benchmarks.control explore [--seeds 3] [--updates 24]     cells of a maze seen at equal steps
python -m benchmarks.control drive [--seeds 1] [--updates 12]       completion and infractions on held-out roads
python -m benchmarks.control batch [--seeds 3] [--updates 8]        the same by size of minibatch and by reward
python -m benchmarks.control sb3 [--seeds 2] [--updates 10]         CartPole, ours and Stable-Baselines3's PPO

Every run is printed to standard error when it is done, so that what was measured is not lost.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from milepost import storage
from milepost.engines import folder, local
from milepost.engines.events import Event
from milepost.engines.sb3.wrapper import rewarded
from milepost.engines.settings import KeepSettings, RunSettings, TaskSettings, UpdateSettings
from milepost.environments.control.gym import Gymnasium
from milepost.evaluation.intervals import mean_interval
from milepost.rewards.control.episodes import Payoff

MAZE = "MiniGrid-SimpleCrossingS11N5-v0"
AGENT = 10
"""Number of the agent among MiniGrid's objects."""


def settings(recipe: str, task: str, seed: int, updates: int, **given: Any) -> RunSettings:
    """A run of one recipe on one task."""
    options = given.pop("options", {})
    starts = given.pop("starts", 16)
    chosen: dict[str, Any] = {"learning_rate": 3e-3, "minibatches": 4, "epochs": 4, **given.pop("update", {})}
    update = UpdateSettings(steps=updates, tasks_per_step=starts, gradient_clip=0.5, **chosen)
    tasks = TaskSettings(names=(task,), train=256, held_out=given.pop("held_out", 2), options=options)
    return RunSettings(recipe=recipe, seed=seed, settings=given, tasks=tasks, update=update, keep=KeepSettings())


def quiet(event: Event) -> None:
    """Watch nothing."""


def cells(run: Path, updates: int) -> int:
    """Cells of a maze in which the agent stood in the first updates of a run."""
    seen: set[int] = set()
    for update in range(1, updates + 1):
        shown = storage.read(folder.forest(run, update))["observation"][:, 4:]
        side = round((shown.shape[1] / 3) ** 0.5)
        seen |= set((shown.view(-1, side, side, 3)[..., 0] == AGENT).flatten(1).int().argmax(1).tolist())
    return len(seen)


def done(*told: object) -> None:
    """Say that a run is done."""
    print(*told, file=sys.stderr, flush=True)


def apart(one: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """Mean difference of two arms, paired by seed, with its 95 % interval of Student's t."""
    gap = mean_interval([float(a) - float(b) for a, b in zip(one, other, strict=True)])
    return gap.estimate, gap.low, gap.high


def explore(seeds: int, updates: int) -> dict[str, Any]:
    """Cells seen by each bonus, by seed, and intervals of the differences to no bonus."""
    options = {MAZE: {"layouts": 1, "make": {"observe": "full", "max_steps": 60}}}
    found: dict[str, list[int]] = {"rdd": [], "rnd": [], "none": []}
    for seed in range(seeds):
        for bonus, counts in found.items():
            with tempfile.TemporaryDirectory() as held:
                chosen = settings("rdd", MAZE, seed, updates, bonus=bonus, discount=0.97, options=options, starts=8)
                local.run(chosen, Path(held) / "run", on_event=quiet)
                counts.append(cells(Path(held) / "run", updates))
                done(bonus, seed, counts[-1])
    pairs = (("rdd", "none"), ("rnd", "none"), ("rdd", "rnd"))
    return {"cells": found, **{f"{one} less {other}": apart(found[one], found[other]) for one, other in pairs}}


def batch(seeds: int, updates: int) -> dict[str, Any]:
    """What a driver comes to with small and large minibatches, at equal samples and epochs, by reward."""
    options, found = {"highway": {"vehicles": 5}}, dict[str, list[list[float]]]()
    for seed in range(seeds):
        for reward in ("carl", "shaped"):
            for minibatches in (16, 2):
                with tempfile.TemporaryDirectory() as held:
                    chosen = settings(
                        "carl", "highway", seed, updates, reward=reward, held_out=4, options=options,
                        update={"learning_rate": 1e-3, "minibatches": minibatches},
                    )  # fmt: skip
                    last = local.run(chosen, Path(held) / "run", on_event=quiet)
                told = [last.last.rewards["completion"], last.last.rewards["infraction"]]
                found.setdefault(f"{reward}, {minibatches} minibatches", []).append(told)
                done(reward, minibatches, seed, *told, int(last.cost["environment_steps"]))
    gaps = {
        f"completion, {reward}: large less small": apart(
            [one[0] for one in found[f"{reward}, 2 minibatches"]],
            [one[0] for one in found[f"{reward}, 16 minibatches"]],
        )
        for reward in ("carl", "shaped")
    }
    return {"completion and infractions": found, **gaps}


def drive(seeds: int, updates: int) -> dict[str, Any]:
    """Completion and infractions of held-out episodes before and after, by reward."""
    found: dict[str, Any] = {}
    for reward in ("carl", "simulator"):
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as held:
                chosen = settings(
                    "carl", "highway", seed, updates, reward=reward, held_out=6, update={"learning_rate": 1e-3}
                )
                ended = local.run(chosen, Path(held) / "run", on_event=quiet)
            found[f"{reward} {seed}"] = {
                name: [one.rewards[name] for one in (ended.first, ended.last)] for name in ("completion", "infraction")
            }
    return found


def beside(seeds: int, updates: int) -> dict[str, Any]:
    """Length of the last 32 episodes of CartPole, at equal environment steps and equal settings of PPO.

    Ours learns from 8 whole episodes at a time, in 8 minibatches; the other from 512 steps, in minibatches of 64.
    """
    from stable_baselines3 import PPO
    from stable_baselines3.common.monitor import Monitor

    world, found = Gymnasium(name="CartPole-v1", train_size=256), {"ours": [], "stable-baselines3": []}
    update, steps_taken = {"learning_rate": 1e-3, "minibatches": 8, "epochs": 10}, list[int]()
    same: dict[str, Any] = {
        "clip_range": 0.1,
        "ent_coef": 1e-3,
        "gamma": 0.999,
        "gae_lambda": 0.95,
        "learning_rate": 1e-3,
    }
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as held:
            chosen = settings("rdd", "CartPole-v1", seed, updates, bonus="none", starts=8, update=update)
            ended = local.run(chosen, Path(held) / "run", on_event=quiet)
            last = [
                storage.read(folder.forest(Path(held) / "run", number)) for number in range(updates - 3, updates + 1)
            ]
        found["ours"].append(float(torch.cat([one.depth()[one.leaves()] for one in last]).double().mean()))
        torch.set_num_threads(1)
        env = Monitor(rewarded(world, world, {Payoff(largest=1.0): 1.0}))
        steps = int(ended.cost["environment_steps"])
        PPO("MlpPolicy", env, seed=seed, device="cpu", **same).learn(steps)
        lengths = env.get_episode_lengths()[-32:]
        found["stable-baselines3"].append(sum(lengths) / len(lengths))
        steps_taken.append(steps)
        done(seed, steps, found["ours"][-1], found["stable-baselines3"][-1])
    gap = apart(found["ours"], found["stable-baselines3"])
    return {**found, "steps": steps_taken, "ours less stable-baselines3": gap}


def main() -> None:
    """Measure what is asked for and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("explore", "drive", "batch", "sb3"))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--updates", type=int, default=12)
    options = parser.parse_args()
    measure = {"explore": explore, "drive": drive, "batch": batch, "sb3": beside}[options.what]
    print(json.dumps(measure(options.seeds, options.updates), indent=1))


if __name__ == "__main__":
    main()
