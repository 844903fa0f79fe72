"""The facts that ship: what is in them, and what a damaged table is told."""

import pytest

from milepost.environments.search import facts
from milepost.environments.search.facts import countries, read
from milepost.errors import FormatError

KNOWN = {one.code: one for one in countries()}
HEAD = "code\tname\tcapital\tcurrency\tdomain\tphone\tcontinent\tpopulation\tarea_km2\tlanguages\tneighbours\tcities"


def test_hand_example():
    peru = KNOWN["PE"]
    assert (peru.name, peru.capital, peru.currency, peru.domain, peru.phone) == ("Peru", "Lima", "Sol", ".pe", "51")
    assert set(peru.neighbours) == {"EC", "CL", "BO", "BR", "CO"}
    assert peru.neighbours[0] == "BR"
    assert "Arequipa" in peru.cities
    assert peru.languages[0] == "Spanish"


def test_neighbours_are_mutual_and_ordered_by_population():
    for one in countries():
        sizes = [KNOWN[code].population for code in one.neighbours]
        assert sizes == sorted(sizes, reverse=True), one.name
    assert "FR" in KNOWN["ES"].neighbours
    assert "ES" in KNOWN["FR"].neighbours


def test_names_are_in_ascii_and_cities_are_named_once():
    assert facts.TABLE.read_bytes().isascii()
    names = [name for one in countries() for name in (one.name, *one.cities)]
    assert len({name.lower() for name in names}) == len(names)
    assert not {one.capital.lower() for one in countries()} & {c.lower() for one in countries() for c in one.cities}


def test_the_source_and_its_licence_are_named():
    assert "GeoNames gazetteer (geonames.org, CC BY 4.0)" in facts.TABLE.read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("line", "says"), [("TD\tChad", "Line 2 .* has 2 fields, expected 12"), ("\t" * 11, "Line 2 .*invalid literal")]
)
def test_a_damaged_table_is_told(line, says):
    with pytest.raises(FormatError, match=says):
        read([HEAD, line])


def test_empty_lists_are_empty():
    one = read([HEAD, "XX\tNowhere\tTown\tShell\t.xx\t1\tSea\t10\t1\t\t\t"])[0]
    assert (one.languages, one.neighbours, one.cities, one.population) == ((), (), (), 10)
