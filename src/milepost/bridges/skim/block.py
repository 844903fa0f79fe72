"""A block of lines of chat completions, skimmed: texts of each speaker and calls, in arrays.

What is skimmed is what the parser would read; the lines that are not are named, and whoever reads the block parses
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from milepost import optional
from milepost.bridges.skim import json_bytes, messages, texts
from milepost.bridges.skim.json_bytes import PADDING
from milepost.bridges.skim.messages import ODD, ROLES, SKIMMED, Calls, Lines, Messages
from milepost.bridges.skim.texts import Keys, Out

Places = NDArray[np.int64]

_SHORTEST_MESSAGE, _SHORTEST_CALL = len(b'{"role":"tool"}'), len(b'{"function":{"name":"","arguments":""}}')


@dataclass(frozen=True, kw_only=True)
class Packed:
    """Texts in UTF-8, one after the other."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int32]
    """Where each begins, and where the last one ends."""
    message: Places
    """Row of the message of each."""


@cache
def _kernels() -> dict[str, Any]:
    """The compiled functions; compiling takes seconds, once per machine."""
    chosen = (*json_bytes.KERNELS, *messages.KERNELS, *texts.KERNELS)
    return optional.machine_code(*chosen, extra="triage", purpose="A fast triage")


class Block:
    """A block of lines, skimmed.

    Args:
        text: whole lines.
        limit: longest line in bytes; longer ones are odd.

    Raises:
        MissingExtra: numba is not installed.
    """

    def __init__(self, text: bytes, *, limit: int) -> None:
        padded = text + bytes(PADDING)
        self._text, self._data = text, np.frombuffer(padded, dtype=np.uint8)
        self._eights = _eights(padded, len(padded))
        self._lines, self._messages, self._calls = _tables(text)
        size = (len(text), limit if _is_text(text) else 0)
        lines, found, calls = _kernels()["skim"](
            self._data, self._eights, size, self._lines, self._messages, self._calls
        )
        self.kind = self._lines.kind[:lines]
        """Of each line: EMPTY, SKIMMED or ODD."""
        self.count = np.diff(self._lines.first[: lines + 1])
        """Messages of each line."""
        self.role = self._messages.role[:found]
        """Of each message, as its place in `ROLES`."""
        self.line = np.repeat(np.arange(lines), self.count)
        """Of each message, from 0."""
        self.place = np.arange(found) - np.repeat(self._lines.first[:lines], self.count)
        """Of each message in its conversation."""
        self._call_rows = np.arange(calls)

    def odd(self) -> list[tuple[int, bytes]]:
        """The lines that were not skimmed, with their numbers from 0 and their line breaks."""
        start, stop = self._lines.start, self._lines.stop
        return [(row, self._text[start[row] : stop[row] + 1]) for row in np.flatnonzero(self.kind == ODD).tolist()]

    def heads(self) -> list[bytes]:
        """The skimmed lines as JSON with a 0 where the messages were."""
        rows, lines = np.flatnonzero(self.kind == SKIMMED), self._lines
        cuts = (lines.start, lines.messages_start, lines.messages_stop, lines.stop)
        sides = zip(*(cut[rows].tolist() for cut in cuts), strict=True)
        return [self._text[start:one] + b"0" + self._text[two:stop] for start, one, two, stop in sides]

    def texts(
        self, roles: tuple[str, ...], chosen: NDArray[np.bool_], length: tuple[int, int], keys: Keys | None = None
    ) -> Packed:
        """Texts of some speakers.

        Args:
            roles: who speaks.
            chosen: of each message, whether it is looked at.
            length: characters of the beginning and the end that are kept of a longer text, and a line break between.
            keys: groups of characters of which a text must hold one; None: none is asked for.

        Returns:
            The texts that are not empty and hold a key.
        """
        wanted = np.isin(np.arange(len(ROLES)), [ROLES.index(role) for role in roles])
        size = self._messages.stop[: len(self.role)] - self._messages.start[: len(self.role)]
        rows = np.flatnonzero(wanted[self.role] & chosen & (size > 0))
        start, stop = self._messages.start[rows], self._messages.stop[rows]
        if keys is not None:
            found = np.empty(len(rows), dtype=np.bool_)
            _kernels()["holding"](self._data, self._eights, (start, stop), keys, found)
            rows, start, stop = rows[found], start[found], stop[found]
        out, offsets = _room(int(size[rows].sum()), len(rows))
        used = _kernels()["gather"](self._data, self._eights, (start, stop), length, out, offsets)
        return Packed(data=out.data[:used], offsets=offsets, message=rows)

    def calls(self, chosen: NDArray[np.bool_]) -> tuple[Packed, Places]:
        """Calls of tools, each as its name, a blank and its arguments, and the bytes of each name.

        Args:
            chosen: of each message, whether it is looked at.

        Returns:
            The calls of the chosen messages.
        """
        calls, names = self._calls, self._call_rows
        rows = names[chosen[calls.message[: len(names)]]]
        size = calls.name_stop[rows] - calls.name_start[rows] + calls.stop[rows] - calls.start[rows] + 1
        out, offsets = _room(int(size.sum()), len(rows))
        name_size = np.empty(len(rows), dtype=np.int64)
        used = _kernels()["spell"](self._data, self._eights, calls, rows, out, offsets, name_size)
        return Packed(data=out.data[:used], offsets=offsets, message=calls.message[rows]), name_size


def _is_text(text: bytes) -> bool:
    """Whether bytes are UTF-8."""
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _tables(text: bytes) -> tuple[Lines, Messages, Calls]:
    """Tables that are long enough for a text."""
    lines = text.count(b"\n") + 2
    found, calls = len(text) // _SHORTEST_MESSAGE + 1, len(text) // _SHORTEST_CALL + 1
    return _empty(Lines, lines), _empty(Messages, found), _empty(Calls, calls)


def _empty(table: type[Any], size: int) -> Any:
    kinds = {"kind": np.int8, "role": np.int8}
    return table(*(np.empty(size, dtype=kinds.get(name, np.int64)) for name in table._fields))


def _eights(data: Any, size: int) -> Any:
    """Eight bytes of some memory as one number, from every place on."""
    return np.ndarray((size - 7,), dtype="<u8", buffer=data, strides=(1,))


def _room(size: int, texts: int) -> tuple[Out, NDArray[np.int32]]:
    data = np.empty(size + PADDING, dtype=np.uint8)
    return Out(data, _eights(data, len(data))), np.empty(texts + 1, dtype=np.int32)
