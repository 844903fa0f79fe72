"""The shuffled pass: every task once per epoch, one stream for one key, whatever the order of the pool."""

from dataclasses import replace

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from milepost import keys
from milepost.sampling.choice import Measured, ScoresPool, Uniform, by_id, take, walk_over
from milepost.testing.strategies import check_choice

KEY = keys.root(3)


def stream(choice, tasks, batches, key=KEY):
    state, ids = choice.init(tasks, key), []
    for count in batches:
        drawn = choice.draw(state, count)
        state = drawn.state
        ids += [tasks[position].id for position in drawn.tasks.tolist()]
    return ids


def test_every_task_once_per_epoch(pool):
    names = [f"t{number:02d}" for number in range(10)]
    ids = stream(Uniform(), pool(names), [4, 4, 4, 4, 4])
    assert sorted(ids[:10]) == names
    assert sorted(ids[10:]) == names
    assert ids[:10] != ids[10:], "each epoch has an order of its own"


@given(st.lists(st.integers(0, 7), max_size=8))
def test_batches_do_not_change_the_stream(sizes):
    walk = walk_over(torch.arange(5), KEY)
    whole = take(walk, sum(sizes)).tasks.tolist()
    pieces = []
    for size in sizes:
        taken = take(walk, size)
        walk, pieces = taken.walk, pieces + taken.tasks.tolist()
    assert pieces == whole


def test_a_batch_larger_than_the_pool_goes_round(pool):
    assert sorted(stream(Uniform(), pool(["a", "b"]), [5])) in (["a", "a", "a", "b", "b"], ["a", "a", "b", "b", "b"])


def test_the_order_of_the_pool_changes_nothing(pool):
    names = [f"t{number:02d}" for number in range(10)]
    assert stream(Uniform(), pool(names), [7, 7]) == stream(Uniform(), pool(names[::-1]), [7, 7])


def test_keys_give_different_streams(pool):
    names = [f"t{number:02d}" for number in range(10)]
    assert stream(Uniform(), pool(names), [10]) != stream(Uniform(), pool(names), [10], key=keys.root(4))
    assert stream(Uniform(), pool(names), [10]) == stream(Uniform(), pool(names), [10])


def test_scores_change_no_draw(pool, scored):
    tasks = pool(["a", "b", "c"])
    choice = Uniform()
    state = choice.init(tasks, KEY)
    seen = choice.update(state, scored([("a", 0, [1.0, 0.0])]), scoring=False)
    assert choice.draw(state, 9).tasks.tolist() == choice.draw(seen, 9).tasks.tolist()
    assert choice.metrics(seen)["choice/rollouts"] == 2
    assert choice.refresh(seen) is None


def test_states_are_not_changed_in_place(pool):
    choice = Uniform()
    state = choice.init(pool(["a", "b", "c"]), KEY)
    first = choice.draw(state, 2)
    assert state.walk.place == 0
    assert choice.draw(state, 2).tasks.tolist() == first.tasks.tolist()


def test_by_id_sorts_names(pool):
    assert by_id(pool(["b", "c", "a"])).tolist() == [2, 0, 1]


def test_common_promises():
    check_choice(Uniform())


def test_protocols():
    assert isinstance(Uniform(), Measured)
    assert not isinstance(Uniform(), ScoresPool)


def test_a_walk_at_the_end_of_an_epoch_goes_on(pool):
    walk = take(walk_over(torch.arange(3), KEY), 3).walk
    assert (walk.epoch, walk.place) == (0, 3)
    after = take(walk, 1)
    assert (after.walk.epoch, after.walk.place) == (1, 1)
    with pytest.raises(AttributeError):
        after.walk.place = 0
    assert replace(after.walk, place=0).order.tolist() == after.walk.order.tolist()
