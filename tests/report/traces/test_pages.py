"""The pages of a triage: split, linked, escaped, and quiet in a real browser."""

import html
import re

import pytest

from milepost.errors import SettingError
from milepost.report.traces import pages, table
from milepost.report.traces.pages import Layout
from tests.report import browser
from tests.report.hostile import STRINGS
from tests.report.traces.triages import made


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = made(tmp_path_factory.mktemp("triage"), keep=0.9)
    return folder, pages.write(folder, folder / "pages", layout=Layout(rows=10, conversations=5))


def test_every_link_leads_somewhere(written):
    _, first = written
    for page in first.parent.glob("*.html"):
        for link in re.findall(r'href="([^"]+)"', page.read_text(encoding="utf-8")):
            name, _, anchor = html.unescape(link).partition("#")
            target = first.parent / name
            assert target.is_file(), (page.name, link)
            assert not anchor or f'id="{anchor}"' in target.read_text(encoding="utf-8")


def test_lists_and_conversations_are_split(written):
    folder, first = written
    kept = table.overview(folder).kept
    names = [path.name for path in first.parent.glob("*.html")]
    assert len([name for name in names if name.startswith("traces-")]) == -(-kept // 5)
    assert len([name for name in names if name.startswith("list-kept-")]) == -(-kept // 10)
    assert "list-correction-0002.html" in names


def test_nothing_of_a_file_becomes_markup(written):
    _, first = written
    for page in first.parent.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"<(script|img|iframe|object|embed|base|form|link|video|audio)\b", text), page.name
        assert not re.search(r"<[^>]+\son\w+=", text), page.name
        assert "Content-Security-Policy" in text


def test_what_is_not_written_out_is_listed_without_a_link(tmp_path):
    folder = made(tmp_path, keep=0.9)
    first = pages.write(folder, tmp_path / "few", layout=Layout(most=3))
    assert len(list(first.parent.glob("traces-*.html"))) == 1
    text = (first.parent / "list-correction-0001.html").read_text(encoding="utf-8")
    assert "of which the 3 with the highest scores are listed" in text
    with pytest.raises(SettingError, match="rows"):
        Layout(rows=0)


@pytest.mark.browser
@pytest.mark.skipif(browser.found() is None, reason=f"none of {', '.join(browser.NAMES)} is installed")
def test_in_a_browser_nothing_runs_and_nothing_is_asked_for(written):
    _, first = written
    chromium = browser.Browser.start()
    try:
        for name in ("index.html", "list-correction-0001.html", "traces-00002.html"):
            path = first.parent / name
            chromium.open(path, width=400)
            assert chromium.of("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded") == []
            asked = [event["request"]["url"] for event in chromium.of("Network.requestWillBeSent")]
            assert asked == [path.resolve().as_uri()]
            assert chromium.evaluate("window.hit") is None
            assert chromium.evaluate("document.documentElement.scrollWidth") == 400
        shown = chromium.evaluate("document.body.textContent")
        assert any(text in shown for text in STRINGS if text.isascii() and text.isprintable())
    finally:
        chromium.stop()
