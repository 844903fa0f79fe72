"""All signals of a batch of conversations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from milepost.curation.signals import interaction, loops, results
from milepost.curation.signals.flat import Batch, flat
from milepost.curation.signals.found import Found
from milepost.curation.signals.matching import Phrases
from milepost.curation.signals.words import words_of
from milepost.traces.record import Message

ENGLISH = Phrases()


def detect(batch: Batch, phrases: Phrases = ENGLISH, *, fast: bool = False) -> Found:
    """Find all signals, in time linear in the messages and without a model.

    Args:
        batch: conversations, laid flat.
        phrases: what users say; see `milepost.curation.signals.phrases`.
        fast: by machine code, which numba compiles; the signals are the same. It is worth its start from some ten
            thousand conversations on.

    Returns:
        The signals; those of interaction first, then execution and environment.

    Raises:
        MissingExtra: `fast`, and numba is not installed.
    """
    found = Found()
    words = words_of(batch.user, fast=fast)
    interaction.said(batch, words, phrases, found, fast=fast)
    interaction.rephrased(batch, words, found, fast=fast)
    interaction.dragged(batch, found)
    interaction.repeated(batch, found, fast=fast)
    results.answered(batch, found)
    loops.looped(batch, found, fast=fast)
    return found


def detect_in(conversations: Iterable[Sequence[Message]]) -> Found:
    """Find all signals of conversations given as messages in the shape of chat completions.

    Example:
        >>> from milepost.curation.signals.taxonomy import KINDS
        >>> found = detect_in([[{"role": "user", "content": "That is not what I asked!!"}]])
        >>> [KINDS[kind] for kind in found.kind]
        ['correction', 'negative_stance']
    """
    return detect(flat(conversations))
