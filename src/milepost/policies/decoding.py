"""How one token is chosen from logits: temperature, nucleus, and inverse CDF with a number that the caller draws."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost import checks


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Temperature, nucleus, length and stop strings of a language model's answers.

    Example:
        >>> from milepost.policies.decoding import Decoding
        >>> Decoding(temperature=0.7, max_tokens=32).top_p
        1.0
    """

    temperature: float = 1.0
    top_p: float = 1.0
    """Nucleus: the smallest set of most likely tokens whose probabilities reach `top_p`; 1 keeps all."""
    max_tokens: int = 64
    """Tokens of one answer at most; an answer that reaches it ends with TOKEN_LIMIT."""
    stop: tuple[str, ...] = ()
    """Strings that end an answer; they stay part of it."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.positive("temperature", self.temperature)
        checks.within("top_p", self.top_p, 1e-6, 1.0)
        checks.at_least("max_tokens", self.max_tokens, 1)


def choose(
    logits: Float[Tensor, "n v"], uniform: Float[Tensor, " n"], *, temperature: float, top_p: float
) -> Int[Tensor, " n"]:
    """Choose one token per row by inverse CDF.

        p = softmax(logits / temperature), restricted to the nucleus and renormalised
        token = smallest index whose cumulative probability exceeds uniform

    Args:
        logits: scores of the vocabulary.
        uniform: one number in [0, 1) per row.
        temperature: above 0.
        top_p: nucleus, in (0, 1].

    Returns:
        int64 token ids. The cumulative sum is taken in float64, so two evaluations of the same logits that differ by a
        rounding error e choose differently only when `uniform` lies within about e of a boundary.

    Source: nucleus sampling, Holtzman et al. 2020.   Limits: top_p -> 0 is the most likely token.
    """
    probability = (logits.double() / temperature).softmax(-1)
    if top_p < 1.0:
        ordered, order = probability.sort(dim=-1, descending=True, stable=True)
        before = ordered.cumsum(-1) - ordered
        ordered = ordered.where(before < top_p, 0)
        return order.gather(-1, _inverse(ordered, uniform).unsqueeze(-1)).squeeze(-1)
    return _inverse(probability, uniform)


def _inverse(probability: Tensor, uniform: Tensor) -> Tensor:
    cumulative = probability.cumsum(-1)
    threshold = uniform.to(cumulative).unsqueeze(-1) * cumulative[:, -1:]
    last = (probability > 0).long().cumsum(-1).argmax(-1)
    return torch.minimum(torch.searchsorted(cumulative, threshold, right=True).squeeze(-1), last)


def chosen_log_prob(
    logits: Float[Tensor, "*n v"], token: Int[Tensor, "*n"], *, temperature: float
) -> Float[Tensor, "*n"]:
    """Log-probability of tokens at a temperature, in nats.

        log_prob = logits[token] / T - log sum_v exp(logits[v] / T)

    Args:
        logits: scores of the vocabulary, of any float type; the sum is taken in float32 or wider.
        token: token ids.
        temperature: above 0.

    Returns:
        At most 0, in float32 or wider. The nucleus does not enter: it is the number of the full softmax, as trainers
        recompute it.
    """
    scaled = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    return scaled.gather(-1, token.long().unsqueeze(-1)).squeeze(-1) - scaled.logsumexp(-1)
