"""BM25 over a corpus of short documents: the same query gives the same documents in the same order, everywhere."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from milepost import optional

_WORD = re.compile(r"\w+")
ROUND = 4
"""Decimals of a score that count: scores that differ by rounding are equal, and equal scores keep the corpus' order."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A piece of text that can be found."""

    id: str
    """Stable name, such as "capital:TD"."""
    title: str
    """What it is about; its words count twice."""
    body: str

    @property
    def text(self) -> str:
        """What is shown: title and body in one line."""
        return f"{self.title}: {self.body}"


def words(text: str) -> list[str]:
    """Words of a text as the index sees them: lower case, accents and punctuation removed, no stop words.

    Args:
        text: any text.

    Returns:
        The words in order.
    """
    plain = unicodedata.normalize("NFKD", text)
    return _WORD.findall("".join(one for one in plain if not unicodedata.combining(one)).lower())


@dataclass(frozen=True, kw_only=True)
class Index:
    """BM25 index (Lucene's formula, k1 = 1.5, b = 0.75) over documents, by the package `bm25s`.

    Example:
        >>> capital = Document(id="a", title="Capital of Chad", body="N'Djamena")
        >>> area = Document(id="b", title="Area of Peru", body="1285220 km2")
        >>> [found.id for found in Index(documents=(capital, area)).top("the capital of chad", 1)]
        ['a']
    """

    documents: tuple[Document, ...]

    @cached_property
    def _ranker(self) -> Any:
        ranker = optional.load("bm25s", extra="lm", purpose="Search over a corpus").BM25()
        ranker.index([words(one.title) * 2 + words(one.body) for one in self.documents], show_progress=False)
        return ranker

    def top(self, query: str, count: int) -> tuple[Document, ...]:
        """Find the documents that fit a query best.

        Args:
            query: any text.
            count: most documents to return.

        Returns:
            Best first; only documents that share a word with the query. Equal scores keep the corpus' order.

        Raises:
            MissingExtra: bm25s is not installed.
        """
        known = self._ranker.vocab_dict
        asked = [word for word in dict.fromkeys(words(query)) if word in known]
        if not asked:
            return ()
        scores = np.round(np.asarray(self._ranker.get_scores(asked), dtype=np.float64), ROUND)
        best = np.argsort(-scores, kind="stable")[:count]
        return tuple(self.documents[place] for place in best.tolist() if scores[place] > 0)


def by_id(documents: Sequence[Document]) -> dict[str, Document]:
    """Documents by their id.

    Args:
        documents: of one corpus.

    Returns:
        A mapping from id to document.
    """
    return {document.id: document for document in documents}
