import dataclasses
import math

import numpy as np
import pytest

from milepost.report.drawing import curves
from milepost.report.stored import run, steps
from milepost.report.stored.run import Stored
from tests.report import worlds


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return run.read(worlds.run(tmp_path_factory.mktemp("runs") / "demo", steps=5))


def test_thinning_keeps_the_mean_and_the_extremes():
    y = [float(v) for v in np.sin(np.arange(1000) / 20)]
    y[500] = 9.0
    found = curves.thin(list(range(1000)), y, most=100)
    assert len(found.x) == 100
    assert np.mean(found.y) == pytest.approx(np.mean(y))
    assert max(found.high) == 9.0
    assert min(found.low) == min(y)


def test_short_lines_are_left_alone():
    found = curves.thin([1, 2], [0.5, None])
    assert (tuple(found.y), tuple(found.low)) == ((0.5, None), ())


def test_buckets_without_a_value_are_gaps():
    found = curves.thin(list(range(10)), [None] * 5 + [1.0] * 5, most=2)
    assert tuple(found.y) == (None, 1.0)


def test_bands_are_quantiles_of_group_means(demo):
    forest = steps.read(demo.forests[0].folder)
    found = curves.bands([(1, forest)])
    means = [
        np.mean([v for leaf in forest.leaves_below(root) if (v := forest.number("reward.total", leaf)) is not None])
        for root in forest.roots
    ]
    assert found.low["total"][0] == pytest.approx(np.quantile(means, 0.25))
    assert found.high["total"][0] == pytest.approx(np.quantile(means, 0.75))


def test_a_reward_that_comes_later_has_gaps_before(demo, tmp_path):
    from milepost import storage

    later = worlds.answers(0, 5).without("reward.format", "ok.format")
    storage.write(later, tmp_path)
    found = curves.bands(
        [(1, steps.read(tmp_path)), (2, steps.read(demo.forests[0].folder)), (3, steps.read(tmp_path))]
    )
    assert math.isnan(found.low["format"][0])
    assert not math.isnan(found.low["format"][1])
    assert math.isnan(found.low["format"][2])


def test_charts_of_a_run(demo):
    titles = [chart.title for chart in curves.rewards(demo, curves.bands([]))]
    assert titles == ["Reward: format", "Reward: outcome", "Reward: total"]
    assert all(chart.floor == 0 for chart in curves.rewards(demo, curves.bands([])))
    assert [chart.title for chart in curves.groups_and_failures(demo)] == ["Dead groups", "Failed rewards"]
    assert [chart.title for chart in curves.training(demo)] == ["KL to the reference", "Clipped", "Gradient norm"]


def test_costs_are_drawn_per_step(demo):
    drawn = {chart.title: chart.lines[0] for chart in curves.costs(demo)}
    assert "Model calls per step" not in drawn  # the same at every step: the table says so
    tokens = drawn["Tokens per step"]
    assert sum(tokens.y) == pytest.approx(demo.metrics[-1]["cost/tokens"])


def test_evaluations_have_whiskers(demo):
    line = curves.held_out(demo).lines[0]
    assert line.whiskers
    assert list(line.x) == [0, 2, 5]
    assert list(line.low) == [record["low"] for record in demo.evaluations]


def test_metrics_that_are_not_numbers_are_gaps():
    records = [
        {"step": 1, "a/b": 1.0},
        {"step": 2, "a/b": None},
        {"step": 3},
        {"step": 4, "a/b": math.nan},
        {"step": 5, "a/b": 2},
    ]
    assert list(curves.metric(records, "a/b", "b").y) == [1.0, None, None, None, 2.0]
    assert curves.metric(records, "missing", "b") is None


def test_evenly(tmp_path):
    items = [Stored(step=n, folder=tmp_path) for n in range(100)]
    found = [one.step for one in curves.evenly(items, 10)]
    assert (found[0], found[-1], len(found)) == (0, 99, 10)
    assert curves.evenly(items[:3], 10) == tuple(items[:3])


def test_titles():
    assert curves.title("objective/kl") == "KL to the reference"
    assert curves.title("choice/kept_groups") == "Choice: kept groups"


def test_a_line_that_only_rounding_moves_is_constant(demo):
    import dataclasses

    moved = [
        {**record, "objective/ratio_mean": 1 + 1e-8 * n, "choice/score": 1.0 * n}
        for n, record in enumerate(demo.metrics)
    ]
    titles = [chart.title for chart in curves.training(dataclasses.replace(demo, metrics=tuple(moved)))]
    assert "Choice: score" in titles
    assert "Objective: ratio mean" not in titles


def test_measures_are_drawn_over_evaluations(demo):
    assert curves.measures(demo) == ()
    told = [{"step": 0, "measures": {"data_gap": -0.01, "diversity": 1.2}}, {"step": 5, "measures": {"diversity": 0.9}}]
    gap, diversity = curves.measures(dataclasses.replace(demo, evaluations=tuple(told)))
    assert (gap.title, gap.floor, tuple(gap.lines[0].y)) == ("Held out: data gap", None, (-0.01, None))
    assert (diversity.floor, tuple(diversity.lines[0].x), tuple(diversity.lines[0].y)) == (0, (0.0, 5.0), (1.2, 0.9))
