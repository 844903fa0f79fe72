"""What of a recipe TRL's trainer can do, and what it cannot: told before the first step, never ignored in silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils.data import IterableDataset

from milepost import checks, optional
from milepost.engines.trl.rewards import RewardFunction
from milepost.errors import SettingError
from milepost.objectives.clipped import Clipped
from milepost.objectives.kl import KLPenalty
from milepost.objectives.normalise import TokenMean
from milepost.objectives.siblings import SiblingPreference
from milepost.part import Credit, Reward, TaskChoice
from milepost.recipe import Curate, Evaluate, LearnedReward, Remembers, Search, Train
from milepost.sampling.choice import Uniform
from milepost.sampling.independent import Independent


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What milepost does inside TRL's trainer."""

    credit: Credit
    """In place of TRL's advantages."""
    choice: TaskChoice | None = None
    """Which tasks come next; None: TRL's own shuffled pass."""
    step_rewards: Sequence[Reward] = ()
    """Rewards that the credit rule reads beside TRL's reward functions; they are not part of the total."""
    learned: LearnedReward | None = None
    """A reward of steps that is trained beside the policy."""

    def __post_init__(self) -> None:
        """Refuse classes where objects are meant."""
        named = {"credit": self.credit, "choice": self.choice, "learned": self.learned}
        for name, part in (*named.items(), *(("step_rewards", reward) for reward in self.step_rewards)):
            checks.made(name, part)


_ANSWERED = ("call", "result", "extra_text.documents", "latent", "action", "observation", "end")
"""Columns that only an environment of milepost's, or a model of images, writes."""


def training(recipe: object) -> Train:
    """What was passed as a recipe, when TRL can train it at all.

    Args:
        recipe: what a recipe's `build` returns, or what was passed in its place.

    Returns:
        The same object.

    Raises:
        SettingError: it is no job that trains, or no job: the name of a recipe, its module, its `build` without a call.
    """
    if isinstance(recipe, Train):
        return recipe
    kind = type(recipe).__name__
    if isinstance(recipe, (Curate, Search, Evaluate)):
        raise SettingError(f"TRL trains, and the recipe built a {kind}: run it with `milepost run`.")
    is_function = callable(recipe)
    told = recipe if isinstance(recipe, str) else getattr(recipe, "__module__" if is_function else "__name__", "")
    stem = str(told).rpartition(".")[2].replace("-", "_")
    stem = stem if stem.isidentifier() else "a_grae"
    what = f"{kind} {recipe!r}" if isinstance(recipe, str) else kind
    raise SettingError(f"recipe is a {what}, expected a built one: pass what `{stem}.build(...)` returns.")


def parts_of(job: object, *, width: int, environment: bool = False) -> Parts:
    """The parts of a recipe that run inside TRL.

    Args:
        job: what a recipe builds.
        width: completions per prompt in TRL (`num_generations`).
        environment: whether rollouts are made by the recipe's sampler in an environment of milepost's.

    Returns:
        Its credit rule, its task choice (a plain shuffled pass is left to TRL), and its rewards of steps.

    Raises:
        SettingError: the recipe samples, scores or trains in a way that TRL's trainer has no place for.
    """
    job = training(job)
    if job.process is not None:
        raise SettingError(
            "TRL's GRPOTrainer trains language models, and the recipe denoises: run it with `milepost run`."
        )
    branches = not isinstance(job.sampler, Independent) and not environment
    lacking = {
        f"its sampler {type(job.sampler).__name__}, which branches, without environment=...": branches,
        "a reward that remembers what was seen": isinstance(job.learned, Remembers),
        "a view of what is trained": job.view is not None,
        "dynamic sampling (resample_rounds)": job.resample_rounds > 0,
        "a loss over pairs of steps": isinstance(job.objective, SiblingPreference),
    }
    found = [what for what, is_there in lacking.items() if is_there]
    if found:
        raise SettingError(
            f"TRL's trainer has no place for {' and '.join(found)}: run the recipe with `milepost run`, or pass "
            "parts=Parts(credit=...) with its credit rule alone."
        )
    parts = (*job.rewards, job.credit)
    read = [(part, name) for part in parts for name in getattr(part, "reads", ()) if name in _ANSWERED]
    if read and not environment:
        part, name = read[0]
        raise SettingError(
            f"{type(part).__name__} reads {name!r}, which TRL does not write: pass environment=... so that "
            "rollouts are made in an environment of milepost's, or run the recipe with `milepost run`."
        )
    if isinstance(job.sampler, Independent) and job.sampler.width != width:
        raise SettingError(
            f"The recipe samples {job.sampler.width} answers per task and TRL num_generations={width}: build it with "
            f"width={width}."
        )
    return Parts(
        credit=job.credit,
        choice=None if isinstance(job.choice, Uniform) else job.choice,
        step_rewards=tuple(reward for reward in job.rewards if reward.when == "step"),
        learned=None if isinstance(job.learned, Remembers) else job.learned,
    )


