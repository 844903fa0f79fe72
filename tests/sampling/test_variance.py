"""Outcome variance: identities, what it says of the gradient, and the score that VAS draws by."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from milepost import keys
from milepost.errors import SettingError
from milepost.sampling.tracker import dead_groups, moments, scored_groups
from milepost.sampling.variance import VariancePromotion, mixed_probability, outcome_variance

KEY = keys.root(20260203)


def outcomes(rate, width, groups, name):
    """`groups` groups of `width` outcomes with the given pass rate, flat."""
    drawn = keys.generator(keys.fold(KEY, name, width)).random((groups, width)) < rate
    return torch.from_numpy(drawn).double().flatten()


def grouped(score, width):
    groups = len(score) // width
    return moments(score, torch.arange(groups).repeat_interleave(width), groups, torch.ones(len(score)) > 0)


@given(st.lists(st.booleans(), min_size=2, max_size=12))
def test_binary_outcome_variance_is_p_times_one_minus_p(passed):
    score = torch.tensor(passed, dtype=torch.float64)
    rate = score.mean()
    found = float(outcome_variance(grouped(score, len(passed)), unbiased=False))
    assert found == pytest.approx(float(rate * (1 - rate)), abs=1e-15)
    assert found == pytest.approx(float(score.var(correction=0)), abs=1e-15)


@pytest.mark.statistical
@pytest.mark.parametrize("width", [4, 8, 16])
def test_expected_outcome_variance(width):
    """E[P (1 - P)] = (N - 1) / N p (1 - p), to three digits; the unbiased form has no factor. 5 standard errors."""
    rate, groups = 0.3, 200_000
    found = grouped(outcomes(rate, width, groups, "expected"), width)
    truth = rate * (1 - rate)
    for unbiased, expected in ((False, (width - 1) / width * truth), (True, truth)):
        value = outcome_variance(found, unbiased=unbiased)
        error = float(value.std()) / groups**0.5
        assert abs(float(value.mean()) - expected) < 5 * error
        assert error < 5e-4, "three digits"
        assert abs(float(value.mean()) - expected) < 1e-3


@pytest.mark.statistical
@pytest.mark.parametrize("rate", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("width", [2, 8])
def test_mixed_probability_is_the_share_of_live_groups(rate, width):
    groups = 40_000
    score = outcomes(rate, width, groups, f"mixed{rate}")
    group = torch.arange(groups).repeat_interleave(width)
    share = 1 - float(dead_groups(score, group, groups, torch.ones(len(score)) > 0).double().mean())
    expected = float(mixed_probability(torch.tensor([rate]).double(), width))
    assert abs(share - expected) < 5 * (expected * (1 - expected) / groups) ** 0.5


def test_mixed_probability_limits():
    rate = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    assert mixed_probability(rate, 1).tolist() == [0.0, 0.0, 0.0]
    assert mixed_probability(rate, 2).tolist() == [0.0, 0.5, 0.0]
    small = torch.tensor([1e-6], dtype=torch.float64)
    assert float(mixed_probability(small, 8)) == pytest.approx(8e-6, rel=1e-4)
    with pytest.raises(SettingError, match="width"):
        mixed_probability(rate, 0)


def sandwich(logits, reward):
    """Squared gradient of the expected reward by automatic differentiation, and the two bounds."""
    logits = logits.clone().requires_grad_()
    probability = logits.softmax(0)
    value = (probability * reward).sum()
    (gradient,) = torch.autograd.grad(value, logits)
    probability = probability.detach()
    variance = float((probability * (reward - value.detach()).square()).sum())
    low, high = float(probability.min()) * variance, float(probability.max()) * variance
    return low, float(gradient.square().sum()), high


def test_gradient_variance_sandwich_on_2000_cases():
    """pi_min Var[R] <= |grad J|^2 <= pi_max Var[R] for a tabular softmax, without one violation."""
    numbers = keys.generator(keys.fold(KEY, "sandwich"))
    for case in range(2000):
        size = int(numbers.integers(2, 12))
        logits = torch.from_numpy(numbers.normal(size=size)) * float(numbers.uniform(0, 4))
        reward = torch.from_numpy(numbers.normal(size=size) if case % 2 else (numbers.random(size) < 0.5) * 1.0)
        low, square, high = sandwich(logits, reward)
        assert low <= square * (1 + 1e-9) + 1e-15
        assert square <= high * (1 + 1e-9) + 1e-15


def test_the_constant_is_the_smallest_probability_not_a_fixed_share():
    """A nearly decided policy: the squared gradient is a small share of the variance, as the bound with pi_min says."""
    reward = torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)
    low, square, high = sandwich(torch.tensor([0.9, 0.05, 0.05], dtype=torch.float64).log(), reward)
    variance = high / 0.9
    assert variance == pytest.approx(0.09)
    assert low <= square < 0.2 * variance
    near = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64)  # two right answers share the mass
    spread = torch.tensor([0.5 - 1e-6, 1e-6, 0.5 - 1e-6, 1e-6], dtype=torch.float64)
    assert sandwich(spread.log(), near)[1] == pytest.approx(0.125, rel=1e-3)


def test_scores_that_are_not_ok_do_not_count():
    score, ok = torch.tensor([1.0, 0.0, float("nan")]), torch.tensor([True, True, False])
    found = moments(score, torch.zeros(3, dtype=torch.int64), 1, ok)
    assert outcome_variance(found, unbiased=False).tolist() == [0.25]
    assert outcome_variance(found, unbiased=True).tolist() == [0.5]


def score_of(scored, part, groups, **more):
    forest = scored(groups, **more)
    return part(forest, scored_groups(forest, part.reward)).tolist()


def test_one_rollout_says_nothing(scored):
    assert score_of(scored, VariancePromotion(), [("a", 0, [1.0])], answers=[[1, 2]]) == [0.0]


def test_normalised_score_is_between_zero_and_the_sum_of_weights(scored):
    """An even split of answers that share nothing has the largest score: both terms are 1."""
    answers = [[1, 2, 3], [4, 5, 6]]
    assert score_of(scored, VariancePromotion(), [("a", 0, [1.0, 0.0])], answers=answers) == pytest.approx([1.0])
    same = [[1, 2, 3], [1, 2, 3]]
    assert score_of(scored, VariancePromotion(), [("a", 0, [1.0, 0.0])], answers=same) == pytest.approx([0.8])
    assert score_of(scored, VariancePromotion(), [("a", 0, [1.0, 1.0])], answers=same) == [0.0]


def test_raw_sum_of_the_paper(scored):
    part = VariancePromotion(reward_range=None)
    answers = [[1, 2, 3], [4, 5, 6]]
    assert score_of(scored, part, [("a", 0, [1.0, 0.0])], answers=answers) == pytest.approx([0.8 * 0.25 + 0.2])


def test_the_reward_range_makes_real_rewards_comparable(scored):
    plain = VariancePromotion(diversity_weight=0.0)
    wide = VariancePromotion(diversity_weight=0.0, reward_range=(-10.0, 10.0))
    assert score_of(scored, plain, [("a", 0, [0.0, 0.5])]) == pytest.approx(
        score_of(scored, wide, [("a", 0, [-10.0, 0.0])])
    )


def test_without_diversity_no_tokens_are_needed(scored):
    part = VariancePromotion(diversity_weight=0.0)
    assert score_of(scored, part, [("a", 0, [1.0, 0.0]), ("b", 0, [1.0, 1.0, 1.0, 0.0])]) == pytest.approx([0.8, 0.6])


def test_settings_are_checked():
    with pytest.raises(SettingError, match="both 0"):
        VariancePromotion(variance_weight=0.0, diversity_weight=0.0)
    with pytest.raises(SettingError, match="reward_range"):
        VariancePromotion(reward_range=(1.0, 1.0))
    with pytest.raises(SettingError, match="variance_weight"):
        VariancePromotion(variance_weight=-0.1)
