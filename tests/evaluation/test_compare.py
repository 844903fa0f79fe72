"""Comparisons: what is called better, what is not told, and how often that is wrong."""

import itertools
import math

import pytest
import torch

from milepost import keys
from milepost.errors import ShapeError
from milepost.evaluation.compare import Result, compare, distinct_share, pass_at, sentence, surprisal
from milepost.evaluation.intervals import student_quantile

KEY = keys.root(20260202)
NAMES = ("oar", "sail")


def runs(values, *, tokens=1000.0, seeds=None, **more):
    seeds = range(len(values)) if seeds is None else seeds
    return [
        Result(seed=seed, metrics={"success": value, **{k: v[i] for k, v in more.items()}}, cost={"tokens": tokens})
        for i, (seed, value) in enumerate(zip(seeds, values, strict=True))
    ]


def told(first, second):
    return compare(first, second, NAMES, unit="tokens", key=KEY)


def test_hand_example():
    found = told(runs([0.6, 0.7, 0.8]), runs([0.5, 0.5, 0.5]))
    half = student_quantile(0.975, 2) * 0.1 / math.sqrt(3)
    assert (found.success.first, found.success.second) == (pytest.approx(0.7), 0.5)
    assert found.success.difference.estimate == pytest.approx(0.2)
    assert found.success.difference.high == pytest.approx(0.2 + half)
    assert found.success.sign == 0.25
    assert found.verdict == "undecided"
    assert sentence(found).startswith("Cannot tell oar from sail: held-out success 70.0% against 50.0%")
    assert "+20.0 points (95 % interval -4.8 to +44.8)" in sentence(found)
    assert "3 paired seeds; equal cost: oar spent 1.00 times the tokens of sail" in sentence(found)


def test_a_clear_difference_names_the_better_and_swaps():
    low, high = [0.50, 0.52, 0.49, 0.53], [0.61, 0.64, 0.60, 0.63]
    assert told(runs(high), runs(low)).verdict == "first"
    other = told(runs(low), runs(high))
    assert other.verdict == "second"
    assert sentence(other).startswith("sail is better than oar: held-out success 62.0% against 51.0%")
    assert "difference +11.0 points (95 % interval +9.7 to +12.3)" in sentence(other)


def test_pairs_are_made_by_seed_not_by_place():
    first, second = runs([0.1, 0.9], seeds=(7, 3)), runs([0.9, 0.1], seeds=(3, 7))
    found = told(first, second)
    assert found.success.pairs == (0, 0)
    assert found.verdict == "undecided"


def test_one_pair_decides_nothing_and_says_what_holds_for_these_runs():
    one = Result(seed=0, metrics={"success": 0.75}, cost={"tokens": 10.0}, by_task=[1, 1, 0, 1, math.nan] * 8)
    two = Result(seed=0, metrics={"success": 0.5}, cost={"tokens": 10.0}, by_task=[1, 0, 0, 1, 1] * 8)
    found = told([one], [two])
    assert found.verdict == "undecided"
    assert found.over_tasks is not None
    assert found.over_tasks.estimate == pytest.approx(0.25)
    assert "by one run of each" in sentence(found)
    assert "over tasks, seeds unknown" in sentence(found)


def test_unequal_cost_gets_no_verdict():
    found = told(runs([0.9] * 8, tokens=3600), runs([0.1] * 8, tokens=1000))
    assert found.verdict == "unequal cost"
    assert "oar spent 3.60 times the tokens of sail" in sentence(found)


@pytest.mark.parametrize(("tokens", "verdict"), [(1140.0, "first"), (1200.0, "unequal cost")])
def test_pairs_may_differ_by_a_step_where_the_means_agree(tokens, verdict):
    second = runs([0.1, 0.1, 0.1])
    for place, spent in enumerate((tokens, 2000.0 - tokens)):
        second[place] = Result(seed=place, metrics={"success": 0.1}, cost={"tokens": spent})
    assert told(runs([0.9, 0.8, 0.85]), second).verdict == verdict


def test_pairs_that_all_differ_the_same_way_are_unequal_in_the_mean():
    assert told(runs([0.9, 0.8, 0.85], tokens=1100), runs([0.1] * 3, tokens=1000)).verdict == "unequal cost"


def test_cost_within_the_tolerance_is_equal():
    assert told(runs([0.9, 0.8, 0.85], tokens=1049), runs([0.1] * 3)).verdict == "first"


def test_equal_differences_have_no_width_and_need_the_sign_test():
    assert told(runs([0.6] * 2), runs([0.5] * 2)).verdict == "undecided"
    assert told(runs([0.6] * 5), runs([0.5] * 5)).verdict == "undecided"
    assert told(runs([0.6] * 6), runs([0.5] * 6)).verdict == "first"
    assert told(runs([0.5] * 6), runs([0.5] * 6)).verdict == "undecided"


def test_other_seeds_are_not_paired():
    found = told(runs([0.6, 0.61, 0.62]), runs([0.5, 0.51], seeds=(8, 9)))
    assert not found.paired
    assert math.isnan(found.success.sign)
    assert found.success.pairs == ()
    assert "3 and 2 unpaired runs" in sentence(found)


def test_metrics_that_all_runs_have_are_compared():
    nan = math.nan
    first = runs([0.5, 0.6], entropy=[1.0, 2.0], **{"pass@4": [0.9, nan]})
    second = runs([0.5, 0.5], entropy=[1.0, 1.0], **{"pass@4": [0.9, 0.8]})
    assert [one.metric for one in told(first, second).differences] == ["success", "entropy"]


