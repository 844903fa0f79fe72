"""Charts along an episode of control, and none where there is nothing to draw."""

import numpy as np

from milepost.report.drawing.chart import draw
from milepost.report.drawing.episodes import along, appraised, longest
from milepost.report.stored.steps import Steps


def steps(**more):
    numbers = {
        "value": np.array([1.0, 2.0, 3.0, 4.0, 9.0]),
        "return": np.array([np.nan, 2.5, 2.0, 1.0, 0.5]),
        "reward.bonus": np.array([np.nan, 0.5, 0.4, 0.2, 0.9]),
        "ok.bonus": np.array([False, True, True, True, True]),
        "reward.total": np.array([np.nan, 1.0, 1.0, 1.0, 1.0]),
        "ok.total": np.array([False, True, True, True, True]),
    }
    return Steps(parent=np.array([-1, 0, 1, 2, 0]), numbers={**numbers, **more})


def test_value_and_bonus_along_the_longest_episode():
    charts = along(steps(), 0)
    assert [chart.title for chart in charts] == ["Along the episode: value and return", "Along the episode: bonus"]
    value, back = charts[0].lines
    assert value.y == (1.0, 2.0, 3.0, 4.0)
    assert back.y == (None, 2.5, 2.0, 1.0)
    assert charts[1].lines[0].y == (None, 0.5, 0.4, 0.2)
    assert "<svg" in str(draw(charts[0]))


def test_nothing_to_draw():
    short = Steps(parent=np.array([-1, 0, 1]), numbers={"value": np.zeros(3)})
    assert along(short, 0) == ()
    text = Steps(parent=np.array([-1, 0, 1, 2]), numbers={"value": np.zeros(4)}, texts={"text": [None, "a", "b", "c"]})
    assert along(text, 0) == ()
    assert along(Steps(parent=np.array([-1, 0, 1, 2])), 0) == ()


def test_the_longest_path():
    assert longest(steps(), 0) == (0, 1, 2, 3)
    assert longest(Steps(parent=np.array([-1])), 0) == ()
    assert appraised(steps())
    assert not appraised(Steps(parent=np.array([-1])))
