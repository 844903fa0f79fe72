"""Texts without their escapes: how they are cut, and what keys are."""

import numpy as np
import orjson
import pytest

from milepost.bridges.skim.block import Block
from milepost.bridges.skim.texts import keys_of


def copied(text, length):
    line = orjson.dumps({"messages": [{"role": "user", "content": text}]})
    packed = Block(line, limit=1 << 20).texts(("user",), np.ones(1, dtype=bool), length)
    assert packed.offsets.tolist() == [0, len(packed.data)]
    return packed.data.tobytes().decode()


@pytest.mark.parametrize(
    "text", ["abcdefghij", "äöüßéèêëïô", "日本語日本語日本語日", "😀a😀b😀c😀d😀e", '"\\\n\t/"\\\n\t/']
)
@pytest.mark.parametrize("length", [(10, 0), (7, 3), (6, 3), (0, 4), (4, 0), (1, 1), (300, 300)])
def test_texts_are_cut_by_characters(text, length):
    head, tail = length
    whole = len(text) <= head + tail
    assert copied(text, length) == (text if whole else f"{text[:head]}\n{text[len(text) - tail :]}")


def test_keys_are_groups_of_four_without_case():
    keys = keys_of(["abcd", "ABCD", "x y."])
    assert np.count_nonzero(keys.slots) == 2
    with pytest.raises(ValueError, match="abc"):
        keys_of(["abc"])
    with pytest.raises(ValueError, match="too many"):
        keys_of([f"{number:04d}" for number in range(1500)])
