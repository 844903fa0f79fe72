"""Forests to verl's batches and back: a line for each trajectory, and everything a line cannot hold beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from milepost import optional, tables
from milepost.columns import Role
from milepost.credit.tokens import lay_out, token_credit
from milepost.engines.trl.trainer import below_roots
from milepost.errors import FormatError
from milepost.forest import Forest
from milepost.ragged import Ragged, offsets_of

_TABLE, _ARRAYS, _COLUMNS, _LEAF = "milepost_table", "milepost_arrays", "milepost_columns", "milepost_leaf"


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """What verl's `DataProto.from_dict` takes."""

    tensors: Mapping[str, Tensor]
    non_tensors: Mapping[str, np.ndarray]
    meta_info: Mapping[str, Any]

    def data_proto(self) -> Any:
        """The batch as verl's class."""
        verl = optional.load("verl", extra="verl", purpose="A batch of verl")
        return verl.DataProto.from_dict(dict(self.tensors), dict(self.non_tensors), dict(self.meta_info))


def batch_of(forest: Forest) -> Batch:
    """Write a forest as a batch of verl's.

    Args:
        forest: with tokens; every trajectory lies below a root.

    Returns:
        A line per leaf: `prompts` (padded on the left), `responses`, `response_mask`, `input_ids`, `attention_mask`,
        `position_ids`; with them, where the forest has them, `rollout_log_probs`, `rm_scores` (the reward of a step on
        its last token) and `advantages`; `uid`, the task and its draw. The forest itself is in `meta_info`.

    Raises:
        ColumnError: the forest has no tokens.
    """
    leaves = forest.leaves()
    roots = forest.root_of()[leaves]
    prompts = lay_out(forest, Ragged(roots, offsets_of(torch.ones_like(roots))), right_aligned=True)
    answers = lay_out(forest, below_roots(forest))
    ids = forest["tokens.id"].long()
    real = torch.cat((prompts, answers), 1) >= 0
    tensors = {
        "prompts": _taken(ids, prompts),
        "responses": _taken(ids, answers),
        "input_ids": _taken(ids, torch.cat((prompts, answers), 1)),
        "attention_mask": real.long(),
        "position_ids": (real.long().cumsum(1) - 1).clamp(min=0),
        "response_mask": _taken(_trained(forest), answers).long(),
    }
    if "tokens.log_prob" in forest:
        tensors["rollout_log_probs"] = _taken(forest["tokens.log_prob"], answers)
    if "reward.total" in forest:
        tensors["rm_scores"] = _taken(on_last(forest), answers)
    if "advantage" in forest:
        tensors["advantages"] = _taken(token_credit(forest).float(), answers)
    names = forest.text("task") if "task" in forest else [None] * len(forest)
    draws = forest["draw"].tolist() if "draw" in forest else [0] * len(forest)
    uid = [
        f"{root if names[root] is None else names[root]}#{draws[root]}" for root in cast("list[int]", roots.tolist())
    ]
    non_tensors = {"uid": np.array(uid, dtype=object), _LEAF: np.array(leaves.tolist(), dtype=object)}
    return Batch(tensors=tensors, non_tensors=non_tensors, meta_info=_whole(forest))


def _taken(values: Tensor, source: Tensor) -> Tensor:
    if len(values) == 0:
        return values.new_zeros(source.shape)
    return torch.where(source >= 0, values[source.clamp(min=0)], torch.zeros((), dtype=values.dtype))


def _trained(forest: Forest) -> Tensor:
    if "tokens.train" in forest:
        return forest["tokens.train"]
    return forest["tokens.role"] == int(Role.POLICY)


def on_last(forest: Forest) -> Tensor:
    """The reward of each step on the last token that is trained in it, or on its last; NaN where it failed.

    Args:
        forest: with tokens and the reward "total".

    Returns:
        One number per token.
    """
    lengths = forest.ragged("tokens.id").lengths
    offsets = cast("Tensor", forest.token_offsets)
    place = torch.arange(int(offsets[-1]))
    chosen = torch.where(_trained(forest), place, -1)
    last = torch.full((len(forest),), -1, dtype=torch.int64).scatter_reduce(0, forest.token_row, chosen, "amax")
    last = torch.where(last < 0, offsets[1:] - 1, last)
    ok = forest.valid("reward.total") & forest["ok.total"]
    failed = forest.valid("reason.total") if "reason.total" in forest else torch.zeros_like(ok)
    value = torch.where(failed, torch.nan, torch.where(ok, forest["reward.total"], 0))
    has = (lengths > 0) & (ok | failed)
    return torch.zeros(len(place)).index_put((last[has],), value[has].float(), accumulate=True)


def _whole(forest: Forest) -> dict[str, Any]:
    parts = tables.take_apart(forest)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, parts.table.schema) as writer:
        writer.write_table(parts.table)
    return {
        _TABLE: sink.getvalue().to_pybytes(),
        _ARRAYS: save_tensors({name: value.contiguous() for name, value in parts.arrays.items()}),
        _COLUMNS: json.dumps({name: dict(column) for name, column in parts.columns.items()}),
    }


def forest_of(batch: Any) -> Forest:
    """Read a forest back from a batch that `batch_of` wrote, after verl worked on it.

    Args:
        batch: a `DataProto`, perhaps with lines left out or in another order, or a `Batch`.

    Returns:
        The trajectories that are left, whatever their order; with `advantage` of each step the mean over its tokens
        where the batch has "advantages" and the forest had none.

    Raises:
        FormatError: the batch was not made by milepost.
    """
    tensors = batch.tensors if isinstance(batch, Batch) else batch.batch
    others = batch.non_tensors if isinstance(batch, Batch) else batch.non_tensor_batch
    if _TABLE not in batch.meta_info or _LEAF not in others:
        raise FormatError("The batch holds no forest: it was not made by milepost.engines.verl.batches.batch_of.")
    with pa.ipc.open_stream(batch.meta_info[_TABLE]) as reader:
        table = reader.read_all()
    columns = json.loads(batch.meta_info[_COLUMNS])
    parts = tables.Parts(table=table, arrays=load_tensors(batch.meta_info[_ARRAYS]), columns=columns)
    forest = tables.put_together(parts)
    leaves = torch.tensor([int(leaf) for leaf in others[_LEAF]], dtype=torch.int64)
    if "advantages" in tensors.keys() and "advantage" not in forest:  # noqa: SIM118 - a TensorDict iterates over rows
        forest = _credited(forest, leaves, tensors["advantages"], tensors["response_mask"])
    if len(leaves.unique()) == len(forest.leaves()):
        return forest
    return forest.select(forest.with_ancestors(leaves))


def _credited(forest: Forest, leaves: Tensor, advantages: Tensor, mask: Tensor) -> Forest:
    paths = forest.paths(leaves)
    below = forest.parent[paths.values] >= 0
    answers = lay_out(forest, Ragged(paths.values[below], offsets_of(paths.lengths - 1)))
    counted = (answers >= 0) & (mask[:, : answers.shape[1]] > 0)
    row = forest.token_row[answers[counted]]
    total = torch.zeros(len(forest), dtype=torch.float64).index_add(
        0, row, advantages[:, : answers.shape[1]][counted].double()
    )
    count = torch.bincount(row, minlength=len(forest))
    value = (total / count.clamp(min=1)).float()
    return forest.with_columns({"advantage": value}).with_valid("advantage", count > 0)
