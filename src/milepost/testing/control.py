"""A few updates of a control recipe on a pole that must be balanced; payoffs stand in for the recipe's rewards."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from milepost import keys
from milepost.credit.returns import Advantages, NStep
from milepost.engines.beside.bonus import Memorised
from milepost.engines.settings import UpdateSettings
from milepost.engines.update import Updater, optimiser_for
from milepost.environments.control.gym import Gymnasium
from milepost.forest import Forest
from milepost.policies.actor import loading
from milepost.policies.actor.actor import Actor
from milepost.policies.features import described
from milepost.recipe import Remembers, Train
from milepost.rewards.combine import Scored
from milepost.rewards.control.episodes import Payoff, Reached
from milepost.sampling.frontier import grow, numbered

_KEY = keys.root(0)
_SETTINGS = UpdateSettings(learning_rate=1e-2, epochs=2, minibatches=2)


@dataclass(frozen=True, kw_only=True)
class Balanced:
    """What a few updates did."""

    weights: tuple[Tensor, ...]
    losses: tuple[float, ...]
    last: Forest


def balance(job: Train, *, steps: int) -> Balanced:
    """Train an actor for a few steps on CartPole; each reward of the job is stood in for by the pole's payoff.

    Args:
        job: a control recipe's job.
        steps: number of updates.

    Returns:
        The weights, the losses and the last batch.
    """
    world = Gymnasium(name="CartPole-v1", train_size=4)
    streams = len(job.credit.streams) if isinstance(job.credit, (Advantages, NStep)) else 0
    actor: Actor = loading.load(world, streams=streams, width=16, key=_KEY)
    part = job.learned if isinstance(job.learned, Remembers) else None
    beside = None if part is None else Memorised(part=part, memory=part.init(world.survey(64, _KEY)))
    optimiser = optimiser_for(actor, _SETTINGS)
    updater = Updater(policy=actor, objective=job.objective, optimiser=optimiser, settings=_SETTINGS, reference=None)
    rewards = tuple(Payoff(name=one.name) if one.when == "step" else Reached(name=one.name) for one in job.rewards)
    scored, pool, losses = Scored(rewards=rewards, weights=job.weights), world.train(), list[float]()
    chosen, forest = job.choice.init(pool, _KEY), Forest.of([])
    for step in range(steps):
        drawn = job.choice.draw(chosen, 4)
        draws = numbered([pool[place] for place in drawn.tasks.tolist()], {})
        key = keys.fold(_KEY, "step", step)
        forest = grow(draws, policy=actor, environment=world, sampler=job.sampler, key=key)
        forest = scored(forest, torch.arange(len(forest)))
        chosen = job.choice.update(drawn.state, forest, scoring=False)
        forest = forest if beside is None else beside(forest, key).forest
        forest = job.credit(described(forest, actor, job.credit))
        losses.append(updater(forest if job.view is None else job.view(forest), key)["objective/loss"])
    weights = tuple(value.detach().clone() for value in actor.trainable().values())
    return Balanced(weights=weights, losses=tuple(losses), last=forest)
