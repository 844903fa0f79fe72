"""Facts of countries and cities, which ship with milepost: the GeoNames gazetteer (geonames.org), CC BY 4.0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from milepost.errors import FormatError

TABLE = Path(__file__).parent / "countries.tsv"
"""Written by `scripts/make_search_facts.py`."""


@dataclass(frozen=True, kw_only=True)
class Country:
    """What is known of a country; names are in ASCII."""

    code: str
    """ISO 3166 code of two letters."""
    name: str
    capital: str
    currency: str
    """Name of the currency; several countries may use one of the same name."""
    domain: str
    """Top-level domain, with its dot."""
    phone: str
    """International prefix, digits only."""
    continent: str
    population: int
    area_km2: int
    languages: tuple[str, ...]
    """Most spoken first; the three first at most."""
    neighbours: tuple[str, ...]
    """Codes, the most populous first; those outside the table are left out."""
    cities: tuple[str, ...]
    """Largest first, without the capital; no other city or country of the table has the same name."""


@cache
def countries() -> tuple[Country, ...]:
    """Return the facts that ship with milepost.

    Returns:
        229 countries, ordered by code.

    Raises:
        FormatError: the table is damaged.

    Example:
        >>> next(one.capital for one in countries() if one.code == "TD")
        "N'Djamena"
    """
    lines = [line for line in TABLE.read_text(encoding="ascii").splitlines() if not line.startswith("#")]
    return read(lines)


def read(lines: Sequence[str]) -> tuple[Country, ...]:
    """Read a table of countries.

    Args:
        lines: a head line with the names of the columns, then one line per country; tabs between fields, `|` between
            the entries of a list.

    Returns:
        The countries in the order of the lines.

    Raises:
        FormatError: a line has another number of fields than the head, or a number is none.
    """
    names = lines[0].split("\t")
    found: list[Country] = []
    for number, line in enumerate(lines[1:], 2):
        fields = line.split("\t")
        if len(fields) != len(names):
            raise FormatError(
                f"Line {number} of the table of countries has {len(fields)} fields, expected {len(names)}."
            )
        row: dict[str, Any] = dict(zip(names, fields, strict=True))
        try:
            row |= {name: int(row[name]) for name in ("population", "area_km2")}
        except ValueError as error:
            raise FormatError(f"Line {number} of the table of countries: {error}.") from error
        row |= {name: tuple(filter(None, row[name].split("|"))) for name in ("languages", "neighbours", "cities")}
        found.append(Country(**row))
    return tuple(found)
