"""Every path by itself: for models whose attention cannot be shared, and to compare with."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from milepost import segments
from milepost.policies.tree.layout import Layout
from milepost.policies.tree.passes import Logits


def separate(model: Any, layout: Layout, strands: Int[Tensor, " s"], temperature: float) -> Logits:
    """Scores of the vocabulary by one padded line per leaf, tokens that paths share computed once for each.

    Args:
        model: any causal language model of transformers.
        layout: the trees.
        strands: all strands of the trees that are wanted.
        temperature: divides the logits.

    Returns:
        One line of scores per target, with its graph.
    """
    held = layout.strands
    leaf = strands[segments.child_count(held.parent)[strands] == 0]
    length = layout.position[held.stop[leaf] - 1] + 1
    lines = torch.full((len(leaf), int(length.max())), -1, dtype=torch.int64)
    for line, end in enumerate(leaf.tolist()):
        strand = end
        while strand >= 0:
            index = torch.arange(int(held.start[strand]), int(held.stop[strand]))
            lines[line, layout.position[index]] = index
            strand = int(held.parent[strand])
    line, column = (lines >= 0).nonzero().unbind(1)
    where = torch.full((len(layout.id),), len(leaf)).scatter_reduce(0, lines[line, column], line, "amin")
    target = (where[layout.targets.after] < len(leaf)).nonzero().squeeze(1)
    after = layout.targets.after[target]
    read, which = layout.position[after].unique(return_inverse=True)
    ids = layout.id[lines.clamp(min=0)]  # what stands in the padding behind a line is seen by padding only
    logits = model(input_ids=ids, use_cache=False, logits_to_keep=read).logits[where[after], which]
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return Logits(target=target, logits=wide / temperature, which=torch.arange(len(target)))
