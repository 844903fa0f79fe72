"""Rows of data sets for trainers, in the shapes that TRL reads: conversations, pairs, and judged completions.

A row of a grown forest is one step: what the agent wrote, then what was answered. The prompt of a step is everything
before it, and a pair shares it to the letter. Conversations of other programs have a row per message.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor

from milepost.columns import End
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.traces.forests import traces_of

Row = Mapping[str, Any]
Messages = list[dict[str, Any]]


def preference_rows(forest: Forest) -> Iterator[Row]:
    """Pairs of siblings for TRL's DPO trainer: each step of positive credit with each sibling of negative credit.

    Args:
        forest: grown, with `advantage`, such as `credit.tree.preferred.Preferred` writes it.

    Yields:
        Objects with "prompt", "chosen" and "rejected", each a list of messages, and "task".

    Raises:
        ColumnError: there is no `advantage`.
    """
    for better, worse in _pairs(forest):
        prompt = before(forest, better)
        yield {
            "prompt": prompt,
            "chosen": [_said(forest, better)],
            "rejected": [_said(forest, worse)],
            "task": _task(forest, better),
        }


def reward_rows(forest: Forest) -> Iterator[Row]:
    """The same pairs for TRL's reward trainer: two whole conversations that differ in the last message.

    Args:
        forest: grown, with `advantage`.

    Yields:
        Objects with "chosen" and "rejected".

    Raises:
        ColumnError: there is no `advantage`.
    """
    for row in preference_rows(forest):
        yield {side: [*row["prompt"], *row[side]] for side in ("chosen", "rejected")}


def unpaired_rows(forest: Forest) -> Iterator[Row]:
    """Judged steps for TRL's KTO trainer.

    Args:
        forest: grown, with `advantage`.

    Yields:
        Objects with "prompt", "completion" and "label": whether the credit is positive. Steps without credit are left
        out.

    Raises:
        ColumnError: there is no `advantage`.
    """
    credit = _credit(forest)
    for row in _rows(credit != 0):
        label = bool(credit[row] > 0)
        yield {"prompt": before(forest, row), "completion": [_said(forest, row)], "label": label}


def conversation_rows(forest: Forest, keep: Tensor | None = None) -> Iterator[Row]:
    """Whole conversations for TRL's SFT trainer.

    Args:
        forest: grown, or of stored conversations.
        keep: which rows count; a conversation is written where its last row does. Default: the column `keep`, all
            where there is none.

    Yields:
        Objects with "messages".
    """
    wanted = _kept(forest) if keep is None else keep
    if "extra_text.role" in forest:
        roots = forest.root_of()[wanted & _is_end(forest)].unique().tolist()
        for root in roots:
            (trace,) = traces_of(forest.select(forest.subtree(root)))
            yield {"messages": [dict(message) for message in trace.messages]}
        return
    for row in _rows(wanted & _is_end(forest) & (forest.parent >= 0)):
        last = _answered(forest, row)
        yield {"messages": [*before(forest, row), _said(forest, row), *last]}


def before(forest: Forest, row: int) -> Messages:
    """What stood before a step: the task's prompt, and every earlier step with what was answered.

    Args:
        forest: grown, with `text` and `result`, and `record` on its roots.
        row: the step.

    Returns:
        Messages of user and assistant.
    """
    root, *steps = cast("list[int]", forest.path(row).tolist())
    record: Any = json.loads(_cell(forest, "record", root) or "{}")
    messages: Messages = [{"role": "user", "content": str(record.get("prompt") or _cell(forest, "text", root) or "")}]
    for step in steps[:-1]:
        messages += [_said(forest, step), *_answered(forest, step)]
    return messages


def _said(forest: Forest, row: int) -> dict[str, Any]:
    return {"role": "assistant", "content": _cell(forest, "text", row) or ""}


def _answered(forest: Forest, row: int) -> Messages:
    result = _cell(forest, "result", row)
    return [{"role": "user", "content": result}] if result else []


def _cell(forest: Forest, name: str, row: int) -> str | None:
    return cast("Any", forest.columns[name])[row].as_py() if name in forest else None


def _task(forest: Forest, row: int) -> str:
    return _cell(forest, "task", int(forest.path(row)[0])) or ""


def _credit(forest: Forest) -> Tensor:
    if "advantage" not in forest:
        raise ColumnError(
            "Pairs are made from the column 'advantage', which the forest does not have: apply a credit rule first, "
            "such as credit.tree.preferred.Preferred."
        )
    return torch.where(forest.valid("advantage") & (forest.parent >= 0), forest["advantage"], 0)


def _pairs(forest: Forest) -> Iterator[tuple[int, int]]:
    credit = _credit(forest)
    worse: dict[int, list[int]] = {}
    for row in _rows(credit < 0):
        worse.setdefault(int(forest.parent[row]), []).append(row)
    for better in _rows(credit > 0):
        for other in worse.get(int(forest.parent[better]), ()):
            yield better, other


def _rows(marked: Tensor) -> list[int]:
    return cast("list[int]", marked.nonzero().squeeze(1).tolist())


def _kept(forest: Forest) -> Tensor:
    if "keep" not in forest:
        return torch.ones(len(forest), dtype=torch.bool)
    return forest["keep"] & forest.valid("keep")


def _is_end(forest: Forest) -> Tensor:
    leaf = torch.zeros(len(forest), dtype=torch.bool).index_fill(0, forest.leaves(), True)
    return leaf & (forest["end"] != int(End.PRUNED)) if "end" in forest else leaf
