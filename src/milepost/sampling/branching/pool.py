"""Sentences to insert, and how likely each token of a drawn sentence is, given the tokens before it."""

from __future__ import annotations

from collections import Counter
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from milepost.errors import SettingError
from milepost.ragged import Ragged

DOUBTS = (
    "Wait. I am not sure that this answer is right.",
    "Hold on. Something here does not fit together.",
    "Let me check this once more before I answer.",
    "I may have read the question too quickly.",
    "But is that really what was asked?",
    "I should look for evidence before I settle on this.",
    "This does not follow from what I have found so far.",
    "Maybe I searched for the wrong thing.",
    "There could be another reading of the question.",
    "I have not confirmed the most important step yet.",
    "Let me go back to what I actually know.",
    "It would be better to look this up again.",
    "I am guessing here, and I should not.",
    "Perhaps the name refers to something else.",
    "Let me take the question apart again.",
    "The passages do not say this clearly.",
    "One of my assumptions may be wrong.",
    "I need one more piece of information.",
    "Let me try a different search.",
    "That was too easy. I will verify it.",
    "I confused two things that are alike.",
    "What would show that this is false?",
    "I skipped a step between the facts.",
    "Another source may say something different.",
    "Let me start from the other end of the question.",
    "The last result does not answer what I need.",
    "I should make sure of the first part before the second.",
    "This may be outdated or about someone else.",
    "I will reconsider what exactly is missing.",
    "No. Let me think about this again.",
)
"""Thirty ways to doubt an answer, in milepost's own words."""


def pool_log_prob(ids: Ragged, pool: Ragged) -> Float[Tensor, " t"]:
    """Log-probability of each token of texts drawn from a pool, every text of the pool with the same chance.

        log p(token | before) = log #{texts that begin with before, token} - log #{texts that begin with before}

    The last token of a text counts only the pool texts that end there, so that the probabilities of a text multiply to
    its share of the pool, also where it is the beginning of another.

    Args:
        ids: token ids of the drawn texts.
        pool: token ids of all texts of the pool.

    Returns:
        float32, nats, one per token of `ids`.

    Raises:
        SettingError: a text that is not in the pool.

    Source: REX-RAG, arXiv:2508.08149, the probability mass function of a prompt; the end of a text is milepost's.
    """
    begins: Counter[tuple[int, ...]] = Counter()
    whole: Counter[tuple[int, ...]] = Counter()
    for text in _texts(pool):
        whole[text] += 1
        begins.update(text[:length] for length in range(len(text) + 1))
    found: list[float] = []
    for text in _texts(ids):
        if whole[text] == 0:
            raise SettingError(
                f"An inserted text of {len(text)} tokens is not in the pool of {len(pool)} texts it should be drawn "
                "from: draw it from that pool."
            )
        counts = [begins[text[:length]] for length in range(len(text))] + [whole[text]]
        found += torch.tensor(counts, dtype=torch.float64).log().diff().tolist()
    return torch.tensor(found, dtype=torch.float32)


def _texts(ids: Ragged) -> list[tuple[int, ...]]:
    return [tuple(cast("list[int]", ids[row].tolist())) for row in range(len(ids))]
