"""Searches are read from records, never out of text."""

import pytest

from milepost.errors import FormatError
from milepost.rewards.subqueries.searches import read_searches


def test_a_trajectory(play, environment):
    plan = environment.train()[0].record["plan"]
    forest = play([f"<search>{plan[0]} ## {plan[1]}</search>", "no action", "<answer>x</answer>"])
    one = read_searches(forest, 3)
    assert [search.queries for search in one.searches] == [tuple(plan[:2])]
    assert len(one.searches[0].documents) == 2
    assert all(len(found) == 2 for found in one.searches[0].documents)
    assert (one.malformed, one.answered, one.updates) == (1, True, 0)
    before = read_searches(forest, 2)
    assert (before.malformed, before.answered) == (1, False)


def test_tags_in_the_prompt_are_no_search(play):
    """Trap: the published code reads prompt and answer together, and the prompt holds an example search."""
    prompt = {"prompt": "Use <search>an example</search> and <information>Doc 1</information>. Question: ?"}
    one = read_searches(play(["<answer>x</answer>"], record=prompt), 1)
    assert one.searches == ()
    assert one.leaf.prompt == prompt["prompt"]


def test_a_document_with_separators_stays_one(play):
    """Trap: documents that are split again at ## or 'Doc n' shift all later pairs."""
    forest = play(["<search>capital ## currency</search>"])
    shown = '[[{"id": "a", "text": "x ## y\\nDoc 2(Title: z)"}], [{"id": "b", "text": "w"}]]'
    forest = forest.with_columns({"extra_text.documents": [None, shown]})
    (search,) = read_searches(forest, 1).searches
    assert search.documents == (("x ## y\nDoc 2(Title: z)",), ("w",))


def test_whether_the_reference_was_found(play, environment):
    record = environment.train()[0].record
    found = play([f"<search>{query}</search>" for query in record["plan"]])
    assert read_searches(found, 2).gold_found
    assert not read_searches(play(["<search>zzzz</search>"]), 1).gold_found


def test_what_cannot_be_read(play):
    forest = play(["<search>capital</search>"])
    with pytest.raises(FormatError, match="searched for"):
        read_searches(forest.without("call"), 1)
    for column, wrong in (
        ("call", "{"),
        ("call", "[]"),
        ("extra_text.documents", "[1]"),
        ("call", '{"action": "search"}'),
    ):
        with pytest.raises(FormatError):
            read_searches(forest.with_columns({column: [None, wrong]}), 1)


def test_a_step_that_the_policy_ended_is_malformed(play):
    forest = play(["<search>capital</search>"])
    forest = forest.with_columns({"call": [None, None]})
    assert read_searches(forest, 1).malformed == 1
