"""Questions: answers unique by enumeration, chains that lead to them, ids that stay."""

import hashlib
from collections import Counter, defaultdict

import pytest

from milepost.environments.search.corpus import facts
from milepost.environments.search.facts import Country, countries
from milepost.environments.search.questions import Graph, Hop, is_held_out, query, questions

MADE = {one.id: one for one in questions(facts(countries()))}
KNOWN = {one.name: one for one in countries()}


def test_hand_examples():
    one = MADE["3hop-city-neighbour-currency:Moundou"]
    assert one.text == "What is the currency of the most populous neighbour of the country with the city Moundou?"
    assert (one.answer, one.gold) == ("Naira", ("city:Moundou", "neighbours:TD", "currency:NG"))
    assert one.plan == ("city Moundou", "neighbours of Chad", "currency of Nigeria")
    assert one.countries == ("Chad", "Nigeria")
    scan = MADE["3hop-scan-currency-capital:Bosnia and Herzegovina/Dinar"]
    assert scan.text == "What is the capital of the neighbour of Bosnia and Herzegovina with the currency Dinar?"
    assert (scan.answer, scan.gold) == ("Belgrade", ("neighbours:BA", "currency:RS", "capital:RS"))
    assert MADE["1hop-city-itself-country:Moundou"].answer == "Chad"
    assert MADE["2hop-country-neighbour-phone:Chad"].answer == "234"


def test_there_are_many_of_every_kind():
    hops = Counter(one.hops for one in MADE.values())
    assert min(hops.values()) > 3000
    assert set(hops) == {1, 2, 3}
    assert len({one.text for one in MADE.values()}) == len(MADE)
    assert all(len(one.gold) == one.hops for one in MADE.values())


def test_answers_are_unique_when_every_branch_is_followed():
    """Each shape worked out from the table itself, keeping every country that fits: an oracle without the graph."""
    by_city, by_capital, by_money = defaultdict(set), defaultdict(set), defaultdict(set)
    for one in countries():
        by_capital[one.capital].add(one.name)
        by_money[one.currency].add(one.name)
        for city in one.cities:
            by_city[city].add(one.name)
    found_by = {"city": by_city, "capital": by_capital, "currency": by_money}
    codes = {one.code: one for one in countries()}
    for one in MADE.values():
        shape, _, name = one.id.partition(":")
        _, start, middle, end = shape.split("-")
        if start == "scan":
            home, _, money = name.partition("/")
            places = {codes[c].name for c in KNOWN[home].neighbours if codes[c].currency == money}
        else:
            places = {name} if start == "country" else found_by[start][name]
            if middle == "neighbour":
                places = {max((codes[c] for c in KNOWN[p].neighbours), key=lambda c: c.population).name for p in places}
        answers = places if end == "country" else {getattr(KNOWN[place], end) for place in places}
        assert answers == {one.answer}, one


def test_no_answer_stands_in_its_question():
    assert not [one.text for one in MADE.values() if one.answer.lower() in one.text.lower()]


def test_a_name_with_two_meanings_is_not_asked_for():
    plain = {"continent": "Sea", "population": 1, "area_km2": 1, "languages": (), "neighbours": (), "domain": ".x"}
    twin = [
        Country(code=c, name=n, capital=k, currency=m, phone=p, cities=(), **plain)
        for c, n, k, m, p in (("AA", "Ab", "Kay", "Mo", "1"), ("BB", "Be", "Kay", "Mu", "2"))
    ]
    ids = [one.id for one in questions(facts(twin))]
    assert not [one for one in ids if one.endswith(":Kay")]
    assert "2hop-currency-itself-phone:Mo" in ids


def test_the_answers_stand_in_the_last_gold_document():
    codes = {one.code: one for one in countries()}
    for one in MADE.values():
        _, _, subject = one.gold[-1].partition(":")
        country = codes.get(subject)
        end = one.id.partition(":")[0].split("-")[-1]
        if end != "country":
            assert country is not None
            assert getattr(country, end) == one.answer
            assert one.countries[-1] == country.name


def test_ids_stay():
    assert hashlib.blake2b("\n".join(sorted(MADE)).encode(), digest_size=8).hexdigest() == "4c135dfffdcc27d0"


def test_held_out_countries_are_about_a_quarter():
    share = sum(is_held_out(one.name) for one in countries()) / len(countries())
    assert 0.2 < share < 0.36
    assert is_held_out("Chad")
    assert not is_held_out("Nigeria")


def test_walks_stop_where_there_are_two_ways():
    graph = Graph(facts=facts(countries()))
    assert graph.walk("Chad", [Hop(relation="neighbour")]) is None
    assert graph.walk("Chad", [Hop(relation="first_neighbour"), Hop(relation="capital")])[-1].object == "Abuja"
    assert graph.walk("nowhere", [Hop(relation="capital")]) is None


@pytest.mark.parametrize(("back", "words"), [(False, "capital of Peru"), (True, "capital Lima")])
def test_queries_name_what_is_known(back, words):
    fact = next(f for f in facts(countries()) if f.document == "capital:PE")
    assert query(fact, Hop(relation="capital", back=back)) == words
