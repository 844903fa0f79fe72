"""Scored forests as data sets for TRL's other trainers: demonstrations, pairs, labelled answers.

Every function returns rows for `datasets.Dataset.from_list`, in TRL's conversational form: the root is what the user
asked (its text, else the prompt of its record), a step is what the assistant said, and what the environment answered
stands as the user's next message. A row whose reward failed is left out.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from milepost.columns import Origin
from milepost.errors import ColumnError
from milepost.forest import Forest

Message = dict[str, str]


def messages(forest: Forest, row: int) -> list[Message]:
    """What was said up to a row.

    Args:
        forest: with `text`, and `result` where an environment answered.
        row: the last step.

    Returns:
        Messages with "role" and "content", from the root on.

    Raises:
        ColumnError: the forest has no `text`.
    """
    return [one for step in forest.path(row).tolist() for one in _said(forest, step)]


def _said(forest: Forest, row: int) -> list[Message]:
    if "text" not in forest:
        raise ColumnError("The forest has no column 'text': its steps cannot be written as messages.")
    text, root = _cell(forest, "text", row), int(forest.parent[row]) < 0
    if root and not text:
        text = str(json.loads(_cell(forest, "record", row) or "{}").get("prompt") or "")
    mine = int(forest["origin"][row]) if "origin" in forest else int(Origin.POLICY)
    found = [{"role": "user" if root or mine == int(Origin.ENVIRONMENT) else "assistant", "content": text or ""}]
    answer = _cell(forest, "result", row)
    return [*found, {"role": "user", "content": answer}] if answer else found


def _cell(forest: Forest, name: str, row: int) -> str | None:
    return forest.columns[name][row].as_py() if name in forest else None  # pyright: ignore[reportAttributeAccessIssue]


def _scored(forest: Forest, reward: str) -> Bool[Tensor, " n"]:
    return forest[f"ok.{reward}"].bool() & forest.valid(f"reward.{reward}") & (forest.parent >= 0)


def demonstrations(forest: Forest, *, least: float, reward: str = "total") -> list[dict[str, Any]]:
    """Trajectories worth imitating, for `SFTTrainer`.

    Args:
        forest: scored.
        least: smallest reward that is imitated, in reward units.
        reward: its name.

    Returns:
        Rows with "prompt" and "completion", one per finished trajectory.

    Raises:
        ColumnError: the forest has no such reward, or no texts.
    """
    scored, value = _scored(forest, reward), forest[f"reward.{reward}"]
    rows: list[dict[str, Any]] = []
    for leaf in forest.leaves().tolist():
        if bool(scored[leaf]) and float(value[leaf]) >= least:
            first, *rest = messages(forest, leaf)
            rows.append({"prompt": [first], "completion": rest})
    return rows


def pairs(forest: Forest, *, margin: float = 0.0, reward: str = "total") -> list[dict[str, Any]]:
    """The best and the worst of the steps below one prefix, for `DPOTrainer` and `RewardTrainer`.

    Args:
        forest: scored.
        margin: the reward must differ by more, in reward units.
        reward: its name.

    Returns:
        Rows with "prompt", "chosen", "rejected" and "margin", the difference; of equals the first is taken.

    Raises:
        ColumnError: the forest has no such reward, or no texts.
    """
    scored, value = _scored(forest, reward), forest[f"reward.{reward}"]
    rows: list[dict[str, Any]] = []
    for parent in forest.parent[scored].unique().tolist():
        own = (scored & (forest.parent == parent)).nonzero().squeeze(1)
        best, worst = int(own[value[own].argmax()]), int(own[value[own].argmin()])
        gap = float(value[best] - value[worst])
        if gap > margin:
            both = {"chosen": _said(forest, best)[:1], "rejected": _said(forest, worst)[:1]}
            rows.append({"prompt": messages(forest, parent), **both, "margin": gap})
    return rows


def labelled(forest: Forest, *, least: float, reward: str = "total") -> list[dict[str, Any]]:
    """Every scored step with a verdict, for `KTOTrainer`.

    Args:
        forest: scored.
        least: smallest reward that counts as good, in reward units.
        reward: its name.

    Returns:
        Rows with "prompt", "completion" and "label".

    Raises:
        ColumnError: the forest has no such reward, or no texts.
    """
    value = forest[f"reward.{reward}"]
    return [
        {
            "prompt": messages(forest, int(forest.parent[row])),
            "completion": _said(forest, row)[:1],
            "label": float(value[row]) >= least,
        }
        for row in _scored(forest, reward).nonzero().flatten().tolist()
    ]


def step_labels(forest: Forest, *, least: float, reward: str = "total") -> list[dict[str, list[int]]]:
    """Tokens with a class at the end of each scored step, for a process reward model.

        label_k = [reward_i >= least] on the last token that the policy chose in step i, -100 (no class) elsewhere

    Args:
        forest: scored, with tokens.
        least: smallest reward of a good step, in reward units.
        reward: its name.

    Returns:
        Rows with "input_ids" and "labels", one per trajectory that has a class left to learn. A step that several
        trajectories share has its class in the first of them.

    Raises:
        ColumnError: the forest has no such reward, or no tokens.
    """
    scored, value = _scored(forest, reward), forest[f"reward.{reward}"]
    ids, train = forest.ragged("tokens.id"), forest.ragged("tokens.train")
    told: set[int] = set()
    rows: list[dict[str, list[int]]] = []
    for leaf in forest.leaves().tolist():
        row: dict[str, list[int]] = {"input_ids": [], "labels": []}
        for step in forest.path(leaf).tolist():
            tokens = ids[step].tolist()
            labels = [-100] * len(tokens)
            mine = train[step].nonzero().flatten()
            if bool(scored[step]) and step not in told and len(mine):
                labels[int(mine[-1])] = int(float(value[step]) >= least)
                told.add(step)
            row["input_ids"] += tokens
            row["labels"] += labels
        if any(label >= 0 for label in row["labels"]):
            rows.append(row)
    return rows


def share_of_good(rows: list[dict[str, list[int]]]) -> float:
    """Share of the classes that are 1, against which the accuracy of a classifier is to be read.

    Args:
        rows: of `step_labels`.

    Returns:
        In [0, 1]; 0 without classes.
    """
    labels = torch.tensor([label for row in rows for label in row["labels"] if label >= 0], dtype=torch.float64)
    return float(labels.mean()) if len(labels) else 0.0
