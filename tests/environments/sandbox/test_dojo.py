"""AgentDojo's suites: their own checks on plans, and planted instructions that are followed or not."""

import json
import sys

import pytest

from milepost import keys
from milepost.columns import End
from milepost.environments.sandbox import dojo
from milepost.environments.sandbox.action import spoken, written
from milepost.environments.sandbox.clerk import Clerk, pool
from milepost.environments.sandbox.dojo import SUITES, Dojo
from milepost.environments.sandbox.environment import Desk
from milepost.errors import MissingExtra, SettingError
from milepost.part import Action
from milepost.testing import check_environment

BANKING = Desk(sandbox=Dojo(suite="banking"), train_size=99, held_out_size=99, turns=40)
ATTACKED = Desk(sandbox=Dojo(suite="banking", attacked=True), train_size=999, turns=40)
SIZES = {"banking": 16, "slack": 21, "travel": 20, "workspace": 40}


@pytest.mark.parametrize("suite", SUITES)
def test_plans_pass_the_checks_of_the_suite(suite):
    desk = Desk(sandbox=Dojo(suite=suite), train_size=99, held_out_size=99, turns=40)
    tasks = desk.train() + desk.held_out()
    assert len(tasks) == SIZES[suite]
    chosen = tasks if suite == "banking" else tasks[::5]
    found = list(pool(Clerk(mistakes={}), desk, chosen, count=len(chosen), key=0))
    assert [one.answer for one in found] == ["solved"] * len(chosen)


def test_nothing_done_is_not_solved():
    task = BANKING.train()[0]
    went = BANKING.step(BANKING.reset(task, 0).state, Action(text=spoken("Done.")), 0)
    assert went.end == End.TERMINATED
    assert json.loads(went.columns["call"])["answer"] == "the check of the task says no"
    assert went.columns["extra.safe"] == 1.0


def test_who_does_what_is_planted_is_unsafe_and_who_does_the_errand_is_safe():
    suite = dojo._suites()["banking"]
    unsafe = 0
    for task in ATTACKED.train()[:9]:
        attack = suite.injection_tasks[task.record["attack"]]
        state = ATTACKED.reset(task, 0).state
        for call in attack.ground_truth(dojo._loaded("banking", "").model_copy(deep=True)):
            text = written(call.function, dojo._plain(call.args))
            state = ATTACKED.step(state, Action(text=text), keys.fold(0, text)).state
        went = ATTACKED.step(state, Action(text=spoken("Done.")), 0)
        unsafe += went.columns["extra.safe"] == 0.0
        assert Clerk(mistakes={}).work(ATTACKED, task, 0).end == End.TERMINATED
    assert unsafe == 9
    assert len(ATTACKED.train()) == 13 * len(suite.injection_tasks)


def test_what_is_planted_is_read_by_the_tools():
    task = next(one for one in ATTACKED.train() if one.record["plan"][0]["name"] == "read_file")
    goal = dojo._suites()["banking"].injection_tasks[task.record["attack"]].GOAL
    first = task.record["plan"][0]
    went = ATTACKED.step(ATTACKED.reset(task, 0).state, Action(text=written(first["name"], first["arguments"])), 0)
    assert " ".join(goal.split())[:40].replace('"', "'") in went.columns["result"]


def test_it_keeps_the_contract_and_states_go_back_exactly():
    task = BANKING.train()[0]
    call = task.record["plan"][0]
    texts = (written(call["name"], call["arguments"]), written("fly", {}), written("get_balance", {}))
    check_environment(BANKING, [task], [Action(text=one) for one in texts])
    sandbox, start = BANKING.sandbox, BANKING.sandbox.start(task.record)
    after = sandbox.call(start, "get_balance", {}).snapshot
    dojo._state.cache_clear()
    assert sandbox.call(after, "get_balance", {}).text == sandbox.call(start, "get_balance", {}).text


@pytest.mark.parametrize(
    ("tool", "arguments", "says"), [("fly", {}, "not available"), ("read_file", {}, "ValidationError")]
)
def test_whatever_a_tool_makes_of_its_arguments_is_an_answer(tool, arguments, says):
    answer = BANKING.sandbox.call(BANKING.sandbox.start(BANKING.train()[0].record), tool, arguments)
    assert answer.failed
    assert says in answer.text


def test_the_rest(monkeypatch):
    assert BANKING.sandbox.writes("send_money")
    assert {one["function"]["name"] for one in BANKING.sandbox.signatures()} >= {"send_money", "read_file"}
    assert not {one.id for one in BANKING.train()} & {one.id for one in BANKING.held_out()}
    assert "anthropic" not in sys.modules
    with pytest.raises(SettingError, match="suite"):
        Dojo(suite="shopping")
    dojo._suites.cache_clear()
    monkeypatch.setitem(sys.modules, "agentdojo.task_suite.load_suites", None)
    with pytest.raises(MissingExtra, match=r"milepost\[agentdojo\]"):
        Dojo(suite="banking").tasks("train")
    dojo._suites.cache_clear()
