"""What runs beside the policy follows from what the job's reward is."""

from dataclasses import replace

import pytest

from milepost import keys
from milepost.credit.returns import Advantages
from milepost.engines.beside.bonus import Memorised
from milepost.engines.beside.choice import beside_of
from milepost.engines.beside.learned import Beside
from milepost.engines.build import World
from milepost.engines.settings import UpdateSettings
from milepost.environments.control.gym import Gymnasium
from milepost.errors import SettingError
from milepost.objectives.actor_critic import ActorCritic
from milepost.objectives.pairs import TrajectoryPreference
from milepost.policies.actor import loading
from milepost.recipe import Train
from milepost.rewards.bonus.distillation import Distilled
from milepost.rewards.control.episodes import Payoff
from milepost.rewards.learned.implicit import Implicit
from milepost.sampling.choice import Uniform
from milepost.sampling.independent import Independent
from milepost.testing.worlds import Letters


def world(learned) -> World:
    environment = Gymnasium(name="CartPole-v1")
    actor = loading.load(environment, key=keys.root(0))
    job = Train(
        choice=Uniform(),
        sampler=Independent(),
        rewards=(Payoff(),),
        weights=(1.0,),
        credit=Advantages(),
        objective=ActorCritic(),
        learned=learned,
    )
    return World(job=job, environment=environment, train=(), held_out=(), policy=actor, reference=None, learned=actor)


def test_nothing_a_memory_or_a_copy() -> None:
    assert beside_of(world(None), UpdateSettings()) is None
    assert isinstance(beside_of(world(Distilled()), UpdateSettings()), Memorised)
    implicit = Implicit(objective=TrajectoryPreference(beta=0.5), beta=0.5)
    assert isinstance(beside_of(world(implicit), UpdateSettings()), Beside)


def test_a_memory_of_observations_needs_some() -> None:
    with pytest.raises(SettingError, match="the tasks show text"):
        beside_of(replace(world(Distilled()), environment=Letters()), UpdateSettings())
