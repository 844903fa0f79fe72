"""Columns for stored and for grown conversations, and why something was rejected."""

import json

from milepost import keys
from milepost.columns import End
from milepost.curation.constraints.keep import Constrained
from milepost.curation.constraints.verify import Verifier
from milepost.environments.sandbox.clerk import Clerk
from milepost.environments.sandbox.environment import Desk
from milepost.environments.sandbox.tau2 import Tau2
from milepost.forest import Forest
from milepost.part import Action
from milepost.traces.forests import forest_of
from milepost.traces.record import Trace

RETAIL = Tau2(domain="retail")
DESK = Desk(sandbox=RETAIL, train_size=6, turns=60)
RULE = Constrained(verifier=Verifier(database=RETAIL), tasks=DESK.train())


def trace(worked, **rest):
    return Trace(id="t", task=worked.task.id, messages=worked.messages, end=worked.end, rest=rest)


def leaves(forest, name):
    found = forest.text(name) if name.startswith("label") else forest[name].tolist()
    return [found[row] for row in forest.leaves().tolist()]


def test_stored_conversations_name_their_task_or_bring_it():
    good = Clerk(mistakes={}).work(DESK, DESK.train()[0], 0)
    dropped = Clerk(mistakes={"dropped": 1.0}).work(DESK, DESK.train()[0], 0)
    stray = Trace(id="x", messages=[{"role": "user", "content": "Hi"}])
    found = RULE(forest_of([trace(good), trace(dropped, record=dropped.task.record), stray]))
    assert leaves(found, "keep") == [True, False, False]
    assert leaves(found, "weight") == [1.0, 0.0, 0.0]
    assert leaves(found, "label.blame") == [None, "agent", "no_constraints"]
    assert "exchange_delivered_order_items(#W2378156) was not done" in leaves(found, "label.reason")[1]
    assert sum(found["keep"].tolist()) == len(good.messages)


def test_tasks_without_a_write_have_nothing_to_verify():
    idle = {"plan": [{"name": "get_user_details", "arguments": {"user_id": "a"}}], "needs": []}
    found = RULE(forest_of([Trace(id="a", messages=[{"role": "user", "content": "Hi"}], rest={"record": idle})]))
    assert leaves(found, "label.reason") == ["no_constraints: the plan of the task writes nothing"]


def test_grown_trajectories_are_read_from_their_columns():
    task = DESK.train()[0]
    worked = Clerk(mistakes={}).work(DESK, task, 0)
    texts = []
    for message in worked.messages:
        if message["role"] == "assistant":
            called = message.get("tool_calls")
            content = f"<say>{message['content']}</say>"
            if called:
                function = called[0]["function"]
                content = f'<call>{{"name": "{function["name"]}", "arguments": {function["arguments"]}}}</call>'
            texts.append(content)
    state, rows = DESK.reset(task, 0).state, []
    for text in texts:
        went = DESK.step(state, Action(text=text), keys.fold(0, len(rows)))
        state = went.state
        rows.append({"call": went.columns["call"], "result": went.columns["result"], "end": int(went.end)})
    count = len(rows)
    forest = Forest.of(
        [-1, *range(count)],
        {
            "record": [json.dumps(task.record), *[None] * count],
            "call": [None, *[row["call"] for row in rows]],
            "result": [None, *[row["result"] for row in rows]],
            "text": [None, *texts],
            "end": [int(End.OPEN), *[row["end"] for row in rows]],
        },
    )
    assert leaves(RULE(forest), "keep") == [True]
    cut = RULE(forest.select(forest.path(count - 3)))
    assert leaves(cut, "keep") == [False]
