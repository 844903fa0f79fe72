"""T1 of A-GRAE: the gradient of a group's surrogate over a finite answer space, against automatic differentiation."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from milepost import keys
from milepost.credit.asymmetric import Asymmetric
from milepost.credit.group import Normalised
from milepost.credit.sign import SignGain
from milepost.objectives.clipped import Clipped
from milepost.testing.answers import solved


def gradient(logits: torch.Tensor, answer: torch.Tensor, credit: torch.Tensor) -> torch.Tensor:
    """d/dh of sum over the samples of A ln pi(answer), by automatic differentiation."""
    at = logits.clone().requires_grad_()
    (found,) = torch.autograd.grad((credit * at.log_softmax(0)[answer]).sum(), at)
    return found


def published(logits: torch.Tensor, answer: torch.Tensor, credit: torch.Tensor) -> torch.Tensor:
    """dJ/dh_i = sum of A over the samples that are answer i, less C pi_i, with C the sum of all credit."""
    sampled = torch.zeros_like(logits).index_add_(0, answer, credit)
    return sampled - credit.sum() * logits.softmax(0)


@pytest.mark.parametrize("rule", [Normalised(), SignGain(positive=0.1), SignGain(positive=3.0), Asymmetric()])
@pytest.mark.parametrize("seed", range(8))
def test_t1_gradient_of_the_logits(rule, seed):
    """Twelve answers, sixteen samples: some answers are drawn several times, some never, and C need not be 0."""
    draws = keys.uniform([seed], 40)[0]
    logits = torch.from_numpy(keys.normal([seed + 100], (12,))[0])
    answer = torch.from_numpy((draws[:16] * 8).astype("int64"))
    assert len(answer.unique()) < 16
    right = torch.from_numpy(draws[16:28] < 0.4)[answer]
    right[0], right[1] = True, False
    forest = rule(solved([right.double().tolist()]))
    credit = forest["advantage"][1:].double()
    found = gradient(logits, answer, credit)
    assert_close(found, published(logits, answer, credit), rtol=1e-12, atol=1e-12)
    total, unsampled = credit.sum(), torch.ones(12, dtype=torch.bool).index_fill(0, answer, False)
    assert int(unsampled.sum()) >= 4
    assert_close(found[unsampled], -total * logits.softmax(0)[unsampled], rtol=1e-12, atol=1e-12)
    if isinstance(rule, Normalised):
        assert_close(found[unsampled], torch.zeros_like(found[unsampled]), rtol=0, atol=1e-6)
    elif rule != SignGain(positive=3.0):
        assert bool((found[unsampled] > 0).all())  # suppressed successes raise every logit that was not sampled
    else:
        assert bool((found[unsampled] < 0).all())


def test_t1_holds_for_the_objective_itself():
    """Through forest and clipped surrogate, on fresh samples, it is the gradient of T1 over the group's size."""
    logits = torch.from_numpy(keys.normal([5], (6,))[0])
    answer = torch.tensor([0, 1, 1, 4, 0, 2, 1, 0])
    forest = SignGain(positive=0.1)(solved([[1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]]))
    stored = torch.cat((torch.zeros(1), logits.log_softmax(0)[answer].float()))
    forest = forest.with_columns({"log_prob": stored}).with_valid("log_prob", forest.parent >= 0)
    at = logits.clone().requires_grad_()
    now = torch.cat((torch.zeros(1).double(), at.log_softmax(0)[answer]))
    (found,) = torch.autograd.grad(-Clipped()(forest, now).loss, at)
    assert_close(found * 8, published(logits, answer, forest["advantage"][1:].double()), rtol=1e-5, atol=1e-6)


def test_t1_caveat_for_probabilities():
    """With C < 0 all logits that were not sampled rise, yet d ln pi_i = dh_i - sum_j pi_j dh_j may fall.

    Answers: a confident wrong one not drawn, a right one drawn, a wrong one drawn, a right one not drawn.
    """
    chance = torch.tensor([0.6, 0.1, 0.2, 0.1]).double()
    forest = SignGain(rule=Normalised(eps=0.0), positive=0.1)(solved([[1.0, 0.0]]))
    credit, answer = forest["advantage"][1:].double(), torch.tensor([1, 2])
    rise = gradient(chance.log(), answer, credit)
    assert credit.sum() < 0
    assert bool((rise[[0, 3]] > 0).all())
    probability = rise - chance @ rise
    assert_close(probability[[0, 3]], torch.tensor([0.54 - 0.188, 0.09 - 0.188]).double(), rtol=1e-6, atol=1e-6)
    assert probability[0] > 0  # the overconfident wrong answer gains
    assert probability[3] < 0  # the right answer that was not drawn loses


def test_repeated_answers_add_up():
    logits = torch.zeros(3).double()
    once, twice = torch.tensor([2.0, -2.0]).double(), torch.tensor([1.0, 1.0, -2.0]).double()
    first = gradient(logits, torch.tensor([0, 1]), once)
    assert torch.equal(first, gradient(logits, torch.tensor([0, 0, 1]), twice))
