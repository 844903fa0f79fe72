"""The layout holds every token that is needed once, and who may see whom follows from it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from milepost.policies.tree.attention import Block
from milepost.policies.tree.layout import lay_out, preorder
from tests.policies.tree.branches import SHAPES, forest_of
from tests.trees import draws, seeds


def test_preorder_by_hand() -> None:
    start, end = preorder(torch.tensor([-1, 0, 0, 1, -1]), torch.tensor([2, 3, 1, 4, 5]))
    assert (start.tolist(), end.tolist()) == ([0, 2, 9, 5, 10], [10, 9, 10, 9, 15])


def random_tree(seed: int) -> tuple[list[int], list[int]]:
    drawn, size = draws(seed), 12
    parent = [-1, *(int(drawn.integers(-1, row)) for row in range(1, size))]
    return parent, [int(drawn.integers(1, 4)) if above < 0 else int(drawn.integers(0, 4)) for above in parent]


@given(seeds)
def test_everything_below_a_row_is_one_range_behind_it(seed: int) -> None:
    parent, length = random_tree(seed)
    start, end = preorder(torch.tensor(parent), torch.tensor(length))
    for row, above in enumerate(parent):
        if above >= 0:
            assert start[above] + length[above] <= start[row]
            assert end[row] <= end[above]
    assert sum(length) == int(end.max())


@given(seeds)
def test_a_token_sees_its_path_and_nothing_else(seed: int) -> None:
    parent, length = random_tree(seed)
    forest = forest_of(parent, length)
    layout = lay_out(forest, torch.arange(len(forest)))
    strands = layout.strands
    if len(strands) == 0:
        return
    seen = Block.of(strands.start, strands.stop, strands.end).mask
    assert torch.equal(seen.sum(1), layout.position + 1)
    tokens = forest.ragged("tokens.id")
    for number, place in enumerate(layout.targets.place.tolist()):
        row = int(tokens.row[place])
        path = torch.cat([tokens[one] for one in forest.path(row).tolist()])
        before = layout.id[seen[layout.targets.after[number]]]
        own = place - int(tokens.offsets[row])
        assert before.tolist() == path[: len(path) - len(tokens[row]) + own].tolist()
        assert int(layout.targets.token[number]) == int(tokens.values[place])


@pytest.mark.parametrize("shape", SHAPES)
def test_tokens_that_nothing_depends_on_are_left_out(shape: str) -> None:
    forest = forest_of(*SHAPES[shape], observed=1)
    layout = lay_out(forest, torch.arange(len(forest)))
    strands = layout.strands
    ends = {int(stop) - 1 for stop, end in zip(strands.stop, strands.end, strict=True) if stop == end}
    assert ends <= set(layout.targets.after.tolist())


def test_only_children_continue_their_strand() -> None:
    layout = lay_out(forest_of([-1, 0, 1, 2, 2, 4], [3, 2, 2, 2, 2, 2]), torch.arange(6))
    strands = layout.strands
    assert strands.start.tolist() == [0, 7, 8]
    assert strands.stop.tolist() == [7, 8, 11]
    assert strands.end.tolist() == [11, 8, 11]
    assert strands.parent.tolist() == [-1, 0, 0]
    assert layout.repeated == 8 + 10


@given(st.integers(0, 11))
def test_a_row_alone_needs_its_path_only(row: int) -> None:
    forest = forest_of([-1, *[0] * 3, 1, 1, 2, 4, 4, 5, 6, 7], [3] * 12)
    layout = lay_out(forest, torch.tensor([row]))
    above = len(forest.path(row)) - 1
    assert len(layout.id) == (3 * above + 2 if row else 0)
    assert len(layout.strands) == (1 if row else 0)
