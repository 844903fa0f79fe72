"""The law of inserted sentences."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from milepost.errors import SettingError
from milepost.ragged import Ragged
from milepost.sampling.branching.pool import DOUBTS, pool_log_prob

texts = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4).map(tuple), min_size=1, max_size=12)


def ragged(pool):
    return Ragged.of([list(text) for text in pool], torch.int32)


def test_hand_example_a_shared_first_token():
    pool = [(7, 1), (7, 2), (7, 2, 3), (8,)]
    found = pool_log_prob(ragged([(7, 1), (8,)]), ragged(pool)).exp().tolist()
    assert found == pytest.approx([3 / 4, 1 / 3, 1 / 4])


@given(texts)
def test_the_product_over_a_text_is_its_share_and_all_shares_sum_to_1(pool):
    found = pool_log_prob(ragged(pool), ragged(pool))
    total = torch.zeros(len(pool)).index_add(0, ragged(pool).row, found).exp()
    share = torch.tensor([pool.count(text) / len(pool) for text in pool])
    assert torch.allclose(total, share, atol=1e-5)
    assert sum({text: float(one) for text, one in zip(pool, total, strict=True)}.values()) == pytest.approx(1, abs=1e-4)
    assert bool((found <= 1e-6).all())


def test_a_single_sentence_is_certain():
    assert pool_log_prob(ragged([(1, 2, 3)]), ragged([(1, 2, 3)])).tolist() == [0, 0, 0]


def test_a_text_outside_the_pool_is_an_error_not_probability_0():
    for text in ((9,), (7,), (7, 1, 1)):
        with pytest.raises(SettingError, match="not in the pool"):
            pool_log_prob(ragged([text]), ragged([(7, 1), (8,)]))


def test_the_doubts_are_thirty_different_sentences():
    assert len(set(DOUBTS)) == 30
    assert all(text.endswith((".", "?")) and "<" not in text for text in DOUBTS)
    assert math.isclose(1 / len(DOUBTS), 1 / 30)
