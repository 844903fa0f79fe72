"""The checker of shapes sees what it must see, and it is on."""

from __future__ import annotations

import sys
import types

import pytest
import torch

from milepost import segments
from tests import shapes

TEXT = """
from jaxtyping import Float, Int
from torch import Tensor

def good(value: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    return value * 2

def shrinks(value: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    return value.sum()

def refuses(value: Float[Tensor, " n"], group: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    if len(value) != len(group):
        raise ValueError("lengths differ")
    return value

def computes(value: Float[Tensor, " n"], group: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    return value.sum()

def perhaps(value: Float[Tensor, " n"] | None = None) -> tuple[Float[Tensor, " n"], int] | None:
    return None if value is None else (value[:-1], 1)

class Part:
    def call(self, value: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        return value
"""


@pytest.fixture
def module(monkeypatch):
    made = types.ModuleType("shapes_example")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    exec(compile(TEXT, "shapes_example.py", "exec"), vars(made))
    shapes.wrap_module(made)
    return made


def test_it_is_on():
    assert hasattr(segments.group_sum, "__wrapped__")


def test_true_annotations_pass(module):
    assert module.good(torch.ones(3)).tolist() == [2.0, 2.0, 2.0]
    assert module.perhaps() is None


def test_a_wrong_result_is_seen(module):
    for lie in (module.shrinks, module.perhaps, module.Part().call):
        with pytest.raises(shapes.ShapeLie, match="promises"):
            lie(torch.ones(3))


def test_bad_input_must_be_refused_not_computed_with(module):
    with pytest.raises(ValueError, match="lengths differ"):
        module.refuses(torch.ones(3), torch.ones(2, dtype=torch.int64))
    with pytest.raises(shapes.ShapeLie, match="group"):
        module.computes(torch.ones(3), torch.ones(2, dtype=torch.int64))
    with pytest.raises(shapes.ShapeLie, match="value"):
        module.good(torch.ones(3, dtype=torch.int64))
