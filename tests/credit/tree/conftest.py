"""Trees with known values, bases with retries, and originals with probes."""

from __future__ import annotations

import torch

from milepost.columns import End, Origin, Role
from milepost.forest import Forest
from milepost.ragged import Ragged


def scored(parent, rewards, **columns):
    """A forest whose rows have the given total rewards; None is no reward."""
    given = torch.tensor([torch.nan if one is None else one for one in rewards])
    return Forest.of(parent, {"reward.total": given, "ok.total": [one is not None for one in rewards], **columns})


def retried(base=(0.0,), retry=(1.0,), pivot=1, steps=3, texts=None):
    """One root; base trajectories of `steps` steps; retry i keeps `pivot` steps of base i. A None retry is none.

    Rows: root, then base after base, then for each retry the inserted row and its own steps.
    """
    parent, origin, reward, branch = [-1], [int(Origin.ENVIRONMENT)], [None], [0]
    ways = []
    for value in base:
        way = [0]
        for step in range(steps):
            parent.append(way[-1])
            origin.append(int(Origin.POLICY))
            reward.append(value if step == steps - 1 else None)
            branch.append(0)
            way.append(len(parent) - 1)
        ways.append(way)
    for way, value in zip(ways, retry, strict=False):
        if value is None:
            continue
        parent.append(way[pivot])
        origin.append(int(Origin.INSERTED))
        reward.append(None)
        branch.append(1000 + way[pivot + 1])
        for step in range(pivot, steps):
            parent.append(len(parent) - 1)
            origin.append(int(Origin.POLICY))
            reward.append(value if step == steps - 1 else None)
            branch.append(0)
    size = len(parent)
    leaf = [row not in parent for row in range(size)]
    ids = Ragged.of([[row % 7, (row * 3) % 7] for row in range(size)], torch.int32)
    role = torch.tensor([int(Role.POLICY)] * 2 * size, dtype=torch.int8)
    policy = torch.tensor(origin).eq(int(Origin.POLICY)).repeat_interleave(2)
    role[torch.tensor(origin).eq(int(Origin.INSERTED)).repeat_interleave(2)] = int(Role.INSERTED)
    role[:2] = int(Role.PROMPT)
    forest = scored(
        parent,
        reward,
        origin=origin,
        key=[1000 + row for row in range(size)],
        branch_of=branch,
        text=texts or [f"{row}" if origin[row] == int(Origin.POLICY) else "" for row in range(size)],
        end=[int(End.TERMINATED) if end else int(End.OPEN) for end in leaf],
        **{
            "tokens.id": ids,
            "tokens.role": Ragged(role, ids.offsets),
            "tokens.train": Ragged(policy.clone(), ids.offsets),
            "tokens.log_prob": Ragged(-0.1 - 0.05 * torch.arange(2 * size).float(), ids.offsets),
        },
    )
    inserted = torch.tensor(origin) == int(Origin.INSERTED)
    return forest.with_valid("branch_of", inserted).with_valid("tokens.log_prob", role != int(Role.PROMPT))


def leaves_of(forest):
    """Base leaves and retry leaves."""
    leaf = forest.leaves()
    below = torch.tensor(
        [bool((forest["origin"][forest.path(row)] == int(Origin.INSERTED)).any()) for row in leaf.tolist()]
    )
    return leaf[~below], leaf[below]
