"""CoVe on tau2's own databases: gold plans, mutations, drawn tasks, and users who leave."""

import statistics

import pytest

from milepost import keys
from milepost.curation.constraints.constraint import reference
from milepost.curation.constraints.shopping import Shopping
from milepost.curation.constraints.verify import Conversation, Verifier, rejected_share
from milepost.environments.sandbox.environment import Desk
from milepost.environments.sandbox.listener import Listener
from milepost.environments.sandbox.tau2 import NOTHING, Tau2
from milepost.environments.sandbox.users import Hasty, Scripted
from milepost.testing import check_recipe

RETAIL = Tau2(domain="retail")
VERIFIER = Verifier(database=RETAIL)
TASKS = RETAIL.tasks("train") + RETAIL.tasks("held_out")
WANTED = {task.id: reference(RETAIL, task.record) for task in TASKS}
CLEAN = [task for task in TASKS if WANTED[task.id].constraints and WANTED[task.id].sound]
EXCHANGE = {"order_id": "#W0000000", "item_ids": ["1"], "new_item_ids": ["2"], "payment_method_id": "x"}


def calls_of(task):
    return [(one["name"], one["arguments"]) for one in task.record["plan"]]


def verify(task, calls, **settings):
    return VERIFIER(WANTED[task.id], task.record, Conversation(calls=tuple(calls), **settings))


def after(calls):
    snapshot = NOTHING
    for name, arguments in calls:
        snapshot = RETAIL.call(snapshot, name, arguments).snapshot
    return snapshot


def test_the_recipe():
    check_recipe("cove")


def test_gold_plans_and_empty_dialogues():
    assert len(CLEAN) == 101
    assert {verify(task, calls_of(task)).score for task in CLEAN} == {1.0}
    assert {verify(task, []).score for task in CLEAN} == {0.0}


def test_gold_plans_that_fail_are_reported():
    broken = [task for task in TASKS if not WANTED[task.id].sound]
    assert {task.id.rpartition(":")[2] for task in broken} == {"12", "13", "64", "105"}
    assert {verify(task, calls_of(task)).blame for task in broken} == {"reference"}


def mutations(task):
    """Every write deleted, doubled, or made to something else."""
    calls = calls_of(task)
    for place, (name, arguments) in enumerate(calls):
        if not RETAIL.writes(name):
            continue
        yield "deleted", calls[:place] + calls[place + 1 :]
        yield f"doubled {place}", calls[: place + 1] + calls[place:]
        for key, one in arguments.items():
            other = [*reversed(one), "0"] if isinstance(one, list) else f"{one}0"
            yield f"other {key}", [*calls[:place], (name, {**arguments, key: other}), *calls[place + 1 :]]


def test_every_mutation_is_found():
    found = {}
    for task in CLEAN:
        for kind, calls in mutations(task):
            outcome = verify(task, calls)
            found.setdefault(kind.split()[0], []).append((outcome.score, task.id, kind))
    missed = [
        one for kind, scores in found.items() for one in scores if one[0] >= 1.0 and kind != "doubled"
    ]  # see below
    assert not missed
    assert not [one for one in found["doubled"] if one[0] >= 1.0 and not refused_again(one[1], one[2])]
    assert len(found["deleted"]) > 140
    reads = ("get_order_details", {"order_id": "#W5918442"})
    assert {verify(task, [reads, *calls_of(task), reads, reads]).score for task in CLEAN} == {1.0}


def refused_again(task_id, kind):
    """Whether the desk refused the second of two equal writes: then nothing redundant was written."""
    calls = calls_of(next(task for task in CLEAN if task.id == task_id))
    place = int(kind.split()[1])
    return RETAIL.call(after(calls[: place + 1]), *calls[place]).failed


def last_write(task):
    return [call for call in calls_of(task) if RETAIL.writes(call[0])][-1]


def test_a_refused_second_write_counts_where_that_is_asked_for():
    strict = Verifier(database=RETAIL, count_failed_writes=True)
    for task in CLEAN[:20]:
        calls = [*calls_of(task), last_write(task)]
        assert strict(WANTED[task.id], task.record, Conversation(calls=tuple(calls))).score < 1.0


def test_the_same_write_twice_leaves_the_hash_and_not_the_score():
    kind = "modify_user_address"
    task = next(one for one in CLEAN if [name for name, _ in calls_of(one)].count(kind) == 1)
    again = next(call for call in calls_of(task) if call[0] == kind)
    calls = [*calls_of(task), again]
    assert after(calls) == after(calls_of(task))
    outcome = verify(task, calls)
    assert outcome.score < 1.0
    assert "redundant: modify_user_address" in outcome.why


def test_the_score_agrees_with_the_database():
    """Plans with some writes taken out or in another order, none failed and none repeated."""
    for task in CLEAN:
        calls = calls_of(task)
        places = [place for place, (name, _) in enumerate(calls) if RETAIL.writes(name)]
        variants = [calls, calls[::-1], [one for n, one in enumerate(calls) if n != places[-1]]]
        for variant in variants:
            answers, snapshot = [], NOTHING
            for name, arguments in variant:
                answers.append(RETAIL.call(snapshot, name, arguments))
                snapshot = answers[-1].snapshot
            if any(answer.failed for answer, call in zip(answers, variant, strict=True) if RETAIL.writes(call[0])):
                continue
            same = snapshot == WANTED[task.id].snapshot
            noop = any(not one.effect for one in WANTED[task.id].constraints)
            assert (verify(task, variant).score == 1.0) == same or noop, (task.id, verify(task, variant).why)


def served(errands, *, exact=False, user=None, count=40, key=7):
    desk = Desk(sandbox=RETAIL, user=user or Scripted(), turns=80)
    for number, task in enumerate(Shopping(database=RETAIL, errands=errands, exact=exact).tasks(count, key)):
        done = Listener().serve(desk, task, keys.fold(key, "serve", number))
        conversation = Conversation(calls=done.calls, untold=done.untold, end=done.end)
        yield done, VERIFIER(reference(RETAIL, task.record), task.record, conversation)


def test_drawn_tasks_are_solvable_and_descriptions_cost_look_ups():
    turns = []
    for errands in (1, 2, 3):
        described, exact = list(served(errands)), list(served(errands, exact=True))
        assert {outcome.score for _, outcome in described + exact} == {1.0}
        reads = [sum(not RETAIL.writes(name) for name, _ in done.calls) for done, _ in described]
        assert min(reads) > 0
        assert sum(len(done.calls) for done, _ in exact) == errands * len(exact)
        turns.append(statistics.mean(len(done.messages) for done, _ in described))
        assert turns[-1] > statistics.mean(len(done.messages) for done, _ in exact)
    assert turns == sorted(turns)


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_a_user_who_leaves_bounds_the_score(rate):
    found = list(served(1, user=Hasty(user=Scripted(), rate=rate), count=200))
    heard = sum(done.untold == 0 for done, _ in found) / len(found)
    assert statistics.mean(outcome.score for _, outcome in found) == pytest.approx(heard)
    assert rejected_share([outcome for _, outcome in found], "user_simulator") == pytest.approx(1 - heard)
    assert rejected_share([outcome for _, outcome in found], "agent") == 0.0
    assert abs(heard - (1 - rate)) < 5 * (rate * (1 - rate) / len(found)) ** 0.5  # linear in the rate, five errors
