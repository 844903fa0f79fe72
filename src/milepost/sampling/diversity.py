"""How different the answers of one group are: n-grams that an answer shares with the other answers of its group."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import checks
from milepost.columns import Role
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.ragged import Ragged, gather_index, offsets_of

ORDERS = 3
"""Longest n-gram counted."""
SMOOTHING = 0.1
"""Count given to an order of n-grams without any match, so that one missing order does not make the product 0."""

_Ngram = tuple[int, ...]


def answer_tokens(forest: Forest, rows: Int[Tensor, " k"]) -> Ragged:
    """Tokens that the policy wrote on the way to each of the given rows: no prompt, no observation, no padding.

    Args:
        forest: a forest with `tokens.id` and `tokens.role`.
        rows: leaves, one per trajectory.

    Returns:
        One row of token ids per trajectory.

    Raises:
        ColumnError: the forest has no tokens.
    """
    if "tokens.id" not in forest or "tokens.role" not in forest or forest.token_offsets is None:
        raise ColumnError(
            f"The diversity of answers needs tokens.id and tokens.role, but the forest has: {', '.join(forest.names)}. "
            "Set the weight of diversity to 0 where there are no tokens."
        )
    paths = forest.paths(rows)
    index, offsets = gather_index(forest.token_offsets, paths.values)
    owner = torch.repeat_interleave(paths.row, offsets.diff())
    written = forest["tokens.role"][index] == int(Role.POLICY)
    lengths = torch.bincount(owner[written], minlength=len(rows))
    return Ragged(forest["tokens.id"][index][written], offsets_of(lengths))


def self_bleu(
    answers: Ragged, group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"], *, orders: int = ORDERS
) -> Float[Tensor, " g"]:
    """Mean BLEU of each answer of a group against all other answers of that group.

        self_bleu_g = mean over i in g of BLEU(y_i; {y_j: j in g, j != i}),
        BLEU = exp(min(0, 1 - r / c)) (prod over n <= orders with t_n > 0 of m_n / t_n)^(1 / number of such n)

    t_n counts the n-grams of y_i, m_n those also found in the others (each at most as often as in the one that has it
    most), c is the length of y_i and r the nearest length among the others. An order without a match counts m_n = 0.1,
    but an answer that shares no token at all has BLEU 0. Orders longer than the answer are left out: otherwise equal
    answers of one token would look different. An empty answer has BLEU 1 against another empty one, else 0.

    Args:
        answers: token ids of each answer.
        group: group of each answer.
        groups: number of groups.
        ok: which answers count.
        orders: longest n-gram.

    Returns:
        float64 in [0, 1] per group: 1 when all answers are equal; 0 for a group of fewer than two answers.

    Raises:
        SettingError: `orders` below 1.

    Source: Zhu et al. 2018 (Texygen), section 3.2; orders 1 to 3 with smoothing 0.1 as in the VAS reference code.
    """
    checks.at_least("orders", orders, 1)
    ids, owner = cast("list[int]", answers.values.tolist()), cast("list[int]", group.tolist())
    bounds = cast("list[int]", answers.offsets.tolist())
    members: dict[int, list[list[int]]] = {}
    for index in cast("list[int]", ok.nonzero().squeeze(1).tolist()):
        members.setdefault(owner[index], []).append(ids[bounds[index] : bounds[index + 1]])
    result = torch.zeros(groups, dtype=torch.float64)
    for of, texts in members.items():
        result[of] = _self_bleu(texts, orders)
    return result


def trajectory_diversity(forest: Forest, rows: Tensor, group: Tensor, groups: int, ok: Tensor) -> Float[Tensor, " g"]:
    """How different the answers of each group are.

        TDS_g = 1 - self_bleu_g   for a group of at least two answers, else 0

    Args:
        forest: a forest with `tokens.id` and `tokens.role`.
        rows: leaf of each trajectory.
        group: group of each trajectory.
        groups: number of groups.
        ok: which trajectories count.

    Returns:
        float64 in [0, 1] per group: exactly 0 when all answers are equal, 1 when no two share a token.

    Raises:
        ColumnError: the forest has no tokens.

    Source: the trajectory diversity score of MMR1 / VAS, "inverse self-BLEU".
    """
    shared = self_bleu(answer_tokens(forest, rows), group, groups, ok)
    several = torch.bincount(group[ok], minlength=groups) > 1
    return torch.where(several, 1 - shared, 0)


def _ngrams(text: Sequence[int], order: int) -> Counter[_Ngram]:
    return Counter(tuple(text[start : start + order]) for start in range(len(text) - order + 1))


def _self_bleu(texts: Sequence[Sequence[int]], orders: int) -> float:
    """Mean BLEU of each text against the others.

    The two largest counts of an n-gram are kept: the text that has the largest compares itself with the second.
    """
    if len(texts) < 2:
        return 0.0
    matched, total = [[0] * orders for _ in texts], [[0] * orders for _ in texts]
    for order in range(1, orders + 1):
        counts = [_ngrams(text, order) for text in texts]
        most: dict[_Ngram, tuple[int, int]] = {}
        for counted in counts:
            for ngram, count in counted.items():
                first, second = most.get(ngram, (0, 0))
                most[ngram] = (count, first) if count > first else (first, max(second, count))
        for index, counted in enumerate(counts):
            total[index][order - 1] = sum(counted.values())
            for ngram, count in counted.items():
                first, second = most[ngram]
                matched[index][order - 1] += min(count, second if count == first else first)
    lengths = [len(text) for text in texts]
    scores = [
        _bleu(matched[index], total[index], length, lengths[:index] + lengths[index + 1 :])
        for index, length in enumerate(lengths)
    ]
    return sum(scores) / len(scores)


def _bleu(matched: Sequence[int], total: Sequence[int], length: int, others: Sequence[int]) -> float:
    if length == 0:
        return float(0 in others)
    if matched[0] == 0:
        return 0.0
    counted = [(match or SMOOTHING, of) for match, of in zip(matched, total, strict=True) if of]
    mean = sum(math.log(match / of) for match, of in counted) / len(counted)
    nearest = min(others, key=lambda other: (abs(other - length), other))
    return math.exp(mean + min(0.0, 1 - nearest / length))
