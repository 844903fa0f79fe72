"""Outcome rewards: the verdict of the task's verifier, on the answer inside the tags."""

import json

import pytest

from milepost.environments.reasoning import ReasoningGym
from milepost.forest import Forest
from milepost.rewards import guard
from milepost.rewards.outcome import Outcome, Solved

WORDS = {"verifier": "exact", "answer": "7"}


def scored(reward, forest):
    forest = guard.score(reward, forest)
    leaves = forest.leaves()
    return forest[f"reward.{reward.name}"][leaves].tolist(), [forest.text(f"reason.{reward.name}")[i] for i in leaves]


def test_hand_example(grow):
    forest = grow((WORDS, ["<answer>7</answer>", "<answer>8</answer>", "7", "<answer>7", "<answer></answer>"]))
    assert scored(Outcome(), forest) == ([1, 0, 0, 0, 0], [None] * 5)


def test_a_missing_answer_is_wrong_even_where_the_reference_is_empty(grow):
    assert scored(Outcome(), grow(({"verifier": "exact", "answer": ""}, ["", "<answer> </answer>"])))[0] == [0, 0]


def test_part_marks_count_for_outcome_and_not_for_solved(grow):
    task = ReasoningGym(names=("word_sorting",), train_size=1).train()[0]
    right = task.record["answer"]
    words = right.split(", ")
    part = ", ".join([*words[:-2], words[-1], words[-2]])
    forest = grow((dict(task.record), [f"<answer>{right}</answer>", f"<answer>{part}</answer>"]))
    assert scored(Outcome(), forest)[0] == pytest.approx([1, (len(words) - 2) / len(words)])
    assert scored(Solved(), forest)[0] == [1, 0]


def test_a_stored_forest_is_scored_again_from_its_records_alone(grow):
    tasks = ReasoningGym(names=("chain_sum", "gcd", "countdown"), train_size=6).train()
    forest = grow(*((dict(task.record), [f"so <answer>{task.record['answer']}</answer>", "?"]) for task in tasks))
    assert scored(Solved(), forest)[0] == [1, 0] * 6


@pytest.mark.parametrize("answer", ["<answer>7</answer>", "no answer"])
def test_a_record_that_cannot_be_scored_is_a_failure_and_never_a_zero(grow, answer):
    forest = grow(({"answer": "7"}, [answer]), (WORDS, ["<answer>7</answer>"]))
    marked = guard.score(Outcome(), forest)
    assert marked["ok.outcome"].tolist() == [False, False, False, True]
    assert "names no 'verifier'" in marked.text("reason.outcome")[1]


def called(*calls, texts):
    """One trajectory of several steps, with what the environment took each step for."""
    columns = {
        "text": ["?", *texts],
        "record": [json.dumps(WORDS), *[None] * len(texts)],
        "call": [None, *(None if call is None else json.dumps(call) for call in calls)],
    }
    return Forest.of([-1, *range(len(texts))], columns)


SEARCH, MALFORMED = {"action": "search", "queries": ["x"]}, {"action": "malformed", "fault": "trailing"}


@pytest.mark.parametrize(
    ("calls", "texts", "score"),
    [
        ((SEARCH, {"action": "answer", "answer": "7"}), ("<search>x</search>", "<answer>7</answer>"), 1),
        # the tags of the whole completion would say "unclosed": only the step that answered counts
        ((MALFORMED, {"action": "answer", "answer": "7"}), ("<answer>8", "<answer>7</answer>"), 1),
        # the right words in a step that was refused are no answer
        ((MALFORMED, SEARCH), ("<answer>7</answer> I think", "<search>x</search>"), 0),
        ((MALFORMED, None), ("<answer>7</answer> I think", "cut off"), 0),
        (
            (SEARCH, {"action": "answer", "answer": "8"}),
            ("<search><answer>7</answer></search>", "<answer>8</answer>"),
            0,
        ),
    ],
)
def test_the_answer_is_the_one_that_the_environment_took(calls, texts, score):
    assert scored(Outcome(), called(*calls, texts=texts)) == ([score], [None])
