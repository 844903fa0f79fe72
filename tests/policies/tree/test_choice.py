"""Which way a tree is trained follows from its shape, the attention and the memory, and can be forced."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from milepost.policies.tree import choice
from milepost.policies.tree.choice import Automatic, DepthFirst, Machine, Packed, Shape, bytes_per_token, shape_of
from milepost.policies.tree.layout import lay_out
from tests.policies.conftest import small_model
from tests.policies.tree.branches import forest_of


def seconds(deep: bool, shape: Shape, machine: Machine) -> float:
    linear = shape.tokens * machine.token_cost
    if deep:
        return 4 * (linear + shape.scores)
    return 3 * (linear + (shape.scores if machine.exact else shape.tokens**2))


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("tokens", [100, 1000, 5000, 20_000])
@pytest.mark.parametrize("depth", [50, 500])
def test_the_faster_way_that_fits(exact: bool, tokens: int, depth: int) -> None:
    machine = Machine(room=10_000, token_cost=1500.0, exact=exact)
    shape = Shape(tokens=tokens, scores=tokens * min(depth, tokens) // 2)
    deep = Automatic().depth_first(shape, machine)
    if tokens > machine.room:
        assert deep
    else:
        assert deep == (seconds(True, shape, machine) < seconds(False, shape, machine))
        assert not (exact and deep)


def test_a_choice_can_be_forced() -> None:
    machine = Machine(room=10, token_cost=1.0, exact=True)
    assert not Packed().depth_first(Shape(tokens=10**6, scores=10**9), machine)
    assert DepthFirst().depth_first(Shape(tokens=1, scores=1), machine)


def test_shape_by_hand() -> None:
    layout = lay_out(forest_of([-1, 0, 0, -1, 3], [2, 3, 1, 4, 2]), torch.arange(5))
    assert shape_of(layout, 0, 4) == Shape(tokens=4, scores=1 + 2 + 3 + 4)
    assert shape_of(layout, 4, 9) == Shape(tokens=5, scores=15)


def test_the_memory_estimate_is_that_of_the_graph() -> None:
    """What autograd keeps for a long text, per token and without the logits, lies within a factor of 1.6."""
    model = small_model(hidden_size=64, intermediate_size=192, num_hidden_layers=4)
    kept: dict[int, int] = {}

    def keep(value: Tensor) -> Tensor:
        kept[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    weights = {value.untyped_storage().data_ptr() for value in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        out = model(input_ids=torch.arange(200).remainder(90).unsqueeze(0) + 5, use_cache=False, logits_to_keep=1)
    held = sum(size for place, size in kept.items() if place not in weights) / 200
    assert out.logits.shape[1] == 1
    estimate = bytes_per_token(model) - 12 * model.config.vocab_size
    assert 1 / 1.6 < held / estimate < 1.6


def test_room_grows_with_memory_between_its_limits() -> None:
    model = small_model()
    rooms = [Machine.of(model, 2**power).room for power in (10, 24, 26, 40)]
    assert rooms == sorted(rooms)
    assert (rooms[0], rooms[-1]) == (256, 32_768)
    machine = Machine.of(model, 2**30)
    assert machine.exact
    assert machine.token_cost == sum(value.numel() for value in model.parameters()) / (2 * 2 * 32)
    assert choice.head_size(model.config) == 8
