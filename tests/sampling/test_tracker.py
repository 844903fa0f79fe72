"""The record of tasks: hand examples, exactness, and identities between one forest and many."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from milepost.errors import ColumnError, SettingError, UnknownName
from milepost.forest import Forest
from milepost.sampling.tracker import (
    Moments,
    by_family,
    dead_groups,
    merge,
    metrics,
    moments,
    observe,
    positions,
    scored_groups,
    track,
)


def state(tracker, name):
    return getattr(tracker, name).tolist()


def test_hand_example(scored, pool):
    tracker = track(pool(["sum:1", "sum:2", "word:1"]))
    forest = scored([("sum:2", 0, [1.0, 0.0, 1.0, 1.0]), ("word:1", 0, [0.5, 0.5])])
    tracker = observe(tracker, scored_groups(forest, "total"), scoring=False)
    assert state(tracker, "trials") == [0, 4, 2]
    assert state(tracker, "scoring") == [0, 0, 0]
    assert state(tracker, "groups") == [0, 1, 1]
    assert state(tracker, "dead") == [0, 0, 1]
    assert tracker.ever.mean.tolist() == [0.0, 0.75, 0.5]
    assert tracker.ever.variance.tolist() == [0.0, 0.75 * 0.25, 0.0]


def test_scoring_rollouts_are_counted_apart_and_in_all(scored, pool):
    tracker = track(pool(["a", "b"]))
    tracker = observe(tracker, scored_groups(scored([("a", 0, [1.0, 0.0])]), "total"), scoring=True)
    tracker = observe(tracker, scored_groups(scored([("a", 1, [1.0])]), "total"), scoring=False)
    assert (state(tracker, "trials"), state(tracker, "scoring")) == ([3, 0], [2, 0])
    found = metrics(tracker)
    assert found["choice/rollouts"] == 3
    assert found["choice/scoring_rollouts"] == 2
    assert found["choice/tasks_tried"] == 0.5
    assert found["choice/mean_score"] == pytest.approx(2 / 3)


def test_a_failed_score_is_a_trial_and_never_a_zero(scored, pool):
    tracker = observe(
        track(pool(["a", "b"])),
        scored_groups(scored([("a", 0, [1.0, None]), ("b", 0, [None, None])]), "total"),
        scoring=False,
    )
    assert state(tracker, "trials") == [2, 2]
    assert tracker.ever.count.tolist() == [1, 0]
    assert tracker.ever.mean.tolist() == [1.0, 0.0]
    assert metrics(tracker)["choice/mean_score"] == 1.0


def test_a_task_drawn_twice_is_two_groups(scored, pool):
    found = scored_groups(scored([("a", 0, [1.0, 1.0]), ("b", 0, [0.0]), ("a", 1, [0.0, 0.0])]), "total")
    assert found.tasks == ("a", "b", "a")
    assert found.group.tolist() == [0, 0, 1, 2, 2]
    tracker = observe(track(pool(["a", "b"])), found, scoring=False)
    assert state(tracker, "groups") == [2, 1]
    assert state(tracker, "dead") == [2, 1], "each group on its own holds equal scores"
    assert tracker.ever.variance.tolist() == [0.25, 0.0]
    assert tracker.last.mean.tolist() == [0.0, 0.0], "the latest draw"


def test_trees_of_one_draw_are_one_group(scored):
    found = scored_groups(scored([("a", 3, [1.0]), ("a", 3, [0.0])]), "total")
    assert found.tasks == ("a",)
    assert found.group.tolist() == [0, 0]


def test_the_last_group_survives_a_group_without_scores(scored, pool):
    tracker = track(pool(["a"]))
    tracker = observe(tracker, scored_groups(scored([("a", 0, [1.0, 0.0])]), "total"), scoring=False)
    tracker = observe(tracker, scored_groups(scored([("a", 1, [None, None])]), "total"), scoring=False)
    assert tracker.last.count.tolist() == [2]
    assert tracker.last.mean.tolist() == [0.5]
    assert state(tracker, "groups") == [2]


def test_branches_count_as_trajectories():
    forest = Forest.of(
        [-1, 0, 1, 1, 0],
        {
            "task": ["a"] + [None] * 4,
            "reward.total": [0.0, 9.0, 1.0, 0.0, 1.0],
            "ok.total": [False, True, True, True, True],
        },
    )
    found = scored_groups(forest, "total")
    assert found.rows.tolist() == [2, 3, 4]
    assert found.score.tolist() == [1.0, 0.0, 1.0]


def test_a_root_without_children_is_no_trajectory(scored):
    found = scored_groups(scored([("a", 0, []), ("b", 0, [1.0])]), "total")
    assert found.tasks == ("a", "b")
    assert found.group.tolist() == [1]


def test_nothing_changes_nothing(scored, pool):
    tracker = observe(track(pool(["a"])), scored_groups(scored([("a", 0, [1.0, 0.0])]), "total"), scoring=False)
    same = observe(tracker, scored_groups(scored([]), "total"), scoring=False)
    assert same.ever.mean.tolist() == tracker.ever.mean.tolist()
    assert same.last.count.tolist() == tracker.last.count.tolist()
    assert state(same, "trials") == [2]


scores = st.lists(st.lists(st.integers(-3, 3).map(float), min_size=0, max_size=6), min_size=1, max_size=5)


@given(scores)
def test_many_small_forests_equal_one_large_one(batches):
    everything = [score for batch in batches for score in batch]
    zero = torch.zeros
    one = moments(
        torch.tensor(everything), zero(len(everything), dtype=torch.int64), 1, torch.ones(len(everything)) > 0
    )
    total = Moments.zeros(1)
    for batch in batches:
        value = torch.tensor(batch)
        total = merge(total, moments(value, zero(len(batch), dtype=torch.int64), 1, torch.ones(len(batch)) > 0))
    assert total.count.tolist() == one.count.tolist()
    torch.testing.assert_close(total.mean, one.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(total.deviation, one.deviation, rtol=1e-12, atol=1e-12)


@given(st.floats(-1e3, 1e3, width=32), st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_equal_scores_have_a_deviation_of_exactly_zero(value, sizes):
    total = Moments.zeros(1)
    for size in sizes:
        score = torch.full((size,), value)
        total = merge(total, moments(score, torch.zeros(size, dtype=torch.int64), 1, torch.ones(size) > 0))
    assert float(total.deviation) == 0.0
    assert float(total.mean) == value


def test_dead_means_exactly_equal():
    third = torch.tensor([0.1 + 0.2, 0.3], dtype=torch.float64)
    group, ok = torch.zeros(2, dtype=torch.int64), torch.ones(2, dtype=torch.bool)
    assert dead_groups(third, group, 1, ok).tolist() == [False], "a difference in the last bit is a difference"
    same = torch.full((7,), 0.1)
    assert dead_groups(same, torch.zeros(7, dtype=torch.int64), 1, torch.ones(7) > 0).tolist() == [True]


def test_dead_groups_ignore_what_is_not_ok():
    score = torch.tensor([1.0, float("nan"), 1.0, 0.0, float("nan")])
    group = torch.tensor([0, 0, 0, 1, 2])
    ok = torch.tensor([True, False, True, True, False])
    assert dead_groups(score, group, 4, ok).tolist() == [True, True, True, True]


def test_by_family_is_over_trajectories(scored, pool):
    tracker = track(pool(["sum:1", "sum:2", "word:1"]))
    forest = scored([("sum:1", 0, [1.0, 1.0, 0.0]), ("sum:2", 0, [0.0])])
    found = by_family(observe(tracker, scored_groups(forest, "total"), scoring=False))
    assert list(found) == ["sum", "word"]
    assert (found["sum"].tasks, found["sum"].tried, found["sum"].trials) == (2, 2, 4)
    assert found["sum"].mean == pytest.approx(0.5)
    assert found["sum"].deviation == pytest.approx(0.5)
    assert (found["word"].tried, found["word"].mean) == (0, 0.0)


def test_a_named_component_is_read(scored):
    assert scored_groups(scored([("a", 0, [0.25])], reward="accuracy"), "accuracy").score.tolist() == [0.25]


def test_errors_say_what_to_do(scored, pool):
    with pytest.raises(SettingError, match="empty"):
        track([])
    with pytest.raises(SettingError, match="'a' occurs more than once"):
        track(pool(["a", "b", "a"]))
    with pytest.raises(UnknownName, match="'c'"):
        positions(track(pool(["a", "b"])), ["c"])
    with pytest.raises(ColumnError, match=r"reward\.bleu.*Score it"):
        scored_groups(scored([("a", 0, [1.0])]), "bleu")
