"""Self-BLEU: hand examples, an independent implementation, identities, and the traps of the reference code."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from sacrebleu.metrics import BLEU

from milepost.columns import Role
from milepost.errors import ColumnError, SettingError
from milepost.forest import Forest
from milepost.ragged import Ragged
from milepost.sampling.diversity import answer_tokens, self_bleu, trajectory_diversity
from milepost.sampling.tracker import scored_groups

answer = st.lists(st.integers(0, 3), max_size=7)
group = st.lists(answer, min_size=2, max_size=5)


def of(*answers, **settings):
    ragged = Ragged.of([list(a) for a in answers], torch.int64)
    size = len(answers)
    return float(self_bleu(ragged, torch.zeros(size, dtype=torch.int64), 1, torch.ones(size) > 0, **settings))


def diversity(scored, answers, **more):
    forest = scored([("a", 0, [1.0] * len(answers))], answers=answers, **more)
    found = scored_groups(forest, "total")
    return float(trajectory_diversity(forest, found.rows, found.group, 1, found.ok))


def test_hand_example():
    # [1 2 3 4] against [1 2 3 5]: 3 of 4, 2 of 3 and 1 of 2 n-grams are shared; the same the other way round.
    assert of([1, 2, 3, 4], [1, 2, 3, 5]) == pytest.approx((3 / 4 * 2 / 3 * 1 / 2) ** (1 / 3))


def test_brevity_uses_the_nearest_length():
    # [1 2] is shorter than both others; r = 3. Its 2 tokens and its pair occur; order 3 is left out.
    short = math.exp(1 - 3 / 2)
    first = (2 / 3 * 1 / 2 * 0.1 / 1) ** (1 / 3)  # [1 2 4] against the rest: 1, 2; (1 2); no triple
    longest = (2 / 5 * 1 / 4 * 0.1 / 3) ** (1 / 3)
    assert of([1, 2], [1, 2, 4], [1, 2, 5, 6, 8]) == pytest.approx((short + first + longest) / 3)


def test_counts_are_clipped_by_the_text_that_has_most():
    # three 1s against at most two: (2 of 3), pairs (1 of 2), triples (0.1 of 1); brevity 1 on the longer side.
    longer = (2 / 3 * 1 / 2 * 0.1) ** (1 / 3)
    shorter = math.exp(1 - 3 / 2)
    assert of([1, 1, 1], [1, 1]) == pytest.approx((longer + shorter) / 2)


def sacre(answers):
    metric = BLEU(max_ngram_order=3, smooth_method="floor", smooth_value=0.1, effective_order=True, tokenize="none")
    texts = [" ".join(f"t{token}" for token in a) for a in answers]
    total = 0.0
    for index, text in enumerate(texts):
        others = texts[:index] + texts[index + 1 :]
        shared = set(answers[index]) & {
            token for other in others for token in other.split() for token in [int(token[1:])]
        }
        total += metric.sentence_score(text, others).score / 100 if shared else 0.0
    return total / len(texts)


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=7), min_size=2, max_size=5))
def test_agrees_with_sacrebleu(answers):
    assert of(*answers) == pytest.approx(sacre(answers), abs=1e-9)


@given(answer, st.integers(2, 6))
def test_equal_answers_have_no_diversity(tokens, copies):
    assert of(*[tokens] * copies) == 1.0, "whatever their length, empty ones included"


@given(group)
def test_range_and_order(answers):
    value = of(*answers)
    assert 0.0 <= value <= 1.0
    assert of(*answers[::-1]) == pytest.approx(value, abs=1e-12)


def test_disjoint_answers_are_as_diverse_as_can_be(scored):
    assert diversity(scored, [[1, 2, 3], [4, 5, 6], [8, 9, 10]]) == 1.0


def test_one_token_answers_that_are_equal_are_not_diverse(scored):
    """With all three orders counted, equal answers of one token have BLEU 0.22 and would look diverse."""
    assert diversity(scored, [[5], [5], [5]]) == 0.0
    assert of([5], [5], orders=1) == 1.0


def test_an_empty_answer_is_a_sequence_of_length_zero(scored):
    assert diversity(scored, [[], []]) == 0.0
    assert diversity(scored, [[], [1, 2, 3]]) == 1.0


def test_fewer_than_two_answers_have_no_diversity(scored):
    assert diversity(scored, [[1, 2, 3]]) == 0.0
    assert of([1, 2, 3]) == 0.0


def test_what_does_not_count_does_not_matter(scored):
    forest = scored([("a", 0, [1.0, 0.0, None])], answers=[[1, 2, 3], [1, 2, 3], [9, 9]])
    found = scored_groups(forest, "total")
    assert float(trajectory_diversity(forest, found.rows, found.group, 1, found.ok)) == 0.0


def test_reference_trap_raw_sign_rewards_similar_answers(scored):
    """The reference code adds self-BLEU with its own sign; ours rises when answers differ more."""
    alike, apart = [[1, 2, 3, 4], [1, 2, 3, 5]], [[1, 2, 3, 4], [6, 8, 9, 1]]
    assert of(*alike) > of(*apart)
    assert diversity(scored, alike) < diversity(scored, apart)


def test_reference_trap_padding_in_ngrams():
    """Padded to one length, different answers look alike; a forest stores no padding, and prompts are left out."""
    plain = ([1, 2], [3, 4], [5, 6])
    padded = [[*answer, 0, 0, 0, 0, 0, 0] for answer in plain]
    assert of(*plain) == 0.0
    assert of(*padded) > 0.7


def test_answers_are_the_policy_tokens_along_the_path():
    roles = [[Role.PROMPT, Role.PROMPT], [Role.POLICY, Role.OBSERVATION], [Role.FORCED, Role.POLICY], [Role.POLICY]]
    forest = Forest.of(
        [-1, 0, 1, 1],
        {
            "tokens.id": Ragged.of([[1, 2], [3, 4], [5, 6], [8]], torch.int32),
            "tokens.role": Ragged.of([[int(role) for role in row] for row in roles], torch.int8),
        },
    )
    found = answer_tokens(forest, forest.leaves())
    assert [found[row].tolist() for row in range(2)] == [[3, 6], [3, 8]]


def test_errors_say_what_to_do(scored):
    with pytest.raises(ColumnError, match="weight of diversity to 0"):
        answer_tokens(scored([("a", 0, [1.0])]), torch.tensor([1]))
    with pytest.raises(SettingError, match="orders"):
        of([1], [1], orders=0)
