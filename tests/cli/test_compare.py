"""`milepost compare`."""

import json
from pathlib import Path

import pytest

from milepost.cli import compare
from milepost.errors import SettingError


def last(done):
    return json.loads(done.out.splitlines()[-1])


def test_both_run_in_pairs_at_the_cost_of_the_first(call, engine):
    done = call("compare", "barge", "long-ferry", "--repeats", "3", "--steps", "35", "--out", "c", "--json")
    assert done.code == 0, done.err
    found = last(done)
    assert found["event"] == "comparison"
    assert found["verdict"] == "first"
    assert found["sentence"].startswith("barge is better than long-ferry: held-out success")
    assert [one["steps_done"] for one in found["runs_of"]["first"]] == [35] * 3
    assert [one["steps_done"] for one in found["runs_of"]["second"]] == [10] * 3
    seeds = [[one["seed"] for one in found["runs_of"][side]] for side in ("first", "second")]
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 3
    assert json.loads(Path("c/comparison.json").read_text())["sentence"] == found["sentence"]


def test_metrics_and_costs(call, engine):
    found = last(call("compare", "barge", "long-ferry", "--repeats", "2", "--steps", "35", "--out", "c", "--json"))
    metrics = {one["metric"]: one for one in found["differences"]}
    assert list(metrics) == ["success", "pass@2", "pass@4", "distinct", "entropy", "reward/solved"]
    assert metrics["entropy"]["first"] == pytest.approx(0.5)
    assert metrics["distinct"]["first"] == 1
    assert metrics["pass@4"]["first"] >= metrics["pass@2"]["first"] >= metrics["success"]["first"]
    assert found["costs"] == [{"unit": "tokens", "first": 3500, "second": 3500, "ratio": 1}]


def test_text_ends_with_the_sentence(call, engine):
    said = call("compare", "barge", "long-ferry", "--repeats", "2", "--steps", "35", "--out", "c").out.strip()
    assert "held-out metric  barge  long-ferry  difference" in said
    assert said.splitlines()[-2].startswith("barge is better than long-ferry")
    assert said.splitlines()[-1] == "report: c/comparison.html"
    assert "barge is better than long-ferry" in Path("c/comparison.html").read_text()


def test_a_budget_is_not_cut_short_by_the_default_number_of_steps(call, engine):
    found = last(
        call("compare", "barge", "long-ferry", "--repeats", "1", "--cost", "tokens=7000", "--out", "c", "--json")
    )
    assert found["runs_of"]["first"][0]["steps_done"] == 70
    assert found["runs_of"]["second"][0]["steps_done"] == 20
    assert found["verdict"] == "undecided"
    assert "by one run of each" in found["sentence"]


def test_cost_in_lumps_that_do_not_fit_has_no_verdict_and_code_1(call, engine):
    done = call("compare", "barge", "long-ferry", "--repeats", "2", "--steps", "4", "--out", "c")
    assert done.code == 1
    assert "No verdict between barge and long-ferry, because their cost is not equal" in done.out
    assert done.out.splitlines()[-1] == "Next: milepost compare long-ferry barge --cost tokens=400"


def test_flags_go_to_those_that_have_them(call, engine):
    call(
        "compare",
        "barge",
        "long-ferry",
        "--repeats",
        "1",
        "--steps",
        "7",
        "--width",
        "3",
        "--alpha",
        "0.25",
        "--clip=0.1",
    )
    first, second = engine.started
    assert first.settings == {"width": 3, "clip": 0.1, "kind": "a"}
    assert (second.settings["width"], second.settings["alpha"]) == (3, 0.25)
    assert first.tasks == second.tasks


def test_a_flag_that_neither_has(call, engine):
    done = call("compare", "barge", "long-ferry", "--witdh", "3")
    assert done.code == 2
    assert "--width" in done.err


def test_a_shared_file_and_files_as_methods(call, engine):
    Path("shared.toml").write_text("[settings]\nwidth = 5\nalpha = 0.1\n[tasks]\nheld_out = 40\n")
    Path("wide.toml").write_text('recipe = "barge"\n[settings]\nclip = 0.3\n')
    done = call(
        "compare", "wide.toml", "long-ferry", "@", "shared.toml", "--repeats", "1", "--steps", "7", "--out", "c"
    )
    assert done.code == 0, done.err
    first, second = engine.started
    assert first.settings == {"width": 5, "clip": 0.3, "kind": "a"}
    assert second.settings["alpha"] == 0.1
    assert Path("c/wide/repeat-0").is_dir()
    Path("shared.toml").write_text("[settings]\nalhpa = 0.1\n")
    assert "Did you mean 'alpha'?" in call("compare", "barge", "long-ferry", "@", "shared.toml").err


