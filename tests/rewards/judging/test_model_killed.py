"""A judge in a process of its own, killed while `milepost run` asks it: nothing is invented, and the run can go on."""

import json
import threading
import time

import pytest
import torch

from milepost import storage
from milepost.cli import main
from milepost.engines import local
from milepost.engines.settings import KeepSettings, PolicySettings, RunSettings, TaskSettings, UpdateSettings
from milepost.environments.search.action import parse_action
from milepost.rewards.judging.model import ModelJudge
from milepost.rewards.judging.record import Replay
from milepost.rewards.judging.search_steps import judged_steps
from tests import tiny_judge
from tests.chat_servers import Stub, Transformers, completion

STEPS, KILLED_AFTER = 7, 1
NAMES = ("thought", "query", "answer")
REASONS = ("reward_error", "reward_timeout", "not_run")


def flags(judge, replies, out):
    """A small run: two questions of one hop a step, two candidates at each of two turns."""
    settings = {
        "tasks.names": "search_1hop", "tasks.train": 6, "tasks.held-out": 2, "policy.max-tokens": 64,
        "update.steps": STEPS, "update.tasks-per-step": 2, "settings.width": 2, "settings.judge": judge,
        "settings.replies": replies, "keep.max-invalid": 0.0, "out": out,
    }  # fmt: skip
    return [word for name, value in settings.items() for word in (f"--{name}", str(value))]


def kill_after(server, out, steps):
    """Kill the server as soon as the run has done that many steps."""
    metrics = out / "metrics.jsonl"

    def wait():
        while not (metrics.is_file() and metrics.read_text().count("\n") >= steps):
            time.sleep(0.01)
        server.kill()

    watching = threading.Thread(target=wait, daemon=True)
    watching.start()
    return watching


def skipped(out):
    lines = (out / "metrics.jsonl").read_text().splitlines()
    return [bool(json.loads(line)["update/skipped"]) for line in lines]


def check_scores_are_the_servers(out, replies, model):
    """Ask again with nothing but the recorded replies: every stored score is theirs, and no other score exists."""
    judge = ModelJudge(chat=Replay(file=replies, model=model, missing_fails=False))
    lost = 0
    for path in sorted((out / "forests").iterdir()):
        forest = storage.read(path)
        rows = (forest.parent >= 0).nonzero().squeeze(1)
        for reward in judged_steps(judge, parse_action):
            again, ok = reward(forest, rows), forest[f"ok.{reward.name}"][rows]
            stored, known = forest[f"reward.{reward.name}"][rows], forest.valid(f"reward.{reward.name}")[rows]
            assert torch.equal(known, ok), "a number without a verdict"
            assert bool(again.ok[ok].all()), "a verdict that the server never gave"
            assert torch.equal(stored[ok], again.values[ok])
            reasons = [forest.text(f"reason.{reward.name}")[row] for row in rows[~ok].tolist()]
            assert all((reason or "").partition(":")[0] in REASONS for reason in reasons), reasons
            lost += len(reasons)
        failed = torch.stack([~forest[f"ok.{name}"][rows] for name in NAMES]).any(0)
        assert not bool(forest["ok.total"][rows][failed].any()), "a total of which a part is missing"
        assert not bool(forest.valid("reward.total")[rows][failed].any())
    return lost


@pytest.mark.slow
def test_a_real_server_killed_while_the_run_goes(tmp_path, monkeypatch, capsys):
    """SIGKILL in the middle: the run stops with the reason and how to go on; with the server back it ends."""
    monkeypatch.setattr("milepost.policies.server.time.sleep", lambda seconds: None)
    server = Transformers(tiny_judge.make(tmp_path / "judge"), tmp_path / "log").start()
    out, replies = tmp_path / "run", tmp_path / "replies.jsonl"
    try:
        watching = kill_after(server, out, KILLED_AFTER)
        assert main(["run", "slate", *flags(f"{server.url}#{server.model}", replies, out), "--no-report"]) == 3
        watching.join(5)
        told = capsys.readouterr().err
        assert "cannot be reached" in told
        assert f"milepost resume {out}" in told
        lost = check_scores_are_the_servers(out, replies, server.model)
        assert lost > 0
        before = skipped(out)
        assert before[:KILLED_AFTER] == [False] * KILLED_AFTER
        assert before[-1]
        server.start()
        assert main(["resume", str(out), "--no-report"]) == 0
    finally:
        server.kill()
    after = skipped(out)
    assert len(after) == STEPS
    assert not after[-1], "it learns again"
    assert check_scores_are_the_servers(out, replies, server.model) <= lost


def test_a_short_outage_costs_its_steps_only(tmp_path, monkeypatch):
    """Gone after the second step, back after the fourth: two steps are skipped, the others train as before."""
    monkeypatch.setattr("milepost.policies.server.time.sleep", lambda seconds: None)
    answer = lambda number, body: completion(tiny_judge.reply_to(len(body["messages"][-1]["content"])))  # noqa: E731
    stub, out, replies = Stub(answer), tmp_path / "run", tmp_path / "replies.jsonl"
    port, standing = stub.http.server_address[1], [stub]

    def tell(event):
        if event.stage == "update" and event.step == 2:
            standing.pop().close()
        if event.stage == "update" and event.step == 4:
            standing.append(Stub.at(port, answer))

    settings = RunSettings(
        recipe="slate",
        settings={"judge": f"{stub.url}#stub", "width": 2, "replies": str(replies)},
        tasks=TaskSettings(names=("search_1hop",), train=6, held_out=2, options={"search_1hop": {"turns": 1}}),
        policy=PolicySettings(max_tokens=64),
        update=UpdateSettings(steps=6, tasks_per_step=2),
        keep=KeepSettings(max_invalid=0.0),
    )
    local.run(settings, out, on_event=tell)
    standing.pop().close()
    assert skipped(out) == [False, False, True, True, False, False]
    assert check_scores_are_the_servers(out, replies, "stub") > 0
