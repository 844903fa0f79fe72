"""All signals of a batch of conversations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from milepost.curation.signals import interaction, loops, results
from milepost.curation.signals.flat import Batch, flat
from milepost.curation.signals.found import Found
from milepost.curation.signals.matching import Phrases
from milepost.traces.record import Message

ENGLISH = Phrases()


def detect(batch: Batch, phrases: Phrases = ENGLISH) -> Found:
    """Find all signals, in time linear in the messages and without a model.

    Args:
        batch: conversations, laid flat.
        phrases: what users say; see `milepost.curation.signals.phrases`.

    Returns:
        The signals; those of interaction first, then execution and environment.
    """
    found = Found()
    interaction.said(batch, phrases, found)
    interaction.rephrased(batch, found)
    interaction.dragged(batch, found)
    interaction.repeated(batch, found)
    results.answered(batch, found)
    loops.looped(batch, found)
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
