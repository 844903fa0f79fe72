"""Small images inside the page: in grey the latent at a denoising step, in colour an environment as it stood."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from milepost.images.png import encoded, size, text

LARGEST = 64
"""Pixels along a side; larger grey arrays are not drawn, of larger latents every second pixel or fewer."""
COLOURS = 3
_RANGE = 3.0
"""Numbers of a latent at which a colour is full: those of pure noise hardly leave it."""


def fits(shape: tuple[int, ...]) -> bool:
    """Whether an array can be drawn: small and grey, or the latent of a pipeline with channels before its sides.

    Args:
        shape: of the array.

    Returns:
        True for (height, width) of at most `LARGEST`, and for (channels, height, width) of three channels and more.
    """
    if len(shape) == COLOURS:
        return shape[0] >= COLOURS and min(shape) > 0
    return len(shape) == 2 and min(shape) > 0 and max(shape) <= LARGEST


def png(image: NDArray[Any]) -> bytes:
    """Encode an image as PNG: grey in 256 shades, or a rough view of a latent, its first three channels as colours.

    Args:
        image: numbers of shape (height, width), -1 and below is white, 1 and above black; or a latent of shape
            (channels, height, width).

    Returns:
        The bytes of the file.
    """
    if image.ndim == COLOURS:
        step = -(-max(image.shape[1:]) // LARGEST)
        light = np.clip(np.asarray(image[:COLOURS, ::step, ::step], dtype=np.float64) / _RANGE, -1, 1)
        return encoded(np.round(255 * (light + 1) / 2).astype(np.uint8).transpose(1, 2, 0))
    ink = np.clip((np.asarray(image, dtype=np.float64) + 1) / 2, 0, 1)
    return encoded(np.round(255 * (1 - ink)).astype(np.uint8)[..., None])


def picture(image: NDArray[Any], told: str) -> Markup | None:
    """Draw an image of few pixels, enlarged without smoothing.

    Args:
        image: as `png` takes it.
        told: what it shows, for those who do not see it.

    Returns:
        One element; None where the array does not fit, see `fits`.
    """
    if not fits(image.shape) or not np.isfinite(image).all():
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
