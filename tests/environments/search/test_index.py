"""The index against BM25 written out, ties, and words as it sees them."""

import builtins
import math

import pytest

from milepost.environments.search.corpus import documents
from milepost.environments.search.facts import countries
from milepost.environments.search.index import Document, Index, words
from milepost.errors import MissingExtra

SMALL = tuple(
    Document(id=str(place), title=title, body=body)
    for place, (title, body) in enumerate(
        [
            ("Capital of Chad", "N'Djamena"),
            ("Capital of Peru", "Lima"),
            ("City Lima", "Peru"),
            ("Area of Peru", "many km2"),
        ]
    )
)


def bm25(query: str, k1: float = 1.5, b: float = 0.75) -> list[float]:
    """Lucene's BM25, word by word: the oracle."""
    texts = [words(one.title) * 2 + words(one.body) for one in SMALL]
    mean, found = sum(map(len, texts)) / len(texts), [0.0] * len(texts)
    for word in set(words(query)):
        holds = sum(word in text for text in texts)
        idf = math.log(1 + (len(texts) - holds + 0.5) / (holds + 0.5))
        for place, text in enumerate(texts):
            often = text.count(word)
            found[place] += idf * often / (often + k1 * (1 - b + b * len(text) / mean))
    return found


@pytest.mark.parametrize("query", ["capital of Peru", "Lima", "area", "the capital Lima of Chad"])
def test_order_is_that_of_the_formula(query):
    scores = bm25(query)
    expected = [str(p) for p in sorted(range(len(SMALL)), key=lambda p: -scores[p]) if scores[p] > 0]
    assert [one.id for one in Index(documents=SMALL).top(query, 10)] == expected


def test_words_are_bare():
    assert words("São Tomé's capital, N'Djamena!") == ["sao", "tome", "s", "capital", "n", "djamena"]
    assert words("") == []


def test_what_shares_no_word_is_not_found():
    index = Index(documents=SMALL)
    assert index.top("quantum", 3) == ()
    assert index.top("", 3) == ()
    assert [one.id for one in index.top("quantum chad", 3)] == ["0"]


def test_equal_scores_keep_the_order_of_the_corpus():
    alike = tuple(Document(id=str(place), title="Area of Peru", body="x") for place in range(5))
    assert [one.id for one in Index(documents=alike).top("peru", 3)] == ["0", "1", "2"]


def test_repeating_a_word_changes_nothing():
    index = Index(documents=documents(countries()))
    assert index.top("chad chad chad capital", 5) == index.top("Capital chad", 5)


def test_absence_of_the_package_names_the_extra(monkeypatch):
    real = builtins.__import__
    monkeypatch.setattr("importlib.import_module", lambda name: real("no_such_package_at_all"))
    with pytest.raises(MissingExtra, match=r"milepost\[lm\]"):
        Index(documents=SMALL).top("chad", 1)
