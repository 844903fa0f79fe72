"""The report of an experiment: means with intervals, paired differences, and nothing that is not escaped."""

import json
import math

import numpy as np
import pytest

from milepost.engines.experiments.run import FILE, Row
from milepost.errors import FormatError
from milepost.images import png
from milepost.report import experiments


def row(repeat, ours, theirs):
    return Row(task="a", repeat=repeat, numbers={"ours": {"worth": ours}, "theirs": {"worth": theirs}}, scene={})


def test_by_hand():
    (table,) = experiments.tables([row(0, 1.0, 2.0), row(1, 3.0, 4.5), row(2, 5.0, None)])
    assert table.quantities == ("worth",)
    assert table.arms["ours"][0].mean.estimate == 3
    assert table.arms["theirs"][0].count == 2
    (less,) = table.against["theirs"]
    assert less.mean.estimate == pytest.approx(1.25)
    assert less.mean.low < 1.0 < 1.5 < less.mean.high
    (table,) = experiments.tables([row(0, 1.0, None)])
    assert math.isnan(table.arms["theirs"][0].mean.estimate)


def test_the_page(tmp_path):
    scene = {
        "charts": [{"title": "loss", "lines": [{"name": "v", "x": [1, 2], "y": [3.0, None]}], "note": "n"}],
        "texts": [{"title": "program", "text": "<script>alert(1)</script>"}],
        "notes": ["a note"],
        "films": [{"title": "o", "frames": [{"png": png.text(np.zeros((4, 4, 3), np.uint8)), "told": ["step <6>"]}]}],
    }
    rows = [{"task": "a", "repeat": r, "numbers": {"o": {"w": r}, "t": {"w": None}}, "scene": scene} for r in (0, 1)]
    (tmp_path / FILE).write_text(json.dumps({"rows": rows}))
    (tmp_path / "run.toml").write_text('recipe = "ss-orl"\n')
    text = experiments.write(tmp_path, tmp_path / "report.html").read_text()
    assert text == experiments.render(tmp_path)
    assert "<script" not in text
    assert "an inverse dynamics model writes them" in text
    assert "a note" in text
    assert text.count('<img class="frame" width="4" height="4" alt="a: o"') == 1
    assert "<span>step &lt;6&gt;</span>" in text
    (tmp_path / FILE).write_text('{"rows": []}')
    with pytest.raises(FormatError, match="without measurements"):
        experiments.render(tmp_path)
