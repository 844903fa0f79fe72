"""Probabilities of inclusion: budgets met, draws independent and repeatable, estimates unbiased."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milepost.curation.selection.inclusion import either, even, rate, top, uniforms
from milepost.errors import ShapeError

COUNTS = st.lists(st.integers(0, 50), min_size=1, max_size=8).map(lambda items: np.array(items, dtype=np.int64))


def test_top_by_hand():
    assert top(np.array([10, 4, 2]), 4).tolist() == [0.0, 0.5, 1.0]
    assert top(np.array([10, 0, 2]), 1).tolist() == [0.0, 0.0, 0.5]


def test_even_by_hand():
    assert even(np.array([10, 1, 4]), 7).tolist() == [0.3, 1.0, 0.75]
    assert even(np.array([2, 0, 4]), 100).tolist() == [1.0, 0.0, 1.0]


@settings(max_examples=200, deadline=None)
@given(COUNTS, st.floats(0, 300))
def test_budgets_are_met(count, budget):
    for rule in (top, even):
        probability = rule(count, budget)
        assert ((probability >= 0) & (probability <= 1)).all()
        assert (count * probability).sum() == pytest.approx(min(budget, count.sum()))
    assert (np.diff(top(count, budget)[count > 0]) >= 0).all(), "a higher level is never less likely"


def test_either():
    assert either(np.array([0.0, 0.5, 1.0]), 0.2) == pytest.approx([0.2, 0.6, 1.0])


@pytest.mark.statistical
def test_uniforms_are_uniform_and_belong_to_their_line():
    lines = np.arange(100_000)
    drawn = uniforms(3, "a.jsonl", lines, "rule")
    assert ((drawn >= 0) & (drawn < 1)).all()
    error = 5 / np.sqrt(12 * len(drawn))
    assert abs(drawn.mean() - 0.5) < error
    counts = np.bincount((drawn * 100).astype(int), minlength=100)
    assert ((counts - 1000) ** 2 / 1000).sum() < 99 + 5 * np.sqrt(2 * 99)
    assert np.array_equal(uniforms(3, "a.jsonl", lines[7:9], "rule"), drawn[7:9])
    others = (("b.jsonl", "rule", 3), ("a.jsonl", "sentinel", 3), ("a.jsonl", "rule", 4))
    for file, purpose, seed in others:
        other = uniforms(seed, file, lines, purpose)
        assert abs(np.corrcoef(drawn, other)[0, 1]) < 5 / np.sqrt(len(lines))
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 5 / np.sqrt(len(lines))


@pytest.mark.statistical
def test_the_estimate_is_unbiased_and_its_interval_holds_the_truth():
    """A pool of 2,000 in which signals and defects go together; 400 selections with known probabilities."""
    random = np.random.Generator(np.random.Philox(key=8))
    signal = random.random(2000) < 0.3
    defect = (random.random(2000) < np.where(signal, 0.6, 0.15)).astype(float)
    probability = either(np.where(signal, 0.5, 0.0), 0.05)
    found, held, naive = [], 0, []
    for seed in range(400):
        drawn = uniforms(seed, "pool", np.arange(2000), "rule") < probability
        estimate = rate(defect[drawn], probability[drawn], 2000)
        found.append(estimate.rate)
        held += estimate.low <= defect.mean() <= estimate.high
        naive.append(defect[drawn].mean())
    found = np.array(found)
    assert abs(found.mean() - defect.mean()) < 5 * found.std() / np.sqrt(400)
    assert 0.95 - 5 * np.sqrt(0.05 * 0.95 / 400) < held / 400
    assert np.mean(naive) - defect.mean() > 0.1, "the enriched sample itself is far off"


def test_estimates_by_hand():
    found = rate(np.array([1.0, 0.0]), np.array([0.5, 1.0]), 10)
    assert found.rate == pytest.approx(0.2)
    assert (found.low, found.high) == (0.0, pytest.approx(0.2 + 1.96 * np.sqrt(0.5 * 4) / 10))
    assert rate(np.ones(3), np.ones(3), 3).low == 1.0


def test_probabilities_of_zero_are_refused():
    for probability in (np.array([0.0]), np.array([1.1]), np.array([0.5, 0.5])):
        with pytest.raises(ShapeError, match="probabilities"):
            rate(np.array([1.0]), probability, 5)
