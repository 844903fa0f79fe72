"""A small world in which the choice of tasks matters: name the digit on an 8x8 image, with a linear softmax policy.

A task is an image, an answer is one of ten classes, the reward is 1 for the right one. Training is group credit and
plain gradient ascent; only the choice of tasks differs between two runs of one seed.
"""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits

from milepost import keys
from milepost.credit import group
from milepost.forest import Forest
from milepost.part import Task


@dataclass(frozen=True, kw_only=True)
class Images:
    """Images with a constant feature, and their classes."""

    pixels: torch.Tensor
    label: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images to train on and images to test on, four to one."""

    train: Images
    test: Images


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of one training run."""

    mixed: float
    """Share of training groups with different rewards, over the run."""
    gradient: float
    """Mean norm of the gradient, over the run."""
    accuracy: float
    """Accuracy of the likeliest class on all test images."""
    rare: float
    """The same on the classes 5 to 9."""
    rollouts: int
    """All rollouts made, scoring passes included."""
    billed: float
    """What the task choice says it cost: `choice/rollouts`."""
    scoring: float
    """Of these, `choice/scoring_rollouts`."""


def split(*, standardised):
    """scikit-learn's digits, shuffled by a fixed key; pixels in [0, 1], or with mean 0 and deviation 1 each."""
    pixels, label = load_digits(return_X_y=True)
    order = keys.generator(keys.root(7)).permutation(len(pixels))
    pixels, label = pixels[order] / 16, label[order]
    if standardised:
        pixels = (pixels - pixels.mean(0)) / (pixels.std(0) + 1e-6)
    pixels = torch.from_numpy(np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1))
    label, cut = torch.from_numpy(label), len(pixels) * 4 // 5
    return Split(
        train=Images(pixels=pixels[:cut], label=label[:cut]), test=Images(pixels=pixels[cut:], label=label[cut:])
    )


def untrained():
    """Weights of the uniform policy."""
    return torch.zeros(65, 10, dtype=torch.float64)


def warmed(images, *, steps=20, rate=0.5):
    """Weights after supervised training on the classes 0 to 4 alone; the other classes keep logit 0."""
    weights, common = untrained(), images.label < 5
    pixels, label = images.pixels[common], images.label[common]
    for _ in range(steps):
        error = (pixels @ weights[:, :5]).softmax(1)
        error[torch.arange(len(label)), label] -= 1
        weights[:, :5] -= rate * pixels.T @ error / len(label)
    return weights


def skewed(images, key):
    """Positions of all images of the classes 0 to 4 and of one sixth of the others."""
    rare = (images.label >= 5).nonzero().squeeze(1).numpy()
    drawn = keys.generator(keys.fold(key, "pool")).permutation(rare)[: len(rare) // 6]
    return torch.cat([(images.label < 5).nonzero().squeeze(1), torch.from_numpy(drawn)])


@dataclass(frozen=True, kw_only=True)
class Training:
    """One way to train; `whitened` divides the credit by the standard deviation of the group."""

    images: Split
    batch: int
    width: int
    steps: int
    rate: float
    whitened: bool

    def run(self, choice, weights, members, key):
        """Train on the images at `members`, drawn by `choice`."""
        pool = [Task(id=f"image:{position:04d}", record={}) for position in members.tolist()]
        state, weights = choice.init(pool, keys.fold(key, "choice")), weights.clone()
        mixed, gradients, rollouts = [], [], 0
        for step in range(self.steps):
            due = choice.refresh(state)
            if due is not None:
                seen = self.answer(weights, members[due], choice.scoring.width, keys.fold(key, "score", step))
                forest = self.forest(pool, due, seen, choice.scoring.width)
                state, rollouts = choice.update(state, forest, scoring=True), rollouts + len(seen.reward)
            drawn = choice.draw(state, self.batch)
            seen = self.answer(weights, members[drawn.tasks], self.width, keys.fold(key, "train", step))
            forest = self.forest(pool, drawn.tasks, seen, self.width)
            state, rollouts = choice.update(drawn.state, forest, scoring=False), rollouts + len(seen.reward)
            advantage = self.credit(seen.reward)
            gradient = seen.pixels.T @ (seen.slope * advantage[:, None]) / len(advantage)
            weights += self.rate * gradient
            mixed.append(float((advantage.view(self.batch, self.width) != 0).any(1).double().mean()))
            gradients.append(float(gradient.norm()))
        numbers = choice.metrics(state)
        test = self.images.test
        right = ((test.pixels @ weights).argmax(1) == test.label).double()
        return Result(
            mixed=float(np.mean(mixed)),
            gradient=float(np.mean(gradients)),
            accuracy=float(right.mean()),
            rare=float(right[test.label >= 5].mean()),
            rollouts=rollouts,
            billed=numbers["choice/rollouts"],
            scoring=numbers["choice/scoring_rollouts"],
        )

    def answer(self, weights, positions, width, key):
        """`width` answers per image, their rewards, and the slope of their log-probability in the logits."""
        pixels = self.images.train.pixels[positions].repeat_interleave(width, 0)
        label = self.images.train.label[positions].repeat_interleave(width)
        chance = (pixels @ weights).softmax(1)
        aim = torch.from_numpy(keys.generator(key).random(len(label)))
        answer = (chance.cumsum(1) < aim[:, None]).sum(1).clamp(max=9)
        slope = -chance
        slope[torch.arange(len(label)), answer] += 1
        return Answers(pixels=pixels, slope=slope, reward=(answer == label).double())

    def credit(self, reward):
        """Group credit of equal groups of `width`."""
        groups, every = len(reward) // self.width, torch.ones(len(reward), dtype=torch.bool)
        of = torch.arange(groups).repeat_interleave(self.width)
        if self.whitened:
            return group.normalised(reward, of, groups, every, ddof=0, eps=1e-6)
        return group.centred(reward, of, groups, every)

    def forest(self, pool, positions, seen, width):
        """The answers as a scored forest: what a task choice learns from."""
        count = len(positions)
        roots = torch.arange(count)
        none = torch.zeros(count)
        return Forest.of(
            torch.cat([torch.full((count,), -1), roots.repeat_interleave(width)]),
            {
                "task": [pool[position].id for position in positions.tolist()] + [None] * (count * width),
                "draw": torch.cat([roots, torch.zeros(count * width, dtype=torch.int64)]),
                "reward.total": torch.cat([none, seen.reward.float()]),
                "ok.total": torch.cat([none > 0, torch.ones(count * width) > 0]),
            },
        )


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Answers of one batch."""

    pixels: torch.Tensor
    slope: torch.Tensor
    reward: torch.Tensor
