"""Every path by itself: values with their graph, and as many tokens as there are paths' tokens."""

from __future__ import annotations

import pytest
import torch

from milepost.policies.tree.layout import lay_out
from milepost.policies.tree.separate import separate
from tests.policies.conftest import draw_weights, small_model
from tests.policies.tree.branches import SHAPES, forest_of, furthest, gradients, separate_paths


@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_those_of_one_pass_per_row(shape: str) -> None:
    model, forest = draw_weights(small_model(), 0.15), forest_of(*SHAPES[shape], observed=1)
    expected = separate_paths(model, forest, 0.8)
    expected.square().sum().backward()
    exact = gradients(model)
    layout = lay_out(forest, torch.arange(len(forest)))
    read = separate(model, layout, torch.arange(len(layout.strands)), 0.8)
    log_prob = read.logits.log_softmax(-1)[read.which, layout.targets.token[read.target]]
    torch.testing.assert_close(log_prob, expected[layout.targets.place[read.target]], rtol=1e-5, atol=1e-5)
    log_prob.square().sum().backward()
    assert furthest(gradients(model), exact) < 1e-5


def test_part_of_the_trees_gives_part_of_the_targets() -> None:
    model, forest = small_model(), forest_of(*SHAPES["forest"])
    layout = lay_out(forest, torch.arange(len(forest)))
    first = int((layout.strands.parent < 0).nonzero()[1])
    parts = [
        separate(model, layout, strands, 1.0)
        for strands in (torch.arange(first), torch.arange(first, len(layout.strands)))
    ]
    assert torch.cat([part.target for part in parts]).sort().values.tolist() == list(range(len(layout.targets.token)))
