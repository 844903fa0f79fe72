"""Small images inside the page: in grey the latent at a denoising step, in colour an environment as it stood."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from milepost.images.png import encoded, size, text

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
    return encoded(np.round(255 * (1 - ink)).astype(np.uint8)[..., None])


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


def photograph(image: NDArray[np.uint8] | str, told: str) -> Markup:
    """Put an image in colour into the page, at its own size.

    Args:
        image: red, green and blue, shape (height, width, 3), or what `png.text` made of it.
        told: what it shows, for those who do not see it.

    Returns:
        One element.

    Raises:
        FormatError: a text that is no PNG.
    """
    data = image if isinstance(image, str) else text(image)
    width, height = size(data)
    return Markup('<img class="frame" width="{}" height="{}" alt="{}" src="data:image/png;base64,{}">').format(
        width, height, told, data
    )
