"""Whole conversations with rewards as rows: cut, judged, compared."""

import json

import pytest

from milepost.bridges import trl
from milepost.curation.pairs.attempts import attempts, compared, imitated, judged, whole
from milepost.traces.record import Fault, Trace

SYSTEM, HELLO = {"role": "system", "content": "Be brief."}, {"role": "assistant", "content": "How can I help?"}
ASKED = {"role": "user", "content": "Cancel it."}
TOOLS = [{"type": "function", "function": {"name": "cancel"}}]


def said(text):
    return {"role": "assistant", "content": text}


def trace(name, text, **rewards):
    return Trace(id=name, messages=[SYSTEM, ASKED, said(text)], rewards=rewards, rest={"tools": TOOLS})


FOUR = [trace("a", "no", outcome=0.0), trace("b", "done", outcome=1.0), trace("c", "?", outcome=0.5),
        trace("d", "done!", outcome=1.0)]  # fmt: skip
PROMPT = [SYSTEM, ASKED]


def test_what_is_good_enough_is_imitated():
    rows = list(imitated(attempts(FOUR), 1.0))
    assert rows == [{"messages": [*PROMPT, said(text)], "tools": TOOLS} for text in ("done", "done!")]
    assert len(list(imitated(attempts(FOUR), 0.5))) == 3


def test_every_attempt_is_judged():
    rows = list(judged(attempts(FOUR), 0.5))
    assert [row["label"] for row in rows] == [False, True, True, True]
    assert rows[0] == {"prompt": PROMPT, "completion": [said("no")], "label": False, "tools": TOOLS}


def test_the_best_is_compared_with_each_worse_one():
    rows = list(compared(attempts(FOUR)))
    assert [(row["chosen"], row["rejected"]) for row in rows] == [
        ([said("done")], [said("no")]), ([said("done")], [said("?")]),
    ]  # fmt: skip
    assert all(row["prompt"] == PROMPT for row in rows)
    (first, _) = whole(rows)
    assert first == {"chosen": [*PROMPT, said("done")], "rejected": [*PROMPT, said("no")], "tools": TOOLS}
    assert list(compared(attempts([FOUR[1], FOUR[3]]))) == []


def test_attempts_with_other_prompts_or_tools_are_not_compared():
    other = Trace(id="e", messages=[ASKED, said("no")], rewards={"outcome": 0.0}, rest={"tools": TOOLS})
    bare = Trace(id="f", messages=[SYSTEM, ASKED, said("no")], rewards={"outcome": 0.0})
    assert list(compared(attempts([FOUR[1], other, bare]))) == []
    assert "tools" not in next(judged(attempts([bare]), 1.0))


def test_the_prompt_ends_with_what_the_agent_answers_to():
    greeted = Trace(id="g", messages=[HELLO, ASKED, said("done"), ASKED, said("again")], rewards={"total": 1.0})
    (one,) = attempts([greeted])
    assert one.prompt == [HELLO, ASKED]
    assert one.completion == [said("done"), ASKED, said("again")]


@pytest.mark.parametrize(
    ("name", "found", "reason"),
    [
        ("", trace("a", "x"), "which reward? Its rewards: none"),
        ("", trace("a", "x", one=1.0, two=1.0), "which reward? Its rewards: one, two"),
        ("three", trace("a", "x", one=1.0), "no reward 'three'; its rewards: one"),
        ("", trace("a", "x", outcome=None), "the reward 'outcome' failed"),
        ("", Trace(id="a", messages=[ASKED], rewards={"outcome": 1.0}), "the agent never answers a user"),
        ("", Trace(id="a", messages=[HELLO], rewards={"outcome": 1.0}), "the agent never answers a user"),
        (
            "",
            Trace(id="a", messages=[ASKED, HELLO, HELLO], parents=[-1, 0, 0], rewards={"outcome": 1.0}),
            "the conversation branches: rows are made of single ones",
        ),
    ],
)
def test_what_cannot_be_used_has_a_reason(name, found, reason):
    assert list(attempts([found], name)) == [Fault(file="a", line=0, reason=reason)]


def test_the_total_goes_before_the_outcome():
    (one,) = attempts([trace("a", "x", outcome=0.0, total=0.75, other=0.5)])
    assert one.value == 0.75
    (one,) = attempts([trace("a", "x", odd=0.25)])
    assert one.value == 0.25
    fault = Fault(file="x", line=3, reason="no JSON")
    assert list(attempts([fault])) == [fault]


def test_rows_are_read_back_as_they_were():
    pairs = list(compared(attempts(FOUR)))
    for rows in (pairs, list(whole(pairs)), list(judged(attempts(FOUR), 1.0)), list(imitated(attempts(FOUR), 1.0))):
        for row in rows:
            read = trl.of_value(json.loads(json.dumps(row)), "a", 1)
            assert isinstance(read, Trace), read
            assert trl.value_of(read) == row


def test_rows_made_of_rows_carry_no_marks():
    read = trl.of_value({"prompt": "Cancel it.", "completion": "done", "reward": 1.0}, "a", 1)
    assert next(imitated(attempts([read]), 1.0)) == {"messages": [ASKED, said("done")]}
