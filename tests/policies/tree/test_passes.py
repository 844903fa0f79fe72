"""Passes: shares of siblings, paths of caches, and slopes that are handed up."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from milepost.policies import shared_prefix
from milepost.policies.tree.layout import lay_out
from milepost.policies.tree.passes import Passes, shares
from tests.policies.conftest import draw_weights, small_model
from tests.policies.tree.branches import SHAPES, forest_of, furthest, gradients


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(-5, 50))
def test_shares_are_runs_within_the_room(size: list[int], room: int) -> None:
    found = shares(torch.arange(len(size)), torch.tensor(size), room)
    assert torch.cat(found).tolist() == list(range(len(size)))
    assert all(len(run) == 1 or sum(size[one] for one in run.tolist()) <= room for run in found)


def passes(shape: str, room: int = 10_000) -> Passes:
    forest, model = forest_of(*SHAPES[shape]), draw_weights(small_model(), 0.15)
    assert shared_prefix.install(model)
    return Passes(model=model, layout=lay_out(forest, torch.arange(len(forest))), temperature=1.0, room=room)


def test_a_block_behind_its_path_continues_it() -> None:
    work = passes("ragged")
    strands = work.layout.strands
    root = work.run(torch.tensor([0]), ())
    below = (strands.parent == 0).nonzero().squeeze(1)
    behind = work.run(below, root.cache)
    whole = work.run(torch.arange(len(strands)), ())
    for part in (root, behind):
        torch.testing.assert_close(part.log_prob, whole.log_prob[part.target], rtol=1e-5, atol=1e-5)
    assert len(set(root.target.tolist()) & set(behind.target.tolist())) == 0


def test_slopes_add_up_over_calls() -> None:
    work = passes("full tree", room=4)
    slope = torch.linspace(-1, 1, len(work.layout.targets.token))
    work.depth_first(torch.tensor([0]), slope)
    once = gradients(work.model)
    work.depth_first(torch.tensor([0]), 0.25 * slope)
    work.depth_first(torch.tensor([0]), 0.75 * slope)
    assert furthest(gradients(work.model), once) < 1e-5


def test_without_a_slope_no_gradient_is_made() -> None:
    work = passes("comb", room=4)
    found = work.depth_first(torch.tensor([0]))
    assert not found.requires_grad
    assert not gradients(work.model)
