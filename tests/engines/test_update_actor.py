"""Updates of an actor-critic: epochs, and the critic learns with the actor in one step."""

import torch

from milepost import keys
from milepost.credit.returns import Advantages
from milepost.credit.transitions import Transitions
from milepost.engines.settings import UpdateSettings
from milepost.engines.update import Updater, optimiser_for
from milepost.environments.control.gym import Gymnasium
from milepost.objectives.actor_critic import ActorCritic
from milepost.policies.actor import loading
from milepost.policies.features import VALUE, described
from milepost.rewards.combine import Scored
from milepost.rewards.control.episodes import Payoff
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent


def credited():
    world = Gymnasium(name="CartPole-v1")
    actor = loading.load(world, key=keys.root(1))
    draws = [Draw(task=task) for task in world.train()[:4]]
    forest = grow(draws, policy=actor, environment=world, sampler=Independent(width=2), key=keys.root(2))
    forest = Scored(rewards=(Payoff(),), weights=(1.0,))(forest, torch.arange(len(forest)))
    rule = Advantages()
    forest = described(forest, actor, rule)
    assert forest[VALUE].shape == (len(forest), 1)
    return actor, rule(forest)


def updater(actor, **chosen):
    settings = UpdateSettings(learning_rate=3e-3, **chosen)
    optimiser = optimiser_for(actor, settings)
    return Updater(policy=actor, objective=ActorCritic(), optimiser=optimiser, settings=settings, reference=None)


def test_several_passes_in_shuffled_steps_teach_the_critic():
    actor, forest = credited()
    view = Transitions()(forest)
    first = updater(actor, epochs=1)(view, 0)
    assert abs(first["objective/ratio_mean"] - 1) < 1e-5, "the first pass is on the policy that sampled"
    last = updater(actor, epochs=10, minibatches=4)(view, 1)
    assert last["objective/value_loss"] < first["objective/value_loss"]
    assert last["objective/behaviour_kl"] > 0
    assert actor.version == 2


def test_one_epoch_is_what_it_was():
    """The same key splits the same way whether passes are counted or not."""
    (one, forest), (two, _) = credited(), credited()
    updater(one, minibatches=3)(forest, 5)
    updater(two, minibatches=3, epochs=1)(forest, 5)
    assert all(torch.equal(a, b) for a, b in zip(one.trainable().values(), two.trainable().values(), strict=True))
