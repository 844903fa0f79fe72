"""Small images inside the page: in grey the latent at a denoising step, in colour an environment as it stood."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

LARGEST = 64
"""Pixels along a side; larger arrays are not drawn."""


def png(image: NDArray[Any]) -> bytes:
    """Encode an image as PNG in 256 shades of grey.

    Args:
        image: numbers of shape (height, width); -1 and below is white, 1 and above black.

    Returns:
        The bytes of the file.
    """
    ink = np.clip((np.asarray(image, dtype=np.float64) + 1) / 2, 0, 1)
    return _file(np.round(255 * (1 - ink)).astype(np.uint8)[..., None])


def coloured(image: NDArray[np.uint8]) -> bytes:
    """Encode an image as PNG in colour.

    Args:
        image: red, green and blue, shape (height, width, 3).

    Returns:
        The bytes of the file.
    """
    return _file(image)


def _file(image: NDArray[np.uint8]) -> bytes:
    """A PNG of 1 or 3 bytes per pixel; every line is stored as its difference to the one above."""
    height, width, depth = image.shape
    above = np.concatenate((np.zeros_like(image[:1]), image[:-1]))
    lines = b"".join(b"\2" + line.tobytes() for line in image - above)
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if depth == 1 else 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(data)) + kind + data + _sum(kind + data) for kind, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def _sum(data: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(data))


def picture(image: NDArray[Any], told: str) -> Markup | None:
    """Draw an image of few pixels, enlarged without smoothing.

    Args:
        image: numbers in about [-1, 1].
        told: what it shows, for those who do not see it.

    Returns:
        One element; None where the array is no small grey image.
    """
    if image.ndim != 2 or not 0 < max(image.shape) <= LARGEST or not np.isfinite(image).all():
        return None
    data = base64.b64encode(png(image)).decode("ascii")
    return Markup('<img class="picture" alt="{}" src="data:image/png;base64,{}">').format(told, data)


def photograph(image: NDArray[np.uint8], told: str) -> Markup:
    """Put an image in colour into the page, at its own size.

    Args:
        image: red, green and blue, shape (height, width, 3).
        told: what it shows, for those who do not see it.

    Returns:
        One element.
    """
    data = base64.b64encode(coloured(image)).decode("ascii")
    height, width = image.shape[:2]
    return Markup('<img class="frame" width="{}" height="{}" alt="{}" src="data:image/png;base64,{}">').format(
        width, height, told, data
    )
