"""tau2's service desks: its own tools, databases and checks, with snapshots that are small and exact."""

import json
import sys

import pytest

from milepost.environments.sandbox import tau2
from milepost.environments.sandbox.tau2 import NOTHING, Tau2, check_sum, differing, needs
from milepost.errors import MissingExtra, SettingError

DESKS = {domain: Tau2(domain=domain) for domain in tau2.DOMAINS}
TASKS = {domain: desk.tasks("train") + desk.tasks("held_out") for domain, desk in DESKS.items()}


@pytest.mark.parametrize("domain", tau2.DOMAINS)
def test_it_answers_as_the_package_does_with_a_whole_copy_of_its_database(domain):
    shipped = tau2._desk(domain)
    for task in TASKS[domain][::12]:
        whole = shipped.shared.model_copy(deep=True)
        kit, snapshot = shipped.kit(whole), NOTHING
        for call in task.record["plan"]:
            answer = DESKS[domain].call(snapshot, call["name"], call["arguments"])
            snapshot = answer.snapshot
            try:
                kit.use_tool(tool_name=call["name"], **call["arguments"])
            except ValueError as error:
                expected = f"Error: {error}"
            else:
                expected = ""
            assert (answer.failed, answer.text if expected else "") == (bool(expected), expected)
        opened = DESKS[domain]._open(snapshot)
        for table in shipped.tables:
            assert dict(getattr(opened, table).items()) == getattr(whole, table)


def test_the_tasks_are_those_of_the_package():
    assert {domain: len(tasks) for domain, tasks in TASKS.items()} == {"retail": 114, "airline": 50}
    for desk in DESKS.values():
        assert not {one.id for one in desk.tasks("train")} & {one.id for one in desk.tasks("held_out")}
        assert {one["function"]["name"] for one in desk.signatures()} >= {"calculate", "get_user_details"}
        assert len(desk.policy) > 5000


def test_gold_plans_that_fail_are_known_and_not_silently_scored():
    retail = DESKS["retail"]
    broken = {
        task.id: [task.record["plan"][place]["name"] for place in found]
        for task in TASKS["retail"]
        if (found := [one for one in retail.failures(task.record) if retail.writes(task.record["plan"][one]["name"])])
    }
    assert {name.rpartition(":")[2] for name in broken} == {"12", "13", "64", "105"}
    assert not [task for task in TASKS["airline"] if DESKS["airline"].failures(task.record)]


def test_snapshots_go_back_to_any_step_and_branches_do_not_see_each_other():
    retail, order = DESKS["retail"], "#W5918442"
    status = lambda at: json.loads(retail.call(at, "get_order_details", {"order_id": order}).text)["status"]  # noqa: E731
    gone = retail.call(NOTHING, "cancel_pending_order", {"order_id": order, "reason": "no longer needed"})
    assert (gone.failed, status(gone.snapshot), status(NOTHING)) == (False, "cancelled", "pending")
    again = retail.call(gone.snapshot, "cancel_pending_order", {"order_id": order, "reason": "no longer needed"})
    assert again.failed
    assert again.snapshot == gone.snapshot
    assert retail.call(NOTHING, "cancel_pending_order", {"order_id": order, "reason": "no longer needed"}) == gone
    assert len(gone.snapshot) < 3000


def test_the_verdict():
    retail = DESKS["retail"]
    task = next(one for one in TASKS["retail"] if one.record["told"] and retail.failures(one.record) == ())
    snapshot = NOTHING
    for call in task.record["plan"]:
        snapshot = retail.call(snapshot, call["name"], call["arguments"]).snapshot
    told = [str(one) for one in task.record["told"]]
    assert retail.verdict(task.record, snapshot, told).solved
    assert "was not told" in retail.verdict(task.record, snapshot, []).reason
    other = retail.call(snapshot, "cancel_pending_order", {"order_id": "#W5918442", "reason": "no longer needed"})
    found = retail.verdict(task.record, other.snapshot, told)
    assert (found.solved, "#W5918442" in found.reason) == (False, True)
    assert differing(snapshot, snapshot) == set()


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("fly", {}, "Tool 'fly' not found"),
        ("get_user_details", {}, "missing 1 required"),
        ("get_user_details", {"user": "a"}, "unexpected keyword"),
        ("get_user_details", {"user_id": ["a"]}, "unhashable"),
        ("get_user_details", {"user_id": "nobody"}, "User not found"),
        ("calculate", {"expression": "9**9**9**9"}, "can be calculated"),
        ("calculate", {"expression": "9* *9"}, "can be calculated"),
        ("calculate", {"expression": "1+" * 200}, "can be calculated"),
        ("_get_user", {"user_id": "nobody"}, "not found"),
    ],
)
def test_whatever_a_tool_makes_of_its_arguments_is_an_answer(tool, arguments, says):
    answer = DESKS["retail"].call(NOTHING, tool, arguments)
    assert (answer.failed, answer.snapshot) == (True, NOTHING)
    assert says in answer.text


def test_sums():
    check_sum("(1 + 2) * 3.5 / 2")
    assert DESKS["retail"].call(NOTHING, "calculate", {"expression": "(1 + 2) * 3"}).text == "9.0"


def test_needs_are_in_the_first_person():
    told = {"reason_for_call": "You want your order cancelled.", "known_info": "You are Ann.", "unknown_info": "zip"}
    assert needs(told) == ("I want my order cancelled.", "I am Ann.")


def test_entries_are_plain_values():
    orders = DESKS["retail"].entries("orders")
    assert (len(orders), type(orders["#W5918442"])) == (1000, dict)


def test_what_is_wrong_is_told(monkeypatch):
    with pytest.raises(SettingError, match="domain"):
        Tau2(domain="telecom")
    with pytest.raises(SettingError, match="pool"):
        DESKS["retail"].tasks("test")
    monkeypatch.setitem(sys.modules, "tau2.domains.retail.tools", None)
    with pytest.raises(MissingExtra, match=r"milepost\[tau2\]"):
        tau2.load("retail.tools")
