"""The mixture of weighted and uniform draws: frequencies, limits, refresh rules, and traps of the reference code."""

from dataclasses import dataclass, fields, is_dataclass

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from scipy.stats import chisquare
from torch import Tensor

from milepost import keys
from milepost.errors import SettingError
from milepost.sampling.choice import ScoresPool, Scoring, Uniform
from milepost.sampling.mixture import (
    FromTraining,
    Mixture,
    WholePool,
    draw_weighted,
    sampling_weights,
    weighted_slots,
)
from milepost.sampling.variance import VariancePromotion
from milepost.state import dump, load
from milepost.testing.strategies import check_choice

KEY = keys.root(5)
NAMES = [f"t{number}" for number in range(8)]
RATES = [0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 0.875, 1.0]
ONLY_VARIANCE = VariancePromotion(variance_weight=1.0, diversity_weight=0.0)


def mixture(**settings):
    return Mixture(**{"scorer": ONLY_VARIANCE, "refresher": WholePool(every=4, width=8), **settings})


def pass_over(scored, rates, names=NAMES, draw=0):
    """A forest in which each task has 8 answers, passed with the given rate."""
    return scored(
        [(n, draw, [1.0] * round(8 * r) + [0.0] * (8 - round(8 * r))) for n, r in zip(names, rates, strict=True)]
    )


def stream(choice, state, batches):
    tasks = []
    for count in batches:
        drawn = choice.draw(state, count)
        state = drawn.state
        tasks += drawn.tasks.tolist()
    return tasks


def same(first, second):
    """Whether two states are equal, to the bit."""
    if is_dataclass(first):
        return all(same(getattr(first, f.name), getattr(second, f.name)) for f in fields(first))
    return torch.equal(first, second) if isinstance(first, Tensor) else first == second


@pytest.mark.statistical
def test_weighted_half_follows_the_scores(scored, pool):
    """Chi-square over 80,000 weighted draws; the probability of a false alarm is below 1e-6."""
    choice = mixture(weighted_share=1.0, floor=0.05)
    state = choice.update(choice.init(pool(NAMES), KEY), pass_over(scored, RATES), scoring=True)
    expected = torch.tensor([max(4 * r * (1 - r), 0.05) for r in RATES], dtype=torch.float64)
    expected = expected / expected.sum()
    torch.testing.assert_close(choice.weights(state), expected)
    counts = torch.bincount(torch.tensor(stream(choice, state, [1000] * 80)), minlength=8)
    assert chisquare(counts.numpy(), (expected * 80_000).numpy()).pvalue > 1e-6
    assert chisquare(counts.numpy()).pvalue < 1e-6, "the test can tell it from a uniform draw"


@pytest.mark.statistical
def test_uniform_half_is_uniform(scored, pool):
    choice = mixture(weighted_share=0.5)
    state = choice.update(choice.init(pool(NAMES), KEY), pass_over(scored, RATES), scoring=True)
    slots, uniform = weighted_slots(16, 0.5), []
    for _ in range(100):
        drawn = choice.draw(state, 16)
        state = drawn.state
        uniform += drawn.tasks[~slots].tolist()
    assert torch.bincount(torch.tensor(uniform)).tolist() == [100] * 8, "each task once per epoch"


def test_share_zero_is_uniform_to_the_bit(scored, pool):
    tasks, batches = pool(NAMES), [3, 8, 1, 20, 5]
    choice = mixture(weighted_share=0.0)
    state = choice.update(choice.init(tasks, KEY), pass_over(scored, RATES), scoring=True)
    assert stream(choice, state, batches) == stream(Uniform(), Uniform().init(tasks, KEY), batches)


def test_share_one_is_purely_weighted(scored, pool):
    choice = mixture(weighted_share=1.0)
    state = choice.update(choice.init(pool(NAMES), KEY), pass_over(scored, [0.5] + [0.0] * 7), scoring=True)
    assert stream(choice, state, [50]).count(0) >= 49
    assert choice.draw(state, 8).state.walk.place == 0, "the pass does not move"


def test_nothing_known_is_uniform(pool):
    choice = mixture(refresher=FromTraining())
    assert choice.weights(choice.init(pool(NAMES), KEY)).tolist() == [0.125] * 8


def test_reference_trap_equal_weights_break_the_draw(scored, pool):
    """Scaled by minimum and maximum, equal scores become all zeros and there is nothing to draw from."""
    choice = mixture(weighted_share=1.0)
    for rate in (0.0, 0.5, 1.0):
        state = choice.update(choice.init(pool(NAMES), KEY), pass_over(scored, [rate] * 8), scoring=True)
        assert choice.weights(state).tolist() == [0.125] * 8
        assert len(set(stream(choice, state, [400]))) == 8