def reward_functions(job: Train) -> list[RewardFunction]:
    """Rewards of a recipe as TRL's reward functions; their weights are `job.weights`.

    Args:
        job: what a recipe builds.

    Returns:
        One function per reward of finished trajectories.

    Raises:
        SettingError: it is no job that trains.
    """
    job = training(job)
    return [RewardFunction(reward=reward) for reward in job.rewards if reward.when == "leaf"]


def leaf_weights(job: Train) -> list[float]:
    """Weights of `reward_functions(job)`.

    Args:
        job: what a recipe builds.

    Returns:
        One number per function.
    """
    return [weight for reward, weight in zip(job.rewards, job.weights, strict=True) if reward.when == "leaf"]


def check_reads(parts: Parts, functions: Sequence[str]) -> None:
    """Refuse a credit rule that reads what nobody writes.

    Args:
        parts: what milepost does.
        functions: names of TRL's reward functions.

    Raises:
        SettingError: a reward of that name is missing, two have the same, or the rule reads features of the policy.
    """
    names = [*functions, *(reward.name for reward in parts.step_rewards)]
    names += [] if parts.learned is None else [parts.learned.name]
    if len(set(names)) < len(names) or "total" in names:
        raise SettingError(f"The rewards are named {names}: names must differ, and 'total' is the name of their sum.")
    known = {f"{column}.{name}" for column in ("reward", "ok", "reason") for name in (*names, "total")}
    families = ("reward.", "ok.", "feature.")
    missing = [name for name in parts.credit.reads if name.startswith(families) and name not in known]
    missing = [name for name in missing if not name.endswith(".*")]
    if missing:
        raise SettingError(
            f"{type(parts.credit).__name__} reads {missing[0]!r}, but TRL's reward functions are named {names}: name "
            "one so, or pass the setting of the recipe that names it."
        )


def check_rows(parts: Parts, rows: object) -> None:
    """Refuse a task choice where rows come as a stream: TRL then asks no sampler, and the choice would do nothing.

    Args:
        parts: what milepost does.
        rows: TRL's `train_dataset`.

    Raises:
        SettingError: there is a choice, and the rows have no positions.
    """
    if parts.choice is None:
        return
    streams = (IterableDataset, optional.load("datasets", extra="trl", purpose="milepost in TRL").IterableDataset)
    if isinstance(rows, streams):
        raise SettingError(
            f"train_dataset is a stream ({type(rows).__name__}), and the task choice {type(parts.choice).__name__} "
            "draws rows by their positions: load the data set whole (streaming=False), or leave the choice out with "
            "parts=Parts(credit=...)."
        )


def loss_settings(job: Train) -> dict[str, Any]:
    """The objective of a recipe as settings of TRL's GRPOConfig.

    Args:
        job: what a recipe builds.

    Returns:
        `loss_type`, `epsilon`, `epsilon_high`, `beta`, and `num_generations` where the recipe names it.

    Raises:
        SettingError: TRL has no such loss, or it is no job that trains.
    """
    job = training(job)
    objective, beta = job.objective, 0.0
    if isinstance(objective, KLPenalty) and not objective.corrected:
        objective, beta = objective.objective, objective.coefficient
    if not isinstance(objective, Clipped) or not isinstance(objective.normalise, TokenMean):
        raise SettingError(
            f"TRL's trainer has no loss like {type(objective).__name__}: choose a loss_type of its own, or run the "
            "recipe with `milepost run`."
        )
    width = {"num_generations": job.sampler.width} if isinstance(job.sampler, Independent) else {}
    return {"loss_type": "dapo", "epsilon": objective.low, "epsilon_high": objective.high, "beta": beta, **width}
