"""Messages arrive whole or not at all."""

import os
import time

import pytest

from milepost.errors import FormatError
from milepost.jail import frames


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


@pytest.mark.parametrize("text", [b"", b"x", b"{}" * 20_000])
def test_what_is_sent_arrives(pipe, text):
    frames.send(pipe[1], text)
    assert frames.receive(pipe[0], deadline=time.monotonic() + 5) == text


def test_silence_ends_at_the_deadline(pipe):
    os.write(pipe[1], b"\0\0")
    with pytest.raises(TimeoutError):
        frames.receive(pipe[0], deadline=time.monotonic() + 0.05)


def test_an_end_inside_a_message_is_seen(pipe):
    os.write(pipe[1], b"\0\0\0\5ab")
    os.close(pipe[1])
    with pytest.raises(EOFError):
        frames.receive(pipe[0])


def test_absurd_lengths_are_refused(pipe):
    os.write(pipe[1], b"\xff\xff\xff\xff")
    with pytest.raises(FormatError, match="4294967295 bytes"):
        frames.receive(pipe[0])
    with pytest.raises(FormatError, match="too long"):
        frames.send(pipe[1], bytes(frames.LONGEST + 1))
