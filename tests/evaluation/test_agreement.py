"""Agreement with human preferences: hand examples, limits, and the claims of BLEUBERI on synthetic pairs."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from milepost import keys
from milepost.errors import ShapeError
from milepost.evaluation.agreement import agreement, combine, preference, standardise, word_counts
from milepost.evaluation.intervals import wilson
from milepost.rewards import bleu

KEY = keys.root(20260102)


def everything(count):
    return torch.ones(count, dtype=torch.bool)


def test_hand_example():
    first, second = torch.tensor([1.0, 0.0, 0.5, 2.0, math.nan]), torch.tensor([0.0, 1.0, 0.5, 3.0, 0.0])
    human = torch.tensor([1, 1, 0, -1, 1])
    found = agreement(first, second, human, torch.tensor([True, True, True, True, False]))
    assert found.agreement.estimate == 3 / 4
    assert (found.pairs, found.skipped, found.metric_ties) == (4, 1, 1)
    assert found.constant == 2 / 4


def test_preference_is_a_tie_only_for_equal_scores():
    said = preference(torch.tensor([1.0, 1.0, 0.0, math.nan]), torch.tensor([1.0, 1.0 - 2**-23, 1.0, 0.0]))
    assert said.tolist() == [0, 1, -1, 0]


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.sampled_from([-1, 0, 1])), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_swapping_the_two_sides_changes_nothing(pairs):
    first, second = torch.tensor([p[0] for p in pairs]), torch.tensor([p[1] for p in pairs])
    human = torch.tensor([p[2] for p in pairs])
    assert agreement(first, second, human, everything(len(pairs))) == agreement(
        second, first, -human, everything(len(pairs))
    )


def test_a_constant_metric_agrees_on_ties_only():
    human = torch.tensor([1, 0, 0, -1])
    found = agreement(torch.ones(4), torch.ones(4), human, everything(4))
    assert found.agreement.estimate == 0.5
    assert found.metric_ties == 4


def test_nothing_to_count_is_nan_and_never_zero():
    found = agreement(torch.zeros(2), torch.ones(2), torch.ones(2, dtype=torch.long), ~everything(2))
    assert math.isnan(found.agreement.estimate)
    assert math.isnan(found.constant)
    assert found.skipped == 2


def test_wilson_hand_example_and_coverage():
    # 8 of 10: the published interval of Wilson's method is [0.490, 0.943]
    interval = wilson(8, 10)
    assert (round(interval.low, 3), round(interval.high, 3)) == (0.490, 0.943)
    assert wilson(0, 10).low == 0
    assert wilson(10, 10).high == 1
    generator = keys.generator(keys.fold(KEY, "wilson"))
    held = [wilson(int(n), 50) for n in generator.binomial(50, 0.3, size=4000)]
    covered = sum(interval.low <= 0.3 <= interval.high for interval in held) / 4000
    assert abs(covered - 0.95) < 5 * math.sqrt(0.95 * 0.05 / 4000) + 0.01  # discreteness of 50 trials


def test_bad_input_says_what_was_expected():
    with pytest.raises(ShapeError, match="four equal shapes"):
        agreement(torch.zeros(2), torch.zeros(3), torch.zeros(2, dtype=torch.long), everything(2))
    with pytest.raises(ShapeError, match="expected only 1"):
        agreement(torch.zeros(2), torch.zeros(2), torch.tensor([2, 0]), everything(2))
    with pytest.raises(ShapeError, match="at least one"):
        combine([], everything(2))
    with pytest.raises(ShapeError, match="successes"):
        wilson(3, 2)


def test_standardise_hand_example_limits_and_rows_that_do_not_count():
    score, ok = torch.tensor([1.0, 3.0, math.nan]), torch.tensor([True, True, False])
    assert standardise(score, ok).tolist() == [-1, 1, 0]
    assert standardise(torch.full((7,), 0.1), everything(7)).tolist() == [0.0] * 7
    assert standardise(score, torch.zeros(3, dtype=torch.bool)).tolist() == [0, 0, 0]
    values = torch.randn(50, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert torch.allclose(standardise(3 * values + 7, everything(50)), standardise(values, everything(50)))
    assert torch.equal(combine([values], everything(50)), standardise(values, everything(50)))


def paraphrase(meaning, generator):
    """Write a meaning in words: each slot has five synonyms."""
    return [f"w{slot}_{pick}" for slot, pick in zip(meaning, generator.integers(5, size=len(meaning)), strict=True)]


def damaged(words, share, generator):
    places = set(generator.permutation(len(words))[: round(share * len(words))].tolist())
    return " ".join(f"zq{place}" if place in places else word for place, word in enumerate(words))


def synthetic_pairs(count, key):
    """Two answers to one instruction, the less damaged of which is better, and four paraphrased references."""
    for index in range(count):
        generator = keys.generator(keys.fold(key, "pair", index))
        meaning = generator.integers(200, size=generator.integers(25, 60)).tolist()
        references = [" ".join(paraphrase(meaning, generator)) for _ in range(4)]
        kept = [meaning[: len(meaning) - int(generator.integers(0, 6))] for _ in range(2)]
        shares = (0.2, 0.35) if generator.random() < 0.5 else (0.35, 0.2)
        answers = [damaged(paraphrase(k, generator), s, generator) for k, s in zip(kept, shares, strict=True)]
        yield answers, references, 1 if shares[0] < shares[1] else -1


@pytest.mark.statistical
@pytest.mark.parametrize("formula", [bleu.published_bleu, bleu.guarded_bleu])
def test_claim_agreement_rises_with_references_and_beats_length(formula):
    pairs = list(synthetic_pairs(300, KEY))
    human = torch.tensor([label for _, _, label in pairs])
    shares = []
    for count in (1, 2, 4):
        first, second = (
            torch.tensor(
                [
                    bleu.score_answer(formula, answers[side], references[:count], aggregate="max_counts")
                    for answers, references, _ in pairs
                ]
            )
            for side in (0, 1)
        )
        shares.append(agreement(first, second, human, everything(len(pairs))).agreement)
    length = agreement(
        word_counts([answers[0] for answers, _, _ in pairs]),
        word_counts([answers[1] for answers, _, _ in pairs]),
        human,
        everything(len(pairs)),
    )
    assert shares[0].estimate < shares[1].estimate < shares[2].estimate
    error = math.sqrt(0.25 / len(pairs))
    assert shares[2].estimate - shares[0].estimate > 5 * error / math.sqrt(2)
    assert shares[0].estimate - length.agreement.estimate > 5 * error


@pytest.mark.statistical
def test_claim_two_independent_metrics_together_are_better_than_either():
    count, generator = 20_000, keys.generator(keys.fold(KEY, "metrics"))
    human = torch.from_numpy(generator.choice([-1, 1], size=count))
    shift = 0.6744897501960817  # a metric whose difference is N(+-shift, 1) is right 75 % of the time
    sides = []
    for scale in (1.0, 40.0):  # different units must not matter
        gap = human * shift + torch.from_numpy(generator.standard_normal(count))
        middle = torch.from_numpy(generator.standard_normal(count)) * 0.1
        sides.append(scale * torch.cat([middle + gap / 2, middle - gap / 2]))
    alone = [agreement(s[:count], s[count:], human, everything(count)).agreement for s in sides]
    both = combine(sides, everything(2 * count))
    together = agreement(both[:count], both[count:], human, everything(count)).agreement
    error = math.sqrt(0.75 * 0.25 / count)
    assert all(abs(one.estimate - 0.75) < 5 * error for one in alone)
    expected = 0.5 * (1 + math.erf(shift * math.sqrt(2) / math.sqrt(2)))  # Phi(shift sqrt 2) = 0.830
    assert abs(together.estimate - expected) < 5 * error
    assert together.estimate > 0.8
