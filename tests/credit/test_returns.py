"""Generalised advantages and n-step returns on forests: by hand, at both ends of lambda, over branches, at limits."""

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3.common.buffers import RolloutBuffer

from milepost.credit import returns
from milepost.credit.returns import Advantages, NStep, Stream
from milepost.errors import ShapeError
from milepost.forest import Forest
from milepost.testing.parts import check_part

PLAIN = {"normalise": False}


def chain(rewards, values, *, ended, discount=None):
    """One episode; the values of all its states, the start included."""
    size = len(rewards) + 1
    flow = [1.0] * size if discount is None else discount
    flow[-1] = 0.0 if ended else 1.0
    columns = {
        "reward.total": [0.0, *rewards],
        "ok.total": [True] * size,
        "discount": flow,
        "feature.value": torch.tensor(values)[:, None],
    }
    return Forest.of([row - 1 for row in range(size)], columns)


def one(discount=0.9, decay=0.5):
    return Advantages(streams=(Stream(discount=discount),), trace_decay=decay, **PLAIN)


def test_hand_example():
    """Rewards 1, 2; values 0.5, 1, 4 (of no matter after a termination); discount 0.9, lambda 0.5.

    delta_2 = 2 - 1 = 1;  delta_1 = 1 + 0.9 * 1 - 0.5 = 1.4;  A_1 = 1.4 + 0.45 * 1 = 1.85.
    """
    found = one()(chain([1.0, 2.0], [0.5, 1.0, 4.0], ended=True))
    assert found["advantage"].tolist() == pytest.approx([0, 1.85, 1.0])
    assert found["return"].tolist() == pytest.approx([0, 2.35, 2.0])
    assert found["feature.return"].flatten().tolist() == pytest.approx([0, 2.35, 2.0])
    assert found["value"].tolist() == pytest.approx([0.5, 1.0, 4.0])
    assert found.valid("advantage").tolist() == [False, True, True]


def test_truncation_bootstraps_and_termination_does_not():
    rewards, values = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]
    cut = one(discount=1.0, decay=1.0)(chain(rewards, values, ended=False))
    over = one(discount=1.0, decay=1.0)(chain(rewards, values, ended=True))
    assert cut["advantage"].tolist() == [0, 0, 0, 0], "in a world of constant value nothing is better than thought"
    assert over["advantage"].tolist() == [0, -1, -1, -1]
    far = NStep(streams=(Stream(discount=1.0),), steps=9, **PLAIN)
    assert far(chain(rewards, values, ended=False))["return"].tolist() == [0, 1, 1, 1]


def test_lambda_1_is_monte_carlo_less_value_and_lambda_0_is_the_residual():
    stream = torch.Generator().manual_seed(1)
    rewards, values = torch.randn(30, generator=stream), torch.randn(31, generator=stream)
    forest = chain(rewards.tolist(), values.tolist(), ended=True)
    monte = torch.zeros(31, dtype=torch.float64)
    for row in range(30, 0, -1):
        monte[row] = rewards[row - 1] + 0.9 * (monte[row + 1] if row < 30 else 0)
    found = one(decay=1.0)(forest)["advantage"]
    torch.testing.assert_close(found[1:], (monte[1:] - values[:-1]).float(), atol=1e-5, rtol=1e-5)
    after = torch.cat((values[1:-1], torch.zeros(1)))
    found = one(decay=0.0)(forest)["advantage"]
    torch.testing.assert_close(found[1:], rewards + 0.9 * after - values[:-1], atol=1e-5, rtol=1e-5)


def test_n_steps_lie_between_the_residual_and_monte_carlo():
    forest = chain([1.0, 2.0, 4.0, 8.0], [0.5, 1.5, 2.5, 3.5, 9.0], ended=True)
    td = NStep(streams=(Stream(discount=0.9),), steps=1, **PLAIN)(forest)
    far = NStep(streams=(Stream(discount=0.9),), steps=50, **PLAIN)(forest)
    torch.testing.assert_close(td["advantage"], one(decay=0.0)(forest)["advantage"])
    torch.testing.assert_close(far["advantage"], one(decay=1.0)(forest)["advantage"])
    two = NStep(streams=(Stream(discount=0.9),), steps=2, **PLAIN)(forest)
    assert two["return"][1:].tolist() == pytest.approx([1 + 0.9 * 2 + 0.81 * 2.5, 2 + 0.9 * 4 + 0.81 * 3.5, 4 + 7.2, 8])


def test_branches_are_averaged():
    """Two ways to go on from row 1, worth 4 and 0: the step into row 1 sees their mean; a failed one does not count."""
    columns = {
        "reward.total": [0.0, 1.0, 4.0, 0.0],
        "ok.total": [True] * 4,
        "discount": [1.0, 1.0, 0.0, 0.0],
    }
    forest = Forest.of([-1, 0, 1, 1], columns)
    rule = one(discount=0.5, decay=1.0)
    assert rule(forest)["advantage"].tolist() == [0, 2.0, 4.0, 0.0]
    reasons = [None, None, None, "reward_error"]
    failed = forest.with_columns({"ok.total": [True, True, True, False], "reason.total": reasons})
    found = rule(failed)
    assert found["advantage"].tolist() == [0, 3.0, 4.0, 0.0]
    assert found.valid("advantage").tolist() == [False, True, True, False]
    assert NStep(streams=(Stream(discount=0.5),), steps=2, **PLAIN)(failed)["return"].tolist() == [0, 3.0, 4.0, 0]


