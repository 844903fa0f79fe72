"""What a loss is divided by: hand examples, sums, and limits between the three."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from milepost.objectives.normalise import FixedLength, SequenceMean, TokenMean, fixed_length, sequence_mean, token_mean
from milepost.ragged import Ragged

COUNT = torch.tensor([0, 4, 1, 3])
LINES = Ragged.of([[0, 1], [0, 2], [0, 2, 3]], torch.int64)


def test_hand_example_on_a_tree():
    """Trajectories of 4, 1 and 1 + 3 units; row 2 is held by two of them."""
    assert token_mean(COUNT, LINES).tolist() == [3 / 9, 1 / 9, 2 / 9, 1 / 9]
    assert sequence_mean(COUNT, LINES)[1:].tolist() == [1 / 12, 1 / 3 + 1 / 12, 1 / 12]
    assert fixed_length(COUNT, LINES, length=10)[1:].tolist() == [1 / 30, 2 / 30, 1 / 30]


def test_weights_of_all_units_sum_to_1():
    for weigh in (TokenMean(), SequenceMean()):
        assert_close((weigh(COUNT, LINES) * COUNT).sum(), torch.tensor(1.0).double(), rtol=0, atol=1e-15)


def test_equal_lengths_make_all_three_agree():
    count, lines = torch.tensor([0, 5, 5, 5]), Ragged.of([[0, 1], [0, 2], [0, 3]], torch.int64)
    for weigh in (SequenceMean(), FixedLength(length=5)):
        assert_close(weigh(count, lines)[1:], TokenMean()(count, lines)[1:])


def test_nothing_to_weigh():
    count, none = torch.zeros(2, dtype=torch.int64), Ragged.of([], torch.int64)
    for weigh in (TokenMean(), SequenceMean(), FixedLength(length=5)):
        assert weigh(count, none).tolist() == [0.0, 0.0]
