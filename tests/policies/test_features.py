"""Directions are written for the rules that read them, and for no others."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from milepost.credit.group import Normalised
from milepost.credit.novelty import Novel
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.policies.features import GRADIENT, described


class Pulled:
    version = 0

    def directions(self, forest: Forest, rows: Tensor) -> Tensor:
        return rows.float().unsqueeze(1) * torch.ones(3)


class Plain:
    version = 0


def test_written_once_and_where_asked_for() -> None:
    forest = Forest.of([-1, 0, 0])
    assert described(forest, Pulled(), Normalised()) is forest
    found = described(forest, Pulled(), Novel())
    assert found[GRADIENT].tolist() == [[0.0] * 3, [1.0] * 3, [2.0] * 3]
    assert described(found, Plain(), Novel()) is found


def test_a_policy_without_directions_is_refused() -> None:
    with pytest.raises(SettingError, match="Plain has no directions"):
        described(Forest.of([-1, 0]), Plain(), Novel())