def test_two_streams_have_their_own_discounts_and_an_endless_one_goes_on():
    """The bonus stream is followed by the value of the start where the episode terminates."""
    columns = {
        "reward.total": [0.0, 0.0, 1.0],
        "ok.total": [True] * 3,
        "reward.bonus": [0.0, 2.0, 0.0],
        "ok.bonus": [False, True, True],
        "discount": [1.0, 1.0, 0.0],
        "feature.value": torch.tensor([[0.0, 10.0], [0.0, 0.0], [0.0, 0.0]]),
    }
    forest = Forest.of([-1, 0, 1], columns)
    streams = (Stream(discount=1.0, weight=2.0), Stream(reward="bonus", discount=0.5, endless=True))
    found = Advantages(streams=streams, trace_decay=1.0, **PLAIN)(forest)
    assert found["feature.return"].tolist() == [[0, 0], [1.0, 2 + 0.5 * 0.5 * 10], [1.0, 5.0]]
    assert found["advantage"].tolist() == pytest.approx([0, 2 + 4.5 - 10, 2 + 5.0])
    ending = tuple(Stream(reward=s.reward, discount=s.discount, weight=s.weight) for s in streams)
    found = Advantages(streams=ending, trace_decay=1.0, **PLAIN)(forest)
    assert found["feature.return"][:, 1].tolist() == [0, 2.0, 0.0]


def test_the_functions_on_a_chain_are_those_of_the_part():
    forest = chain([1.0, 2.0], [0.5, 1.0, 4.0], ended=True)
    value, reward = forest["feature.value"][:, 0].double(), forest["reward.total"].double()
    discount, ok = 0.9 * forest["discount"].double(), torch.ones(3, dtype=torch.bool)
    before = value[forest.parent.clamp(min=0)]
    delta = returns.residual(reward, discount, value, before)
    found = returns.generalised_advantage(delta, discount, forest.parent, ok, trace_decay=0.5)
    assert found.tolist() == pytest.approx([0, 1.85, 1.0])
    found = returns.n_step_return(reward, discount, value, forest.parent, ok, steps=2)
    assert found.tolist() == pytest.approx([0, 2.8, 2.0])


def test_normalised_credit_has_mean_0_and_spread_1():
    found = Advantages()(chain([1.0, 2.0, 5.0], [0.5, 1.0, 4.0, 0.0], ended=False))
    credit = found["advantage"][1:]
    assert float(credit.mean()) == pytest.approx(0, abs=1e-6)
    assert float(credit.std(correction=0)) == pytest.approx(1, abs=1e-6)
    flat = Advantages(streams=(Stream(discount=0.0),))(chain([1.0, 1.0], [0.0, 0.0, 0.0], ended=False))
    assert flat["advantage"].tolist() == [0, 0, 0], "a constant batch holds no credit"


def test_metrics_say_what_the_critic_explains():
    right = chain([1.0, 2.0], [3.0, 2.0, 0.0], ended=True)
    rule = one(discount=1.0, decay=1.0)
    assert rule.metrics(rule(right), None)["credit/total_explained"] == pytest.approx(1)
    wrong = chain([1.0, 2.0], [0.0, 0.0, 0.0], ended=True)
    assert rule.metrics(rule(wrong), None)["credit/total_explained"] == pytest.approx(0)


def test_a_critic_with_too_few_values_is_told():
    forest = chain([1.0], [0.0, 0.0], ended=True)
    with pytest.raises(ShapeError, match="as many values as the credit rule has streams"):
        Advantages(streams=(Stream(), Stream()))(forest)


def test_it_is_what_stable_baselines_computes():
    """The same rollout through its buffer: an episode that ends inside, and one that is cut off."""
    stream = torch.Generator().manual_seed(2)
    rewards, values = torch.randn(12, generator=stream), torch.randn(12, generator=stream)
    last = 0.7
    space = gymnasium.spaces.Box(-1, 1, (1,))
    buffer = RolloutBuffer(12, space, space, gae_lambda=0.95, gamma=0.99)
    for step in range(12):
        start = [float(step in (0, 5))]
        nothing, paid = np.zeros((1, 1)), np.array([float(rewards[step])])
        buffer.add(nothing, nothing, paid, np.array(start), values[step : step + 1], torch.zeros(1))
    buffer.compute_returns_and_advantage(torch.tensor([last]), dones=torch.zeros(1).numpy())
    first = chain(rewards[:5].tolist(), [*values[:5].tolist(), 0.0], ended=True)
    second = chain(rewards[5:].tolist(), [*values[5:].tolist(), last], ended=False)
    rule = Advantages(streams=(Stream(discount=0.99),), trace_decay=0.95, **PLAIN)
    found = torch.cat([rule(part)["advantage"][1:] for part in (first, second)])
    torch.testing.assert_close(found, torch.from_numpy(buffer.advantages[:, 0]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rule", [Advantages(), NStep(steps=2), Advantages(normalise=False)])
def test_the_common_promises(rule):
    check_part(rule)
