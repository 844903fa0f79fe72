"""`milepost check`."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from milepost import storage
from milepost.cli import check
from milepost.credit.group import Normalised
from milepost.forest import Forest


def group(advantage):
    return Forest.of(
        [-1, 0, 0],
        {
            "reward.total": [None, 1.0, 0.0],
            "ok.total": [False, True, True],
            "end": [0, 1, 1],
            "discount": [1.0, 0.0, 0.0],
            "advantage": advantage,
        },
    )


@pytest.fixture
def credited(monkeypatch):
    job = SimpleNamespace(credit=Normalised())
    monkeypatch.setattr("milepost.engines.build.job", lambda _: job)
    return job.credit


def test_credit_that_keeps_its_promises(call, engine, credited):
    call("run", "barge", "--steps", "1", "--out", "r", "--no-report")
    storage.write(credited(group([0.0, 0.0, 0.0])), "r/forests/step-000001")
    done = call("check", "r")
    assert done.code == 0
    assert "1 forests checked, 0 with problems. Checks: " in done.out
    assert "group_sum" in done.out


def test_credit_that_does_not_has_code_1(call, engine, credited):
    call("run", "barge", "--steps", "1", "--out", "r", "--no-report")
    storage.write(group([0.0, 5.0, 0.0]), "r/forests/step-000001")
    done = call("check", "r", "--json")
    found = json.loads(done.out)
    assert done.code == 1
    assert not found["clean"]
    assert any("group_sum" in sentence for sentence in found["forests"][0]["found"])


def test_a_forest_alone_is_checked_for_what_holds_for_every_rule(call):
    storage.write(group([1.0, 1.0, -1.0]), "f")
    done = call("check", "f")
    assert done.code == 1
    assert "no credit on roots" in done.out
    assert "Not checked: group_sum, because no credit rule was given." in done.out


def test_a_run_without_forests(call, engine, credited):
    call("run", "barge", "--steps", "1", "--out", "r", "--no-report")
    assert "keeps no forest yet" in call("check", "r").out


@pytest.mark.parametrize(("code", "word"), [(0, "holds"), (1, "FAILS")])
def test_claims_are_measured_by_their_tests(call, monkeypatch, tmp_path, code, word):
    seen = []

    def run(command, **more):
        seen.append((command, more["cwd"]))
        return SimpleNamespace(returncode=code, stdout="1 thing in 0.1s\n", stderr="")

    monkeypatch.setattr(check, "repository", lambda: tmp_path)
    monkeypatch.setattr(subprocess, "run", run)
    done = call("check", "barge")
    assert done.code == code
    assert word in done.out
    assert seen[0][0][-1] == "tests/recipes/test_barge.py::test_sums"
    assert seen[0][1] == tmp_path
    assert json.loads(call("check", "barge", "--json").out)["held"] is (code == 0)


def test_without_the_repository_the_contract_is_checked(call, monkeypatch):
    monkeypatch.setattr(check, "repository", lambda: None)
    monkeypatch.setattr("milepost.testing.check_recipe", lambda _: ("card", "learns"))
    done = call("check", "barge")
    assert done.code == 0
    assert "holds: card, learns." in done.out

    def broken(_):
        raise AssertionError("it does not learn")

    monkeypatch.setattr("milepost.testing.check_recipe", broken)
    done = call("check", "barge", "--json")
    assert done.code == 1
    assert json.loads(done.out)["problems"] == ["it does not learn"]


def test_the_repository_is_found(tmp_path):
    found = check.repository()
    assert found is not None
    assert (found / "tests" / "cli" / "test_check.py").is_file()


def test_an_unknown_name(call):
    done = call("check", "bargo")
    assert done.code == 2
    assert "Did you mean 'barge'?" in done.err
    assert not Path("bargo").exists()
