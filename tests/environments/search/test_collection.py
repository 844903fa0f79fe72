"""Pools: nothing of a held-out country is asked elsewhere, no question is in two pools, and every plan works."""

from itertools import islice

import pytest

from milepost.environments.search.collection import collection, pool_of
from milepost.environments.search.facts import countries
from milepost.environments.search.index import by_id
from milepost.environments.search.questions import is_held_out
from milepost.errors import UnknownName

WORLD = collection("countries")
POOLS = ("demonstration", "train", "held_out")
NAMES = {one.code: one.name for one in countries()}
HOME = {city: one.name for one in countries() for city in one.cities}


def subject(document: str) -> str:
    """The country that a document is about."""
    kind, _, name = document.partition(":")
    return HOME[name] if kind == "city" else NAMES[name]


def test_no_document_about_a_held_out_country_is_gold_outside_the_held_out_pool():
    for one in WORLD.questions:
        pool = pool_of(one)
        last = is_held_out(one.countries[-1])
        assert (pool == "held_out") == last
        if pool in ("demonstration", "train"):
            assert not any(is_held_out(subject(document)) for document in one.gold)
            assert not any(is_held_out(name) for name in one.countries)
            assert one.answer not in [NAMES[c.code] for c in countries() if is_held_out(c.name)]


def test_the_document_with_the_answer_is_never_gold_in_another_pool():
    answered = {pool: {one.gold[-1] for one in WORLD.questions if pool_of(one) == pool} for pool in POOLS}
    seen = {document for one in WORLD.questions if pool_of(one) in POOLS[:2] for document in one.gold}
    neighbours = {document for document in answered["held_out"] if document.startswith("neighbours:")}
    assert not (answered["held_out"] - neighbours) & seen


@pytest.mark.parametrize("hops", [1, 2, 3])
@pytest.mark.parametrize("pool", POOLS)
def test_pools_are_large_distinct_and_of_their_kind(pool, hops):
    found = list(islice(WORLD.pool(pool, hops, results=2), 400))
    assert len({one.id for one in found}) == 400
    assert all(one.hops == hops and pool_of(one) == pool for one in found)


def test_no_question_is_in_two_pools():
    pools = [{one.id for one in islice(WORLD.pool(pool, 1, results=2), 5000)} for pool in POOLS]
    assert sum(map(len, pools)) == len(set.union(*pools))


def test_shapes_take_turns():
    first = [one.id.partition(":")[0] for one in islice(WORLD.pool("train", 2, results=2), 14)]
    assert len(set(first)) == 14


def test_plans_show_their_gold_documents():
    for one in islice(WORLD.pool("train", 3, results=2), 60):
        shown = [found.id for text in one.plan for found in WORLD.index.top(text, 2)]
        assert set(one.gold) <= set(shown)
    works = [WORLD.plan_works(one, 1) for one in islice(WORLD.pool("train", 3, results=2), 60)]
    assert sum(works) > 50


def test_gold_documents_exist():
    known = by_id(WORLD.documents)
    assert all(document in known for one in WORLD.questions for document in one.gold)


def test_an_unknown_name_is_told():
    with pytest.raises(UnknownName, match="Did you mean 'countries'"):
        collection("country")
    assert collection("countries") is WORLD
