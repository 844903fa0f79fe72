"""Independent trajectories: so many per root, one step at a time, nothing after the end."""

from __future__ import annotations

import pytest

from milepost import keys
from milepost.columns import End
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.sampling.independent import Independent

KEY = keys.root(0)


def test_roots_first_then_open_leaves_then_nothing() -> None:
    sampler = Independent(width=2)
    forest = Forest.of([-1, -1], {"end": [int(End.OPEN)] * 2})
    state = sampler.init(forest, KEY)
    first = sampler.ask(forest, state)
    assert first is not None
    assert (first.rows.tolist(), first.counts.tolist()) == ([0, 1], [2, 2])
    grown = forest.append([0, 0, 1, 1], {"end": [int(End.OPEN), int(End.TERMINATED), int(End.OPEN), int(End.ERROR)]})
    state = sampler.tell(grown, grown.leaves(), state)
    second = sampler.ask(grown, state)
    assert second is not None
    assert (second.rows.tolist(), second.counts.tolist()) == ([2, 4], [1, 1])
    done = grown.append([2, 4], {"end": [int(End.TERMINATED)] * 2})
    assert sampler.ask(done, sampler.tell(done, done.leaves(), state)) is None


def test_a_width_below_one_is_refused() -> None:
    with pytest.raises(SettingError, match="at least 1"):
        Independent(width=0)
