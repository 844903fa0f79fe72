"""Randomness from keys: a draw depends on (root seed, purpose, step identity) and on nothing else.

A key is a signed 64-bit integer, so that it is a column of a forest. `fold` derives a child key from a key and names or
numbers with BLAKE2b; `generator` opens the counter-based Philox stream of a key. No stream is shared, hence the order
of work, the batch and the number of workers cannot change a trajectory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from milepost.errors import SettingError

_MASK = (1 << 64) - 1


def _encode(part: str | int) -> bytes:
    if isinstance(part, str):
        text = part.encode("utf-8")
        return b"s" + len(text).to_bytes(8, "little") + text
    return b"i" + (int(part) & _MASK).to_bytes(8, "little")


def fold(key: int, *parts: str | int) -> int:
    """Derive a key from a key and what it is for.

        fold(key, p1, ..., pm) = BLAKE2b-64(key || encode(p1) || ... || encode(pm))

    Args:
        key: any key, as a signed 64-bit integer.
        parts: purpose and identity, such as ("sample", 3); strings and integers of equal look give different keys.

    Returns:
        A signed 64-bit integer.

    Source: derivation by hash, as in JAX's `fold_in`; the hash is RFC 7693.
    """
    digest = hashlib.blake2b((key & _MASK).to_bytes(8, "little"), digest_size=8)
    for part in parts:
        digest.update(_encode(part))
    return int.from_bytes(digest.digest(), "little", signed=True)


def root(seed: int) -> int:
    """Return the root key of a seed.

    Args:
        seed: any whole number.

    Returns:
        A signed 64-bit integer.

    Raises:
        SettingError: the seed is not a whole number.
    """
    if isinstance(seed, bool) or not isinstance(seed, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SettingError(f"seed={seed!r} is not allowed: expected a whole number.")
    return fold(seed, "milepost", "root")


def children(keys: Iterable[int], purpose: str, indices: Iterable[int]) -> NDArray[np.int64]:
    """Derive one key per (key, index) pair: `fold(key_i, purpose, index_i)`.

    Args:
        keys: parent keys, one per child.
        purpose: what the children are for.
        indices: the number of each child below its parent.

    Returns:
        int64 array, one key per pair.
    """
    return np.array([fold(key, purpose, index) for key, index in zip(keys, indices, strict=True)], dtype=np.int64)


def generator(key: int) -> np.random.Generator:
    """Open the stream of a key: NumPy's Philox-4x64 counter generator, keyed by `key`.

    Args:
        key: a signed 64-bit key.

    Returns:
        A generator that starts at the beginning of the stream.
    """
    return np.random.Generator(np.random.Philox(key=key & _MASK))


def uniform(keys: Iterable[int], count: int) -> NDArray[np.float64]:
    """Draw the first `count` uniforms in [0, 1) of every key's stream.

    Args:
        keys: one key per row.
        count: numbers per row.

    Returns:
        float64 array of shape (rows, count); row i depends on key i only.
    """
    rows = [generator(int(key)).random(count) for key in keys]
    return np.stack(rows) if rows else np.empty((0, count))


def normal(keys: Iterable[int], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Draw standard normals of the given shape from every key's stream.

    Args:
        keys: one key per row.
        shape: shape of one row.

    Returns:
        float64 array of shape (rows, *shape); row i depends on key i only.
    """
    rows = [generator(int(key)).standard_normal(shape) for key in keys]
    return np.stack(rows) if rows else np.empty((0, *shape))


def digest(record: Mapping[str, object]) -> str:
    """Hash a record by its content, whatever the order of its fields.

        digest = BLAKE2b-128(JSON of the record with sorted keys), in hexadecimal

    Args:
        record: what JSON can hold: strings, numbers, and lists, tuples and mappings of them.

    Returns:
        32 hexadecimal digits.

    Source: the hash is RFC 7693.
    """
    text = json.dumps(dict(record), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def seed_of(key: int) -> int:
    """Return a seed in [0, 2^31) for a library that takes an integer seed.

    Args:
        key: a signed 64-bit key.

    Returns:
        A non-negative integer below 2**31.
    """
    return (key & _MASK) % (1 << 31)