def test_reference_trap_min_max_gives_the_worst_task_weight_zero(scored, pool):
    """The lowest of different scores keeps its own weight; a task without any variance keeps the floor."""
    choice = mixture()
    state = choice.update(
        choice.init(pool(NAMES[:3]), KEY), pass_over(scored, [0.5, 0.25, 0.125], NAMES[:3]), scoring=True
    )
    weights = choice.weights(state)
    torch.testing.assert_close(weights[2] / weights[0], torch.tensor(0.4375, dtype=torch.float64))
    dead = choice.update(choice.init(pool(NAMES[:2]), KEY), pass_over(scored, [0.5, 1.0], NAMES[:2]), scoring=True)
    assert float(choice.weights(dead)[1]) > 0.9e-6


def test_a_task_may_come_twice_and_is_then_two_groups(scored, pool):
    choice = mixture(weighted_share=1.0, refresher=FromTraining())
    state = choice.update(choice.init(pool(NAMES[:2]), KEY), pass_over(scored, [0.5, 0.0], NAMES[:2]), scoring=False)
    assert choice.draw(state, 4).tasks.tolist() == [0, 0, 0, 0]
    twice = scored([("t0", 1, [1.0, 0.0]), ("t0", 2, [1.0, 1.0])])
    after = choice.update(state, twice, scoring=False)
    assert after.score.tolist() == [0.5, 0.0], "the mean of 1 and 0, not the variance of the four together (0.75)"
    assert after.tracker.groups.tolist() == [3, 1]


def test_unseen_tasks_weigh_as_much_as_the_mean(scored, pool):
    choice = mixture(refresher=FromTraining())
    state = choice.update(choice.init(pool(NAMES[:3]), KEY), pass_over(scored, [0.5, 0.0], NAMES[:2]), scoring=False)
    weights = choice.weights(state)
    assert float(weights[2]) == pytest.approx(float(weights[:2].mean()))


def test_whole_pool_is_scored_before_the_first_draw_and_every_few_draws(scored, pool):
    choice = mixture(refresher=WholePool(every=3, width=8))
    state, passes = choice.init(pool(NAMES), KEY), []
    for step in range(7):
        due = choice.refresh(state)
        if due is not None:
            passes.append(step)
            assert due.tolist() == list(range(8))
            state = choice.update(state, pass_over(scored, RATES, draw=step), scoring=True)
            assert choice.refresh(state) is None
        state = choice.draw(state, 4).state
    assert passes == [0, 3, 6]
    assert choice.metrics(state)["choice/scoring_rollouts"] == 3 * 8 * 8, "the bill names the scoring passes"


def test_a_scoring_pass_may_come_in_pieces(scored, pool):
    choice = mixture()
    whole = choice.update(choice.init(pool(NAMES), KEY), pass_over(scored, RATES), scoring=True)
    state = choice.init(pool(NAMES), KEY)
    state = choice.update(state, pass_over(scored, RATES[:3], NAMES[:3]), scoring=True)
    assert choice.refresh(state).tolist() == [3, 4, 5, 6, 7]
    state = choice.update(state, pass_over(scored, RATES[3:], NAMES[3:]), scoring=True)
    assert choice.refresh(state) is None
    assert same(state, whole)


def test_training_groups_change_weights_only_where_asked(scored, pool):
    for refresher, changes in ((WholePool(), False), (FromTraining(), True)):
        choice = mixture(refresher=refresher)
        state = choice.init(pool(NAMES), KEY)
        after = choice.update(state, pass_over(scored, RATES), scoring=False)
        assert bool(after.known.any()) is changes
        assert int(after.tracker.trials.sum()) == 64, "the record is kept in any case"
    assert choice.refresh(choice.init(pool(NAMES), KEY)) is None


def test_momentum_blends_old_and_new(scored, pool):
    choice = mixture(momentum=0.75)
    state = choice.init(pool(NAMES[:1]), KEY)
    state = choice.update(state, pass_over(scored, [0.5], NAMES[:1]), scoring=True)
    assert state.score.tolist() == [1.0], "the first score is taken as it is"
    state = choice.update(state, pass_over(scored, [0.0], NAMES[:1]), scoring=True)
    assert state.score.tolist() == [0.75]


