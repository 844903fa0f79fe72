"""Small grey images inside the page, such as the latent at a denoising step."""

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
    shade = np.round(255 * (1 - ink)).astype(np.uint8)
    height, width = shade.shape
    lines = b"".join(b"\0" + line.tobytes() for line in shade)  # each line begins with its filter: none
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
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
