"""Small line charts as inline SVG: no script, colours from the style sheet, a text alternative in each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from milepost.report import figures
from milepost.report.literal import visible

WIDTH, HEIGHT = 372, 208
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 26
_MOST_MARKS = 60
COLOURS = 6
"""Colours of the style sheet."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line: y over x with an optional band; None and NaN leave a gap."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    whiskers: bool = False
    """Draw low to high as whiskers at each point instead of a band."""
    number: int = 0
    """Number of the line; a band and its line share one, and with it a colour."""

    @property
    def colour(self) -> int:
        """Number of the colour: colours repeat after the sixth."""
        return self.number % COLOURS


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What a chart shows."""

    title: str
    lines: tuple[Series, ...]
    note: str = ""
    """What the band or the whiskers mean, or what is left out."""
    unit: str = "number"
    """"share" writes percentages, "seconds" durations, "count" whole numbers, "number" plain numbers."""
    floor: float | None = None
    """Lowest value the axis must reach."""
    ceiling: float | None = None

    @property
    def known(self) -> bool:
        """Whether there is any point to draw."""
        return any(_finite(value) for line in self.lines for value in line.y)

    @property
    def writer(self) -> Callable[[float | None], str]:
        """How a value of this chart is written."""
        return {
            "share": figures.share,
            "seconds": figures.duration,
            "count": figures.count,
        }.get(self.unit, figures.plain)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers that cover a range.

        step = the smallest of 1, 2, 2.5, 5 times a power of ten for which at most `most` steps cover high - low

    Args:
        low: lower end.
        high: upper end, at least `low`.
        most: steps at most, at least 1.

    Returns:
        Rising numbers; the first is at most `low`, the last at least `high`.
    """
    size = high - low
    if size <= 0 or not math.isfinite(size):
        return [low, low + 1]
    power = 10.0 ** math.floor(math.log10(size / most))
    step = next(
        factor * power
        for factor in (1, 2, 2.5, 5, 10, 20)
        if math.ceil(high / (factor * power) - 1e-9) - math.floor(low / (factor * power) + 1e-9) <= most
    )
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """Maps values to places on the drawing."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        return round(_LEFT + (value - self.x_low) / (self.x_high - self.x_low) * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        return round(
            HEIGHT - _BOTTOM - (value - self.y_low) / (self.y_high - self.y_low) * (HEIGHT - _TOP - _BOTTOM), 1
        )


def _heights(chart: Chart) -> list[float]:
    ends = [end for end in (chart.floor, chart.ceiling) if end is not None]
    drawn = [v for line in chart.lines for v in (*line.y, *line.low, *line.high) if v is not None and math.isfinite(v)]
    low, high = min([*drawn, *ends]), max([*drawn, *ends])
    if 0 < low <= high / 2:  # an axis that starts near 0 starts at 0
        low = 0.0
    if low == high:  # a flat line sits inside the frame, with 0 in view
        low, high = (min(0.0, low), max(0.0, high)) if low != 0 else (0.0, 1.0)
    return ticks(low, high, 4)


def draw(chart: Chart) -> Markup:
    """Draw a chart.

    Args:
        chart: what to show; at least one finite point.

    Returns:
        One SVG element with a title and a description.
    """
    chart = replace(
        chart, title=visible(chart.title), lines=tuple(replace(line, name=visible(line.name)) for line in chart.lines)
    )
    heights = _heights(chart)
    across = [place for line in chart.lines for place in line.x]
    low, high = min(across), max(across)
    frame = _Frame(
        x_low=low, x_high=high if high > low else low + 1, y_low=heights[0], y_high=max(heights[-1], heights[0] + 1e-12)
    )
    parts = [_axes(frame, heights, chart)]
    parts += [_band(frame, line) for line in chart.lines]
    parts += [_line(frame, line, chart) for line in chart.lines]
    parts += _end_marks(frame, chart)
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, describe(chart), Markup("").join(parts)
    )


def describe(chart: Chart) -> str:
    """Say in words what a chart shows: first and last value of each line.

    Args:
        chart: any chart.

    Returns:
        One sentence per line.
    """
    told: list[str] = []
    for line in chart.lines:
        known = [(x, y) for x, y in zip(line.x, line.y, strict=True) if _finite(y)]
        if known:
            (first_x, first), (last_x, last) = known[0], known[-1]
            told.append(
                f"{line.name}: {chart.writer(first)} at {figures.plain(first_x)}, "
                f"{chart.writer(last)} at {figures.plain(last_x)}."
            )
    return f"{chart.title}. " + " ".join(told)


def _axes(frame: _Frame, heights: Sequence[float], chart: Chart) -> Markup:
    parts: list[Markup] = []
    for value in heights:
        y = frame.y(value)
        kind = "axis" if value == heights[0] else "grid"
        parts.append(
            Markup('<path class="{}" d="M{} {}H{}"/><text class="tick end" x="{}" y="{}">{}</text>').format(
                kind, _LEFT, y, WIDTH - _RIGHT, _LEFT - 7, y + 3.5, _tick(value, heights, chart)
            )
        )
    for value in _steps(frame):
        parts.append(
            Markup('<text class="tick mid" x="{}" y="{}">{}</text>').format(
                frame.x(value), HEIGHT - 9, figures.count(value)
            )
        )
    return Markup("").join(parts)


def _tick(value: float, heights: Sequence[float], chart: Chart) -> str:
    if chart.unit == "share":
        places = 0 if abs(100 * value - round(100 * value)) < 1e-9 else 1
        return figures.share(value, places)
    if chart.unit != "number":
        return chart.writer(value)
    largest = max(abs(height) for height in heights)
    # as many digits as tell one tick from the next
    digits = math.floor(math.log10(largest / (heights[1] - heights[0]) + 1e-9)) + 3 if largest else 3
    return figures.plain(value, min(max(digits, 3), 12))


def _steps(frame: _Frame) -> list[float]:
    inside = [v for v in ticks(frame.x_low, frame.x_high, 5) if frame.x_low <= v <= frame.x_high]
    return [value for value in inside if float(value).is_integer()]


def _runs(line: Series, values: Sequence[float | None]) -> list[list[tuple[float, float]]]:
    """Stretches without a gap."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(line.x, values, strict=True):
        if y is not None and math.isfinite(y):
            runs[-1].append((x, y))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _band(frame: _Frame, line: Series) -> Markup:
    if not line.low or line.whiskers:
        return Markup("")
    shapes: list[str] = []
    both = [v if _finite(w) else None for v, w in zip(line.low, line.high, strict=True)]
    other = [w if _finite(v) else None for v, w in zip(line.low, line.high, strict=True)]
    for under, over in zip(_runs(line, both), _runs(line, other), strict=True):
        there = [f"{frame.x(x)} {frame.y(y)}" for x, y in over]
        back = [f"{frame.x(x)} {frame.y(y)}" for x, y in reversed(under)]
        shapes.append("M" + "L".join(there + back) + "Z")
    return Markup('<path class="band s{}" d="{}"/>').format(line.colour, "".join(shapes))