def test_costs_are_listed_by_unit():
    one = Result(seed=0, metrics={"success": 1}, cost={"tokens": 10.0, "reward_calls": 4.0})
    two = Result(seed=0, metrics={"success": 1}, cost={"tokens": 10.0})
    found = {spent.unit: spent for spent in told([one], [two]).costs}
    assert found["tokens"].ratio == 1
    assert found["reward_calls"].gap == 1
    assert math.isnan(found["reward_calls"].ratio)


def test_runs_without_success_are_refused():
    with pytest.raises(ShapeError, match="0 and 1 runs"):
        told([], runs([0.5]))
    with pytest.raises(ShapeError, match="metric 'success'"):
        told(runs([0.5]), [Result(seed=0, metrics={}, cost={})])


@pytest.mark.statistical
@pytest.mark.parametrize("repeats", [3, 8])
def test_false_alarms_are_as_rare_as_stated(repeats):
    """Two equal methods whose pairs share their seed's luck: a verdict in 5 % of the worlds."""
    worlds, alarms = 1500, 0
    stream = keys.generator(keys.fold(KEY, "false alarms", repeats))
    for _ in range(worlds):
        luck = stream.normal(0.5, 0.1, repeats)
        first, second = luck + stream.normal(0, 0.03, repeats), luck + stream.normal(0, 0.03, repeats)
        alarms += told(runs(first.tolist()), runs(second.tolist())).verdict != "undecided"
    assert abs(alarms / worlds - 0.05) < 5 * math.sqrt(0.05 * 0.95 / worlds)


@pytest.mark.statistical
def test_pairing_finds_what_unpaired_runs_hide():
    """A gain of 4 points below a seed-to-seed spread of 10: found in most paired worlds, in few unpaired ones."""
    found, hidden, worlds = 0, 0, 200
    stream = keys.generator(keys.fold(KEY, "power"))
    for _ in range(worlds):
        luck = stream.normal(0.5, 0.1, 6)
        first, second = luck + 0.04 + stream.normal(0, 0.02, 6), luck + stream.normal(0, 0.02, 6)
        found += told(runs(first.tolist()), runs(second.tolist())).verdict == "first"
        hidden += told(runs(first.tolist()), runs(second.tolist(), seeds=range(10, 16))).verdict == "first"
    assert found / worlds > 0.7
    assert hidden / worlds < 0.2


# ---- metrics of held-out answers ----


def everything(count):
    return torch.ones(count, dtype=torch.bool)


def test_pass_at_hand_example():
    solved, task = torch.tensor([True, False, False, False, True, True]), torch.tensor([0, 0, 0, 0, 1, 1])
    assert float(pass_at(solved, task, everything(6), draws=1)) == pytest.approx((0.25 + 1) / 2)
    assert float(pass_at(solved, task, everything(6), draws=2)) == pytest.approx((0.5 + 1) / 2)
    assert float(pass_at(solved, task, everything(6), draws=4)) == 1  # only the first task has four answers
    assert math.isnan(float(pass_at(solved, task, everything(6), draws=5)))


def test_pass_at_equals_the_mean_over_all_subsets():
    solved = torch.tensor([True, False, True, False, False, False])
    for draws in range(1, 7):
        subsets = list(itertools.combinations(solved.tolist(), draws))
        truth = sum(any(subset) for subset in subsets) / len(subsets)
        assert float(pass_at(solved, torch.zeros(6, dtype=torch.int64), everything(6), draws=draws)) == pytest.approx(
            truth
        )


def test_pass_at_leaves_out_what_does_not_count():
    solved, task = torch.tensor([True, False, True]), torch.tensor([0, 0, 0])
    ok = torch.tensor([False, True, True])
    assert float(pass_at(solved, task, ok, draws=1)) == 0.5
    assert math.isnan(float(pass_at(solved, task, ok, draws=3)))


def test_distinct_share():
    task = torch.tensor([0, 0, 0, 1, 1])
    assert float(distinct_share(["a", "a", "a", "b", "c"], task)) == pytest.approx((1 / 3 + 1) / 2)
    assert math.isnan(float(distinct_share([], torch.tensor([], dtype=torch.int64))))


def test_surprisal_is_the_mean_over_chosen_tokens():
    log_prob = torch.tensor([-1.0, math.nan, -3.0])
    assert float(surprisal(log_prob, torch.tensor([True, False, True]))) == 2
    assert math.isnan(float(surprisal(log_prob, torch.zeros(3, dtype=torch.bool))))


@pytest.mark.statistical
def test_surprisal_estimates_the_entropy():
    chances = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    drawn = torch.from_numpy(keys.generator(keys.fold(KEY, "entropy")).choice(3, 20_000, p=chances.numpy()))
    surprise = -chances.log()[drawn]
    truth = float(-(chances * chances.log()).sum())
    error = float(surprise.std()) / math.sqrt(len(drawn))
    assert abs(float(surprisal(-surprise, everything(len(drawn)))) - truth) < 5 * error


def test_intervals_of_shares_stay_within_what_is_possible():
    """Two pairs that differ much have an interval wider than shares can: it is cut, that of other numbers is not."""
    first, second = runs([0.9, 0.5], score=[0.9, 0.5]), runs([0.0, 0.0], score=[0.0, 0.0])
    share, other = told(first, second).differences
    assert (share.metric, share.difference.low, share.difference.high) == ("success", -1.0, 1.0)
    assert other.difference.high > 1.0
    alone = told(first[:1], second[:1]).success.difference
    assert math.isnan(alone.low)
    assert math.isnan(alone.high)
