"""Small images in the page: a PNG that other readers understand, and nothing where there is no image."""

import io
import re

import matplotlib.image
import numpy as np

from milepost.images.png import text
from milepost.report.drawing.pictures import LARGEST, fits, photograph, picture, png


def test_png_holds_the_shades():
    image = np.array([[-1.0, 0.0, 1.0], [2.0, -3.0, 0.5]])
    read = matplotlib.image.imread(io.BytesIO(png(image)), format="png")
    np.testing.assert_allclose(read, [[1, 0.5, 0], [0, 1, 0.25]], atol=3e-3)


def test_picture_is_inside_the_page_and_says_what_it_is():
    drawn = picture(np.zeros((8, 8)), 'latent at "0.5"')
    assert re.fullmatch(
        r'<img class="picture" alt="latent at &#34;0.5&#34;" src="data:image/png;base64,[A-Za-z0-9+/=]+">', str(drawn)
    )


def test_what_is_no_small_image_is_not_drawn():
    for other in (
        np.zeros(8),
        np.zeros((2, 8, 8)),
        np.zeros((LARGEST + 1, 2)),
        np.full((2, 2), np.nan),
        np.zeros((0, 0)),
    ):
        assert picture(other, "") is None


def test_a_photograph_has_its_own_size():
    image = np.zeros((5, 7, 3), dtype=np.uint8)
    drawn = str(photograph(image, "step <1>"))
    assert drawn.startswith('<img class="frame" width="7" height="5" alt="step &lt;1&gt;" src="data:image/png;base64,')
    assert str(photograph(text(image), "step <1>")) == drawn


def test_of_a_latent_three_channels_are_seen():
    """Three of four channels as colours: 0 is grey, 3 and more is full; of a long side every second pixel."""
    latent = np.zeros((4, 2, 2))
    latent[0, 0, 0], latent[1, 0, 1], latent[3] = 3.0, -9.0, 7.0
    read = matplotlib.image.imread(io.BytesIO(png(latent)), format="png")
    np.testing.assert_allclose(read[0], [[1, 0.5, 0.5], [0.5, 0, 0.5]], atol=3e-3)
    wide = matplotlib.image.imread(io.BytesIO(png(np.zeros((4, 3, LARGEST + 2)))), format="png")
    assert wide.shape == (2, LARGEST // 2 + 1, 3)
    assert fits((16, 128, 128))
    assert not fits((2, 8, 8))
    assert not fits((LARGEST + 1, 2))
    assert picture(np.full((4, 2, 2), np.nan), "") is None
