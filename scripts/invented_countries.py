"""Countries that do not exist, so that a model learns to read documents instead of remembering the world."""
# ruff: noqa: INP001 - beside the script that uses it

from __future__ import annotations

import numpy as np

from milepost import keys
from milepost.environments.search import corpus
from milepost.environments.search.collection import Collection
from milepost.environments.search.facts import Country
from milepost.environments.search.questions import questions

COUNTRIES, CITIES, CURRENCIES = 48, 12, 36
ONSETS = (*"bcdfghjklmnprstvwyz", "br", "ch", "dr", "gr", "kh", "sh", "st", "th", "tr", "")
NUCLEI = (*"aeiou", "ai", "au", "ea", "ia", "ou")
CODAS = ("", "", "", "n", "r", "s", "l", "m", "k", "nd", "sh")
HEADS = ("New", "San", "El", "Al", "Saint", "Port", "South", "North", "West", "Great")
TAILS = ("Islands", "City", "and Bara", "Republic", "Kingdom", "Coast")
CONTINENTS = ("Africa", "Asia", "Europe", "North America", "Oceania", "South America")


def _word(draw: np.random.Generator) -> str:
    count = int(draw.integers(2, 5))
    text = "".join(str(draw.choice(part)) for _ in range(count) for part in (ONSETS, NUCLEI, CODAS))
    return text[: int(draw.integers(4, 11))].capitalize()


def _name(draw: np.random.Generator, taken: set[str]) -> str:
    """A name that nothing else has, sometimes of two or three words."""
    while True:
        kind, name = draw.random(), _word(draw)
        if kind < 0.12:
            name = f"{draw.choice(HEADS)} {name}"
        elif kind < 0.2:
            name = f"{name} {draw.choice(TAILS)}"
        elif kind < 0.24:
            name = f"{name}-{_word(draw)}"
        elif kind < 0.28:
            name = f"{name[0]}'{name[1:].capitalize()}"
        if name not in taken:
            taken.add(name)
            return name


def invented(key: int) -> Collection:
    """A world of its own: countries, their facts, the documents that state them, and questions.

    Args:
        key: the same key gives the same world.

    Returns:
        The collection.
    """
    draw, taken = keys.generator(key), set[str]()
    codes = [f"X{place}" for place in range(COUNTRIES)]
    names = [_name(draw, taken) for _ in codes]
    money = [_name(draw, taken) for _ in range(CURRENCIES)]
    people = sorted((int(10 ** draw.uniform(4.5, 8.5)) for _ in codes), reverse=True)
    found: list[Country] = []
    for place, code in enumerate(codes):
        near = draw.choice(COUNTRIES, size=int(draw.integers(0, 6)), replace=False)
        found.append(
            Country(
                code=code,
                name=names[place],
                capital=_name(draw, taken),
                currency=money[int(draw.integers(CURRENCIES))],
                domain="." + "".join(draw.choice(list("abcdefghijklmnopqrstuvwxyz"), size=2)),
                phone=str(int(10 ** draw.uniform(1, 3.8))),
                continent=str(draw.choice(CONTINENTS)),
                population=people[place],
                area_km2=int(10 ** draw.uniform(3, 7)),
                languages=(_name(draw, taken),),
                neighbours=tuple(codes[other] for other in sorted(near.tolist()) if other != place),
                cities=tuple(_name(draw, taken) for _ in range(CITIES)),
            )
        )
    return Collection(
        name="invented", documents=corpus.documents(found), questions=tuple(questions(corpus.facts(found)))
    )
