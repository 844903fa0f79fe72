"""What a user chooses for a run. The dataclasses are the configuration: TOML files, flags and `run.toml` mirror them.

Imports no torch, so that the command line can show and check settings quickly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from milepost import checks
from milepost.errors import SettingError

BUDGET_UNITS = ("tokens", "model_calls", "reward_calls", "environment_steps")
"""Units that the loop counts, see `measure.COST`. Time is none: a run must not depend on the machine."""
SMALLEST_STEP = 0.25
"""Smallest share of a step that is still trained on: the gradient of very few tasks is mostly noise."""


DOMAINS: Mapping[str, Mapping[str, Any]] = {
    "agent": {
        "tasks": {"names": ["search"], "train": 2048, "held_out": 96},
        "policy": {"max_tokens": 72},
        "update": {"steps": 18, "tasks_per_step": 16, "learning_rate": 2.5e-4},
    },
    "control": {
        "tasks": {"names": ["maze"], "train": 64, "held_out": 4},
        "update": {
            "steps": 40,
            "tasks_per_step": 16,
            "learning_rate": 2e-3,
            "minibatches": 4,
            "epochs": 4,
            "gradient_clip": 0.5,
        },
    },
    "flow": {
        "tasks": {"names": ["digits"], "train": 10, "held_out": 60},
        "update": {"steps": 40, "tasks_per_step": 10, "learning_rate": 3e-4},
        "keep": {"evaluate_every": 5},
    },
}
"""Defaults of the recipes whose first domain this is, where they differ from the defaults below."""
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "carl": {
        "tasks": {"names": ["highway"], "train": 256, "held_out": 6},
        "update": {"steps": 20, "tasks_per_step": 16, "learning_rate": 1e-3},
    },
}
"""Defaults of single recipes, where they differ from those of their domain: their task is another."""


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """Which tasks to train on and to hold out."""

    names: tuple[str, ...] = ("chain_sum",)
    """Tasks, drawn in equal parts: reasoning-gym generators; or "search", also "search_1hop", "search_2hop",
    "search_3hop"; "digits", images to draw; "prompts", images of prompts from a file; "maze", "highway", or a Gymnasium
    environment such as "CartPole-v1"."""
    train: int = 512
    """Tasks in the training pool."""
    held_out: int = 128
    """Tasks for evaluation, from seeds that training never sees."""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Task name to its own settings, such as {"chain_sum": {"max_terms": 4}} or {"search": {"turns": 4}}."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        checks.not_empty("tasks.names", self.names)
        checks.at_least("tasks.train", self.train, 1)
        checks.at_least("tasks.held_out", self.held_out, 0)


@dataclass(frozen=True, kw_only=True)
class PolicySettings:
    """Which language model acts, and how it samples."""

    model: str = "embedded"
    """"embedded" (the small model that ships with milepost for the tasks in hand), "smollm2", or a folder that
    transformers can load; for images "digits-flow", "digits-ddpm", or with prompts the folder of a pipeline."""
    temperature: float = 1.0
    """Divides the logits; 1 samples from the model itself."""
    top_p: float = 1.0
    """Probability that the most likely tokens must hold together to be sampled from; 1 keeps all."""
    max_tokens: int = 64
    """Tokens of one step at most: an answer, or one action of several."""
    lora_rank: int = 0
    """Rank of LoRA adapters; 0 trains all weights."""
    memory_bytes: int = 4 * 2**30
    """Memory that the graph of a training pass may take: a tree that does not fit is trained depth first."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.positive("policy.temperature", self.temperature)
        checks.at_least("policy.memory_bytes", self.memory_bytes, 1)
        checks.within("policy.top_p", self.top_p, 1e-6, 1.0)
        checks.at_least("policy.max_tokens", self.max_tokens, 1)
        checks.at_least("policy.lora_rank", self.lora_rank, 0)


