"""How numbers are written in reports: shares, signed numbers, durations, counts. The unknown is written as a dash."""

from __future__ import annotations

import math

MISSING = "–"
MINUS = "\N{MINUS SIGN}"
NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"


def _unknown(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


def plain(value: float | None, digits: int = 3) -> str:
    """Write a number with so many significant digits.

    Args:
        value: a number; None or not finite if unknown.
        digits: significant digits, at least 1.

    Returns:
        Such as "0.125", "12.5", "1,250", "3.1e−07"; a dash if unknown.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e6 or size < 1e-4:
        text = f"{value:.{max(digits - 1, 0)}e}"
    else:
        places = max(0, digits - 1 - math.floor(math.log10(size)))
        text = f"{value:,.{places}f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
    return text.replace("-", MINUS)


def signed(value: float | None, places: int = 2) -> str:
    """Write a number with its sign, so that no reader depends on colour.

    Args:
        value: a number; None or not finite if unknown.
        places: digits after the point.

    Returns:
        Such as "+0.87", "−1.20", "0"; a small number keeps a sign, as "+0.004".
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    text = f"{abs(value):.{places}f}"
    if float(text) == 0:
        text = plain(abs(value), 1)
    return ("+" if value > 0 else MINUS) + text


def fixed(value: float | None, places: int = 2) -> str:
    """Write a number with a fixed number of places, so that columns align.

    Args:
        value: a number; None or not finite if unknown.
        places: digits after the point.

    Returns:
        Such as "0.87" or "−1.20".
    """
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:,.{places}f}"
    return text.replace("-", MINUS) if float(text.replace(",", "")) != 0 else f"{0:.{places}f}"


def share(value: float | None, places: int = 1) -> str:
    """Write a share as a percentage.

    Args:
        value: in [0, 1]; None or not finite if unknown.
        places: digits after the point.

    Returns:
        Such as "61.7 %".
    """
    return MISSING if _unknown(value) else f"{100 * (value or 0):.{places}f}{NARROW_SPACE}%"


def points(value: float | None) -> str:
    """Write a difference of two shares in percentage points.

    Args:
        value: in [-1, 1]; None or not finite if unknown.

    Returns:
        Such as "+49.2".
    """
    return MISSING if value is None or not math.isfinite(value) else signed(100 * value, 1)


def count(value: float | None) -> str:
    """Write a whole number, shortened from 100,000 on.

    Args:
        value: at least 0; None or not finite if unknown.

    Returns:
        Such as "1,250", "1.25 M", "3.2 G".
    """
    if value is None or not math.isfinite(value):
        return MISSING
    for size, name in ((1e9, "G"), (1e6, "M"), (1e5, "k")):
        if abs(value) >= size:
            scale = 1e3 if name == "k" else size
            return f"{plain(value / scale)}{NARROW_SPACE}{name}"
    return f"{value:,.0f}" if float(value).is_integer() else plain(value)


def duration(seconds: float | None) -> str:
    """Write a duration.

    Args:
        seconds: at least 0; None or not finite if unknown.

    Returns:
        Such as "1.6 ms", "0.4 s", "42 s", "3 min 12 s", "2 h 5 min".
    """
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if 0 < seconds < 0.1:
        return f"{plain(1000 * seconds, 2)}{NARROW_SPACE}ms"
    if seconds < 10:
        return f"{plain(seconds, 2)}{NARROW_SPACE}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{NARROW_SPACE}s"
    if whole < 3600:
        return f"{whole // 60}{NARROW_SPACE}min {whole % 60}{NARROW_SPACE}s"
    return f"{whole // 3600}{NARROW_SPACE}h {whole % 3600 // 60}{NARROW_SPACE}min"


def counted(number: int, name: str) -> str:
    """Write how many of something there are.

    Args:
        number: at least 0.
        name: the thing, in the singular.

    Returns:
        Such as "1 tree", "3 trees", "2 trajectories".
    """
    many = name[:-1] + "ies" if name.endswith("y") else name + "s"
    return f"{number:,} {name if number == 1 else many}"
