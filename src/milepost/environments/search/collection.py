"""A corpus with its index and its questions, and how the questions are dealt to pools."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

from milepost.environments.search import corpus, facts, foldoc, python_docs, wordnet
from milepost.environments.search.index import Document, Index
from milepost.environments.search.questions import Question, is_held_out, questions
from milepost.errors import unknown_name

Pool = Literal["demonstration", "train", "held_out"]


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Documents that can be searched, and questions that they answer."""

    name: str
    documents: tuple[Document, ...]
    questions: tuple[Question, ...]

    @cached_property
    def index(self) -> Index:
        """The index over the documents, built once."""
        return Index(documents=self.documents)

    def pool(self, pool: Pool, hops: int, *, results: int) -> Iterator[Question]:
        """Deal the questions of a pool, the shapes taking turns.

        The held-out pool asks for facts of held-out countries. No question of the other pools passes through one, so
        none of their gold documents is about one; a list of neighbours may name it.

        Args:
            pool: which one; "demonstration" and "train" share the other countries, but no question.
            hops: number of gold documents of a question.
            results: documents that a search shows; a question whose plan would not show its gold documents is left out.

        Yields:
            Each question of the pool once, in an order that depends on their ids alone.
        """
        shapes: dict[str, list[Question]] = {}
        for one in self.questions:
            if one.hops == hops and pool_of(one) == pool:
                shapes.setdefault(one.id.partition(":")[0], []).append(one)
        waiting = [sorted(group, key=lambda one: _digest(one.id), reverse=True) for group in shapes.values()]
        while waiting:
            for group in waiting:
                one = group.pop()
                if self.plan_works(one, results):
                    yield one
            waiting = [group for group in waiting if group]

    def plan_works(self, question: Question, results: int) -> bool:
        """Whether the searches of a question's plan show all its gold documents."""
        shown = {found.id for query in question.plan for found in self.index.top(query, results)}
        return shown.issuperset(question.gold)


def pool_of(question: Question) -> Pool | None:
    """Say which pool a question belongs to.

    Args:
        question: any question.

    Returns:
        "held_out" where the answer is a fact of a held-out country; None where the path only passes through one, which
        nobody is asked; else "demonstration" or "train", in equal shares.
    """
    if is_held_out(question.countries[-1]):
        return "held_out"
    if any(is_held_out(name) for name in question.countries):
        return None
    return "demonstration" if _digest(question.id)[0] % 2 else "train"


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _countries() -> Collection:
    known = facts.countries()
    return Collection(
        name="countries",
        documents=corpus.documents(known),
        questions=tuple(questions(corpus.facts(known))),
    )


def _foldoc() -> Collection:
    known = foldoc.entries()
    return Collection(name=foldoc.NAME, documents=foldoc.documents(known), questions=foldoc.questions(known))


def _python() -> Collection:
    known = python_docs.described()
    made = python_docs.questions(known)
    return Collection(name=python_docs.NAME, documents=python_docs.documents(known), questions=made)


def _wordnet() -> Collection:
    known = wordnet.synsets()
    return Collection(name=wordnet.NAME, documents=wordnet.documents(known), questions=wordnet.questions(known))


COLLECTIONS: Mapping[str, Callable[[], Collection]] = {
    "countries": _countries,
    foldoc.NAME: _foldoc,
    python_docs.NAME: _python,
    wordnet.NAME: _wordnet,
}
"""How each collection is made, by name."""


@cache
def collection(name: str) -> Collection:
    """Return a collection by name, made once in a process.

    Args:
        name: a key of `COLLECTIONS`.

    Returns:
        The collection.

    Raises:
        UnknownName: there is none of that name.
    """
    if name not in COLLECTIONS:
        raise unknown_name("collection", name, COLLECTIONS)
    return COLLECTIONS[name]()
