"""The sink, the only place where strings become markup: each is escaped once, hidden characters become code points."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

from markupsafe import Markup, escape

from milepost import optional
from milepost.report import figures
from milepost.report.literal import code_point, pieces, visible

if TYPE_CHECKING:
    from jinja2 import Environment

CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""What the page may load and run: inline style and data images, nothing else."""


def literal(text: str) -> Markup:
    """Escape a string for a page, with code points of hidden characters set apart so that they are not taken for text.

    Args:
        text: any string.

    Returns:
        Markup that shows the string literally.
    """
    return Markup("").join(
        Markup('<span class="cp">{}</span>').format(code_point(piece.text))
        if piece.hidden
        else escape(visible(piece.text))
        for piece in pieces(text)
    )


def style() -> Markup:
    """The style sheet of the package, to be put into a page."""
    return Markup(files("milepost.report").joinpath("templates/style.css").read_text("utf-8"))  # noqa: S704


def _finalize(value: object) -> object:
    """Applied to every expression of every template, before it is escaped."""
    if value is None:
        return figures.MISSING
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)


def environment() -> Environment:
    """Templates of the package, escaped by default.

    Returns:
        A jinja2 environment in which every string that is not markup of our own is made visible and escaped.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    jinja = optional.load("jinja2", extra="report", purpose="The HTML report")
    made: Any = jinja.Environment(
        loader=jinja.PackageLoader("milepost.report", "templates"),
        autoescape=True,
        finalize=_finalize,
        undefined=jinja.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["literal"] = literal
    for name in ("plain", "signed", "fixed", "share", "points", "count", "duration"):
        made.filters[name] = getattr(figures, name)
    made.globals["content_policy"] = CONTENT_POLICY
    return cast("Environment", made)
