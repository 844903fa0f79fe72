"""Probes: experts succeed, near misses are near and fail, disturbed experts fail."""

import pytest

from milepost import keys
from milepost.environments.manipulation.probes import Probes
from milepost.errors import SettingError


def test_a_third_of_each():
    found = Probes(count=6, steps=90)("handle-press", keys.root(0))
    assert [one.kind for one in found] == ["expert", "near miss", "random"] * 2
    assert all(one.lift.done == (one.kind == "expert") for one in found)
    near, far = found[1].lift, found[2].lift
    assert (near.seen[-1, :3] - near.seen[-1, 4:7]).norm() < (far.seen[-1, :3] - far.seen[-1, 4:7]).norm()


def test_settings():
    with pytest.raises(SettingError, match="count"):
        Probes(count=2)
