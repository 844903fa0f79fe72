import json
import re
import shutil

import pytest

from milepost import storage
from milepost.errors import UnknownName
from milepost.forest import Forest
from milepost.report import page
from tests.report import worlds


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return worlds.run(tmp_path_factory.mktemp("runs") / "demo", steps=4)


def test_every_section_is_there(demo, tmp_path):
    out = page.write(demo, tmp_path / "new" / "report.html")
    text = out.read_text()
    for anchor, _ in page.SECTIONS:
        assert text.count(f'id="{anchor}"') == 1
    expected = ["Success rose by", "Reward: outcome", "Dead groups", "Failed rewards", "Why these weights"]
    expected += [
        "Gained most",
        "ZeroDivisionError",
        "total = 0.2 × format + 1 × outcome",
        "Tokens per step",
        "Citation",
    ]
    for told in expected:
        assert told in text, told
    assert list(out.parent.iterdir()) == [out]


def test_the_page_can_run_and_load_nothing(demo):
    text = page.render(demo)
    assert "default-src &#39;none&#39;; style-src" in text
    assert not re.search(r"<(script|iframe|object|embed|link|base|form|img|video|audio)\b", text)
    assert not re.search(r"\son\w+\s*=", re.sub(r">[^<]*<", "><", text))
    assert set(re.findall(r'href="(.)', text)) == {"#"}
    assert "url(" not in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")


def test_same_run_same_bytes(demo, tmp_path):
    copy = tmp_path / "elsewhere" / "demo"
    shutil.copytree(demo, copy)
    assert page.render(demo) == page.render(copy) == page.render(demo)


def test_anchors_lead_somewhere(demo):
    text = page.render(demo)
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(re.findall(r'id="([^"]+)"', text))
    ids = re.findall(r'id="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_an_empty_run_has_a_page(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    text = page.render(tmp_path)
    for told in (
        "nothing is claimed",
        "No training step was finished",
        "No forest was kept",
        "No evaluation was stored",
    ):
        assert told in text, told


def test_a_run_that_was_killed_early_has_a_page(demo, tmp_path):
    copy = tmp_path / "demo"
    shutil.copytree(demo, copy)
    shutil.rmtree(copy / "evaluation" / "step-000004")
    (copy / "timings.jsonl").unlink()
    lines = (copy / "evaluation.jsonl").read_text().splitlines(keepends=True)
    (copy / "evaluation.jsonl").write_text(lines[0])
    (copy / "metrics.jsonl").write_text("")
    text = page.render(copy)
    assert "stopped after 0 of 4 steps" in text
    assert "No timing was recorded" in text


def test_no_run(tmp_path):
    with pytest.raises(UnknownName, match="milepost run"):
        page.write(tmp_path, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


# ---- splitting ----


def test_samples_that_do_not_fit_are_left_out_and_named(demo):
    whole = page.render(demo)
    limit = len(whole.encode()) - 30_000 + 200_000
    text = page.render(demo, limit_bytes=limit)
    assert "Left out, to keep the page under" in text
    assert len(text.encode()) < limit
    shown, missing = (
        set(re.findall(pattern, text)) for pattern in (r'class="sample [^"]*" id="(s\d+r\d+)"', r"step (\d+ #\d+)")
    )
    left_out = {f"s{one.split(' #')[0]}r{one.split(' #')[1]}" for one in missing if " #" in one}
    assert not shown & left_out
    everything = set(re.findall(r'class="sample [^"]*" id="(s\d+r\d+)"', whole))
    assert shown | left_out >= everything
    assert set(re.findall(r'href="#(s\d+r\d+)"', text)) <= shown


def test_long_texts_keep_the_page_small(demo, tmp_path):
    copy = tmp_path / "demo"
    shutil.copytree(demo, copy)
    text = "<&" * 50_000
    forest = Forest.of(
        [-1, *[0] * 64],
        {
            "text": [text] * 65,
            "reward.total": [None, *[float(i) for i in range(64)]],
            "ok.total": [False, *[True] * 64],
        },
    )
    storage.write(forest, copy / "forests" / "step-000004")
    found = page.render(copy)
    assert len(found.encode()) < page.LIMIT_BYTES
    assert "characters not shown" in found
    assert "48 more answers not shown" in found


def test_tokens_are_shaded_for_the_character_model_only(demo, tmp_path):
    assert '<i class="t2">' in page.render(demo)
    copy = tmp_path / "demo"
    shutil.copytree(demo, copy)
    (copy / "run.toml").write_text('recipe = "grpo"\n[policy]\nmodel = "smollm2"\n')
    text = page.render(copy)
    assert '<i class="t2">' not in text
    assert 'class="strip"' in text


def test_settings_and_versions_are_on_the_card(demo, tmp_path):
    copy = tmp_path / "demo"
    shutil.copytree(demo, copy)
    record = json.loads((copy / "manifest.json").read_text())
    record["versions"]["torch"] = "9.9.9"
    (copy / "manifest.json").write_text(json.dumps(record))
    text = page.render(copy)
    assert "9.9.9" in text
    assert "update.steps" in text
    assert "fingerprint of code" in text
