"""The weight of a group by its success rate: the sums that follow, its ends, and the published slip."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from milepost.credit.difficulty import Focused, Scheduled, Unweighted, difficulty
from milepost.credit.group import normalised
from milepost.errors import SettingError

SIZES = (4, 8, 16)


def wins(count: int, size: int) -> list[float]:
    return [1.0] * count + [0.0] * (size - count)


def whole(count: int) -> torch.Tensor:
    return torch.ones(count, dtype=torch.bool)


def whitened(count: int, size: int, *, ddof: int = 0) -> torch.Tensor:
    reward, group = torch.tensor(wins(count, size), dtype=torch.float64), torch.zeros(size, dtype=torch.int64)
    return normalised(reward, group, 1, whole(size), ddof=ddof, eps=0.0)


@pytest.mark.parametrize("size", SIZES)
def test_sums_of_sizes_at_the_ends_of_omega(size):
    for count in range(1, size):
        p, credit = count / size, whitened(count, size)
        rate = torch.full((size,), p, dtype=torch.float64)
        total = {}
        for omega in (0.0, 0.5, 1.0):
            factor = Scheduled().of(rate, torch.full_like(rate, omega))
            total[omega] = float((factor * credit).abs().sum())
        assert_close(total[1.0], size * math.sqrt(1 - p), rtol=1e-12, atol=0)
        assert_close(total[0.0], size * math.sqrt(p), rtol=1e-12, atol=0)
        mirrored = Scheduled().of(1 - rate, torch.full_like(rate, 0.5)) * whitened(size - count, size)
        assert_close(total[0.5], float(mirrored.abs().sum()), rtol=1e-12, atol=0)


def test_small_omega_emphasises_easy_groups_and_large_omega_hard_ones():
    easy_and_hard = torch.tensor([7 / 8, 1 / 8], dtype=torch.float64)
    low, high = (Scheduled().of(easy_and_hard, torch.full_like(easy_and_hard, omega)) for omega in (0.0, 1.0))
    assert low[0] > low[1]
    assert high[0] < high[1]


def published_easy_factor(p: float) -> float:
    return 0.5 / (1 - math.sqrt(p) + 1e-6)


def test_trap_wrong_easy_factor():
    """The published code has 0.5 / (1 - sqrt(p) + 1e-6) for 0.5 / sqrt(1 - p): 7.7 instead of 1.41 at p = 7/8."""
    p = torch.tensor([7 / 8], dtype=torch.float64)
    ours = float(Scheduled().of(p, torch.zeros_like(p)))
    assert_close(ours, 0.5 / math.sqrt(1 / 8), rtol=1e-12, atol=0)
    assert round(ours, 2) == 1.41
    assert round(published_easy_factor(7 / 8), 1) == 7.7


def test_difficulty_at_its_ends_is_1():
    rate = torch.tensor([0.0, 1.0])
    assert difficulty(rate, torch.tensor([0.5]), torch.tensor([0.5])).tolist() == [1.0, 1.0]


def test_hand_example():
    rate = torch.tensor([0.25, 0.75], dtype=torch.float64)
    found = difficulty(rate, torch.tensor([0.5], dtype=torch.float64), torch.tensor([0.0], dtype=torch.float64))
    assert_close(found, torch.tensor([1.0, 0.5 / math.sqrt(0.75)], dtype=torch.float64))
    assert torch.equal(found, Focused(hard=0.5, easy=0.0).of(rate, rate))
    assert Unweighted().of(rate, rate).tolist() == [1.0, 1.0]


def test_some_weight_is_needed():
    for hard, easy in ((0.0, 0.0), (-1.0, 2.0)):
        with pytest.raises(SettingError):
            Focused(hard=hard, easy=easy)
