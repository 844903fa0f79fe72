"""Errors of labels: by hand, limits, and against scipy."""

import math

import pytest
import torch
from scipy import stats

from milepost.errors import ShapeError
from milepost.evaluation.offline import errors


def test_explained_variance():
    truth = torch.tensor([[0.0], [2.0]])
    assert errors.determined(truth, truth) == 1
    assert errors.determined(torch.ones(2, 1), truth) == 0
    assert errors.determined(torch.tensor([[0.0], [1.0]]), truth) == 0.5
    assert math.isnan(errors.determined(truth[:0], truth[:0]))
    assert math.isnan(errors.determined(torch.ones(2, 1), torch.ones(2, 1)))
    with pytest.raises(ShapeError, match="expected equal"):
        errors.determined(truth, truth[:1])


def test_ranks_share():
    assert errors.ranks(torch.tensor([5.0, 1.0, 5.0])).tolist() == [1.5, 0, 1.5]


def test_rank_correlation():
    first = torch.tensor([1.0, 4.0, 2.0, 2.0, 9.0])
    second = torch.tensor([0.0, 3.0, 3.0, 1.0, 2.0])
    assert errors.rank_correlation(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)
    assert errors.rank_correlation(first, first.exp()) == pytest.approx(1)
    assert errors.rank_correlation(first, -first) == pytest.approx(-1)
    assert math.isnan(errors.rank_correlation(first, torch.ones(5)))
    with pytest.raises(ShapeError):
        errors.rank_correlation(first, second[:2])


def test_gap():
    assert errors.gap(-100, -100, -1100) == 0
    assert errors.gap(-100, -1100, -1100) == 1
    assert errors.gap(-100, -150, -1100) == pytest.approx(0.05)
    assert math.isnan(errors.gap(1.0, 0.0, 2.0))
