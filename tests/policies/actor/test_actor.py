"""An actor on the forest's protocol: what it stored is what it says again, and its gradient is that of its density."""

import pytest
import torch

from milepost import keys
from milepost.engines.update import Appraises
from milepost.environments.control.gym import Gymnasium
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.part import Greedy, Observation
from milepost.policies.actor import loading
from milepost.policies.actor.actor import Actor
from milepost.policies.actor.heads import Numbered
from milepost.policies.actor.network import ActorNetwork
from milepost.policies.features import Values
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent


def episodes(name, law="gaussian", streams=2):
    world = Gymnasium(name=name)
    actor = loading.load(world, streams=streams, law=law, key=keys.root(1))
    draws = [Draw(task=task) for task in world.train()[:2]]
    return actor, grow(draws, policy=actor, environment=world, sampler=Independent(width=2), key=keys.root(2))


LAWS = [("CartPole-v1", "gaussian"), ("Pendulum-v1", "gaussian"), ("Pendulum-v1", "beta")]


@pytest.mark.parametrize(("name", "law"), LAWS)
def test_what_it_stored_is_what_it_says_again(name, law):
    actor, forest = episodes(name, law)
    rows = torch.arange(len(forest))
    found = actor.log_prob(forest, rows)
    below = forest.parent >= 0
    torch.testing.assert_close(found[below].detach(), forest["log_prob"][below], atol=1e-5, rtol=1e-5)
    assert bool((found[~below] == 0).all())
    assert float(forest["cost.model_calls"].nansum()) == int(below.sum())


def test_appraisal_and_values_agree():
    actor, forest = episodes("CartPole-v1")
    rows = torch.arange(len(forest))
    said, after = actor.appraise(forest, rows), actor.values(forest, rows)
    below = forest.parent >= 0
    torch.testing.assert_close(said.value[below].detach(), after[forest.parent[below]])
    assert said.value.shape == (len(forest), 2)
    assert bool((said.entropy[below] > 0.69).all()), "nearly ln 2 at first"
    assert isinstance(actor, Appraises)
    assert isinstance(actor, Values)
    assert isinstance(actor, Greedy)


def test_the_gradient_is_that_of_the_density():
    actor, forest = episodes("CartPole-v1", streams=0)
    rows = torch.arange(6)
    actor.log_prob(forest, rows).sum().backward()
    slope = actor.network.actor[4].bias.grad
    below = rows[forest.parent[rows] >= 0]
    share = actor.network.act(forest["observation"][forest.parent[below]]).softmax(1)
    hot = torch.nn.functional.one_hot(forest["action"][below], 2)
    torch.testing.assert_close(slope, (hot - share).sum(0).detach(), atol=1e-5, rtol=1e-4)


def test_the_likeliest_action():
    network = ActorNetwork((3, 2, 1), width=4, key=1)
    actor = Actor(network=network, head=Numbered(count=2))
    seen = actor.encode([Observation(array=torch.zeros(3).numpy())], start=True)
    forest = Forest.of([-1], seen)
    likeliest, roots = actor.greedy(), torch.zeros(20, dtype=torch.int64)
    drawn = set(likeliest.propose(forest, roots, torch.arange(20)).columns["action"].tolist())
    assert drawn == {int(network.act(torch.zeros(1, 3)).argmax())}


def test_text_is_refused():
    actor = Actor(network=ActorNetwork((3, 2, 1), width=4, key=1), head=Numbered(count=2))
    with pytest.raises(SettingError, match="shown text"):
        actor.encode([Observation(text="hello")], start=True)


def test_weights_come_back():
    actor, _ = episodes("CartPole-v1")
    held = {name: value.detach().clone() + 1 for name, value in actor.trainable().items()}
    actor.restore(held, 7)
    assert actor.version == 7
    assert all(torch.equal(value, held[name]) for name, value in actor.trainable().items())
    actor.advance()
    assert actor.version == 8
