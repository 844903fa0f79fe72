"""The text that is searched: one short document per fact of a country or a city."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from milepost.environments.search.facts import Country
from milepost.environments.search.index import Document

LISTED = 5
"""Neighbours that a document names at most."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A relation between two names, and the document that states it."""

    document: str
    relation: str
    subject: str
    object: str


ATTRIBUTES = {
    "capital": "capital",
    "currency": "currency",
    "domain": "internet domain",
    "phone": "phone code",
}
"""Attributes that are asked for, and how they are called in text. `Country` has a field of each name."""


def documents(countries: Sequence[Country]) -> tuple[Document, ...]:
    """Write the corpus.

    Args:
        countries: what is known.

    Returns:
        One document per fact, such as "Capital of Chad: N'Djamena" with the id "capital:TD".
    """
    names = {country.code: country.name for country in countries}
    return tuple(document for country in countries for document in _of_country(country, names))


def _of_country(country: Country, names: dict[str, str]) -> Iterator[Document]:
    stated: dict[str, tuple[str, str]] = {
        **{name: (called, getattr(country, name)) for name, called in ATTRIBUTES.items()},
        "continent": ("continent", country.continent),
        "population": ("population", str(country.population)),
        "area": ("area", f"{country.area_km2} km2"),
        "languages": ("languages", ", ".join(country.languages)),
        "neighbours": ("neighbours", ", ".join(names[code] for code in country.neighbours[:LISTED])),
    }
    for name, (called, value) in stated.items():
        if value:
            yield Document(id=f"{name}:{country.code}", title=f"{called.capitalize()} of {country.name}", body=value)
    for city in country.cities:
        yield Document(id=f"city:{city}", title=f"City {city}", body=country.name)


def facts(countries: Sequence[Country]) -> tuple[Fact, ...]:
    """What the documents state, as relations: those of `ATTRIBUTES`, "city", "neighbour" and "first_neighbour".

    Args:
        countries: what is known.

    Returns:
        One fact per statement; subjects are names of countries.
    """
    names = {country.code: country.name for country in countries}
    found: list[Fact] = []
    for one in countries:
        for relation in ATTRIBUTES:
            if value := str(getattr(one, relation)):
                found.append(Fact(document=f"{relation}:{one.code}", relation=relation, subject=one.name, object=value))
        for city in one.cities:
            found.append(Fact(document=f"city:{city}", relation="city", subject=one.name, object=city))
        for place, code in enumerate(one.neighbours[:LISTED]):
            fact = Fact(document=f"neighbours:{one.code}", relation="neighbour", subject=one.name, object=names[code])
            found += [fact, Fact(**{**vars(fact), "relation": "first_neighbour"})] if place == 0 else [fact]
    return tuple(found)
