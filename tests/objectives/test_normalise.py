"""What a loss is divided by: hand examples, sums, and limits between the three."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from milepost import keys
from milepost.objectives.normalise import (
    FixedLength,
    SequenceMean,
    StepMean,
    TokenMean,
    fixed_length,
    sequence_mean,
    step_mean,
    token_mean,
)
from milepost.ragged import Ragged

COUNT = torch.tensor([0, 4, 1, 3])
LINES = Ragged.of([[0, 1], [0, 2], [0, 2, 3]], torch.int64)


def test_hand_example_on_a_tree():
    """Trajectories of 4, 1 and 1 + 3 units; row 2 is held by two of them."""
    assert token_mean(COUNT, LINES).tolist() == [3 / 9, 1 / 9, 2 / 9, 1 / 9]
    assert sequence_mean(COUNT, LINES)[1:].tolist() == [1 / 12, 1 / 3 + 1 / 12, 1 / 12]
    assert fixed_length(COUNT, LINES, length=10)[1:].tolist() == [1 / 30, 2 / 30, 1 / 30]


def test_weights_of_all_units_sum_to_1():
    for weigh in (TokenMean(), SequenceMean(), StepMean()):
        assert_close((weigh(COUNT, LINES) * COUNT).sum(), torch.tensor(1.0).double(), rtol=0, atol=1e-15)


def test_equal_lengths_make_all_three_agree():
    count, lines = torch.tensor([0, 5, 5, 5]), Ragged.of([[0, 1], [0, 2], [0, 3]], torch.int64)
    for weigh in (SequenceMean(), StepMean(), FixedLength(length=5)):
        assert_close(weigh(count, lines)[1:], TokenMean()(count, lines)[1:])


def test_nothing_to_weigh():
    count, none = torch.zeros(2, dtype=torch.int64), Ragged.of([], torch.int64)
    for weigh in (TokenMean(), SequenceMean(), StepMean(), FixedLength(length=5)):
        assert weigh(count, none).tolist() == [0.0, 0.0]


def test_a_step_counts_once_however_many_go_on_from_it():
    """Row 2 is shared by two trajectories, and weighs as much as its sibling: half of one of two groups."""
    lines = Ragged.of([[0, 1], [0, 2, 3], [0, 2, 4]], torch.int64)
    assert step_mean(torch.tensor([0, 1, 2, 1, 1]), lines).tolist() == [0.0, 0.25, 0.125, 0.25, 0.25]


def test_step_mean_by_dictionaries():
    """40 random forests: trees, groups of siblings and steps found one by one."""
    for seed in range(40):
        draw = keys.generator(keys.fold(keys.root(5), seed))
        parent = [-1]
        for row in range(1, 14):
            parent.append(-1 if draw.random() < 0.15 else int(draw.integers(row)))
        count = [0 if above < 0 else int(draw.integers(0, 4)) for above in parent]
        leaves = [row for row in range(14) if row not in parent and draw.random() < 0.8]
        paths = []
        for leaf in leaves:
            path = [leaf]
            while parent[path[0]] >= 0:
                path.insert(0, parent[path[0]])
            if sum(count[row] for row in path):
                paths.append(path)
        groups = {}
        for row in {row for path in paths for row in path if count[row]}:
            root = row
            while parent[root] >= 0:
                root = parent[root]
            groups.setdefault(root, {}).setdefault(parent[row], []).append(row)
        expected = [0.0] * 14
        for tree in groups.values():
            for members in tree.values():
                for row in members:
                    expected[row] = 1 / (len(groups) * len(tree) * len(members) * count[row])
        found = step_mean(torch.tensor(count), Ragged.of(paths, torch.int64))
        assert_close(found, torch.tensor(expected, dtype=torch.float64))
