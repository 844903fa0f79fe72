"""Machine code finds what the plain functions find; words are split as they are defined."""

import zlib

import numpy as np
import pytest

from milepost.curation.selection.duplicates import signatures
from milepost.curation.signals.detect import detect
from milepost.curation.signals.flat import Texts, flat
from milepost.curation.signals.taxonomy import KINDS
from milepost.curation.signals.words import checksums, number_of, spelled, table, words_of
from tests.curation.signals.conversations import conversations

ODD = [
    "",
    "'",
    "Don\u2019t \u2014 that\u2019s \u201cit\u201d, O'Neil!",
    "...",
    "a\u2018b",
    "\u20acuro x9",
    "ends in \u00e2",
    "WHAT?! ok",
    "? !",
]


def rows(found):
    return sorted(zip(found.trace, found.place, found.kind, found.confidence, strict=True))


def test_machine_code_finds_the_same():
    batch = flat(conversations(400, seed=1))
    slow, fast = detect(batch), detect(batch, fast=True)
    assert rows(slow) == rows(fast)
    assert {KINDS[kind] for kind in slow.kind} >= {
        "correction",
        "rephrase",
        "repetition",
        "quit",
        "retry",
        "rate_limit",
    }
    assert np.array_equal(signatures(batch), signatures(batch, fast=True))


def test_nothing_is_found_in_nothing():
    batch = flat([[]])
    assert detect(batch, fast=True).kind == []


@pytest.mark.parametrize("fast", [False, True])
def test_words_are_numbers(fast):
    found = words_of(Texts.of(ODD), fast=fast)
    for row, text in enumerate(ODD):
        mine = list(found.number[found.first[row] : found.first[row + 1]])
        assert mine == [number_of(word) for word in spelled(text.encode())]
    assert list(found.capitals) == [sum("A" <= c <= "Z" for c in text) for text in ODD]
    assert [ODD[row] for row in np.flatnonzero(found.doubled)] == ["WHAT?! ok"]


def test_words_are_spelled():
    assert spelled(ODD[2].encode()) == [b"dont", b"thats", b"it", b"oneil"]
    assert number_of(b"ab") == 257 * ord("a") + ord("b")


def test_checksums_are_crc_32():
    texts = Texts.of(ODD)
    expected = [zlib.crc32(text.encode()) for text in ODD]
    assert checksums(texts, fast=False).tolist() == checksums(texts, fast=True).tolist() == expected


def test_a_table_holds_its_numbers_once():
    numbers = [0, 7, 7, 14, 21, 2**46 - 1]
    assert sorted(one for one in table(numbers).tolist() if one >= 0) == sorted(set(numbers))
