"""Near duplicates among conversations: MinHash signatures of what users said and of the calls made.

Written out here, because libraries for it hash token by token in Python, which takes a hundred times as long as reading
the conversation; with whole messages and calls as the elements a signature costs about a microsecond per element.

Source: Broder 1997, On the resemblance and containment of documents.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from milepost.curation.signals.flat import Batch
from milepost.curation.signals.words import checksums

HASHES, BANDS = 16, 4
"""Numbers of a signature, and bands of them of which one must agree for two conversations to be compared."""
_NOTHING = np.uint32(0xFFFFFFFF)
_RANDOM = np.random.Generator(np.random.Philox(key=16))
_FACTOR = _RANDOM.integers(1, 1 << 63, HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_SHIFT = _RANDOM.integers(0, 1 << 63, HASHES, dtype=np.uint64)


def signatures(batch: Batch, *, fast: bool = False) -> NDArray[np.uint32]:
    """Signatures of the conversations of a batch.

        signature_k = min over elements e of hash_k(e),   hash_k(e) = high 32 bits of (crc32(e) * a_k + b_k)

    Elements are the messages of users, and the calls with their arguments, as they are written.

    Args:
        batch: the conversations.
        fast: by machine code.

    Returns:
        Array of shape (conversations, 16); all ones where there is no element.
    """
    crc = np.concatenate([checksums(texts, fast=fast) for texts in (batch.user, batch.calls.spelled)])
    owner = np.concatenate((batch.user.trace, batch.calls.spelled.trace))
    found = np.full((batch.size, HASHES), _NOTHING)
    if len(owner):
        order = np.argsort(owner, kind="stable")
        elements = crc.astype(np.uint64)[order, None]
        hashed = ((elements * _FACTOR + _SHIFT) >> np.uint64(32)).astype(np.uint32)
        starts = np.flatnonzero(np.r_[True, np.diff(owner[order]) > 0])
        found[owner[order][starts]] = np.minimum.reduceat(hashed, starts, axis=0)
    return found


def resemblance(one: NDArray[np.uint32], two: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Estimated Jaccard index of pairs of conversations.

        resemblance = #{k: signature_k equal} / 16,  unbiased with standard deviation sqrt(J (1 - J) / 16)

    Args:
        one: signatures, of shape (pairs, 16).
        two: signatures of the partners.

    Returns:
        One number per pair, from 0 to 1.
    """
    return (one == two).mean(axis=1)


def bands(signature: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Hashes of the bands of signatures: two conversations of resemblance J share one with 1 - (1 - J^4)^4.

    Args:
        signature: of shape (conversations, 16).

    Returns:
        Array of shape (conversations, 4); 0 where there is no element.
    """
    grouped = signature.reshape(len(signature), BANDS, HASHES // BANDS).astype(np.uint64)
    mixed = np.zeros(grouped.shape[:2], dtype=np.uint64)
    for place in range(HASHES // BANDS):
        mixed = (mixed ^ grouped[:, :, place]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    mixed[(signature == _NOTHING).all(axis=1)] = 0
    return mixed


def first_alike(
    row: NDArray[np.int64], band: NDArray[np.uint64], signature: NDArray[np.uint32], *, alike: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Conversations that resemble the first one with the same hash of a band.

    Args:
        row: numbers of conversations, rising.
        band: hash of one band of each.
        signature: of each.
        alike: least resemblance.

    Returns:
        Numbers of the later ones, and of the first one that each resembles.
    """
    _, place = np.unique(band, return_inverse=True)
    first = np.full(int(place.max(initial=-1)) + 1, len(row))
    np.minimum.at(first, place, np.arange(len(row)))
    partner = first[place]
    later = np.flatnonzero((partner < np.arange(len(row))) & (band != 0))
    sure = later[resemblance(signature[later], signature[partner[later]]) >= alike]
    return row[sure], row[partner[sure]]
