"""Constraints read off a plan, against a small database by hand."""

import json

from milepost.curation.constraints.constraint import changed, entity, normalised, reference, value


class Shelf:
    """Books with places; "lend" writes, "look" does not, an unknown book is refused."""

    def __init__(self):
        self.books = {"b1": {"place": 1, "lent": False}, "b2": {"place": 2, "lent": False}}

    class Said:
        def __init__(self, text, failed, snapshot):
            self.text, self.failed, self.snapshot = text, failed, snapshot

    def start(self, record):
        return "{}"

    def writes(self, tool):
        return tool in ("lend", "move")

    def entries(self, table):
        return self.books if table == "books" else {}

    def call(self, snapshot, tool, arguments):
        changes, key = json.loads(snapshot), arguments.get("book_id")
        if key not in self.books:
            return self.Said("Error: no such book", True, snapshot)
        entry = dict(changes.get("books", {}).get(key, self.books[key]))
        if tool == "lend":
            if entry["lent"]:
                return self.Said("Error: lent", True, snapshot)
            entry["lent"] = True
        if tool == "move":
            entry["place"] = arguments["place"]
        changes.setdefault("books", {})[key] = entry
        return self.Said("ok", False, json.dumps(changes, sort_keys=True))


def call(name, **arguments):
    return {"name": name, "arguments": arguments}


def test_effects_are_fields_with_their_final_values():
    found = reference(
        Shelf(), {"plan": [call("look", book_id="b1"), call("lend", book_id="b1"), call("move", book_id="b1", place=9)]}
    )
    assert found.sound
    assert [one.kind for one in found.constraints] == ["lend", "move"]
    assert [dict(one.effect) for one in found.constraints] == [
        {("books", "b1", "lent"): True},
        {("books", "b1", "place"): 9},
    ]
    assert {one.entity for one in found.constraints} == {"b1"}


def test_a_plan_that_fails_and_one_that_changes_nothing():
    found = reference(Shelf(), {"plan": [call("lend", book_id="zz"), call("move", book_id="b1", place=1)]})
    assert (found.sound, found.failing) == (False, (0,))
    assert [dict(one.effect) for one in found.constraints] == [{}, {}]
    assert [one.to_the_letter for one in found.constraints] == [True, True]


def test_an_effect_that_is_written_over_asks_for_the_call_itself():
    plan = [call("move", book_id="b1", place=8), call("move", book_id="b1", place=1), call("lend", book_id="b1")]
    found = reference(Shelf(), {"plan": plan})
    assert [one.to_the_letter for one in found.constraints] == [True, False, False]
    assert dict(found.constraints[0].effect) == {("books", "b1", "place"): 1}


def test_what_changed_and_values():
    after = json.dumps({"books": {"b2": {"place": 3, "lent": False}}})
    assert changed(Shelf(), "{}", after) == {("books", "b2", "place")}
    assert changed(Shelf(), after, after) == set()
    assert (value(Shelf(), after, ("books", "b2", "place")), value(Shelf(), "{}", ("books", "b2", "place"))) == (3, 2)
    assert value(Shelf(), "{}", ("films", "f", "x")) is None


def test_comparison():
    assert normalised([2, 1.0]) == normalised([1, 2.004])
    assert normalised({"a": ["x", "y"]}) == normalised({"a": ["y", "x"]})
    assert normalised(["x", "x"]) != normalised(["x"])
    assert normalised(True) is True
    assert entity({"reason": "a", "order_id": "#1", "user_id": "u"}) == "#1"
    assert entity({"zip": "1"}) == ""
