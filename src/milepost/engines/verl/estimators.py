"""Credit rules as verl's advantage estimators: padded rewards and masks to a forest, and its credit back to tokens.

verl tells an estimator the reward of every token, which tokens the policy wrote, and which rows answer the same prompt.
From that a forest is built: a root for each prompt, below it a chain of steps for each row. A step begins where the
policy speaks after an answer of the environment; its reward is the sum over its tokens and what it was answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from milepost import checks
from milepost.columns import End
from milepost.credit.asymmetric import Asymmetric
from milepost.credit.group import Centred, LeaveOneOut, Normalised
from milepost.credit.tree.steps import SameRoot, Steps
from milepost.errors import SettingError, ShapeError
from milepost.forest import Forest
from milepost.part import Credit

TOLD = ("reward.total", "ok.total", "reason.total", "end", "discount", "origin", "label.family")
"""Columns that a rule may read; the last two it must do without."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Laid:
    """A batch of verl as a forest, and the row of the forest that each token belongs to."""

    forest: Forest
    """With `reward.total`, `ok.total`, `reason.total`, `end` and `discount`; without tokens."""
    row: Int[Tensor, "b t"]


def lay(rewards: Float[Tensor, "b t"], mask: Num[Tensor, "b t"], index: Sequence[object]) -> Laid:
    """Build the forest of a batch.

    Args:
        rewards: reward of each token; one that is not finite makes its step, and so its trajectory, not count.
        mask: 1 where the policy wrote the token, 0 for answers of the environment and for padding.
        index: what tells the prompts of the rows apart; groups of any size, in any order.

    Returns:
        The forest; its first rows are the roots, in the order of their first rows in the batch.

    Raises:
        ShapeError: shapes do not agree.
    """
    if rewards.shape != mask.shape or len(index) != len(rewards):
        raise ShapeError(
            f"An estimator got rewards of shape {tuple(rewards.shape)}, a mask of shape {tuple(mask.shape)} and "
            f"{len(index)} prompts, expected two of one shape (rows, tokens) and one prompt per row."
        )
    place = {name: number for number, name in enumerate(dict.fromkeys(index))}
    root = torch.tensor([place[name] for name in index], dtype=torch.int64)
    own = mask.cpu() > 0
    begins = own & ~torch.cat((torch.ones_like(own[:, :1]), own[:, :-1]), 1)
    begins &= own.cumsum(1) > own.long()  # what stands before the policy's first word belongs to its first step
    step = begins.long().cumsum(1)
    count = step[:, -1] + 1 if step.shape[1] else torch.ones(len(rewards), dtype=torch.int64)
    first = len(place) + count.cumsum(0) - count
    row = first[:, None] + step
    size = len(place) + int(count.sum())
    parent = torch.arange(size) - 1
    parent[: len(place)] = -1
    parent[first] = root
    summed = torch.zeros(size, dtype=torch.float64).index_add(0, row.flatten(), rewards.cpu().double().flatten())
    last = torch.zeros(size, dtype=torch.bool).index_fill(0, first + count - 1, True)
    return Laid(forest=_scored(parent, summed, last, len(place)), row=row)


def _scored(parent: Tensor, reward: Tensor, last: Tensor, roots: int) -> Forest:
    fine = reward.isfinite() & (torch.arange(len(parent)) >= roots)
    end = torch.where(last, int(End.TERMINATED), int(End.OPEN)).to(torch.int8)
    failed = (~reward.isfinite()).tolist()
    reasons = ["reward_error: the reward is not finite" if one else None for one in failed]
    forest = Forest.of(parent, {"ok.total": fine, "reason.total": reasons, "end": end, "discount": (~last).float()})
    forest = forest.with_columns({"reward.total": torch.where(fine, reward, 0).float()})
    return forest.with_valid("reward.total", fine)


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """A credit rule with the signature of verl's advantage estimators.

    Example:
        >>> rewards, mask = torch.tensor([[0.0, 1.0], [0.0, 0.0]]), torch.tensor([[1, 1], [1, 0]])
        >>> Estimator(credit=Centred())(token_level_rewards=rewards, response_mask=mask, index=["a", "a"])[0].tolist()
        [[0.5, 0.5], [-0.5, 0.0]]
    """

    credit: Credit
    """Without memory between batches; it reads the reward "total" only."""

    def __post_init__(self) -> None:
        """Refuse rules that need what verl does not tell an estimator, and classes of rules."""
        checks.made("credit", self.credit)
        missing = [name for name in self.credit.reads if name not in TOLD]
        if missing or hasattr(self.credit, "apply"):
            what = f"reads {missing}" if missing else "remembers earlier batches"
            raise SettingError(
                f"{type(self.credit).__name__} {what}, and verl tells an estimator rewards, masks and prompts of one "
                'batch only: choose a rule that reads "reward.total", such as one with accuracy="total".'
            )

    @torch.no_grad()
    def __call__(
        self, token_level_rewards: Tensor, response_mask: Tensor, index: Sequence[object] | None = None, **_rest: Any
    ) -> tuple[Tensor, Tensor]:
        """Credit of a batch.

        Args:
            token_level_rewards: (rows, tokens).
            response_mask: (rows, tokens).
            index: prompt of each row; without it no two rows are compared.

        Returns:
            Advantages and returns as verl wants them: the credit of each token's step, 0 where the mask is 0, twice.
        """
        names = range(len(token_level_rewards)) if index is None else list(index)
        laid = lay(token_level_rewards, response_mask, list(names))
        credited = self.credit(laid.forest)
        value = torch.where(credited.valid("advantage"), credited["advantage"], 0).to(token_level_rewards.dtype)
        found = torch.where(response_mask > 0, value[laid.row].to(token_level_rewards.device), 0)
        return found, found.clone()


@dataclass(frozen=True, kw_only=True)
class Told:
    """The numbers that an agent loop wrote for each token, as they are: it computes credit where the tree is known.

    Example:
        >>> Told()(torch.tensor([[0.5, 9.0]]), torch.tensor([[1, 0]]))[0].tolist()
        [[0.5, 0.0]]
    """

    @torch.no_grad()
    def __call__(self, token_level_rewards: Tensor, response_mask: Tensor, **_rest: Any) -> tuple[Tensor, Tensor]:
        """Take over the rewards.

        Args:
            token_level_rewards: (rows, tokens).
            response_mask: (rows, tokens).

        Returns:
            They, 0 where the mask is 0, twice.
        """
        found = torch.where(response_mask > 0, token_level_rewards, 0)
        return found, found.clone()


ESTIMATORS: Mapping[str, Credit] = MappingProxyType({
    "milepost_grpo": Normalised(ddof=1, eps=1e-6),
    "milepost_normalised": Normalised(),
    "milepost_dr_grpo": Centred(),
    "milepost_rloo": LeaveOneOut(),
    "milepost_a_grae": Asymmetric(accuracy="total", limits=(0.0, 1.0)),
    "milepost_steps": Steps(among=SameRoot()),
})  # fmt: skip
"""Names for `algorithm.adv_estimator` that installing milepost is enough for."""
