"""The penalty on the distance to a reference: value, sign, and whose gradient it is."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from milepost import keys
from milepost.errors import SettingError, ShapeError
from milepost.forest import Forest
from milepost.objectives.clipped import Clipped
from milepost.objectives.kl import KLPenalty, k3
from milepost.objectives.normalise import SequenceMean

POLICY = torch.tensor([0.3, -0.5, 0.8, 0.0]).double()
REFERENCE = torch.tensor([0.0, 0.4, 0.1, -0.6]).double().log_softmax(0)


def kl(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return (first.exp() * (first - second)).sum()


def arms() -> Forest:
    """One step per action, without credit: only the penalty is left."""
    return Forest.of([-1] + [0] * 4, {"log_prob": [None] + [0.0] * 4, "advantage": [None] + [0.0] * 4})


def test_hand_example():
    assert_close(k3(torch.tensor([-1.0]), torch.tensor([-2.0])), torch.tensor([math.exp(-1) + 1 - 1]))
    assert k3(torch.tensor([-1.5]), torch.tensor([-1.5])).tolist() == [0.0]


def test_never_negative_and_precise_near_0():
    draws = torch.from_numpy(keys.normal([3], (2, 5000))[0])
    assert bool((k3(draws[0], draws[1]) >= 0).all())
    near = k3(torch.zeros(1).double(), torch.full((1,), 1e-7, dtype=torch.float64))
    assert_close(near, torch.tensor([0.5e-14], dtype=torch.float64), rtol=1e-4, atol=0)


def test_mean_over_the_policy_is_the_divergence():
    log_p = POLICY.log_softmax(0)
    assert_close((log_p.exp() * k3(log_p, REFERENCE)).sum(), kl(log_p, REFERENCE), rtol=1e-12, atol=0)


@pytest.mark.statistical
def test_mean_over_samples_is_the_divergence():
    log_p, count = POLICY.log_softmax(0), 200_000
    draw = torch.bucketize(torch.from_numpy(keys.uniform([29], count)[0]), log_p.exp().cumsum(0)[:-1])
    found = k3(log_p, REFERENCE)[draw]
    assert abs(found.mean() - kl(log_p, REFERENCE)) < 5 * found.std() / math.sqrt(count)


def expected_gradient(objective: KLPenalty, sampler: torch.Tensor) -> torch.Tensor:
    """Gradient in the logits when every action occurs as often as the sampler chooses it."""
    logits = POLICY.clone().requires_grad_()
    log_p, total = logits.log_softmax(0), torch.zeros((), dtype=torch.float64)
    for action in range(4):
        forest = Forest.of([-1, 0], {"log_prob": [None, float(sampler[action])], "advantage": [None, 0.0]})
        now = torch.stack((log_p.new_zeros(()), log_p[action]))
        total = (
            total
            + sampler[action].exp() * objective(forest, now, torch.stack((now[0].detach(), REFERENCE[action]))).loss
        )
    (found,) = torch.autograd.grad(total, logits)
    return found


def test_gradient_of_the_uncorrected_penalty_is_that_of_the_divergence_the_other_way():
    """The value estimates KL(policy || reference); over its own samples the gradient is the reverse's."""
    log_p = POLICY.log_softmax(0)
    found = expected_gradient(KLPenalty(objective=Clipped(), coefficient=1.0), log_p)
    logits = POLICY.clone().requires_grad_()
    (reverse,) = torch.autograd.grad(kl(REFERENCE, logits.log_softmax(0)), logits)
    assert_close(found, reverse, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("sampler", [POLICY, torch.zeros(4).double()])
def test_gradient_of_the_corrected_penalty_is_that_of_the_divergence(sampler):
    """Whoever sampled."""
    found = expected_gradient(KLPenalty(objective=Clipped(), coefficient=1.0, corrected=True), sampler.log_softmax(0))
    logits = POLICY.clone().requires_grad_()
    (forward,) = torch.autograd.grad(kl(logits.log_softmax(0), REFERENCE), logits)
    assert_close(found, forward, rtol=1e-5, atol=1e-7)  # the stored log-probabilities are float32


@pytest.mark.parametrize("corrected", [False, True])
def test_gradient_by_finite_differences(tree, slope, corrected):
    objective = KLPenalty(objective=Clipped(), coefficient=0.3, corrected=corrected, normalise=SequenceMean())
    at = tree.now.clone().requires_grad_()
    (found,) = torch.autograd.grad(objective(tree.forest, at, tree.reference).loss, at)
    assert_close(found, slope(lambda x: objective(tree.forest, x, tree.reference).loss, tree.now), rtol=1e-6, atol=1e-8)


def test_it_is_added_to_the_objective(flat, padded):
    forest = flat.forest
    plain = Clipped()(forest, flat.now)
    found = KLPenalty(objective=Clipped(), coefficient=0.04)(forest, flat.now, flat.reference)
    mask = padded(forest, forest["tokens.train"].double())
    gap = padded(forest, flat.reference) - padded(forest, flat.now)
    per_token_kl = torch.exp(gap) - gap - 1  # TRL's GRPOTrainer
    mean = (per_token_kl * mask).sum() / mask.sum()
    assert_close(found.loss, plain.loss + 0.04 * mean, rtol=1e-12, atol=1e-14)
    assert found.metrics["objective/kl"] == pytest.approx(float(mean))
    assert found.metrics["objective/loss"] == pytest.approx(float(found.loss))
    assert found.metrics["objective/clip_fraction"] == plain.metrics["objective/clip_fraction"]


def test_masked_tokens_do_not_matter(flat):
    objective = KLPenalty(objective=Clipped())
    silent = ~flat.forest["tokens.train"]
    noisy = objective(
        flat.forest, torch.where(silent, torch.nan, flat.now), torch.where(silent, torch.nan, flat.reference)
    )
    assert_close(noisy.loss, objective(flat.forest, flat.now, flat.reference).loss)


def test_the_reference_is_a_constant(flat):
    reference = flat.reference.clone().requires_grad_()
    found = KLPenalty(objective=Clipped())(flat.forest, flat.now.clone().requires_grad_(), reference).loss
    assert torch.autograd.grad(found, reference, allow_unused=True) == (None,)


def test_errors():
    forest, zeros = arms(), torch.zeros(5)
    with pytest.raises(SettingError, match="without log-probabilities of a reference"):
        KLPenalty(objective=Clipped())(forest, zeros)
    with pytest.raises(ShapeError, match="reference has shape"):
        KLPenalty(objective=Clipped())(forest, zeros, torch.zeros(3))
    with pytest.raises(SettingError, match="coefficient"):
        KLPenalty(objective=Clipped(), coefficient=-1.0)
