"""Signals as columns of a forest, imported or grown, straight or branching."""

from milepost.columns import End, Origin
from milepost.curation.signals.labels import Label
from milepost.forest import Forest
from milepost.traces.forests import forest_of
from milepost.traces.record import Trace


def test_labels_stand_at_their_messages_and_counts_at_leaves():
    messages = [
        {"role": "user", "content": "Book it"},
        {"role": "assistant", "content": None, "tool_calls": [{"name": "book", "arguments": "{}"}]},
        {"role": "tool", "content": "Error: user not found"},
        {"role": "user", "content": "That is not what I asked!!"},
    ]
    forest = Label()(forest_of([Trace(id="a", messages=messages), Trace(id="b", messages=messages[:1])]))
    assert forest.text("label.signals") == [None, None, "bad_query", "correction negative_stance", None]
    assert forest.valid("signal.correction").tolist() == [False, False, False, True, True]
    assert forest["signal.correction"].tolist() == [0, 0, 0, 1, 0]


def test_grown_steps_and_branches():
    """Two branches below one step that holds a call and its answer; the shared failure counts in both."""
    ends = [0, 0, int(End.TERMINATED), int(End.TERMINATED)]
    columns = {
        "text": ["Where?", "I look", "Here", "There"],
        "call": [None, '{"name": "f", "arguments": {}}', None, None],
        "result": [None, "timed out", None, None],
        "origin": [int(Origin.ENVIRONMENT), 0, 0, 0],
        "end": ends,
    }
    forest = Label()(Forest.of([-1, 0, 1, 1], columns))
    assert forest.text("label.signals") == [None, "timeout", None, None]
    assert forest["signal.timeout"].tolist() == [0, 0, 1, 1]
