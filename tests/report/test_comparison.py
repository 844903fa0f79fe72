from dataclasses import asdict

import pytest

from milepost import keys
from milepost.errors import FormatError, UnknownName
from milepost.evaluation import compare
from milepost.report import comparison
from tests.report import worlds


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return tuple(
        [worlds.run(folder / f"{name}-{n}", steps=3, groups=3, width=4, seed=start + n) for n in range(3)]
        for name, start in (("a", 0), ("b", 50))
    )


def record(shift=0.1, **more):
    first, second = (
        [
            compare.Result(
                seed=n, metrics={"success": 0.5 + add + 0.01 * n * n * add, "pass@4": 0.8}, cost={"tokens": 1e4}
            )
            for n in range(3)
        ]
        for add in (shift, 0.0)
    )
    found = compare.compare(first, second, ("a-grae", "grpo"), unit="tokens", key=keys.root(0))
    return {**asdict(found), "sentence": compare.sentence(found), **more}


def test_the_page_says_which_is_better(runs, tmp_path):
    out = comparison.write(record(), *runs, tmp_path / "comparison.html")
    text = out.read_text()
    assert "a-grae is better than grpo" in text
    for told in ("Held-out metric", "pass@4", "Reward: total mean", "Tokens spent so far", "a-0", "b-2"):
        assert told in text, told
    assert text.count('<div class="meter both">') == 3
    assert "<script" not in text


def test_same_record_same_bytes(runs):
    assert comparison.render(record(), *runs) == comparison.render(record(), *runs)


def test_names_are_escaped(runs):
    text = comparison.render(record(names=["<b>one", "two\u202e"], sentence="<script>x</script>"), *runs)
    assert "<b>one" not in text
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "\u202e" not in text


def test_one_run_each_has_no_interval(runs):
    one = compare.compare(
        [compare.Result(seed=0, metrics={"success": 0.5}, cost={"tokens": 1.0})],
        [compare.Result(seed=9, metrics={"success": 0.4}, cost={"tokens": 1.0})],
        ("a", "b"), unit="tokens", key=1,
    )  # fmt: skip
    text = comparison.render(asdict(one), runs[0][:1], runs[1][:1])
    assert "not paired" in text
    assert "– to –" in text


def test_bounds_may_be_null_as_in_json(runs):
    found = record()
    found["differences"] = [
        {**one, "sign": None, "difference": dict.fromkeys(("estimate", "low", "high"))} for one in found["differences"]
    ]
    assert "– to –" in comparison.render(found, *runs)


def test_an_incomplete_record_is_refused(runs):
    for missing in ("names", "differences", "costs", "verdict"):
        broken = {name: value for name, value in record().items() if name != missing}
        with pytest.raises(FormatError, match=missing):
            comparison.render(broken | ({"sentence": "x"} if missing != "verdict" else {}), *runs)


def test_no_run(runs, tmp_path):
    with pytest.raises(UnknownName):
        comparison.render(record(), [tmp_path], runs[1])


def test_a_method_without_cost(runs):
    found = record(costs=[{"unit": "seconds", "first": 1.0, "second": 0.0}], unit="seconds")
    assert "–" in comparison.render(found, *runs)


def test_lines_are_means_with_the_extremes_as_band():
    line = comparison._mean_line([{1.0: 0.0, 2.0: 1.0}, {1.0: 1.0}, {1.0: 0.5, 2.0: 0.0}], "a", 0)
    assert (line.x, line.y, line.low, line.high) == ([1.0, 2.0], [0.5, 0.5], [0.0, 0.0], [1.0, 1.0])
