"""Forests through verl's own batch class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from verl import DataProto

from milepost.engines.verl.batches import batch_of, forest_of
from tests.engines.verl.test_batches import same, tree

pytestmark = pytest.mark.trainers


def test_through_data_proto():
    data = batch_of(tree()).data_proto()
    assert isinstance(data, DataProto)
    assert len(data) == 4
    assert same(forest_of(data), tree())
    assert same(forest_of(DataProto.concat(data.chunk(2))), tree())
    part = data.select_idxs(np.array([3, 1]))
    assert same(forest_of(part), tree().select(torch.tensor([0, 1, 3, 5, 6])))
