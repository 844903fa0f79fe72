"""`milepost list`."""

import json


def test_rows_have_what_is_promised(call):
    done = call("list", "--json")
    rows = json.loads(done.out)
    assert done.code == 0
    assert [row["name"] for row in rows] == ["barge", "long-ferry"]
    assert set(rows[0]) >= {"name", "title", "year", "domains", "parts", "claims"}
    assert rows[0]["claims"] == {"sums to 0": "tests/recipes/test_barge.py::test_sums"}
    assert rows[1]["domains"] == ["flow", "control"]


def test_table(call):
    said = call("list").out
    assert "barge       2026  train   text           Barge" in said
    assert said.strip().endswith("milepost explain <recipe>")


def test_filters(call):
    assert [row["name"] for row in json.loads(call("list", "--domain", "flow", "--json").out)] == ["long-ferry"]
    assert [row["name"] for row in json.loads(call("list", "--job", "train", "--json").out)] == ["barge"]
    assert json.loads(call("list", "--domain", "vision", "--json").out) == []
    assert "No recipe fits" in call("list", "--domain", "vision").out


def test_an_unknown_domain_is_wrong_usage(call):
    done = call("list", "--domain", "flwo")
    assert done.code == 2
    assert "Did you mean 'flow'?" in done.err
    assert "Next: milepost list --help" in done.err
    assert call("list", "--jobs").code == 2
