"""The bonus of new observations: RND as a limit, decay with visits, states in order of their counts, a kept memory."""

import numpy as np
import pytest
import torch

from milepost import keys, state
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.rewards.bonus import perceptron
from milepost.rewards.bonus.counting import visits
from milepost.rewards.bonus.distillation import Distilled, Memory, Predictor, Unit
from milepost.rewards.bonus.normalising import discounted_along, whitened
from milepost.rewards.bonus.perceptron import Learnt
from milepost.rewards.bonus.targets import Counted, Distance, Drawn

STATES = torch.from_numpy(keys.generator(1).standard_normal((30, 16))).float()
SURVEY = STATES.numpy()


def episodes(observation):
    """One episode through the given observations."""
    size = len(observation) + 1
    seen = torch.cat((observation[:1], observation))
    return Forest.of([row - 1 for row in range(size)], {"observation": seen, "discount": [1.0] * size})


def test_a_batch_is_scored_with_what_was_known_before_it():
    part = Distilled(predictor=Predictor(learning_rate=1e-2))
    memory = part.init(SURVEY)
    forest, after = part.apply(episodes(STATES), memory, 0)
    raw = part.bonus(memory, part_scaled(memory))
    ratio = forest["reward.bonus"][1:] / raw
    torch.testing.assert_close(ratio, ratio[0].expand(30), rtol=1e-4, atol=0)
    assert forest["ok.bonus"].tolist() == [False] + [True] * 30, "the observation arrived at, never the start"
    again, _ = part.apply(episodes(STATES), after, 1)
    assert not torch.equal(again["reward.bonus"], forest["reward.bonus"])


def part_scaled(memory: Memory):
    return whitened(memory.observations, STATES, limit=5.0)


def test_without_noise_it_is_random_network_distillation_to_the_bit():
    """The plain method: targets are the frozen network, the bonus is the predictor's error, one Adam pass."""
    part = Distilled(targets=Drawn(sigma=0.0), predictor=Predictor(batch=1000, learning_rate=1e-3))
    memory = part.init(SURVEY)
    scaled = part_scaled(memory)
    target = part.frozen(scaled)[0]
    learnt: Learnt = memory.learnt
    for key in range(4):
        known = Memory(learnt=learnt, observations=memory.observations, returns=memory.returns)
        predicted = perceptron.outputs(learnt.weights, scaled)
        assert torch.equal(part.bonus(known, scaled), Distance()(predicted, target[None]))
        order = torch.from_numpy(keys.generator(keys.fold(key, "targets")).permutation(30))
        held = {name: value.requires_grad_() for name, value in learnt.weights.items()}
        loss = (perceptron.outputs(held, scaled[order]) - target[order]).square().mean()
        slopes = dict(zip(held, torch.autograd.grad(loss, list(held.values())), strict=True))
        detached = {name: value.detach() for name, value in held.items()}
        plain = Learnt(weights=detached, first=learnt.first, second=learnt.second, steps=learnt.steps)
        wanted = perceptron.step(plain, slopes, rate=1e-3)
        learnt = part.learn(learnt, scaled, key)
        assert all(torch.equal(learnt.weights[name], wanted.weights[name]) for name in wanted.weights)


@pytest.mark.statistical
def test_the_bonus_falls_like_a_count_and_that_of_rnd_does_not(record_property):
    """Slope of log bonus on log visits, 30 states seen 1 to 316 times: RDD in [-1.2, -0.6], RND below -1.4."""
    slopes = {"rdd": slope(1.0), "rnd": slope(0.0)}
    record_property("slopes", slopes)
    assert -1.2 < slopes["rdd"] < -0.6
    assert slopes["rnd"] < -1.4


