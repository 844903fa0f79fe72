"""Rewards of denoising: the score of the finished image, and what each step gains in the score it would lead to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.part import Scores
from milepost.rewards import failure
from milepost.rewards.images.scorers import ClassLogProb, Scorer


def asked(forest: Forest, rows: Tensor) -> Tensor:
    """Class that each row's task asks for: the `observation` of its root.

    Args:
        forest: steps of a denoiser.
        rows: row numbers.

    Returns:
        int64, one class per row.

    Raises:
        ColumnError: the forest holds no images.
    """
    for name in ("observation", "latent"):
        if name not in forest:
            raise ColumnError(
                f"A reward of images needs column {name!r}, but the forest has: {', '.join(forest.names)}. "
                "Grow it with a denoiser, such as policies.flow.digits.load('digits-flow', ...)."
            )
    return forest["observation"][forest.root_of()[rows]]


def _scores(value: Tensor) -> Scores:
    """Values as scores; what is no number has failed."""
    ok = value.isfinite()
    none = failure.reason("reward_error", "the scorer gave no number")
    return Scores(values=value, ok=ok, reasons=[None if fine else none for fine in ok.tolist()])


@dataclass(frozen=True, kw_only=True)
class ImageScore:
    """Score of the finished image. Implements `part.Reward`.

    Example:
        >>> ImageScore(name="sharpness").range
        (-20.0, 0.0)
    """

    scorer: Scorer = field(default_factory=ClassLogProb)
    name: str = "class"
    """Name of the columns it fills."""
    when: ClassVar[Literal["step", "leaf"]] = "leaf"
    side: ClassVar[Literal["before", "after"]] = "after"

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest score."""
        return self.scorer.range

    @torch.no_grad()
    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score the latents of the rows."""
        label = asked(forest, rows)
        value = self.scorer(forest["latent"][rows], label)
        return _scores(value.float())


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What a step adds to the score of the image that would be reached from it without further noise.

        gain of the step x_t -> x_t' = R(completion of x_t') - R(completion of x_t)

    The draw of the noise earns R of its own completion, so that the gains of a path add up to the score of its image.
    Implements `part.Reward`.

    Source: DenseGRPO, arXiv:2601.20218, section 3.2.   Limits: a step without noise gains 0.

    Example:
        >>> Gain().range
        (-20.0, 20.0)
    """

    scorer: Scorer = field(default_factory=ClassLogProb)
    name: str = "gain"
    """Name of the columns it fills."""
    when: ClassVar[Literal["step", "leaf"]] = "step"
    side: ClassVar[Literal["before", "after"]] = "after"

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest gain; that of the first noise is a score."""
        low, high = self.scorer.range
        return (min(low - high, low), max(high - low, high))

    @torch.no_grad()
    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score the completions of the rows and of their parents."""
        if "completion" not in forest:  # sampled without completions, as for evaluation
            reasons = ["not_run: the steps were sampled without completions"] * len(rows)
            return Scores(
                values=torch.full((len(rows),), torch.nan), ok=torch.zeros(len(rows), dtype=torch.bool), reasons=reasons
            )
        value = torch.zeros(len(forest))
        has = forest.valid("completion").nonzero().squeeze(1)
        value[has] = self.scorer(forest["completion"][has], asked(forest, has)).float()
        return _scores(value[rows] - value[forest.parent[rows]])


@dataclass(frozen=True, kw_only=True)
class ForeseenScore:
    """Score of the clean image that the model foresees at a step, at the last step of the image itself.

    A guess at the value of a step that costs no call of the model; at much noise it is hardly better than none.
    Implements `part.Reward`.

    Source: the value estimate r(x0(x_t)) by Tweedie's formula, of guidance and of particle filters.

    Example:
        >>> ForeseenScore().range
        (-20.0, 0.0)
    """

    scorer: Scorer = field(default_factory=ClassLogProb)
    name: str = "class"
    """Name of the columns it fills."""
    when: ClassVar[Literal["step", "leaf"]] = "step"
    side: ClassVar[Literal["before", "after"]] = "after"

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest score."""
        return self.scorer.range

    @torch.no_grad()
    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score what is foreseen at the rows."""
        label = asked(forest, rows)
        if "estimate" not in forest:
            raise ColumnError(
                "ForeseenScore needs column 'estimate', but the forest was grown without it: sample with "
                "Process(foreseen=True)."
            )
        value = self.scorer(forest["estimate"][rows], label)
        return _scores(value.float())
