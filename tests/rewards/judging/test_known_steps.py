"""Rules for siblings where the task says what is right: search, service desk, and neither."""

import pytest

from milepost.environments.search.action import parse_action
from milepost.environments.search.collection import collection
from milepost.environments.search.environment import Search
from milepost.rewards.judging.judge import Case
from milepost.rewards.judging.known_steps import known_steps_judge, score_planned
from milepost.rewards.judging.siblings import BEST_STEP

PLAN = [{"name": "find", "arguments": {"zip": "1"}}, {"name": "cancel", "arguments": {"order": "#1"}}]
JUDGE = known_steps_judge(collection)
TASK = Search(hops=(2,), train_size=1).train()[0]


def called(name, failed=False, **arguments):
    return {"call": {"action": "call", "name": name, "arguments": arguments, "failed": failed}}


SAID = {"call": {"action": "say", "text": "Done."}}


@pytest.mark.parametrize(
    ("step", "past", "expected"),
    [
        (called("find", zip="1"), [], 1.0),
        (called("find", zip="2"), [], 0.0),
        (called("find", zip="1", failed=True), [], -1.0),
        (called("find", zip="1"), [called("find", zip="1")], -1.0),
        (SAID, [called("find", zip="1")], 0.0),
        (SAID, [called("find", zip="1"), called("cancel", order="#1")], 1.0),
        ({"call": {"action": "malformed"}}, [], -1.0),
    ],
)
def test_steps_of_a_plan(step, past, expected):
    assert score_planned(step, past, PLAN) == expected


def ranked(record, *steps, past=()):
    names = [str(number) for number in range(len(steps))]
    known = {"record": record, "past": list(past), "candidates": dict(zip(names, steps, strict=True))}
    return JUDGE.rank([Case(rubric=BEST_STEP, material={}, candidates=tuple(names), known=known)])[0]


def searched(text):
    parsed = parse_action(text)
    call = {"action": parsed.kind, "queries": [parsed.content], "answer": parsed.content}
    return {"text": text, "result": "", "call": call}


def test_searches_and_answers_of_a_search_task():
    good = searched(f"<search>{TASK.record['plan'][0]}</search>")
    idle, bad = searched("<search>zzzz</search>"), searched("hm")
    right, wrong = searched(f"<answer>{TASK.record['answer']}</answer>"), searched("<answer>no idea</answer>")
    assert ranked(TASK.record, idle, good, bad).answer == (2.5, 1.0, 2.5)
    assert ranked(TASK.record, good, idle, past=[good]).answer == (1.5, 1.5)
    assert ranked(TASK.record, wrong, right).answer == (2.0, 1.0)


def test_a_plan_of_calls_is_ranked_and_unknown_tasks_are_unusable():
    assert ranked({"plan": PLAN}, called("find", zip="1"), called("find", zip="9")).answer == (1.0, 2.0)
    found = ranked({"answer": "7"}, SAID, SAID | {"x": 1})
    assert found.answer is None
    assert "use a judge that asks a model" in found.unusable
