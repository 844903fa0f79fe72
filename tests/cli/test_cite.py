"""`milepost cite`."""

import json

import milepost


def test_recipe_first_then_milepost(call):
    done = call("cite", "barge")
    assert done.code == 0
    assert done.out.startswith("@article{barge,\n  title = {Barge}\n}\n\n@software{milepost,")
    assert milepost.__version__ in done.out


def test_json(call):
    found = json.loads(call("cite", "barge", "--json").out)
    assert found["recipe"] == "barge"
    assert [entry.split("{")[0] for entry in found["bibtex"]] == ["@article", "@software"]


def test_a_run_is_cited_by_its_recipe(call, engine):
    call("run", "barge", "--steps", "1", "--out", "r", "--no-report")
    assert json.loads(call("cite", "r", "--json").out)["recipe"] == "barge"


def test_an_unknown_recipe(call):
    done = call("cite", "bargo")
    assert done.code == 2
    assert "Did you mean 'barge'?" in done.err
