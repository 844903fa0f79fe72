"""verifiers' graph of messages with its tokens as a forest, and a forest that was grown as such a graph.

A node of the graph holds the tokens that its message adds, which of them a model sampled, and for those alone their
log-probabilities and advantages. A step of a forest holds the same for a message and for what it was answered.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch

from milepost.bridges.verifiers import NODE
from milepost.columns import Origin, Role
from milepost.errors import FormatError
from milepost.forest import Forest, Given
from milepost.ragged import Ragged
from milepost.traces.forests import forest_of, messages_of, traces_of
from milepost.traces.record import Trace

_REST = "extra_text.rest"


def tokens_of(traces: Iterable[Trace]) -> Forest:
    """Build a forest of traces that `bridges.verifiers` read, with their tokens.

    Args:
        traces: conversations whose messages hold their nodes.

    Returns:
        The forest of `traces.forests.forest_of`, and with it `tokens.id`, `tokens.train`, `tokens.role`,
        `tokens.log_prob` where any is known, and `advantage` where any was assigned: the mean over a node's tokens.

    Raises:
        FormatError: a node has other numbers of log-probabilities or advantages than of sampled tokens.
    """
    forest = forest_of(traces)
    nodes = [_node(text, row) for row, text in enumerate(forest.text(_REST))]
    ids = [list(cast("list[int]", node.get("token_ids") or [])) for node in nodes]
    if not any(ids):
        return forest
    masks = [
        [bool(one) for one in node.get("mask") or [False] * len(own)] for node, own in zip(nodes, ids, strict=True)
    ]
    other = [Role.PROMPT if above < 0 else Role.OBSERVATION for above in forest.parent.tolist()]
    role = [[int(Role.POLICY if one else rest) for one in mask] for mask, rest in zip(masks, other, strict=True)]
    columns: dict[str, Given] = {
        "tokens.id": Ragged.of(ids, torch.int32),
        "tokens.train": Ragged.of(masks, torch.bool),
        "tokens.role": Ragged.of(role, torch.int8),
    }
    logged = [_spread(node, "logprobs", mask, row) for row, (node, mask) in enumerate(zip(nodes, masks, strict=True))]
    forest = forest.with_columns(columns)
    if any(one is not None for one in logged):
        flat = [value for one, mask in zip(logged, masks, strict=True) for value in (one or [0.0] * len(mask))]
        known = [one is not None and own for one, mask in zip(logged, masks, strict=True) for own in mask]
        forest = forest.with_columns({"tokens.log_prob": torch.tensor(flat)})
        forest = forest.with_valid("tokens.log_prob", torch.tensor(known, dtype=torch.bool))
    credit = [_spread(node, "advantages", mask, row) for row, (node, mask) in enumerate(zip(nodes, masks, strict=True))]
    if any(one is not None for one in credit):
        mean = [
            sum(one) / sum(mask) if one is not None and any(mask) else None
            for one, mask in zip(credit, masks, strict=True)
        ]
        forest = forest.with_columns({"advantage": mean})
    return forest


def _node(text: str | None, row: int) -> Mapping[str, Any]:
    try:
        rest = json.loads(text) if text else {}
    except ValueError as error:
        raise FormatError(f"Column {_REST!r} of row {row} is not JSON: {error}.") from error
    found = cast("dict[str, Any]", rest).get(NODE) if isinstance(rest, dict) else None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _spread(node: Mapping[str, Any], name: str, mask: Sequence[bool], row: int) -> list[float] | None:
    """Numbers of the sampled tokens as numbers of all, 0 elsewhere; None where there are none."""
    values = node.get(name)
    if not values:
        return None
    if len(values) != sum(mask):
        raise FormatError(f"Node {row} has {len(values)} {name} for {sum(mask)} sampled tokens: expected one for each.")
    following = iter(cast("list[float]", values))
    return [float(next(following)) if own else 0.0 for own in mask]


def graphs_of(forest: Forest) -> Iterator[Trace]:
    """Read the trees of a grown forest as traces whose messages hold their nodes, for `bridges.verifiers.value_of`.

    Args:
        forest: with `text`, and with tokens.

    Yields:
        One trace per tree. Where a step holds a message and its answer, the tokens up to the last that the policy chose
        are the message's.

    Raises:
        FormatError: the forest was not grown: its roots do not pair with its traces.
    """
    said = messages_of(forest)
    roots, root_of = forest.roots().tolist(), forest.root_of()
    for root, trace in zip(roots, traces_of(forest), strict=True):
        rows = (root_of == root).nonzero().flatten().tolist()
        nodes = [node for row in rows for node in _nodes(forest, row, len(said[row]))]
        if len(nodes) != len(trace.messages):
            raise FormatError(
                f"The tree of row {root} has {len(nodes)} messages and its trace {len(trace.messages)}: read traces "
                "are written by bridges.verifiers as they are."
            )
        pairs = zip(trace.messages, nodes, strict=True)
        yield replace(trace, messages=[{**message, NODE: node} for message, node in pairs])


def _nodes(forest: Forest, row: int, messages: int) -> list[dict[str, Any]]:
    mine = int(forest["origin"][row]) == int(Origin.POLICY) if "origin" in forest else int(forest.parent[row]) >= 0
    if "tokens.id" not in forest:
        return [{"sampled": mine and place == 0} for place in range(messages)]
    ids = forest.ragged("tokens.id")[row].tolist()
    train = cast("list[bool]", forest.ragged("tokens.train")[row].tolist())
    cut = max((place + 1 for place, own in enumerate(train) if own), default=0) if messages > 1 else len(ids)
    first: dict[str, Any] = {"sampled": mine, "token_ids": ids[:cut], "mask": train[:cut]}
    if "tokens.log_prob" in forest:
        logged = forest.ragged("tokens.log_prob")[row].tolist()
        first["logprobs"] = [value for value, own in zip(logged[:cut], train[:cut], strict=True) if own]
    if "advantage" in forest and bool(forest.valid("advantage")[row]) and any(train):
        first["advantages"] = [float(forest["advantage"][row])] * sum(train[:cut])
    rest = {"sampled": False, "token_ids": ids[cut:], "mask": train[cut:]}
    return [first, rest, *({"sampled": False} for _ in range(messages - 2))][:messages]
