"""Segments and boxes by hand; arms are compared with the batched check in test_problems."""

import numpy as np
import torch

from milepost.planning import collision
from milepost.planning.problems import problem


def test_a_segment_and_a_box_by_hand():
    low, high = np.array([0.0, 0.0]), np.array([1.0, 1.0])
    for one, other, hit in (
        ((-1, 0.5), (2, 0.5), True), ((-1, 2), (2, 2), False), ((-0.5, 0.6), (0.6, -0.5), True),
        ((-0.5, 0.4), (0.4, -0.5), False), ((0.5, 0.5), (0.5, 0.5), True), ((1, 2), (1, 3), False),
        ((1, 1), (2, 2), True),
    ):  # fmt: skip
        assert collision.segment_hits_box(np.array(one, float), np.array(other, float), low, high) is hit


def test_a_corner_cannot_be_cut():
    """Trap: states looked at by a share of the world's size let paths cut corners in large worlds; boxes are exact."""
    task = problem("wide")
    begins, ends = torch.tensor([[-0.26, 0.2]]).double(), torch.tensor([[-0.2, 0.26]]).double()
    assert not collision.motion_free(task.world(), begins[0].numpy(), ends[0].numpy())
