"""Figures of flow models: guided sampling without training, and its distillation.

    python -m benchmarks.flow guided
    python -m benchmarks.flow distilled [--batches 200]

Prints lines of Markdown.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

import torch

from milepost import keys
from milepost.engines.settings import UpdateSettings
from milepost.engines.update import Updater, optimiser_for
from milepost.environments.denoising import Denoising
from milepost.evaluation.images import DataGap
from milepost.forest import Forest
from milepost.objectives.clipped import Clipped
from milepost.objectives.combined.exact_kl import TowardsSampler
from milepost.policies.flow import digits
from milepost.policies.flow.denoiser import Denoiser
from milepost.policies.flow.guidance import Langevin, Tilted
from milepost.policies.flow.process import Process
from milepost.rewards.images.noisy import NoisyClass
from milepost.rewards.images.scorers import ClassLogProb, Recognised
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent


def grown(policy: Denoiser, width: int, key: int) -> Forest:
    """Images of every class."""
    world = Denoising(train_size=10)
    draws = [Draw(task=task) for task in world.train()]
    return grow(draws, policy=policy, environment=world, sampler=Independent(width=width), key=key)


def judged(forest: Forest) -> str:
    """Reward, success and data gap of the images, as cells."""
    leaves = forest.leaves()
    image, label = forest["latent"][leaves], forest["observation"][forest.root_of()[leaves]]
    reward, right = float(ClassLogProb()(image, label).mean()), float(Recognised()(image, label).mean())
    return f"{reward:.2f} | {right:.1%} | {DataGap()(forest):.3f}"


@torch.no_grad()
def guided(chosen: argparse.Namespace) -> None:  # noqa: ARG001 - every job is called so
    """Guided sampling of the frozen digits model, 400 images for each line, 10 steps."""
    policy = digits.load("digits-flow", process=Process())
    still = policy.greedy()
    arms = {"none": policy, "none, without noise": still}
    arms |= {
        f"Langevin, beta {b}": replace(policy, guide=Langevin(value=NoisyClass(), beta=b)) for b in (1.0, 0.5, 0.25)
    }
    arms |= {f"Tilted, beta {b}": replace(policy, guide=Tilted(value=NoisyClass(), beta=b)) for b in (1.0,)}
    arms |= {"Tilted, beta 1.0, without noise": replace(still, guide=Tilted(value=NoisyClass()))}
    say("| guide | reward | success | data gap |")
    say("|---|---|---|---|")
    for name, one in arms.items():
        say(f"| {name} | {judged(grown(one, 40, keys.root(3)))} |")


def distilled(chosen: argparse.Namespace) -> None:
    """The divergence from the guided sampler alone, minimised on fresh batches of 480 images."""
    teacher = replace(digits.load("digits-flow", process=Process()), guide=Langevin(value=NoisyClass(), beta=0.5))
    student, root = digits.load("digits-flow", process=Process()), keys.root(15)
    settings = UpdateSettings(learning_rate=2e-3, minibatches=5)
    objective = TowardsSampler(objective=Clipped())
    updater = Updater(
        policy=student,
        objective=objective,
        optimiser=optimiser_for(student, settings),
        settings=settings,
        reference=None,
    )
    say("| sampler | reward | success | data gap |")
    say("|---|---|---|---|")
    fresh = keys.fold(root, "fresh")
    say(f"| bare | {judged(grown(student, 96, fresh))} |")
    say(f"| guided | {judged(grown(teacher, 96, fresh))} |")
    for batch in range(chosen.batches):
        forest = grown(teacher, 48, keys.fold(root, "batch", batch))
        updater(forest.with_columns({"advantage": torch.zeros(len(forest))}), keys.fold(root, "update", batch))
    say(f"| distilled | {judged(grown(student, 96, fresh))} |")


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> None:
    """Measure what is named."""
    parser = argparse.ArgumentParser(description="Figures of flow models.")
    jobs = parser.add_subparsers(required=True)
    jobs.add_parser("guided").set_defaults(job=guided)
    taught = jobs.add_parser("distilled")
    taught.add_argument("--batches", type=int, default=200)
    taught.set_defaults(job=distilled)
    chosen = parser.parse_args(arguments)
    chosen.job(chosen)


if __name__ == "__main__":
    main(sys.argv[1:])
