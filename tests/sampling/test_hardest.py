"""Picks by a first score: exactly the lowest, disjoint from the highest, the same however the pool is ordered."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from milepost import keys
from milepost.errors import SettingError
from milepost.sampling.choice import Scoring
from milepost.sampling.hardest import Easiest, Hardest, Medium, Picked, RandomPick, ranked, window
from milepost.state import dump, load
from milepost.testing.strategies import check_choice

KEY = keys.root(9)
NAMES = [f"t{number:02d}" for number in range(10)]


def kept(pick, score, names=NAMES):
    value = torch.tensor(score, dtype=torch.float64)
    found = pick(names, value, torch.ones(len(names)) > 0, KEY)
    return [names[position] for position in found.tolist()]


def prepared(scored, pool, choice, score, names=NAMES):
    """State after the scoring pass; a score of None failed."""
    forest = scored([(name, 0, [value]) for name, value in zip(names, score, strict=True)], reward=choice.reward)
    return choice.update(choice.init(pool(names), KEY), forest, scoring=True)


def epoch(choice, state, names=NAMES, size=100):
    return [names[position] for position in choice.draw(state, size).tasks.tolist()]


scores = st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=10, max_size=10)


@given(scores, st.integers(1, 10))
def test_exactly_the_lowest(score, count):
    names = kept(Hardest(count=count), score)
    assert len(set(names)) == count
    left_out = [s for name, s in zip(NAMES, score, strict=True) if name not in names]
    assert max(s for name, s in zip(NAMES, score, strict=True) if name in names) <= min(left_out, default=1.0)


@given(scores, st.integers(1, 5))
def test_hardest_and_easiest_are_disjoint(score, count):
    assert not set(kept(Hardest(count=count), score)) & set(kept(Easiest(count=count), score))


@given(scores, st.permutations(range(10)), st.integers(1, 10))
def test_shuffling_the_pool_changes_nothing(score, order, count):
    names, shuffled = [NAMES[place] for place in order], [score[place] for place in order]
    for pick in (Hardest(count=count), Medium(count=count), Easiest(count=count), RandomPick(count=count)):
        assert set(kept(pick, shuffled, names)) == set(kept(pick, score))


def test_ties_are_broken_by_task_id():
    assert kept(Hardest(count=3), [0.5] * 10, NAMES[::-1]) == ["t00", "t01", "t02"]
    assert kept(Easiest(count=2), [0.5] * 10, NAMES[::-1]) == ["t08", "t09"]


def test_medium_is_the_centred_window():
    score = [number / 10 for number in range(10)]
    assert kept(Medium(count=4), score) == ["t03", "t04", "t05", "t06"]
    assert kept(Medium(count=10), score) == NAMES


def test_random_pick_depends_on_key_and_id_only(scored, pool):
    none = torch.zeros(10)
    first = RandomPick(count=4)(NAMES, none, none > 0, KEY).tolist()
    assert first == RandomPick(count=4)(NAMES, none + 1, none == 0, KEY).tolist()
    assert first != RandomPick(count=4)(NAMES, none, none > 0, keys.root(10)).tolist()
    choice = Picked(pick=RandomPick(count=4))
    state = choice.init(pool(NAMES), KEY)
    assert choice.refresh(state) is None
    assert choice.scoring.width == 0, "no rollout is spent on scores"
    assert len(set(epoch(choice, state))) == 4


def test_more_than_the_pool_keeps_everything_and_warns():
    with pytest.warns(UserWarning, match="20 tasks were to be picked, but only 10 can be"):
        assert kept(Hardest(count=20), [0.5] * 10) == NAMES


def test_picked_walks_over_the_hardest_again_and_again(scored, pool):
    choice = Picked(pick=Hardest(count=3), reward="bleu")
    state = choice.init(pool(NAMES), KEY)
    assert choice.refresh(state).tolist() == list(range(10))
    assert choice.scoring == Scoring(width=1, greedy=True)
    state = prepared(scored, pool, choice, [0.9, 0.1, 0.8, 0.0, 0.7, 0.2, 0.6, 0.5, 0.4, 0.3])
    assert choice.refresh(state) is None, "scored once"
    names = epoch(choice, state, size=9)
    assert [sorted(names[start : start + 3]) for start in (0, 3, 6)] == [["t01", "t03", "t05"]] * 3
    assert choice.metrics(state)["choice/scoring_rollouts"] == 10


def test_training_scores_do_not_change_the_pick(scored, pool):
    choice = Picked(pick=Hardest(count=1))
    state = prepared(scored, pool, choice, [0.0, *[0.5] * 9])
    state = choice.update(state, scored([("t00", 1, [1.0, 1.0]), ("t01", 1, [0.0, 0.0])]), scoring=False)
    assert set(epoch(choice, state)) == {"t00"}
    after = choice.draw(state, 2).state
    assert choice.metrics(after)["choice/picked"] == 1
    assert choice.metrics(after)["choice/picked_score"] == 0.0
    assert choice.metrics(after)["choice/rollouts"] == 14


def test_tasks_without_a_score_are_left_out_and_not_taken_for_hard(scored, pool):
    choice = Picked(pick=Hardest(count=2))
    state = prepared(scored, pool, choice, [None, 0.4, 0.3, *[0.9] * 7])
    assert choice.refresh(state) is None, "what failed is not rolled out again"
    assert set(epoch(choice, state)) == {"t01", "t02"}


def test_a_scoring_pass_may_come_in_pieces(scored, pool):
    choice = Picked(pick=Hardest(count=2))
    state = choice.init(pool(NAMES), KEY)
    state = choice.update(state, scored([(name, 0, [0.5]) for name in NAMES[:6]]), scoring=True)
    assert choice.refresh(state).tolist() == [6, 7, 8, 9]
    with pytest.raises(SettingError, match="4 of 10 tasks have no scoring rollout"):
        choice.draw(state, 1)
    state = choice.update(state, scored([(name, 0, [0.1]) for name in NAMES[6:]]), scoring=True)
    assert set(epoch(choice, state)) == {"t06", "t07"}


def test_a_pool_without_any_score_cannot_be_picked_from(scored, pool):
    choice = Picked(pick=Hardest(count=2), reward="bleu")
    state = prepared(scored, pool, choice, [None] * 10)
    with pytest.raises(SettingError, match="'bleu'"):
        choice.draw(state, 1)


def test_the_order_of_the_pool_does_not_change_the_stream(scored, pool):
    choice = Picked(pick=Hardest(count=4))
    score = [0.9, 0.1, 0.8, 0.0, 0.7, 0.2, 0.6, 0.5, 0.4, 0.3]
    forwards = prepared(scored, pool, choice, score)
    backwards = prepared(scored, pool, choice, score[::-1], NAMES[::-1])
    assert epoch(choice, forwards) == epoch(choice, backwards, NAMES[::-1])


def test_checkpoint_before_and_after_the_pick(scored, pool):
    choice = Picked(pick=Hardest(count=4))
    state = prepared(scored, pool, choice, [number / 10 for number in range(10)])
    for _ in range(2):
        restored = load(type(state), dump(state))
        assert epoch(choice, restored) == epoch(choice, state)
        state = choice.draw(state, 3).state


def test_ranked_leaves_out_what_is_unknown():
    score, known = torch.tensor([0.5, float("nan"), 0.1]), torch.tensor([True, False, True])
    assert ranked(["a", "b", "c"], score, known).tolist() == [2, 0]


def test_window_limits():
    order = torch.arange(5)
    assert window(order, 5, place=0.5).tolist() == [0, 1, 2, 3, 4]
    assert window(order, 2, place=1.0).tolist() == [3, 4]


@pytest.mark.parametrize("pick", [Hardest, Medium, Easiest, RandomPick])
def test_common_promises(pick):
    check_choice(Picked(pick=pick(count=2)))


@pytest.mark.parametrize("pick", [Hardest, Medium, Easiest, RandomPick])
def test_settings_are_checked(pick):
    with pytest.raises(SettingError, match="count"):
        pick(count=0)
