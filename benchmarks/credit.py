"""Credit speed: group credit, tree backup, and step credit written to tokens.

Group credit is measured against verl's own functions and against TRL's group statements as they stand in its source,
all on the same rewards in one process, taking turns; writing to tokens against a copy of the same memory. Each figure
is the best of its repeats.
"""

from __future__ import annotations

import importlib
import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from milepost import backup, keys, segments
from milepost.credit.group import normalised
from milepost.ragged import expand

KEY = keys.root(2026)
GROUPS, WIDTH, TOKENS, STEPS = 4096, 8, 1024, 8
MILLION = 1_000_000
Work = Callable[[], object]


def best(works: Mapping[str, Work], repeats: int) -> dict[str, float]:
    """Milliseconds of each piece of work, the best of its repeats, taken in turns after one round to warm up.

    Args:
        works: name to what is timed.
        repeats: rounds that count.

    Returns:
        Name to milliseconds.
    """
    found = dict.fromkeys(works, float("inf"))
    for number in range(repeats + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if number:
                found[name] = min(found[name], (time.perf_counter() - start) * 1e3)
    return found


def row(name: str, ours: float, peer: float | str, unit: str = "ms") -> dict[str, Any]:
    """One line of the table; the ratio is peer over ours, above 1 where ours is better."""
    ratio = peer / ours if isinstance(peer, float) else ""
    return {"name": name, "ours": ours, "peer": peer, "unit": unit, "ratio": ratio}


def run() -> list[dict[str, Any]]:
    """Measure everything.

    Returns:
        One row per comparison; a peer that is not installed is named in its row.
    """
    return [*group_credit(), *full_pass(), *token_credit()]


# ---- group credit ----


def trl_statements(reward: Tensor) -> Tensor:
    """Advantages of TRL's GRPOTrainer for one reward function: mean and std of each group, nan-aware, eps 1e-4.

    Args:
        reward: one number per completion, groups of `WIDTH` one after the other.

    Returns:
        One number per completion.

    Source: the statements of `GRPOTrainer._generate_and_score_completions`, TRL 1.16.0, which has no function for them.
    """
    rewards = (reward.unsqueeze(1) * torch.ones(1)).nansum(dim=1)
    mean = rewards.view(-1, WIDTH).mean(dim=1).repeat_interleave(WIDTH, dim=0)
    std = rewards.view(-1, WIDTH).std(dim=1).repeat_interleave(WIDTH, dim=0)
    return (rewards - mean) / (std + 1e-4)


def group_credit() -> list[dict[str, Any]]:
    """Normalised group credit of 4096 groups of 8."""
    reward = torch.from_numpy(keys.generator(KEY).standard_normal(GROUPS * WIDTH)).float()
    group, ok = torch.arange(GROUPS).repeat_interleave(WIDTH), torch.ones(GROUPS * WIDTH, dtype=torch.bool)
    order = torch.from_numpy(keys.generator(KEY + 1).permutation(len(reward)))
    spread, mixed = group[order], reward[order]
    works: dict[str, Work] = {
        "ours": lambda: normalised(reward, group, GROUPS, ok, ddof=1, eps=1e-4),
        "ours, rows in any order": lambda: normalised(mixed, spread, GROUPS, ok, ddof=1, eps=1e-4),
        "plain view().mean/std": lambda: trl_plain(reward),
        "TRL's statements": lambda: trl_statements(reward),
    }
    theirs = verl_functions(reward, group)
    found = best(works, 30) | best(theirs, 2)
    ours, case = found["ours"], f"group credit, {GROUPS} x {WIDTH}"
    rows = [row(f"{case}, against {name}", ours, found[name]) for name in [*list(works)[2:], *theirs]]
    rows.append(row(f"{case}, rows in any order", found["ours, rows in any order"], found["plain view().mean/std"]))
    return rows if theirs else [*rows, row(f"{case}, against verl", ours, "verl is not installed")]


def trl_plain(reward: Tensor) -> Tensor:
    """Group credit by reshaping: fast, and wrong as soon as one group is not full."""
    table = reward.view(-1, WIDTH)
    return ((table - table.mean(1, keepdim=True)) / (table.std(1, keepdim=True) + 1e-4)).view(-1)


def verl_functions(reward: Tensor, group: Tensor) -> dict[str, Work]:
    """verl's own GRPO estimators on the same rewards, one token each; none where verl is not installed."""
    try:
        algorithms = importlib.import_module("verl.trainer.ppo.core_algos")
    except ImportError:
        return {}
    scores, mask = reward.unsqueeze(1), torch.ones(len(reward), 1)
    index = np.array([str(number) for number in group.tolist()], dtype=object)
    names = {"grpo": "compute_grpo_outcome_advantage", "grpo_vectorized": "compute_grpo_vectorized_outcome_advantage"}
    found: dict[str, Work] = {}
    for name, function in names.items():
        estimate = getattr(algorithms, function, None)
        if estimate is not None:
            given = {"token_level_rewards": scores, "response_mask": mask, "index": index, "config": None}
            known = inspect.signature(estimate).parameters
            chosen = {key: value for key, value in given.items() if key in known}
            found[f"verl's {name}"] = lambda estimate=estimate, chosen=chosen: estimate(**chosen)
    return found


# ---- a full pass over a million steps ----


def shapes() -> dict[str, Tensor]:
    """Parents of a million steps: trajectories of 8 steps grown together, one chain, a binary tree."""
    count = MILLION // STEPS
    roots = count // WIDTH
    blocks = [torch.full((roots,), -1), torch.arange(count) // WIDTH]
    blocks += [torch.arange(count) + roots + count * step for step in range(STEPS - 1)]
    binary = (torch.arange(MILLION) - 1) // 2
    return {
        f"{count} trajectories of {STEPS} steps": torch.cat(blocks),
        "one chain": torch.arange(-1, MILLION - 1),
        "binary tree": torch.where(torch.arange(MILLION) == 0, -1, binary),
    }


def credit_pass(reward: Tensor, parent: Tensor, ok: Tensor) -> Tensor:
    """Backup, group credit over siblings, inheritance: what a credit rule does with a scored forest.

    Args:
        reward: one number per step.
        parent: row of the step before, -1 for a root.
        ok: steps that count.

    Returns:
        Credit of every step.
    """
    size = len(parent)
    worth = backup.backup(
        reward, torch.ones_like(reward), torch.zeros_like(reward), parent, ok, reduce=segments.group_mean
    )
    group = torch.where(parent >= 0, parent, size + torch.arange(size))
    credit = normalised(worth.step, group, 2 * size, worth.ok, ddof=1, eps=1e-4)
    forked = segments.child_count(parent).index_select(0, parent.clamp(min=0)) > 1
    return backup.inherit(credit, forked & (parent >= 0), parent)


def full_pass() -> list[dict[str, Any]]:
    """The whole pass on each shape, against a copy of the rewards: how far it is from the memory's own limit."""
    rows: list[dict[str, Any]] = []
    for name, parent in shapes().items():
        reward = torch.from_numpy(keys.generator(KEY + 2).standard_normal(len(parent))).float()
        ok, target = torch.ones(len(parent), dtype=torch.bool), torch.empty_like(reward)
        works: dict[str, Work] = {
            "pass": lambda r=reward, p=parent, k=ok: credit_pass(r, p, k),
            "copy": lambda r=reward, t=target: t.copy_(r),
        }
        found = best(works, 5)
        rows.append(row(f"credit pass over {len(parent)} steps, {name}, against a copy", found["pass"], found["copy"]))
    return rows


# ---- to tokens ----


def token_credit() -> list[dict[str, Any]]:
    """Step credit written to 32,768 x 1,024 tokens in a reused buffer, against a copy of that buffer."""
    rows = GROUPS * WIDTH
    cuts = np.sort(keys.generator(KEY + 3).integers(0, TOKENS + 1, (rows, STEPS - 1)), axis=1)
    edges = np.concatenate((np.zeros((rows, 1)), cuts, np.full((rows, 1), TOKENS)), axis=1).astype(np.int64)
    lengths = torch.from_numpy(np.diff(edges, axis=1).reshape(-1).copy())
    value = torch.from_numpy(keys.generator(KEY + 4).standard_normal(len(lengths))).float()
    out, source = torch.ones(rows, TOKENS), torch.ones(rows, TOKENS)
    works: dict[str, Work] = {
        "ours": lambda: expand(value, lengths, out=out),
        "a copy": lambda: out.copy_(source),
        "torch.repeat_interleave": lambda: torch.repeat_interleave(value, lengths, output_size=rows * TOKENS),
    }
    found = best(works, 5)
    case = f"step credit to {rows} x {TOKENS} tokens"
    return [row(f"{case}, against {name}", found["ours"], found[name]) for name in list(works)[1:]]