@dataclass(frozen=True, kw_only=True)
class UpdateSettings:
    """How long to train, and how the weights are changed."""

    steps: int = 60
    """Training steps: each grows, scores and learns from one batch."""
    tasks_per_step: int = 32
    """Tasks of one batch; the recipe says how many answers each gets."""
    learning_rate: float = 3e-4
    """Of Adam, constant."""
    minibatches: int = 1
    """Optimiser steps per pass over a batch; each uses an equal share of the batch's tasks."""
    epochs: int = 1
    """Passes over each batch."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.at_least("update.steps", self.steps, 0)
        checks.at_least("update.tasks_per_step", self.tasks_per_step, 1)
        checks.positive("update.learning_rate", self.learning_rate)
        checks.at_least("update.minibatches", self.minibatches, 1)
        checks.at_least("update.epochs", self.epochs, 1)
        checks.positive("update.gradient_clip", self.gradient_clip)


@dataclass(frozen=True, kw_only=True)
class KeepSettings:
    """What is evaluated, stored and tolerated along the way."""

    evaluate_every: int = 0
    """Steps between evaluations; the first and the last state are always evaluated."""
    checkpoint_every: int = 1
    """Steps between checkpoints; a killed run loses at most the steps since the last one."""
    forests: int = 0
    """Steps whose forests are kept (the latest); 0 keeps all."""
    max_invalid: float = 0.2
    """Largest share of failed rewards with which a step still trains; five steps above it in a row stop the run."""
    workers: int = 1
    """Threads that sample; what is sampled does not depend on their number."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.at_least("keep.evaluate_every", self.evaluate_every, 0)
        checks.at_least("keep.checkpoint_every", self.checkpoint_every, 1)
        checks.at_least("keep.forests", self.forests, 0)
        checks.within("keep.max_invalid", self.max_invalid, 0.0, 1.0)
        checks.at_least("keep.workers", self.workers, 1)


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Everything that determines a run, apart from the versions of the software."""

    recipe: str
    seed: int = 0
    """Every random draw of the run follows from it."""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The recipe's own settings: keyword arguments of its `build`."""
    tasks: TaskSettings = field(default_factory=TaskSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    update: UpdateSettings = field(default_factory=UpdateSettings)
    keep: KeepSettings = field(default_factory=KeepSettings)
    reward: tuple[str, ...] = ()
    """Reward functions of the user's own, as "file.py:function" or "module:function", in place of the recipe's."""
    cost: Mapping[str, float] = field(default_factory=dict[str, float])
    """Budget by unit, such as {"tokens": 200000}: the last step is cut to fit, see `room`."""

    def __post_init__(self) -> None:
        """Check the budget's units."""
        for unit, limit in self.cost.items():
            checks.one_of("cost unit", unit, BUDGET_UNITS)
            checks.positive(f"cost {unit}", limit)
        for entry in self.reward:
            if ":" not in entry:
                raise SettingError(f"reward={entry!r} is not allowed: expected file.py:function or module:function.")

    def room(self, cost: Mapping[str, float], sampled: Mapping[str, float], steps: int) -> float:
        """Share of one more step that the budgets have room for.

        A step costs about as much as the mean b / k of the batches before it, so the share is (limit - c) k / b, the
        least of all units, at most 1. The last step draws that share of its tasks: costs that are made equal then
        differ by chance, and not by up to a step each. The first step is always whole. A scoring pass is not cut: one
        that is due in the last step comes on top.

        Args:
            cost: spent so far, c, by unit.
            sampled: the part of it that was spent on batches, b.
            steps: done so far, k.

        Returns:
            1 for a whole step, less for a part; 0 where less than `SMALLEST_STEP` fits.
        """
        if steps == 0:
            return 1.0
        spent = [(limit, cost.get(unit, 0.0), sampled.get(unit, 0.0)) for unit, limit in self.cost.items()]
        room = min((1.0, *((limit - c) * steps / b if b > 0 else limit - c for limit, c, b in spent)))
        return room if room >= SMALLEST_STEP else 0.0
