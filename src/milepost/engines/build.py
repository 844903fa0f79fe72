"""From settings to the parts of a run: job, environment, tasks, policy, reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from milepost import keys, recipe
from milepost.credit.returns import Advantages, NStep
from milepost.engines.images import models, own_reward, pipelines
from milepost.engines.settings import RunSettings
from milepost.environments import by_name
from milepost.environments.control.by_name import surveyed
from milepost.environments.denoising import Denoising, Prompts
from milepost.errors import SettingError
from milepost.part import Environment, Greedy, Learner, Policy, Reward, Task, TaskEnvironment
from milepost.policies import loading, named_chat
from milepost.policies.actor import loading as actors
from milepost.policies.decoding import Decoding
from milepost.policies.flow.denoiser import Denoiser
from milepost.policies.flow.pipelines import adapter
from milepost.recipe import Remembers, Train
from milepost.rewards.combine import Scored
from milepost.rewards.control.episodes import Reached
from milepost.rewards.function import Function
from milepost.rewards.images.reward import ImageScore
from milepost.rewards.images.scorers import Recognised
from milepost.rewards.outcome import Solved


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything a run works with."""

    job: Train
    environment: Environment
    train: Sequence[Task]
    held_out: Sequence[Task]
    policy: Learner
    reference: Policy | None
    """The policy before training, where the objective asks for one."""
    learned: Learner | None = None
    """A copy of the policy that becomes the job's learned reward, where it has one."""
    verdict: Reward = field(default_factory=Solved)
    """What success on a held-out task is."""

    def evaluated(self) -> Policy:
        """The policy as it is used after training: a denoiser adds no noise then, a language model samples."""
        return self.policy.greedy() if isinstance(self.policy, Denoiser) else self.policy


def world(settings: RunSettings) -> World:
    """Build the parts of a run.

    Args:
        settings: what the user chose.

    Returns:
        The parts, with a freshly loaded policy.

    Raises:
        UnknownName: a recipe, setting, task or model that does not exist.
        SettingError: settings that contradict each other.
    """
    work = job(settings)
    tasks = settings.tasks
    environment = by_name.environment(
        tasks.names, tasks.options, train_size=tasks.train, held_out_size=tasks.held_out, chat=named_chat.chat
    )
    if isinstance(environment, Prompts):
        return _prompted(settings, environment, work)
    return World(
        job=work,
        environment=environment,
        train=environment.train(),
        held_out=environment.held_out(),
        policy=_policy(settings, environment, work),
        reference=_policy(settings, environment, work) if work.objective.needs_reference else None,
        learned=_policy(settings, environment, work) if _is_copy(work.learned) else None,
        verdict=_verdict(environment),
    )


def _prompted(settings: RunSettings, environment: Prompts, work: Train) -> World:
    found = pipelines.drawing(settings, environment, work)
    return World(
        job=found.job,
        environment=environment,
        train=environment.train(),
        held_out=environment.held_out(),
        policy=found.policy,
        reference=adapter.reference(found.policy) if work.objective.needs_reference else None,
        verdict=found.verdict,
    )


def _is_copy(learned: object) -> bool:
    """Whether a reward beside the policy has weights that begin as the policy's."""
    return learned is not None and not isinstance(learned, Remembers)


def _verdict(environment: TaskEnvironment) -> Reward:
    if isinstance(environment, Denoising):
        return ImageScore(scorer=Recognised(), name="solved")
    return Solved() if surveyed(environment) is None else Reached()


def job(settings: RunSettings) -> Train:
    """Build the recipe with its settings; reward functions of the user's own take the place of its rewards.

    Args:
        settings: what the user chose.

    Returns:
        The job.

    Raises:
        UnknownName: the recipe has no such setting.
        SettingError: a setting of the recipe has the wrong type, or a function does not fit the tasks.
    """
    work = recipe.built(settings.recipe, settings.settings)
    if not isinstance(work, Train):
        raise SettingError(
            f"Recipe {settings.recipe!r} trains nothing. What it does: `milepost explain {settings.recipe}`."
        )
    if not settings.reward or by_name.PROMPTS in settings.tasks.names:  # scores of pictures need the pipeline
        return work
    if by_name.DIGITS in settings.tasks.names:
        return own_reward.scored(settings, work)
    own = tuple(Function(source=source) for source in settings.reward)
    for reward in own:
        reward.load()  # a function that is not there is found before the first answer, not after
    names = {f"reward.{reward.name}" for reward in own} | {"reward.total"}
    missing = [name for name in work.credit.reads if name.startswith("reward.") and name not in names]
    if missing:
        raise SettingError(
            f"The credit rule of {settings.recipe!r} reads {missing[0]!r}, but the rewards are {sorted(names)}: name "
            "your function so, or pass the setting of the recipe that names it."
        )
    weights = (1.0,) * len(own)
    sampler = _rescored(work.sampler, Scored(rewards=own, weights=weights))
    return dataclasses.replace(work, rewards=own, weights=weights, sampler=sampler)


def _rescored(part: Any, scorer: Scored) -> Any:
    """The part in which every scorer of finished trajectories is the given one, at any depth."""
    if isinstance(part, Scored):
        return scorer if all(reward.when == "leaf" for reward in part.rewards) else part
    if not dataclasses.is_dataclass(part) or isinstance(part, type):
        return part
    held = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
    changed = {name: new for name, old in held.items() if (new := _rescored(old, scorer)) is not old}
    return dataclasses.replace(part, **changed) if changed else part


def _policy(settings: RunSettings, environment: TaskEnvironment, work: Train) -> Learner:
    chosen, key = settings.policy, keys.fold(keys.root(settings.seed), "policy")
    if (world := surveyed(environment)) is not None:
        streams = work.credit.streams if isinstance(work.credit, (Advantages, NStep)) else ()
        return actors.load(world, streams=len(streams), key=key)
    if isinstance(environment, Denoising):
        if work.process is None and not settings.reward:
            raise SettingError(
                f"Recipe {settings.recipe!r} scores text or tool calls; tasks.names={list(settings.tasks.names)} are "
                "images: choose a recipe of `milepost list --domain flow`, or name a reward of your own with --reward."
            )
        return models.policy(settings, work)
    if work.process is not None:
        raise SettingError(
            f"Recipe {settings.recipe!r} samples a flow model, and tasks.names={list(settings.tasks.names)} need a "
            'language model: name tasks of images, such as "digits".'
        )
    decoding = Decoding(
        temperature=chosen.temperature, top_p=chosen.top_p, max_tokens=chosen.max_tokens, stop=environment.stop
    )
    model = environment.embedded if chosen.model == "embedded" else chosen.model
    memory = chosen.memory_bytes
    return loading.load(model, decoding=decoding, lora_rank=chosen.lora_rank, key=key, memory_bytes=memory)


def greedy(policy: Policy) -> Policy:
    """The policy that takes its likeliest answer.

    Args:
        policy: any policy.

    Returns:
        What its `greedy()` returns.

    Raises:
        SettingError: it has none.
    """
    if not isinstance(policy, Greedy):
        raise SettingError(f"The choice of tasks scores greedy answers, and {type(policy).__name__} has no greedy().")
    return policy.greedy()
