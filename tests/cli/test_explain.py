"""`milepost explain`."""

import json


def test_text_has_every_field_of_the_card(call):
    said = call("explain", "barge").out
    for part in (
        "barge: Barge (2026)",
        "arXiv:0000.00001",
        "Slow and steady.",
        "credit: eq. 4",
        "- a judge",
        "- use it",
    ):
        assert part in said
    assert "clip: float, default 0.2. half width of the trust region, around 1." in said
    assert "sums to 0: tests/recipes/test_barge.py::test_sums" in said
    assert "milepost run barge --help" in said


def test_json_has_settings_too(call):
    found = json.loads(call("explain", "barge", "--json").out)
    assert (found["name"], found["bibtex"].splitlines()[0]) == ("barge", "@article{barge,")
    assert found["settings"][0] == {"name": "width", "type": "int", "default": 8, "doc": "answers per task."}
    assert found["settings"][3] == {"name": "cap", "type": "float | None", "default": None, "doc": "largest value."}


def test_an_unknown_recipe_names_the_nearest_and_the_next_command(call):
    done = call("explain", "bargo")
    assert done.code == 2
    assert "Did you mean 'barge'?" in done.err
    assert "Next: milepost list" in done.err
    assert "Traceback" not in done.err
