"""Documents and the relations they state agree with each other and with the facts."""

import re

from milepost.environments.search.corpus import ATTRIBUTES, LISTED, documents, facts
from milepost.environments.search.facts import countries
from milepost.environments.search.index import by_id

WRITTEN = by_id(documents(countries()))
STATED = facts(countries())


def test_hand_example():
    assert WRITTEN["capital:TD"].text == "Capital of Chad: N'Djamena"
    assert WRITTEN["neighbours:TD"].text == "Neighbours of Chad: Nigeria, Sudan, Cameroon, Niger, Libya"
    assert WRITTEN["city:Moundou"].text == "City Moundou: Chad"


def test_ids_are_distinct_and_texts_are_short_lines():
    assert len(WRITTEN) == len(documents(countries()))
    assert max(len(one.text) for one in WRITTEN.values()) < 140
    assert not any("\n" in one.text for one in WRITTEN.values())
    assert not any(re.search(r": *$", one.text) for one in WRITTEN.values())


def test_every_relation_can_be_read_in_its_document():
    for fact in STATED:
        text = WRITTEN[fact.document].text
        assert fact.subject in text, fact
        assert fact.object in text, fact


def test_the_first_neighbour_is_the_first_that_is_listed():
    for fact in STATED:
        listed = WRITTEN[fact.document].body.split(", ")
        assert len(listed) <= LISTED
        if fact.relation == "first_neighbour":
            assert listed[0] == fact.object


def test_every_attribute_is_there_for_almost_every_country():
    for relation in ATTRIBUTES:
        assert sum(fact.relation == relation for fact in STATED) > 0.98 * len(countries())
