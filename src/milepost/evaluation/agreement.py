"""Agreement of a metric with human preferences over pairs of answers, with interval and the baselines it must beat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost.errors import ShapeError
from milepost.evaluation.intervals import Interval, wilson


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How often a metric prefers the answer that the human prefers."""

    agreement: Interval
    """Share of the pairs that count where metric and human say the same."""
    pairs: int
    """Pairs that count."""
    skipped: int
    """Pairs that do not count: one of the two scores is not ok."""
    metric_ties: int
    """Pairs that count in which the metric prefers neither."""
    constant: float
    """Agreement of the best metric that always says the same: the floor that any metric must beat."""


def preference(first: Float[Tensor, " n"], second: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Say which of two answers a score prefers.

        1 if first > second, -1 if first < second, 0 if they are equal or one is NaN

    Args:
        first: score of the first answer of each pair.
        second: score of the second answer of each pair.

    Returns:
        One of -1, 0, 1 per pair.
    """
    return (first > second).long() - (first < second).long()


def agreement(
    first: Float[Tensor, " n"], second: Float[Tensor, " n"], human: Int[Tensor, " n"], ok: Bool[Tensor, " n"]
) -> Agreement:
    """Measure how often a metric's preference equals the human's.

        agreement = sum_i [sign(first_i - second_i) = human_i] / n,   over the pairs with ok_i

    Args:
        first: metric of the first answer of each pair.
        second: metric of the second answer of each pair.
        human: 1 where the human prefers the first, -1 the second, 0 for a tie.
        ok: pairs whose two scores count; elsewhere the scores may be NaN.

    Returns:
        The agreement with its interval and its constant baseline. The metric says "tie" only if the scores are equal.

    Raises:
        ShapeError: lengths differ, or a label is not -1, 0 or 1.

    Source: BLEUBERI (2025), agreement study.   Limits: a constant metric agrees on the human's ties only.

    Example:
        >>> metric = torch.tensor([0.9, 0.4, 0.7]), torch.tensor([0.2, 0.5, 0.1])
        >>> found = agreement(*metric, torch.tensor([1, 1, 1]), torch.ones(3, dtype=torch.bool))
        >>> round(found.agreement.estimate, 3), found.constant
        (0.667, 1.0)
    """
    if not first.shape == second.shape == human.shape == ok.shape:
        shapes = ", ".join(str(tuple(item.shape)) for item in (first, second, human, ok))
        raise ShapeError(f"agreement got first, second, human, ok of shapes {shapes}, expected four equal shapes.")
    if not bool(torch.isin(human, torch.tensor([-1, 0, 1], device=human.device)).all()):
        found = f"from {int(human.min())} to {int(human.max())}"
        raise ShapeError(f"human holds labels {found}, expected only 1 (first), -1 (second), 0 (tie).")
    said, wanted = preference(first[ok], second[ok]), human[ok]
    pairs = len(wanted)
    commonest = max((int((wanted == label).sum()) for label in (-1, 0, 1)), default=0)
    return Agreement(
        agreement=wilson(int((said == wanted).sum()), pairs),
        pairs=pairs,
        skipped=len(ok) - pairs,
        metric_ties=int((said == 0).sum()),
        constant=commonest / pairs if pairs else math.nan,
    )


def standardise(score: Float[Tensor, " n"], ok: Bool[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Z-score of the scores that count.

        z_i = (x_i - mean) / std,   std with divisor n over the rows with ok_i

    Args:
        score: one score per row; NaN allowed where `ok` is false.
        ok: which rows count.

    Returns:
        One dimensionless number per row; exactly 0 for constant scores and for rows that do not count.

    Source: BLEUBERI (2025), combination of BLEU with a reward model.
    """
    counted = score[ok]
    if len(counted) == 0:
        return torch.zeros_like(score)
    gain = torch.where(ok, score - counted[0], 0)  # constant scores become exactly 0 before any sum
    centred = torch.where(ok, gain - gain[ok].mean(), 0)
    spread = centred[ok].square().mean().sqrt()
    return centred / spread if bool(spread > 0) else torch.zeros_like(score)


def combine(scores: Sequence[Float[Tensor, " n"]], ok: Bool[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Mean of the z-scores of several metrics over one data set.

        c_i = 1/k sum_j z_ij

    Args:
        scores: one tensor per metric. For pairs, give both sides in one tensor: they share mean and spread.
        ok: rows where every metric counts.

    Returns:
        One dimensionless number per row; 0 for rows that do not count.

    Raises:
        ShapeError: no metric.

    Source: BLEUBERI (2025), "BLEU + reward model".   Limits: one metric gives its z-score.
    """
    if not scores:
        raise ShapeError("combine got no metric, expected at least one tensor of scores.")
    return torch.stack([standardise(score, ok) for score in scores]).mean(dim=0)


def word_counts(texts: Sequence[str]) -> Float[Tensor, " n"]:
    """Length baseline: the number of words of each text, as a score ("the longer answer wins").

    Args:
        texts: one answer per row.

    Returns:
        Words per text, parted by white space.
    """
    return torch.tensor([float(len(text.split())) for text in texts])
