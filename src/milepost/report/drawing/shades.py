"""Colour as data: style classes of credit, on a diverging scale, and of tokens, by log-probability."""

from __future__ import annotations

import math
from collections.abc import Iterable

LEVELS = 5
"""Steps of the credit scale on each side of 0."""
CERTAINTIES = (0.9, 0.5, 0.1, 0.01)
"""Probabilities at which the shade of a token changes."""


def scale_of(values: Iterable[float | None]) -> float:
    """Credit at the ends of the scale.

        scale = max_i |value_i|

    Args:
        values: credits; unknown ones are None or not finite.

    Returns:
        The largest size of a known credit, 0 if there is none.
    """
    return max((abs(value) for value in values if value is not None and math.isfinite(value)), default=0.0)


def level(value: float | None, scale: float) -> int | None:
    """Place of a credit on the diverging scale.

        level = sign(value) ceil(LEVELS |value| / scale)

    Args:
        value: a credit; None or not finite if unknown.
        scale: the credit at the ends of the scale, at least 0.

    Returns:
        A whole number in [-LEVELS, LEVELS], 0 exactly where the credit is 0; None where it is unknown.
    """
    if value is None or not math.isfinite(value):
        return None
    if value == 0 or scale <= 0:
        return 0
    # rounding away the last bits keeps equal credits of different groups at one level
    size = min(LEVELS, max(1, math.ceil(round(LEVELS * abs(value) / scale, 9))))
    return size if value > 0 else -size


def credit_class(value: float | None, scale: float) -> str:
    """Style class of a credit: "p1" to "p5", "m1" to "m5", "z" for 0, "na" where it is unknown.

    Args:
        value: a credit; None or not finite if unknown.
        scale: the credit at the ends of the scale.

    Returns:
        The class.
    """
    found = level(value, scale)
    if found is None:
        return "na"
    return "z" if found == 0 else f"{'p' if found > 0 else 'm'}{abs(found)}"


def surprise(log_prob: float) -> int:
    """Shade of a token: how little the policy expected it.

        number of CERTAINTIES above exp(log_prob)

    Args:
        log_prob: in nats, at most 0.

    Returns:
        From 0 (expected) to 4 (under 1 %); 0 where it is not finite.
    """
    if not math.isfinite(log_prob):
        return 0
    return sum(log_prob < math.log(limit) for limit in CERTAINTIES)
