"""Messages on a pipe: a length, then that many bytes. Imports the standard library only."""

from __future__ import annotations

import os
import select
import time

from milepost.errors import FormatError

HEAD = 4
"""Bytes of a message that hold its length."""
LONGEST = 64 << 20
"""Bytes of one message."""


def send(pipe: int, text: bytes) -> None:
    """Write one message.

    Raises:
        FormatError: it is too long.
    """
    if len(text) > LONGEST:
        raise FormatError(f"A message of {len(text)} bytes is too long, at most {LONGEST}.")
    rest = memoryview(len(text).to_bytes(HEAD, "big") + text)
    while rest:
        rest = rest[os.write(pipe, rest) :]


def receive(pipe: int, *, deadline: float | None = None) -> bytes:
    """Read one message.

    Args:
        pipe: descriptor to read from.
        deadline: `time.monotonic()` at which to give up; None waits for ever.

    Returns:
        The message.

    Raises:
        EOFError: the other end is gone.
        TimeoutError: the deadline has passed.
        FormatError: the announced length is absurd.
    """
    length = int.from_bytes(_exactly(pipe, HEAD, deadline), "big")
    if length > LONGEST:
        raise FormatError(f"A message of {length} bytes was announced, at most {LONGEST} are accepted.")
    return _exactly(pipe, length, deadline)


def _exactly(pipe: int, count: int, deadline: float | None) -> bytes:
    found = bytearray()
    while len(found) < count:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                raise TimeoutError("no message came in time")
        more = os.read(pipe, min(count - len(found), 1 << 20))
        if not more:
            raise EOFError("the other end of the pipe is gone")
        found += more
    return bytes(found)
