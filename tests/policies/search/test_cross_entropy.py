"""The search climbs, draws from the key, and gives all of a generation the same chances."""

import pytest
import torch

from milepost import keys
from milepost.errors import SettingError
from milepost.policies.search.cross_entropy import CrossEntropy

KEY = keys.root(0)
GOAL = torch.tensor([1.0, -0.5, 0.3])


def test_it_finds_a_hill():
    found = CrossEntropy(generations=30, population=24)(lambda x, key: -(x - GOAL).square().sum(1), 3, KEY)
    assert float((found.best - GOAL).abs().max()) < 0.1
    assert found.worth[-1] > found.worth[0]
    assert len(found.worth) == 30


def test_keys():
    seen = []

    def score(settings, key):
        seen.append(key)
        return settings[:, 0]

    part = CrossEntropy(generations=3, population=4, elite=2)
    first, again = part(score, 2, KEY), part(score, 2, KEY)
    assert torch.equal(first.best, again.best)
    assert len(set(seen[:3])) == 3
    assert seen[:3] == seen[3:]
    assert not torch.equal(part(score, 2, keys.root(1)).best, first.best)


def test_what_is_not_finite_is_never_chosen_where_it_is_worst():
    found = CrossEntropy(generations=2, population=6, elite=2)(
        lambda x, key: torch.where(x[:, 0] > 0, x[:, 0], -torch.inf), 1, KEY
    )
    assert float(found.best) > 0


def test_settings():
    with pytest.raises(SettingError, match="population"):
        CrossEntropy(population=3, elite=4)
    with pytest.raises(SettingError, match="elite"):
        CrossEntropy(elite=1)
