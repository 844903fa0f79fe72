import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milepost.report import markup
from milepost.report.drawing import shades

numbers = st.floats(-1e6, 1e6, allow_subnormal=False)


def test_hand_example():
    assert [shades.credit_class(v, 1.0) for v in (1.0, 0.5, 0.01, 0.0, -0.2, -1.0)] == [
        "p5",
        "p3",
        "p1",
        "z",
        "m1",
        "m5",
    ]
    assert shades.credit_class(None, 1.0) == "na"
    assert shades.scale_of([0.5, None, -2.0, math.nan]) == 2.0
    assert shades.scale_of([]) == 0.0


@given(numbers, numbers)
def test_the_sign_is_kept_and_only_zero_is_zero(value, other):
    found = shades.level(value, shades.scale_of([value, other]))
    assert found is not None
    assert abs(found) <= shades.LEVELS
    assert (found > 0) == (value > 0)
    assert (found < 0) == (value < 0)


@given(numbers, numbers)
def test_symmetric_and_rising(first, second):
    scale = shades.scale_of([first, second])
    low, high = sorted((first, second))
    assert shades.level(low, scale) <= shades.level(high, scale)
    assert shades.level(-first, scale) == -shades.level(first, scale)


def test_surprise():
    assert [shades.surprise(math.log(p)) for p in (0.99, 0.7, 0.3, 0.05, 0.001)] == [0, 1, 2, 3, 4]
    assert shades.surprise(0.0) == 0
    assert shades.surprise(math.nan) == 0


# ---- the colours themselves ----


def themes():
    """Custom properties of the light and of the dark theme."""
    style = str(markup.style())
    blocks = re.findall(r":root \{(.*?)\n\s*\}", style, flags=re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", block)) for block in blocks[:2])
    return {"light": light, "dark": {**light, **dark}}


def luminance(colour):
    digits = colour.lstrip("#")
    digits = "".join(d * 2 for d in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_by_hand():
    assert contrast("#fff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", [f"{side}{n}" for side in "pm" for n in range(1, 6)])
def test_text_on_credit_can_be_read(theme, name):
    colours = themes()[theme]
    text = colours["on-strong"] if name[1] in "45" else colours["ink"]
    assert contrast(colours[name], text) >= 4.5, (name, contrast(colours[name], text))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [("ink", "paper"), ("ink", "card"), ("soft", "paper"), ("soft", "card"), ("soft", "well"), ("soft", "z"),
     ("faint", "card"), ("bad", "card"), ("accent", "paper"), *[("ink", f"t{n}") for n in range(1, 5)]],
)  # fmt: skip
def test_text_can_be_read(theme, text, ground):
    colours = themes()[theme]
    limit = 3.0 if text == "faint" else 4.5  # faint is for tick labels and empty values, never for content
    assert contrast(colours[text], colours[ground]) >= limit, contrast(colours[text], colours[ground])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("side", "pm")
def test_the_scale_moves_away_from_the_page(theme, side):
    colours = themes()[theme]
    steps = [contrast(colours[f"{side}{n}"], colours["card"]) for n in range(1, 6)]
    assert steps == sorted(steps)
