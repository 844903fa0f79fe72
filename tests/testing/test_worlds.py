"""The small worlds say what is true: probabilities sum to 1, sampling follows them, gradients are right."""

from __future__ import annotations

import math

import pytest
import torch

from milepost import keys
from milepost.columns import End, Role
from milepost.errors import ResumeError, SettingError
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.testing import worlds

KEY = keys.root(11)
PAYOFF = {"a": 1.0, "b": 0.5, "c": None}


def rolled(policy, environment, task, width):
    return grow([Draw(task=task)], policy=policy, environment=environment, sampler=Independent(width=width), key=KEY)


def test_hand_example():
    table = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]], dtype=torch.float64)
    policy = worlds.TabularPolicy(vocabulary="ab", table=table, length=2)
    chance = {answer.text: float(answer.log_prob.detach().exp()) for answer in policy.answers("a")}
    assert chance == pytest.approx({"aa": 1 / 16, "ab": 3 / 16, "ba": 3 / 8, "bb": 3 / 8})


@pytest.mark.parametrize(("turns", "shows", "stop"), [(1, "", None), (2, "", "c"), (3, ".", "c"), (2, "..", None)])
def test_probabilities_sum_to_one(turns, shows, stop):
    policy = worlds.TabularPolicy.random("abc.", key=KEY, length=2, stop=stop)
    task = worlds.letter_task("t", prompt="ab", payoff={})
    everything = worlds.trajectories(policy, worlds.Letters(turns=turns, shows=shows), task)
    total = torch.stack([one.log_prob for one in everything]).detach().exp().sum()
    assert float(total) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.statistical
def test_sampling_follows_the_stated_probabilities():
    policy = worlds.TabularPolicy.random("abc.", key=KEY, length=2, stop="c")
    environment, count = worlds.Letters(turns=2, shows="."), 4000
    task = worlds.letter_task("t", prompt="a", payoff={})
    forest = rolled(policy, environment, task, count)
    texts = forest.text("text")
    seen = ["".join(texts[row] or "" for row in forest.path(leaf).tolist()[1:]) for leaf in forest.leaves().tolist()]
    for one in worlds.trajectories(policy, environment, task):
        p = float(one.log_prob.exp())
        assert abs(seen.count(one.text) / count - p) <= 5 * math.sqrt(p * (1 - p) / count), one


@pytest.mark.parametrize("shows", ["", "."])
def test_recorded_log_probabilities_are_the_recomputed_ones(shows):
    policy = worlds.TabularPolicy.random("abc.", key=KEY, length=3, stop="c")
    forest = rolled(policy, worlds.Letters(turns=3, shows=shows), worlds.letter_task("t", prompt="ab", payoff={}), 16)
    again = policy.log_prob(forest, torch.arange(len(forest)))
    chosen = forest["tokens.role"] == int(Role.POLICY)
    torch.testing.assert_close(again[chosen].float(), forest["tokens.log_prob"][chosen], rtol=0, atol=1e-6)
    assert bool((again[~chosen] == 0).all())
    assert torch.equal(forest.valid("tokens.log_prob"), chosen)
    back = policy.log_prob(forest, torch.arange(len(forest) - 1, -1, -1))
    assert float(back.sum()) == pytest.approx(float(again.sum()))


def test_a_step_depends_on_its_key_only():
    policy = worlds.TabularPolicy.random("abc", key=KEY, length=3)
    task = worlds.letter_task("t", prompt="a", payoff={})
    few, many = (rolled(policy, worlds.Letters(), task, width) for width in (3, 50))
    assert few.text("text")[1:] == many.text("text")[1:4]
    assert torch.equal(few["tokens.log_prob"], many["tokens.log_prob"][: len(few["tokens.log_prob"])])


def test_gradient_of_the_expectation_matches_finite_differences():
    policy = worlds.TabularPolicy.random("abc", key=KEY, length=2)
    task = worlds.letter_task("t", prompt="a", payoff={"ab": 1.0, "ca": 0.25, "cc": -1.0})
    worlds.expected_payoff(policy, worlds.Letters(), task).backward()
    step = 1e-6
    for index in ((0, 0), (0, 1), (2, 0), (1, 2)):
        ends = []
        for sign in (1, -1):
            table = policy.table.detach().clone()
            table[index] += sign * step
            moved = worlds.TabularPolicy(vocabulary="abc", table=table, length=2)
            ends.append(float(worlds.expected_payoff(moved, worlds.Letters(), task)))
        assert float(policy.table.grad[index]) == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-8)


def test_ends():
    policy = worlds.TabularPolicy.random("abc", key=KEY, length=2, stop="c")
    forest = rolled(policy, worlds.Letters(), worlds.letter_task("t", prompt="a", payoff={}), 64)
    for text, end in zip(forest.text("text")[1:], forest["end"][1:].tolist(), strict=True):
        assert end == (End.TERMINATED if "c" in text else End.TOKEN_LIMIT)


def test_payoff_reads_the_task_and_fails_where_it_says_so():
    policy = worlds.TabularPolicy.random("abc", key=KEY)
    forest = rolled(policy, worlds.Letters(), worlds.letter_task("t", prompt="a", payoff=PAYOFF), 32)
    scores = worlds.Payoff()(forest, forest.leaves())
    for row, text in enumerate(forest.text("text")[1:]):
        assert bool(scores.ok[row]) == (text != "c")
        assert (scores.reasons[row] is None) == (text != "c")
        assert text == "c" or float(scores.values[row]) == PAYOFF[text]


def test_weights_are_restored_and_refused():
    policy, other = (worlds.TabularPolicy.random("abc", key=key) for key in (KEY, KEY + 1))
    other.restore({name: value.detach() for name, value in policy.trainable().items()}, 7)
    assert torch.equal(other.table, policy.table)
    assert other.version == 7
    with pytest.raises(ResumeError, match="expected 'table'"):
        other.restore({}, 1)
    with pytest.raises(SettingError, match="one row and one column"):
        worlds.TabularPolicy(vocabulary="aa", table=torch.zeros(2, 2))
