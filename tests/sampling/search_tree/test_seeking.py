"""A sampler as a seeker: what it came to, by whom, at what cost."""

import json
from functools import partial

import pytest

from milepost import keys
from milepost.errors import SettingError, UnknownName
from milepost.sampling.independent import Independent
from milepost.sampling.search_tree.drawing import HighestValue, SoftShares
from milepost.sampling.search_tree.seeking import Grows
from milepost.testing.chains import Uniform
from tests.sampling.search_tree.words import SCORE, WORLD

KEY = keys.root(4)


def seeker(**changes):
    fixed = {
        "policy": partial(Uniform, symbols=3), "environment": WORLD, "sampler": Independent(width=6), "scorer": SCORE,
        "shares": SoftShares(),
    }  # fmt: skip
    return Grows(**{**fixed, **changes})


def test_what_was_found():
    found = seeker()("chain", KEY)
    leaf = found.forest.leaves()
    reward = found.forest["reward.total"][leaf]
    assert found.cost == pytest.approx(-float(reward.max()))
    assert found.progress[-1][1] == found.cost
    costs = [cost for _, cost in found.progress]
    assert costs == sorted(costs, reverse=True)
    scene = json.loads(json.dumps(found.scene))
    assert (scene["leaves"], scene["calls"], len(scene["drawn"])) == (6, 18.0, 12)
    assert 1 <= scene["effective"] <= 6
    assert set(scene["drawn"]) <= set(leaf.tolist())


def test_the_best_is_drawn_where_it_is_asked_for():
    found = seeker(shares=HighestValue(), drawn=3)("chain", KEY)
    (row,) = set(found.scene["drawn"])
    assert float(found.forest["reward.total"][row]) == pytest.approx(-found.cost)
    assert found.scene["effective"] == pytest.approx(1.0)


def test_odd_names_and_numbers_are_refused():
    with pytest.raises(UnknownName, match="family of tasks"):
        seeker()("chains", KEY)
    with pytest.raises(SettingError, match="drawn"):
        seeker(drawn=0)