def _line(frame: _Frame, line: Series, chart: Chart) -> Markup:
    path = "".join("M" + "L".join(f"{frame.x(x)} {frame.y(y)}" for x, y in run) for run in _runs(line, line.y))
    parts = [Markup('<path class="line s{}" d="{}"/>').format(line.colour, path)]
    if len(line.x) > _MOST_MARKS:
        return parts[0]
    for place, (x, y) in enumerate(zip(line.x, line.y, strict=True)):
        if y is None or not math.isfinite(y):
            continue
        told = f"{line.name} at {figures.plain(x, 6)}: {chart.writer(y)}"
        if place < len(line.low):
            told += f" ({chart.writer(line.low[place])} to {chart.writer(line.high[place])})"
        if line.whiskers and place < len(line.low):
            parts.append(_whisker(frame, x, line.low[place], line.high[place], line.colour))
        parts.append(
            Markup('<circle class="mark s{}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>').format(
                line.colour, frame.x(x), frame.y(y), 3.2, told
            )
            if line.whiskers
            else Markup('<circle class="touch" cx="{}" cy="{}" r="5"><title>{}</title></circle>').format(
                frame.x(x), frame.y(y), told
            )
        )
    return Markup("").join(parts)


def _whisker(frame: _Frame, x: float, low: float | None, high: float | None, number: int) -> Markup:
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return Markup("")
    at, foot, head = frame.x(x), frame.y(low), frame.y(high)
    return Markup('<path class="whisker s{}" d="M{} {}V{}M{} {}h6M{} {}h6"/>').format(
        number, at, foot, head, at - 3, foot, at - 3, head
    )


def _end_marks(frame: _Frame, chart: Chart) -> list[Markup]:
    """A dot at the last point of each line."""
    parts: list[Markup] = []
    for line in chart.lines:
        known = [(x, y) for x, y in zip(line.x, line.y, strict=True) if y is not None and math.isfinite(y)]
        if known and not line.whiskers:
            x, y = known[-1]
            parts.append(
                Markup('<circle class="dot s{}" cx="{}" cy="{}" r="3"/>').format(line.colour, frame.x(x), frame.y(y))
            )
    return parts
