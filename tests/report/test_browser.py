"""The pages in a real browser: nothing runs, nothing is asked for, every hostile string is shown as it is."""

import json
import re
from pathlib import Path

import pytest

from milepost import storage
from milepost.forest import Forest
from milepost.report import page
from milepost.report.literal import code_point, pieces, visible
from tests.report import browser, worlds
from tests.report.hostile import STRINGS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(browser.found() is None, reason=f"none of {', '.join(browser.NAMES)} is installed"),
]


@pytest.fixture(scope="module")
def chromium():
    one = browser.Browser.start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    return page.write(worlds.run(folder / "demo", steps=6, groups=12), folder / "report.html")


def shown(text):
    """What `textContent` gives for a text that `literal` wrote."""
    return "".join(code_point(p.text) if p.hidden else visible(p.text) for p in pieces(text))


def quiet(chromium, path):
    """Nothing was said on the console, nothing failed, nothing but the file itself was asked for."""
    kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Audits.issueAdded")
    assert chromium.of(*kinds) == []
    assert chromium.of("Page.javascriptDialogOpening", "Page.windowOpen", "Target.targetCreated") == []
    asked = [event["request"]["url"] for event in chromium.of("Network.requestWillBeSent")]
    assert asked == [path.resolve().as_uri()]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_opens_and_fits(chromium, demo, tmp_path, width, dark):
    chromium.open(demo, width=width, dark=dark)
    quiet(chromium, demo)
    assert chromium.evaluate("document.documentElement.scrollWidth") == width
    # what lies beyond the edge must lie in a box of its own that scrolls
    outside = chromium.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1"
        " && !e.closest('.scroll, .answers, .table, .said, pre')).map(e => e.outerHTML.slice(0, 120))"
    )
    assert outside == []
    ground = chromium.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in re.findall(r"\d+", ground)) < 200) == dark
    picture = chromium.screenshot(tmp_path / "page.png")
    assert picture.stat().st_size > 10_000


def test_answers_are_folded_and_filtered_without_script(chromium, demo):
    chromium.open(demo)
    visible_samples = "[...document.querySelectorAll('#samples .sample')].filter(e => e.offsetHeight).length"
    every = chromium.evaluate(visible_samples)
    chromium.evaluate("document.querySelector('label[for=show-best]').click()")
    assert 0 < chromium.evaluate(visible_samples) < every
    folded = "document.querySelector('.sample details table').checkVisibility()"
    chromium.evaluate("document.querySelector('label[for=show-all]').click()")
    assert not chromium.evaluate(folded)
    chromium.evaluate("document.querySelector('.sample details summary').click()")
    assert chromium.evaluate(folded)
    token = "getComputedStyle(document.querySelector('.said i.t2')).backgroundColor"
    before = chromium.evaluate(token)
    chromium.evaluate("document.querySelector('label[for=shade]').click()")
    assert chromium.evaluate(token) != before


def hostile_run(folder: Path) -> Path:
    """A run in which every string that can be hostile is."""
    count = len(STRINGS)
    worlds.run(folder, steps=2, groups=2)
    values = [float(n % 5) for n in range(count)]
    flat = Forest.of(
        [-1, *[0] * 16, *[-1 if n % 16 == 0 else 17 + n - n % 16 for n in range(count - 16)]],
        {"text": ["ask", *STRINGS], "task": [STRINGS[0], *[None] * 16, *STRINGS[16:]],
         "call": [None, *STRINGS], "result": [None, *STRINGS],
         "reward.total": [None, *values], "ok.total": [False, *[n % 3 > 0 for n in range(count)]],
         "reason.total": [None, *[None if n % 3 else f"reward_error: {text}" for n, text in enumerate(STRINGS)]]},
    )  # fmt: skip
    storage.write(flat, folder / "forests" / "step-000001")
    storage.write(Forest.of([-1, *range(count)], {"text": ["ask", *STRINGS]}), folder / "forests" / "step-000002")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["versions"] = {text: text for text in STRINGS}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with (folder / "metrics.jsonl").open("a") as metrics:
        for number, text in enumerate(STRINGS):
            metrics.write(json.dumps({"step": 3 + number, f"reward/{text}_mean": 0.5, f"stage/{text}": number}) + "\n")
    evaluation = json.loads((folder / "evaluation.jsonl").read_text().splitlines()[-1])
    with (folder / "evaluation.jsonl").open("a") as file:
        file.write(json.dumps(evaluation | {"by_family": dict.fromkeys(STRINGS, 0.5)}) + "\n")
    return folder


def test_there_are_at_least_sixty_strings():
    assert len(set(STRINGS)) >= 60


def test_hostile_strings_are_shown_and_do_nothing(chromium, tmp_path):
    out = page.write(hostile_run(tmp_path / "<img src=x onerror=window.hit=0> & run"), tmp_path / "hostile.html")
    chromium.open(out)
    chromium.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    quiet(chromium, out)
    assert chromium.evaluate("window.hit") is None
    content = chromium.evaluate("document.body.textContent")
    for text in STRINGS:
        assert shown(text) in content or visible(text) in content, text
        assert visible(text) in content, f"{text}: as a name"
    tags = set(chromium.evaluate("[...document.querySelectorAll('*')].map(e => e.tagName.toLowerCase())"))
    assert not tags & {"script", "img", "iframe", "object", "embed", "link", "base", "form", "video", "audio", "math"}
    assert (
        len(chromium.evaluate("[...document.querySelectorAll('title')].filter(e => e.closest('head')).map(e => 1)"))
        == 1
    )
    attributes = chromium.evaluate("[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames())")
    assert not [name for name in set(attributes) if name.startswith("on")]
    links = chromium.evaluate("[...document.querySelectorAll('a')].map(e => e.getAttribute('href'))")
    assert all(link.startswith("#") for link in links)


def test_the_policy_stops_what_escaping_would_miss(chromium, demo, tmp_path):
    """The second wall: had a script and an image from the network come into the page, they would not run or load."""
    broken = tmp_path / "broken.html"
    wound = "<script>window.hit=1</script><img src='http://127.0.0.1:9/x.png' onerror='window.hit=2'><h1>"
    broken.write_text(demo.read_text().replace("<h1>", wound, 1))
    chromium.open(broken)
    assert chromium.evaluate("document.querySelectorAll('script').length") == 1
    assert chromium.evaluate("window.hit") is None
    assert len(chromium.of("Log.entryAdded", "Audits.issueAdded")) > 0
    loaded = [event for event in chromium.of("Network.responseReceived") if "127.0.0.1" in event["response"]["url"]]
    assert loaded == []


def test_ten_thousand_steps_open_in_two_seconds(chromium, tmp_path):
    folder = worlds.run(tmp_path / "long", steps=2, groups=2)
    storage.write(worlds.answers(5, 10, groups=1100, width=8), folder / "forests" / "step-010000")
    with (folder / "metrics.jsonl").open("w") as metrics:
        for step in range(1, 10_001):
            record = {
                "step": step,
                "reward/total_mean": step / 1e4,
                "credit/dead_groups": 0.5,
                "objective/kl": step % 7,
            }
            metrics.write(json.dumps(record) + "\n")
    out = page.write(folder, tmp_path / "long.html")
    assert out.stat().st_size < page.LIMIT_BYTES
    assert min(chromium.open(out) for _ in range(3)) < 2.0
    quiet(chromium, out)