def slope(sigma):
    count = torch.from_numpy(np.geomspace(1, 316, 30).round().astype(int))
    part = Distilled(targets=Drawn(sigma=sigma), predictor=Predictor(width=256, outputs=64, batch=64))
    memory = part.init(SURVEY)
    scaled, learnt = part_scaled(memory), memory.learnt
    every = torch.repeat_interleave(torch.arange(30), count)
    frozen = part.frozen(scaled)
    stream = keys.generator(3)
    target = part.targets.draw(frozen[:, every], stream)  # drawn once per visit; then fitted as well as it can be
    steps = 1200
    for step in range(steps):
        rows = torch.from_numpy(stream.integers(len(every), size=64))
        held = {name: value.detach().requires_grad_() for name, value in learnt.weights.items()}
        loss = (perceptron.outputs(held, scaled[every[rows]]) - target[rows]).square().mean()
        slopes = dict(zip(held, torch.autograd.grad(loss, list(held.values())), strict=True))
        plain = {name: value.detach() for name, value in held.items()}
        learnt = Learnt(weights=plain, first=learnt.first, second=learnt.second, steps=learnt.steps)
        learnt = perceptron.step(learnt, slopes, rate=3e-3 * (1 - step / steps))
    found = Distance()(perceptron.outputs(learnt.weights, scaled), frozen)
    x, y = count.double().log(), found.double().log()
    return float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())


@pytest.mark.statistical
def test_the_rarer_of_two_states_of_a_chain_has_the_larger_bonus(record_property):
    """40 states, starts 50 times likelier at one end: order by bonus is order by count, where counts differ by 2."""
    part = Distilled(predictor=Predictor(width=128, learning_rate=1e-3, batch=64))
    memory, seen = part.init(np.eye(40, dtype=np.float32)), torch.zeros(40, dtype=torch.int64)
    stream = keys.generator(5)
    chance = np.geomspace(50, 1, 40)
    for batch in range(30):
        start = torch.from_numpy(stream.choice(40, size=200, p=chance / chance.sum()))
        _, seen = visits(start, seen)
        _, memory = part.apply(episodes(torch.eye(40)[start]), memory, batch)
    scaled = torch.eye(40)
    bonus = part.bonus(memory, whitened(memory.observations, scaled, limit=5.0))
    apart = seen[:, None] >= 2 * seen[None, :]
    right = float((bonus[:, None] < bonus[None, :])[apart].double().mean())
    record_property("pairs in order", right)
    assert right > 0.9


def test_units_are_spreads_of_returns_and_may_forget():
    forest = episodes(STATES)
    part = Distilled(unit=Unit(discount=0.9, keep=0.0))
    memory = part.init(SURVEY)
    for key in range(3):
        found, memory = part.apply(forest, memory, key)
    value = found["reward.bonus"].where(found["ok.bonus"], 0).double()
    sums = discounted_along(value, forest.parent, discount=0.9)[1:]
    assert float(sums.std(correction=0)) == pytest.approx(1, rel=1e-4)


def test_a_frozen_prior_makes_what_was_never_seen_new():
    plain, prior = (Distilled(predictor=Predictor(prior=scale)) for scale in (0.0, 3.0))
    memory = plain.init(SURVEY)
    scaled = part_scaled(memory)
    assert float(Distilled(predictor=Predictor(prior=1e-6)).bonus(memory, scaled).mean()) == pytest.approx(
        float(plain.bonus(memory, scaled).mean()), rel=1e-3
    )
    assert float(prior.bonus(memory, scaled).mean()) > 3 * float(plain.bonus(memory, scaled).mean())


def test_a_share_of_the_states_is_learned_from():
    part = Distilled(predictor=Predictor(share=0.1, batch=1))
    memory = part.init(SURVEY)
    assert float(part.learn(memory.learnt, part_scaled(memory), 0).steps) == 3


def test_counts_as_a_readout():
    part = Distilled(readout=Counted())
    found, _ = part.apply(episodes(STATES), part.init(SURVEY), 0)
    assert bool((found["reward.bonus"][1:] > 0).all())


def test_the_memory_survives_a_checkpoint():
    part = Distilled()
    _, memory = part.apply(episodes(STATES), part.init(SURVEY), 0)
    back = state.load(Memory, state.dump(memory))
    first, second = (part.apply(episodes(STATES), one, 1)[0]["reward.bonus"] for one in (memory, back))
    assert torch.equal(first, second)


def test_text_has_no_observations():
    with pytest.raises(ColumnError, match="a policy that acts on arrays"):
        Distilled().apply(Forest.of([-1, 0]), Distilled().init(SURVEY), 0)
