"""Numbers that describe a batch: rewards by name, failures, dead groups, lengths, ends, cost."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from milepost import backup, segments
from milepost.columns import End
from milepost.credit import compare
from milepost.forest import Forest

COST = ("tokens", "model_calls", "reward_calls", "environment_steps")
"""Units of cost that a forest's rows carry."""


def finished(forest: Forest, name: str = "total") -> Tensor:
    """Leaves that a reward had something to say about: pruned candidates are none, unless the reward failed on them.

    Where a sampler judges candidates and all verdicts fail, all are pruned: the failures are theirs.

    Args:
        forest: a scored batch.
        name: name of the reward.

    Returns:
        Rising row numbers.
    """
    leaves = forest.leaves()
    if "end" not in forest:
        return leaves
    wanted = forest["end"][leaves] != int(End.PRUNED)
    reason = f"reason.{name}"
    return leaves[wanted | forest.valid(reason)[leaves]] if reason in forest else leaves[wanted]


def rewards(forest: Forest, names: tuple[str, ...]) -> dict[str, float]:
    """Mean, spread and failures of every reward over the leaves.

    Args:
        forest: a scored batch.
        names: names of the rewards.

    Returns:
        `reward/<name>_mean`, `reward/<name>_std` (population, over every row that has the reward; both absent when none
        has) and `reward/<name>_failed` (share without it, of the finished leaves and all other rows asked about).
    """
    found: dict[str, float] = {}
    for name in names:
        ok = forest[f"ok.{name}"].bool()
        asked = ok | torch.zeros_like(ok).index_fill(0, finished(forest, name), True)
        if f"reason.{name}" in forest:
            asked = asked | forest.valid(f"reason.{name}")
        value = forest[f"reward.{name}"][ok].double()
        found[f"reward/{name}_failed"] = 1 - float(ok[asked].double().mean())
        if len(value):
            found[f"reward/{name}_mean"] = float(value.mean())
            found[f"reward/{name}_std"] = float(value.std(correction=0))
    return found


def groups(forest: Forest) -> dict[str, float]:
    """How many groups of siblings carry a signal.

    Args:
        forest: a scored batch with `reward.total`.

    Returns:
        `credit/groups`, `credit/dead_groups` (share whose siblings are all worth the same, by what was earned on the
        way and below; left out where no step has a sibling, as with one trajectory per task) and `credit/lone_rows`
        (steps that count, with no sibling that does, and no fork above them).
    """
    found = compare.siblings(forest)
    value, ok, group, size = found.value, found.ok, found.group, found.groups
    count = segments.group_count(group, size, ok)
    spread = segments.group_max(value, group, size, ok) > segments.group_min(value, group, size, ok)
    real = count > 1
    total = int(real.sum())
    forked = real[group] & ok
    below = torch.zeros(len(forest), dtype=torch.bool).index_put((found.row[forked],), torch.tensor(True))
    reached = backup.inherit(below.double(), below, forest.parent)[found.row] > 0
    told = {"credit/groups": float(total), "credit/lone_rows": float((ok & ~reached).sum())}
    if bool((torch.bincount(group, minlength=1) > 1).any()):
        told["credit/dead_groups"] = 1 - float((spread & real).sum()) / total if total else 1.0
    return told


def answers(forest: Forest) -> dict[str, float]:
    """Length and end of the trajectories.

    Args:
        forest: a batch.

    Returns:
        `grow/tokens_mean` (policy tokens of a step, where there are tokens) and `grow/truncated` (share of leaves
        that a limit ended).
    """
    leaves = finished(forest)
    end = forest["end"][leaves]
    limits = torch.tensor([End.TURN_LIMIT, End.TOKEN_LIMIT, End.BUDGET, End.TIME_LIMIT], dtype=end.dtype)
    found = {"grow/truncated": float(torch.isin(end, limits).double().mean())}
    if forest.token_offsets is not None:
        found["grow/tokens_mean"] = float(forest.token_offsets.diff()[leaves].double().mean())
    return found


def cost(forest: Forest) -> dict[str, float]:
    """What a forest cost, by unit.

    Args:
        forest: a batch.

    Returns:
        One sum per unit of `COST` that the forest has a column for; missing entries cost nothing.
    """
    found: dict[str, float] = {}
    for unit in COST:
        name = f"cost.{unit}"
        if name in forest:
            found[unit] = float(forest[name].where(forest.valid(name), 0).sum())
    return found


def pay(account: dict[str, float], forest: Forest) -> None:
    """Add what a forest cost to an account.

    Args:
        account: spent so far, by unit; changed in place.
        forest: newly sampled and scored.
    """
    for unit, value in cost(forest).items():
        account[unit] = account.get(unit, 0.0) + value


def unchanged(forest: Forest, folder: Path, steps: int) -> str:
    """Why a run changed nothing, in words.

    Args:
        forest: the last scored batch.
        folder: the run's folder.
        steps: how many steps there were.

    Returns:
        That no step made an update; where rewards failed, how many and why.
    """
    told = f"None of the {steps} steps of {folder} made an update: the policy is what it was."
    leaves = finished(forest)
    failed = 1 - float(forest["ok.total"][leaves].double().mean()) if len(leaves) else 0.0
    reasons = [text for text in forest.text("reason.total") if text]
    if not failed or not reasons:
        return f"{told} No task had answers with different rewards. See `milepost report {folder}`."
    most = max(set(reasons), key=reasons.count)
    return f"{told} {failed:.0%} of the rewards failed in the last, most with: {most!r}. Mend the reward."


def failures(forest: Forest, steps: int) -> str:
    """Why rewards failed, in words.

    Args:
        forest: the last scored batch; at least one leaf has no total.
        steps: how many steps in a row were so.

    Returns:
        The share of the leaves, the steps, and the most frequent reason.
    """
    failed = 1 - float(forest["ok.total"][finished(forest)].double().mean())
    reasons = [text for text in forest.text("reason.total") if text]
    most = max(set(reasons), key=reasons.count)
    return f"{failed:.0%} of the rewards failed in {steps} steps in a row, the last with: {most!r}"