def test_failed_scores_keep_what_was_known(scored, pool):
    choice = mixture()
    state = choice.update(choice.init(pool(NAMES[:2]), KEY), pass_over(scored, [0.5, 0.25], NAMES[:2]), scoring=True)
    after = choice.update(state, scored([("t0", 1, [None, None])]), scoring=True)
    assert after.score.tolist() == state.score.tolist()
    assert choice.refresh(after) is None, "a task that failed is not asked for again at once"


def test_the_order_of_the_pool_changes_nothing(scored, pool):
    choice, rates = mixture(), [0.5, 0.25, *[0.0] * 6]
    forwards = choice.update(choice.init(pool(NAMES), KEY), pass_over(scored, rates), scoring=True)
    backwards = choice.update(choice.init(pool(NAMES[::-1]), KEY), pass_over(scored, rates), scoring=True)
    first = [NAMES[position] for position in stream(choice, forwards, [16, 16])]
    assert first == [NAMES[::-1][position] for position in stream(choice, backwards, [16, 16])]
    assert first.count("t0") > 8


def test_checkpoint_in_mid_pool_continues_the_stream(scored, pool):
    """Taken apart and rebuilt after three batches, the state goes on with the tasks of the uninterrupted run."""
    choice = mixture()
    state = choice.update(choice.init(pool(NAMES), KEY), pass_over(scored, RATES), scoring=True)
    for _ in range(3):
        state = choice.draw(state, 5).state
    assert 0 < state.walk.place < len(NAMES)
    restored = load(type(state), dump(state))
    assert same(restored, state)
    assert stream(choice, restored, [5] * 20) == stream(choice, state, [5] * 20)
    assert choice.refresh(choice.draw(restored, 5).state).tolist() == list(range(8)), "the next pass is due on time"


@given(st.integers(0, 40), st.floats(0, 1))
def test_slots_are_spread_evenly(count, share):
    slots = weighted_slots(count, share)
    assert len(slots) == count
    assert int(slots.sum()) == int(share * count + 1e-9)
    halves = slots[: count // 2].sum(), slots[count - count // 2 :].sum()
    assert abs(int(halves[0]) - int(halves[1])) <= 1


def test_share_of_a_hundred_is_counted_exactly():
    assert int(weighted_slots(100, 0.29).sum()) == 29, "floor(0.29 * 100) is 28 in floating point"


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=9), st.integers(0, 50))
def test_draws_stay_within_the_pool(weights, count):
    drawn = draw_weighted(torch.tensor(weights, dtype=torch.float64), count, KEY)
    assert len(drawn) == count
    assert all(0 <= position < len(weights) for position in drawn.tolist())


@pytest.mark.parametrize("refresher", [WholePool(every=2, width=4), FromTraining()])
def test_common_promises(refresher):
    check_choice(mixture(refresher=refresher))


def test_floor_hand_example():
    score, known = torch.tensor([0.0, 0.5, 9.0]), torch.tensor([True, True, False])
    torch.testing.assert_close(sampling_weights(score, known, floor=0.1), torch.tensor([0.1, 0.5, 0.3]))


def test_scoring_is_announced():
    assert mixture().scoring == Scoring(width=8, greedy=False)
    assert mixture(refresher=FromTraining()).scoring.width == 0
    assert isinstance(mixture(), ScoresPool)


def test_effective_tasks(scored, pool):
    choice = mixture()
    state = choice.update(choice.init(pool(NAMES[:2]), KEY), pass_over(scored, [0.5, 1.0], NAMES[:2]), scoring=True)
    assert choice.metrics(state)["choice/effective_tasks"] == pytest.approx(1.0, abs=1e-4)
    assert choice.metrics(choice.init(pool(NAMES), KEY))["choice/effective_tasks"] == pytest.approx(8.0)


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A scorer of the user's own."""

    reward = "total"

    def __call__(self, forest, found):
        return torch.arange(len(found), dtype=torch.float64)


def test_any_scorer_will_do(scored, pool):
    choice = mixture(scorer=Constant())
    state = choice.update(choice.init(pool(NAMES[:3]), KEY), pass_over(scored, [0.5] * 3, NAMES[:3]), scoring=True)
    torch.testing.assert_close(choice.weights(state), torch.tensor([0.0, 1 / 3, 2 / 3]).double(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [{"weighted_share": 1.5}, {"momentum": 1.0}, {"momentum": -0.1}, {"floor": 0.0}, {"floor": 1e-9}],
)
def test_settings_are_checked(settings):
    with pytest.raises(SettingError):
        mixture(**settings)


def test_refresh_settings_are_checked():
    with pytest.raises(SettingError, match="every"):
        WholePool(every=0)
    with pytest.raises(SettingError, match="width"):
        WholePool(width=1)
