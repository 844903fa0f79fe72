"""PNG files that other readers understand."""

import base64
import io

import matplotlib.image
import numpy as np
import pytest

from milepost.errors import FormatError
from milepost.images import png


@pytest.mark.parametrize("depth", [1, 3])
def test_every_pixel_is_kept(depth):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, depth), dtype=np.uint8)
    read = matplotlib.image.imread(io.BytesIO(png.encoded(image)), format="png")
    assert np.array_equal(np.round(255 * read).astype(np.uint8).reshape(image.shape), image)


def test_size_is_read_from_the_text():
    image = np.zeros((5, 7, 3), dtype=np.uint8)
    assert png.size(png.text(image)) == (7, 5)
    assert base64.b64decode(png.text(image)) == png.encoded(image)
    for wrong in ("", "no base 64 at all", base64.b64encode(b"GIF89a" + bytes(40)).decode()):
        with pytest.raises(FormatError):
            png.size(wrong)
