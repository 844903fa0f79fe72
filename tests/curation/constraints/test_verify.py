"""The score by hand, whose call it was, and who is to blame."""

import pytest

from milepost.columns import End
from milepost.curation.constraints.constraint import Constraint, reference
from milepost.curation.constraints.verify import Conversation, Verifier, attributed, constraint_score, rejected_share
from milepost.errors import SettingError
from tests.curation.constraints.test_constraint import Shelf, call

PLAN = {"plan": [call("lend", book_id="b1"), call("move", book_id="b2", place=7)]}
WANTED = reference(Shelf(), PLAN)
LEND, MOVE = ("lend", {"book_id": "b1"}), ("move", {"book_id": "b2", "place": 7})


def verify(*calls, **settings):
    kept = {name: settings.pop(name) for name in ("untold", "end") if name in settings}
    return Verifier(database=Shelf(), **settings)(WANTED, PLAN, Conversation(calls=calls, **kept))


def test_scores_by_hand():
    assert constraint_score([True, True], 0) == 1.0
    assert constraint_score([True, False], 0) == 0.5
    assert constraint_score([True, True, True, False], 1) == 0.5
    assert constraint_score([True], 3) == 0.0
    with pytest.raises(SettingError, match="no constraints"):
        constraint_score([], 0)


@pytest.mark.parametrize(
    ("calls", "score", "redundant", "says"),
    [
        ((LEND, MOVE), 1.0, 0, ""),
        ((MOVE, LEND), 1.0, 0, ""),
        ((LEND, ("look", {"book_id": "b2"}), MOVE), 1.0, 0, ""),
        ((LEND,), 0.5, 0, "move(b2) was not done"),
        ((), 0.0, 0, "lend(b1) was not done"),
        ((LEND, ("move", {"book_id": "b2", "place": 8})), 0.5, 0, "place is 8, expected 7"),
        ((LEND, MOVE, MOVE), 0.5, 1, "redundant: move(b2)"),
        ((LEND, MOVE, ("move", {"book_id": "b1", "place": 3})), 0.5, 1, "redundant: move(b1)"),
        ((("lend", {"book_id": "zz"}), LEND, MOVE), 1.0, 0, ""),
    ],
)
def test_effects_decide(calls, score, redundant, says):
    found = verify(*calls)
    assert (found.score, len(found.redundant), found.kept) == (score, redundant, not says)
    assert says in found.why


def test_refused_writes_count_if_asked():
    found = verify(LEND, MOVE, LEND, count_failed_writes=True)
    assert (found.score, found.redundant) == (0.5, ("lend(b1) was refused: Error: lent",))


def test_a_call_belongs_to_the_constraint_with_its_arguments_first():
    two = [
        Constraint(kind="move", entity="b", arguments={"book_id": "b", "place": place}, effect={}) for place in (1, 2)
    ]
    wrote = [("move", {"book_id": "b", "place": 2}), ("move", {"book_id": "b", "place": 5}), ("move", {"book_id": "b"})]
    assert attributed(two, wrote) == [1, 0, None]


def test_a_call_that_is_written_over_must_be_made_as_it_is():
    plan = {"plan": [call("move", book_id="b1", place=8), call("move", book_id="b1", place=1)]}
    there, back, other = (("move", {"book_id": "b1", "place": place}) for place in (8, 1, 5))
    verifier, wanted = Verifier(database=Shelf()), reference(Shelf(), plan)
    assert verifier(wanted, plan, Conversation(calls=(there, back))).score == 1.0
    found = verifier(wanted, plan, Conversation(calls=(other, back)))
    assert (found.score, "was done with" in found.why) == (0.5, True)


@pytest.mark.parametrize(
    ("calls", "settings", "blame"),
    [
        ((LEND, MOVE), {}, ""),
        ((LEND,), {}, "agent"),
        ((LEND,), {"untold": 1}, "user_simulator"),
        ((LEND, MOVE), {"untold": 1}, "user_simulator"),
        ((LEND,), {"end": End.TURN_LIMIT}, "turn_cap"),
        ((LEND,), {"end": End.ERROR}, "tool_error"),
    ],
)
def test_blame(calls, settings, blame):
    found = verify(*calls, **settings)
    assert found.blame == blame
    assert bool(found.why) == bool(blame)


def test_a_plan_that_fails_is_told_and_never_kept():
    broken = {"plan": [call("lend", book_id="zz")]}
    found = Verifier(database=Shelf())(reference(Shelf(), broken), broken, Conversation(calls=()))
    assert (found.blame, found.kept) == ("reference", False)


def test_shares():
    found = [verify(LEND, MOVE), verify(LEND), verify(), verify(LEND, untold=1)]
    assert rejected_share(found, "agent") == 0.5
    assert rejected_share([], "agent") == 0.0
    with pytest.raises(SettingError, match="blame"):
        rejected_share(found, "moon")
