"""Questions over any facts: each shape is a path of relations, asked about every name from which it is one chain."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from milepost.environments.search.corpus import Fact
from milepost.environments.search.questions import Graph, Hop, Question


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A kind of question."""

    name: str
    """Such as "kind-of-kind"."""
    text: str
    """The question, with {} for the name at which the path begins."""
    path: tuple[Hop, ...]


def ask(facts: Sequence[Fact], shapes: Sequence[Shape], queries: Mapping[Hop, str]) -> Iterator[Question]:
    """Ask every shape about every name from which its path can be taken in exactly one way.

        hops of a question = number of its distinct gold documents

    Args:
        facts: what the documents state.
        shapes: kinds of question.
        queries: what to search for to take a hop, with {} for the name that is known.

    Yields:
        The questions, shape by shape. Left out are those whose answer stands in the question, and those that come back
        to a name where they have been.
    """
    graph = Graph(facts=tuple(facts))
    for shape in shapes:
        first = shape.path[0]
        for name in graph.names(first.relation, objects=first.back):
            chain = graph.walk(name, shape.path)
            if chain is not None and (made := _question(shape, name, chain, queries)) is not None:
                yield made


def _question(shape: Shape, name: str, chain: Sequence[Fact], queries: Mapping[Hop, str]) -> Question | None:
    known, names = name, [name]
    plan = dict[str, str]()  # a query per document: one that states two facts is looked for once
    for fact, hop in zip(chain, shape.path, strict=True):
        plan.setdefault(fact.document, queries[hop].format(known))
        known = fact.subject if hop.back else fact.object
        names.append(known)
    text = shape.text.format(name)
    if known.lower() in text.lower() or len(set(names)) < len(names):
        return None
    about = list(dict.fromkeys(fact.subject for fact in chain))
    return Question(
        id=f"{len(plan)}hop-{shape.name}:{chain[0].subject}",
        text=text,
        answer=known,
        hops=len(plan),
        gold=tuple(plan),
        plan=tuple(plan.values()),
        countries=tuple(about),
    )


def plain(text: str) -> str:
    """Write a text in ASCII and on one line, so that a character model can read and spell it.

    Args:
        text: any text.

    Returns:
        Accents taken off, other signs left out, white space made single blanks.

    Example:
        >>> plain("Erdős  number")
        'Erdos number'
    """
    return " ".join(unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().split())


def clip(text: str, most: int) -> str:
    """Cut a text at the end of a word.

    Args:
        text: on one line.
        most: characters to keep at most.

    Returns:
        The text, or its beginning followed by " ...".

    Example:
        >>> clip("a bird of prey", 12)
        'a bird ...'
    """
    return text if len(text) <= most else f"{text[: most - 3].rpartition(' ')[0]} ..."
