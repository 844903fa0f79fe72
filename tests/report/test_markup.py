import html
import re

import pytest

from milepost.errors import MissingExtra
from milepost.report import markup
from tests.report.hostile import STRINGS


def text_of(page):
    """What a browser would show of markup made of text and `cp` spans."""
    return html.unescape(re.sub(r'<span class="cp">(U\+[0-9A-F]+)</span>', r"⟨\1⟩", page))


@pytest.mark.parametrize("text", STRINGS)
def test_literal_shows_the_string_and_nothing_else(text):
    from milepost.report.literal import visible

    page = str(markup.literal(text))
    assert text_of(page) == visible(text)
    assert "<" not in re.sub(r'<span class="cp">U\+[0-9A-F]+</span>', "", page)


@pytest.mark.parametrize("text", STRINGS)
def test_templates_escape_once_at_the_sink(text):
    from milepost.report.literal import visible

    page = markup.environment().from_string('<p title="{{ x }}">{{ x }}</p>').render(x=text)
    shown = re.fullmatch(r'<p title="(.*)">(.*)</p>', page, flags=re.DOTALL)
    assert shown is not None
    assert not set(shown[1] + shown[2]) & set("<>\"'")
    assert html.unescape(shown[2]) == visible(text)


def test_none_is_a_dash_and_numbers_stay():
    assert markup.environment().from_string("{{ a }} {{ b }}").render(a=None, b=3) == "– 3"


def test_an_unknown_name_fails():
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        markup.environment().from_string("{{ missing }}").render()


def test_missing_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra, match=r"milepost\[report\]"):
        markup.environment()


def test_policy_forbids_everything_but_style_and_data_images():
    rules = dict(rule.split(" ", 1) for rule in markup.CONTENT_POLICY.split("; "))
    assert rules.pop("style-src") == "'unsafe-inline'"
    assert rules.pop("img-src") == "data:"
    assert rules == dict.fromkeys(("default-src", "base-uri", "form-action"), "'none'")


def test_style_asks_for_nothing():
    style = str(markup.style())
    assert "url(" not in style
    assert "@import" not in style
    assert "</" not in style