def test_a_recipe_with_itself_gets_two_names(call, engine):
    done = call("compare", "barge", "barge", "--repeats", "1", "--steps", "2", "--out", "c", "--json")
    assert last(done)["names"] == ["barge-a", "barge-b"]
    assert last(done)["differences"][0]["difference"]["estimate"] == 0


def test_methods_on_other_tasks_are_not_paired(call, engine):
    Path("other.toml").write_text('recipe = "barge"\n[tasks]\ntrain = 3\n')
    done = call("compare", "other.toml", "long-ferry", "--repeats", "1")
    assert done.code == 2
    assert "differ in tasks" in done.err


def test_ctrl_c_and_the_same_command_again(call, engine):
    engine.interrupt_at = 3
    words = ("compare", "barge", "long-ferry", "--repeats", "2", "--steps", "7")
    done = call(*words)
    assert done.code == 3
    assert done.err.strip() == f"Stopped. Continue with: milepost {' '.join(words)} --out runs/compare-1"
    assert call(*words, "--out", "runs/compare-1").code == 0
    assert len(engine.started) == 4
    assert len(engine.resumed) == 1


def test_finished_runs(call, engine):
    call("run", "barge", "--repeats", "3", "--steps", "7", "--out", "a", "--no-report")
    call("run", "long-ferry", "--repeats", "3", "--steps", "2", "--out", "b", "--no-report")
    done = call("compare", "a", "b", "--json")
    assert done.code == 0, done.err
    assert last(done)["paired"]
    assert last(done)["verdict"] == "first"
    assert last(done)["names"] == ["a", "b"]
    assert not Path("a/comparison.json").exists()
    assert call("compare", "a", "b", "--out", "c").code == 0
    assert json.loads(Path("c/comparison.json").read_text())["verdict"] == "first"


def test_a_name_is_the_recipe_and_a_path_the_folder_of_that_name(call, engine):
    for name, steps in (("barge", "2"), ("long-ferry", "2")):
        call("run", name, "--steps", steps, "--out", name, "--no-report")
    found = call("compare", "barge", "long-ferry", "--steps", "3", "--dry-run", "--json")
    assert {one["update"]["steps"] for one in json.loads(found.out).values()} == {3}
    assert last(call("compare", "./barge", "./long-ferry", "--json"))["runs"] == [1, 1]


def test_finished_runs_at_unequal_cost(call, engine):
    call("run", "barge", "--steps", "7", "--out", "a", "--no-report")
    call("run", "long-ferry", "--steps", "7", "--out", "b", "--no-report")
    done = call("compare", "a", "b")
    assert done.code == 1
    assert "a spent 0.29 times the tokens of b" in done.out


def test_runs_of_other_tasks_or_unfinished_runs_are_refused(call, engine):
    call("run", "barge", "--steps", "2", "--out", "a", "--no-report")
    call("run", "barge", "--steps", "2", "--train", "3", "--out", "b", "--no-report")
    assert "differ in tasks" in call("compare", "a", "b").err
    engine.interrupt_at = 1
    call("run", "barge", "--steps", "2", "--out", "d", "--no-report")
    assert "milepost resume d" in call("compare", "a", "d").err
    assert call("compare", "a", "b", "--steps", "3").code == 2


def test_usage(call, engine):
    assert call("compare").code == 2
    assert call("compare", "barge").code == 2
    assert "usage: milepost compare <a> <b>" in call("compare", "--help").out
    assert call("compare", "barge", "bargo").code == 2
    assert "several units" in call("compare", "barge", "barge", "--cost", "tokens=1", "reward_calls=2").err
    assert engine.started == []


def test_a_dry_run_shows_both_and_runs_nothing(call, engine):
    done = call("compare", "barge", "barge", "--steps", "3", "--dry-run", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert {name: one["update"]["steps"] for name, one in found.items()} == {"barge-a": 3, "barge-b": 3}
    assert not Path("runs").exists()


def test_a_budget_in_seconds_is_of_the_comparison_not_of_a_run():
    words = compare.flags.split(["a", "b", "--steps", "3", "--cost", "seconds=20", "--width", "2"])
    kept, seconds = compare._without_seconds(words)
    assert (kept.flags, seconds) == (("--steps", "3", "--width", "2"), 20.0)
    assert compare._without_seconds(compare.flags.split(["a", "b", "--cost=seconds=5"]))[1] == 5
    assert compare._without_seconds(compare.flags.split(["a", "b", "--cost", "tokens=5"])) == (
        compare.flags.split(["a", "b", "--cost", "tokens=5"]),
        0.0,
    )
    for wrong in ("seconds=0", "seconds=nan", "seconds=soon"):
        with pytest.raises(SettingError, match="number of seconds"):
            compare._without_seconds(compare.flags.split(["a", "b", "--cost", wrong]))
