"""Questions of one, two and three hops, made by walking over the facts: answers and gold documents are known.

A question is a path. It begins at a name (a country, a city, a capital, a currency), comes to a country, may go on to
its most populous neighbour, and ends there or at an attribute. Its gold documents are those that state its steps. A
question is kept only if every step of its path can be taken in one way, so that it has one answer and one chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from milepost.environments.search.corpus import ATTRIBUTES, Fact

HELD_OUT_ONE_IN = 4
"""One country in this many is held out."""

SCANNED = 3
"""Neighbours that a question may make one look up one by one."""


@dataclass(frozen=True, kw_only=True)
class Hop:
    """A step of a path: a relation, followed from subject to object or back."""

    relation: str
    back: bool = False


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question with everything that is known of it."""

    id: str
    """Content-stable: its shape and the names in it."""
    text: str
    answer: str
    hops: int
    """Number of gold documents that the answer rests on."""
    gold: tuple[str, ...]
    """Ids of those documents, in the order in which they are needed."""
    plan: tuple[str, ...]
    """A query for each step; those of a scan beyond the gold documents included."""
    countries: tuple[str, ...]
    """Names of the countries, or of what else it is about, on the path; the answer belongs to the last."""


STARTS: Mapping[str, tuple[str, tuple[Hop, ...]]] = {
    "country": ("{}", ()),
    "city": ("the country with the city {}", (Hop(relation="city", back=True),)),
    "capital": ("the country with the capital {}", (Hop(relation="capital", back=True),)),
    "currency": ("the country with the currency {}", (Hop(relation="currency", back=True),)),
}
MIDDLES: Mapping[str, tuple[str, tuple[Hop, ...]]] = {
    "": ("{}", ()),
    "neighbour": ("the most populous neighbour of {}", (Hop(relation="first_neighbour"),)),
}
ENDS: Mapping[str, tuple[str, tuple[Hop, ...]]] = {
    "": ("What is {}?", ()),
    **{name: (f"What is the {called} of {{}}?", (Hop(relation=name),)) for name, called in ATTRIBUTES.items()},
}


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Facts that can be walked over in both directions."""

    facts: tuple[Fact, ...]

    @cached_property
    def _steps(self) -> dict[tuple[str, bool, str], list[Fact]]:
        found: dict[tuple[str, bool, str], list[Fact]] = {}
        for fact in self.facts:
            found.setdefault((fact.relation, False, fact.subject), []).append(fact)
            found.setdefault((fact.relation, True, fact.object), []).append(fact)
        return found

    def step(self, names: Sequence[str], hop: Hop) -> list[Fact]:
        """Every fact by which one may go on from any of the names."""
        return [fact for name in names for fact in self._steps.get((hop.relation, hop.back, name), [])]

    def walk(self, start: str, path: Sequence[Hop]) -> list[Fact] | None:
        """Follow a path with every branch; None unless it is one chain, which has one answer."""
        chain, name = list[Fact](), start
        for hop in path:
            found = self.step([name], hop)
            if len(found) != 1:
                return None
            chain.append(found[0])
            name = found[0].subject if hop.back else found[0].object
        return chain

    def names(self, relation: str, *, objects: bool) -> list[str]:
        """Distinct subjects or objects of a relation, in the order of the facts."""
        return list(dict.fromkeys(f.object if objects else f.subject for f in self.facts if f.relation == relation))


def questions(facts: Sequence[Fact]) -> Iterator[Question]:
    """Enumerate every question that has one answer.

    Args:
        facts: what the corpus states.

    Yields:
        The questions, shape by shape; those whose answer stands in the question are left out.
    """
    graph = Graph(facts=tuple(facts))
    for start, middle, end in ((s, m, e) for s in STARTS for m in MIDDLES for e in ENDS):
        path = (*STARTS[start][1], *MIDDLES[middle][1], *ENDS[end][1])
        if not path or (start == end and not middle):
            continue
        names = graph.names("capital" if start == "country" else start, objects=start != "country")
        for name in names:
            made = _question(graph, (start, middle, end), name, path)
            if made is not None:
                yield made
    yield from _scans(graph)


def _question(graph: Graph, shape: tuple[str, str, str], name: str, path: Sequence[Hop]) -> Question | None:
    chain = graph.walk(name, path)
    if chain is None:
        return None
    start, middle, end = shape
    text = ENDS[end][0].format(MIDDLES[middle][0].format(STARTS[start][0].format(name)))
    last = chain[-1].subject if path[-1].back else chain[-1].object
    countries = [fact.subject for fact in chain] + [f.object for f in chain if f.relation == "first_neighbour"]
    ends_at = last if path[-1].back or path[-1].relation == "first_neighbour" else chain[-1].subject
    if last.lower() in text.lower():
        return None
    return Question(
        id=f"{len(path)}hop-{start}-{middle or 'itself'}-{end or 'country'}:{name}",
        text=text,
        answer=last,
        hops=len(path),
        gold=tuple(fact.document for fact in chain),
        plan=tuple(query(fact, hop) for fact, hop in zip(chain, path, strict=True)),
        countries=(*(one for one in dict.fromkeys(countries) if one != ends_at), ends_at),
    )


def query(fact: Fact, hop: Hop) -> str:
    """What to search for to find a fact, from the side that is known.

    Args:
        fact: the fact.
        hop: the direction in which it is used.

    Returns:
        "capital of Chad" forward, "capital N'Djamena" back.
    """
    if hop.back:
        return f"{hop.relation} {fact.object}"
    called = {**ATTRIBUTES, "first_neighbour": "neighbours", "neighbour": "neighbours"}[hop.relation]
    return f"{called} of {fact.subject}"


def _scans(graph: Graph) -> Iterator[Question]:
    """Three-hop questions about the one neighbour with a currency; finding it means looking at one after the other."""
    for country in graph.names("neighbour", objects=False):
        near = graph.step([country], Hop(relation="neighbour"))
        if not 2 <= len(near) <= SCANNED:
            continue
        money = [graph.step([fact.object], Hop(relation="currency"))[0] for fact in near]
        for place, fact in enumerate(money):
            if sum(other.object == fact.object for other in money) > 1:
                continue
            for end in (name for name in ATTRIBUTES if name != "currency"):
                last = graph.step([fact.subject], Hop(relation=end))
                if len(last) == 1:
                    yield _scan(country, money[: place + 1], last[0], near[0].document)


def _scan(country: str, looked_up: Sequence[Fact], last: Fact, around: str) -> Question:
    money = looked_up[-1]
    forward = Hop(relation="currency")
    return Question(
        id=f"3hop-scan-currency-{last.relation}:{country}/{money.object}",
        text=f"What is the {ATTRIBUTES[last.relation]} of the neighbour of {country} with the currency {money.object}?",
        answer=last.object,
        hops=3,
        gold=(around, money.document, last.document),
        plan=(
            f"neighbours of {country}",
            *(query(fact, forward) for fact in looked_up),
            query(last, Hop(relation=last.relation)),
        ),
        countries=(country, last.subject),
    )


def is_held_out(country: str) -> bool:
    """Say to which side of the split a country belongs.

        held out  <=>  BLAKE2b-64(name) mod 4 = 0

    Args:
        country: name of the country.

    Returns:
        True for one country in four.
    """
    digest = hashlib.blake2b(country.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % HELD_OUT_ONE_IN == 0
