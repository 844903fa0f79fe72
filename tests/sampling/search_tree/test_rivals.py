"""What a search tree is compared with."""

import pytest

from milepost.errors import SettingError
from milepost.sampling.independent import Independent
from milepost.sampling.search_tree.drawing import HighestValue, SoftShares
from milepost.sampling.search_tree.particles import Particles, ParticleShares
from milepost.sampling.search_tree.rivals import Rivals
from tests.sampling.search_tree.words import SCORE


def test_each_has_as_many_trajectories():
    found = Rivals(guess=SCORE, trajectories=9, forks=(2,), temperature=0.5)(lambda **parts: parts)
    plain = Independent(width=9)
    assert found == {
        "resampling": {"sampler": plain, "shares": SoftShares(temperature=0.5)},
        "best of n": {"sampler": plain, "shares": HighestValue(temperature=0.5)},
        "particles": {
            "sampler": Particles(scorer=SCORE, width=9, forks=(2,), temperature=0.5),
            "shares": ParticleShares(forks=(2,), temperature=0.5),
        },
    }


def test_none_are_refused():
    with pytest.raises(SettingError, match="trajectories"):
        Rivals(guess=SCORE, trajectories=0)
