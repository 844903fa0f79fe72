"""SubSearch's step scores and how they enter the outcome: functions on unit vectors and numbers.

Source: SubSearch 2026 (RoxanaPetcu/SubSearch); where milepost departs, the docstring says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

BEST_REPHRASING = 0.85
"""Similarity to the question at which a single query scores 1."""
WIDTH = 0.15
"""Distance from it at which the score is 0."""
PARTS = 3
"""Queries of one search that are scored; further ones are left out."""
DOCUMENTS = 3
"""Documents of one query that are scored."""


def cosine(one: Float[Tensor, "*#n d"], other: Float[Tensor, "*#n d"]) -> Float[Tensor, "..."]:
    """Similarity of unit vectors, cut to [0, 1].

        cosine = min(max(<x, y>, 0), 1)

    Args:
        one: unit vectors, or zeros for texts without content.
        other: as many, or one for all.

    Returns:
        Numbers in [0, 1].
    """
    return (one * other).sum(-1).clamp(0, 1)


def answerability(queries: Float[Tensor, "m d"], documents: Sequence[Float[Tensor, "_ d"]]) -> Float[Tensor, ""]:
    """How much the documents found are about what was asked, for one search.

        a = mean_j mean_{d in D_j} <e(q_j), e(d)>,   D_j the first 3 documents of query j;   0 for a query without any

    Args:
        queries: embeddings of the queries of one search.
        documents: for each query the embeddings of what it found, in order; the common beginning of both counts.

    Returns:
        A number in [0, 1]; 0 without a query.
    """
    pairs = list(zip(queries, documents, strict=False))[:PARTS]
    if not pairs:
        return queries.new_zeros(())
    each = [
        cosine(query[None], found[:DOCUMENTS]).mean() if len(found) else query.new_zeros(()) for query, found in pairs
    ]
    return torch.stack(each).mean()


def rephrasing(similarity: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Score of asking one query instead of the question: best when near it and not the same.

        max(0, 1 - |s - 0.85| / 0.15)

    Args:
        similarity: s, in [0, 1].

    Returns:
        A number in [0, 1]: 1 at 0.85, 0 at 1 and at most 0.7.
    """
    return (1 - (similarity - BEST_REPHRASING).abs() / WIDTH).clamp(min=0)


def decomposition(question: Float[Tensor, " d"], queries: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """How well the queries of one search split the question.

        m = 1: rephrasing(<e(Q), e(c_1)>);   m = 0: 0
        m >= 2: 0.5 <e(Q), c / |c|> + 0.5 mean_i <e(Q), e(c_i)> (1 - mean_{l != i} <e(c_i), e(c_l)>)
        where c = mean_i e(c_i)

    Args:
        question: embedding of the question.
        queries: embeddings of the distinct queries of one search, see `distinct`; the first 3 count.

    Returns:
        A number in [0, 1].
    """
    parts = queries[:PARTS]
    if len(parts) == 0:
        return question.new_zeros(())
    if len(parts) == 1:
        return rephrasing(cosine(question, parts[0]))
    middle = parts.mean(0)
    coverage = cosine(question, middle / middle.norm().clamp(min=1e-12))
    among = cosine(parts[:, None], parts[None])
    others = (among.sum(1) - among.diagonal()) / (len(parts) - 1)
    return 0.5 * coverage + 0.5 * (cosine(question[None], parts) * (1 - others)).mean()


def distinct(question: str, queries: Sequence[str]) -> tuple[str, ...]:
    """Queries that say something of their own: without repeats, empty ones and the question itself.

    Args:
        question: the question.
        queries: queries of one search.

    Returns:
        The others in order, compared without case and surrounding space. The published formula lets two copies of the
        question score 0.5; asked this way they score 0, as one copy does.
    """
    seen = {"", question.strip().casefold()}
    kept: list[str] = []
    for query in queries:
        if (plain := query.strip().casefold()) not in seen:
            seen.add(plain)
            kept.append(query.strip())
    return tuple(kept)


def residual(outcome: Float[Tensor, "*n"], intermediate: Float[Tensor, "*n"], beta: float) -> Float[Tensor, "*n"]:
    """Outcome, and for what it lacks a share of the intermediate score.

        r = o + beta i (1 - o)

    Args:
        outcome: o, in [0, 1].
        intermediate: i, in [0, 1].
        beta: in [0, 1].

    Returns:
        A number in [0, 1]; 1 where the outcome is 1, whatever the rest; the outcome itself where beta is 0.
    """
    return outcome + beta * intermediate * (1 - outcome)


def smart_beta(step: int) -> float:
    """Weight of the intermediate score in a training step.

        s < 200: 0.2 - 0.05 (s / 200)^1.5
        then for 2000 steps 0.02 + 0.13 (1 + cos(pi (s - 200) / 2000)) / 2;   then 0.02

    Args:
        step: s, updates that the policy has seen.

    Returns:
        A number in [0.02, 0.2], never rising.

    Source: SubSearch's schedule "smart", without its gate, which never acts.
    """
    if step < 200:
        return 0.2 - 0.05 * (step / 200) ** 1.5
    share = min((step - 200) / 2000, 1.0)
    return 0.02 + 0.13 * (1 + math.cos(math.pi * share)) / 2


def published_ladder(*, combined: float, answered: bool, well_formed: bool, gold_found: bool) -> float:
    """The published format ladder on top of the combined reward, inversions included.

        no answer: 0.2 + 0.1 g if well formed, else 0
        answer, r > 0: min(1, r + 0.1 g) if well formed, else max(0, r - 0.2)
        answer, r = 0: 0.2 + 0.1 g if well formed, else 0.1

    Args:
        combined: r, from `residual`.
        answered: whether an answer was given.
        well_formed: whether every step has the right form.
        gold_found: g, whether the reference answer stands in what was found.

    Returns:
        A number in [0, 1]. A wrong answer after a decent search can score less than one without any search.
    """
    bonus = 0.1 * gold_found
    if not answered:
        return 0.2 + bonus if well_formed else 0.0
    if combined > 0:
        return min(1.0, combined + bonus) if well_formed else max(0.0, combined - 0.2)
    return 0.2 + bonus if well_formed else 0.1
