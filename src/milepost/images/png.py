"""Images as PNG files, without a package for images."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from milepost.errors import FormatError


def encoded(image: NDArray[np.uint8]) -> bytes:
    """Encode an image; every line is stored as its difference to the one above.

    Args:
        image: shape (height, width, 1) in shades of grey, or (height, width, 3) in red, green and blue.

    Returns:
        The bytes of the file.
    """
    height, width, depth = image.shape
    above = np.concatenate((np.zeros_like(image[:1]), image[:-1]))
    lines = b"".join(b"\2" + line.tobytes() for line in image - above)
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if depth == 1 else 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(data)) + kind + data + _sum(kind + data) for kind, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def _sum(data: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(data))


def text(image: NDArray[np.uint8]) -> str:
    """An image as text for JSON and HTML: its PNG in base 64.

    Args:
        image: as `encoded` takes it.

    Returns:
        The text.
    """
    return base64.b64encode(encoded(image)).decode("ascii")


def size(given: str) -> tuple[int, int]:
    """Width and height of an image that `text` wrote.

    Args:
        given: the text.

    Returns:
        In pixels.

    Raises:
        FormatError: it is no PNG.
    """
    try:
        head = base64.b64decode(given[:32], validate=True)
    except ValueError as error:
        raise FormatError(f"An image is no text in base 64: {given[:32]!r}.") from error
    if not head.startswith(b"\x89PNG\r\n\x1a\n") or len(head) < 24:
        raise FormatError(f"An image does not begin as PNG does: {given[:32]!r}.")
    width, height = struct.unpack(">II", head[16:24])
    return width, height
