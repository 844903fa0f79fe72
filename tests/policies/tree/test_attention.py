"""Attention by blocks is attention under the mask, values and gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from milepost import keys
from milepost.policies.tree.attention import (
    MOST_PADDING,
    Block,
    TreeLayer,
    alike,
    attend_by_blocks,
    attend_by_mask,
)
from milepost.policies.tree.layout import lay_out
from tests.policies.tree.branches import KEY, SHAPES, forest_of


def normal(name: str, *shape: int) -> torch.Tensor:
    return torch.from_numpy(keys.normal([keys.fold(KEY, name)], shape)[0])[None]


def block_of(shape: str) -> Block:
    forest = forest_of(*SHAPES[shape])
    strands = lay_out(forest, torch.arange(len(forest))).strands
    return Block.of(strands.start, strands.stop, strands.end)


def given_to(block: Block, past: int) -> list[torch.Tensor]:
    size = int(block.strands.max())
    own = [normal("q", 6, size, 8), normal("k", 2, size, 8), normal("v", 2, size, 8)]
    above = [normal("pk", 2, past, 8), normal("pv", 2, past, 8)] if past else []
    return [value.requires_grad_() for value in (*own, *above)]


@pytest.mark.parametrize("past", [0, 1, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_blocks_are_the_mask(shape: str, past: int) -> None:
    block = block_of(shape)
    values = given_to(block, past)
    weight = normal("w", *values[0].shape[1:])
    found, expected = (attend(block, 0.3, *values) for attend in (attend_by_blocks, attend_by_mask))
    torch.testing.assert_close(found, expected)
    slopes = [torch.autograd.grad((weight * out).sum(), values) for out in (found, expected)]
    torch.testing.assert_close(*slopes)


def test_large_scores_overflow_nothing() -> None:
    block = block_of("forest")
    query, key, value = given_to(block, 0)
    for factor in (1e3, 1e6):
        out = attend_by_blocks(block, factor, query, key, value)
        out.sum().backward()
        assert bool(out.isfinite().all())
        assert all(bool(one.grad.isfinite().all()) for one in (query, key, value))


def test_nothing_of_the_size_of_the_scores_is_kept() -> None:
    block = block_of("full tree")
    values = given_to(block, 5)
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda value: kept.append(value.numel()) or value, lambda value: value
    ):
        attend_by_blocks(block, 1.0, *values)
    heads, tokens = values[0].shape[1:3]
    assert sum(kept) == sum(value.numel() for value in values) + values[0].numel() + heads * tokens


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40))
def test_alike_wastes_little_and_loses_nobody(length: list[int]) -> None:
    sizes = torch.tensor(length)
    sets = alike(sizes)
    assert sorted(torch.cat(sets).tolist()) == list(range(len(length)))
    for chosen in sets:
        square = sizes[chosen].double().square()
        assert float(square.max() * len(chosen)) <= MOST_PADDING * float(square.sum()) + 1e-9


def test_a_layer_holds_what_it_is_given() -> None:
    block = block_of("fan")
    query, key, value = given_to(block, 0)
    layer = TreeLayer(block, ())
    assert layer.update(key, value) == (layer, layer)
    torch.testing.assert_close(
        layer.attention(query, 0.5), attend_by_mask(block, 0.5, query, key, value).transpose(1, 2)
    )
    assert layer.keys is key
    assert layer.get_seq_length() == 0
