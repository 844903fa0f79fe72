"""The planner by the name of a problem."""

import json
import math

import pytest

from milepost import keys
from milepost.errors import SettingError, UnknownName
from milepost.planning.planner import RRTStar
from milepost.planning.seeking import Plans


def test_what_is_found():
    found = Plans(iterations=600)("wide", keys.root(1))
    assert found.cost == found.progress[-1][1]
    assert [work for work, _ in found.progress] == sorted(work for work, _ in found.progress)
    assert len(found.forest.roots()) == 1
    assert json.loads(json.dumps(found.scene)) == found.scene
    assert math.dist(found.scene["start"], found.scene["goal"]) == found.scene["least"]


def test_nothing_found():
    found = Plans(planner=RRTStar(), iterations=2)("walls", keys.root(1))
    assert found.cost == math.inf
    assert found.progress == ()
    assert found.scene["path"] == []


def test_what_is_refused():
    with pytest.raises(SettingError, match="iterations"):
        Plans(iterations=0)
    with pytest.raises(UnknownName):
        Plans(iterations=10)("nowhere", 1)
