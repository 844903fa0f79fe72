"""pass@k and distinct solutions: enumeration, limits, bias, failures."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.testing import assert_close

from milepost import keys
from milepost.errors import ColumnError, SettingError, ShapeError
from milepost.evaluation.passing import chance_of_one, distinct_at_k, pass_at_k, pass_hat_k, passes
from milepost.forest import Forest
from milepost.testing.answers import solved


def one_group(values: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    tensor = torch.tensor(values)
    return tensor, torch.zeros(len(values), dtype=torch.int64), torch.ones(len(values), dtype=torch.bool)


@pytest.mark.parametrize("n", range(1, 8))
def test_against_enumeration_of_all_draws(n):
    for c, k in itertools.product(range(n + 1), range(1, n + 1)):
        answers = [True] * c + [False] * (n - c)
        draws = list(itertools.combinations(answers, k))
        truth = sum(any(draw) for draw in draws) / len(draws)
        found = chance_of_one(torch.tensor([c]), torch.tensor([n]), k=k)
        assert_close(found, torch.tensor([truth], dtype=torch.float64), rtol=1e-12, atol=1e-15)


def test_distinct_against_enumeration_of_all_draws():
    solution, group, ok = one_group([0, 0, 1, -1, -1, 2, 1])
    for k in range(1, 8):
        draws = list(itertools.combinations(solution.tolist(), k))
        truth = sum(len({s for s in draw if s >= 0}) for draw in draws) / len(draws)
        assert_close(
            distinct_at_k(solution, group, 1, ok, k=k), torch.tensor([truth], dtype=torch.float64), rtol=1e-12, atol=0
        )


@pytest.mark.parametrize("n", range(1, 7))
def test_all_of_k_against_binomials_and_enumeration(n):
    for c in range(n + 1):
        flags, group, ok = one_group([1] * c + [0] * (n - c))
        found = [float(pass_hat_k(flags.bool(), group, 1, ok, k=k)) for k in range(1, n + 1)]
        for k, one in enumerate(found, 1):
            draws = list(itertools.combinations(flags.tolist(), k))
            assert_close(one, math.comb(c, k) / math.comb(n, k), rtol=1e-12, atol=1e-15)
            assert_close(one, sum(all(draw) for draw in draws) / len(draws), rtol=1e-12, atol=1e-15)
        assert found == sorted(found, reverse=True)
        assert_close(found[0], c / n)
        assert math.isnan(float(pass_hat_k(flags.bool(), group, 1, ok, k=n + 1)))


def test_published_example():
    """The product form that the paper gives, at the size of its experiments."""
    for c in (0, 1, 5, 37, 195, 200):
        oracle = 1.0 if 200 - c < 100 else 1.0 - math.prod(1.0 - 100 / i for i in range(200 - c + 1, 201))
        assert_close(
            float(chance_of_one(torch.tensor([c]), torch.tensor([200]), k=100)), oracle, rtol=1e-12, atol=1e-15
        )


def test_limits():
    flags, group, ok = one_group([1, 0, 0, 1])
    assert pass_at_k(flags.bool(), group, 1, ok, k=1).tolist() == [0.5]
    assert pass_at_k(flags.bool(), group, 1, ok, k=4).tolist() == [1.0]
    same = torch.tensor([0, -1, -1, 0])
    for k in range(1, 5):
        assert torch.equal(distinct_at_k(same, group, 1, ok, k=k), pass_at_k(flags.bool(), group, 1, ok, k=k))


def test_failed_answers_do_not_count():
    flags, group = torch.tensor([True, False, True, False]), torch.zeros(4, dtype=torch.int64)
    ok = torch.tensor([True, True, False, True])
    assert_close(pass_at_k(flags, group, 1, ok, k=2), torch.tensor([2 / 3], dtype=torch.float64))
    assert pass_at_k(flags, group, 1, ok, k=4).isnan().tolist() == [True]
    assert distinct_at_k(torch.zeros(4, dtype=torch.int64), group, 1, ok, k=4).isnan().tolist() == [True]
    assert pass_at_k(flags, group, 2, ok, k=1).isnan().tolist() == [False, True]


@pytest.mark.statistical
def test_it_is_unbiased_and_the_naive_estimate_is_not():
    """p = 0.2, eight answers, k = 4: the mean of the estimates is 1 - 0.8^4; 1 - (1 - c / n)^4 is too small."""
    tasks, n, p, k = 40_000, 8, 0.2, 4
    flags = torch.from_numpy(keys.uniform([41], tasks * n)[0] < p)
    group = torch.arange(tasks).repeat_interleave(n)
    found = pass_at_k(flags, group, tasks, torch.ones(len(flags), dtype=torch.bool), k=k)
    truth, error = 1 - (1 - p) ** k, found.std() / math.sqrt(tasks)
    assert abs(found.mean() - truth) < 5 * error
    naive = 1 - (1 - flags.view(tasks, n).double().mean(1)) ** k
    assert truth - naive.mean() > 5 * error


def test_forest_of_answers():
    forest = solved([[1.0, 1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0], [1.0, None, None, None]])
    texts = [None] * 3 + ["1 + 2", "2+1", "9", "1+2", *"abcdefgh"]
    one, two = passes(forest.with_columns({"text": texts}), [1, 2])
    assert (one.k, one.tasks, one.left_out) == (1, 3, 0)
    assert one.passed.estimate == pytest.approx((0.75 + 0 + 1) / 3)
    assert one.passed.low < one.passed.estimate < one.passed.high
    assert (two.tasks, two.left_out) == (2, 1)
    assert two.passed.estimate == pytest.approx(0.5)
    assert two.distinct.estimate == pytest.approx(((1 - 1 / 6) + 0.5) / 2)  # "1 + 2" twice and "2+1" once of four
    (plain,) = passes(forest, [1], solutions=[None] * 3 + list("xyzwxyzwxyzw"))
    assert plain.distinct.estimate == pytest.approx((0.75 + 0 + 1) / 3)


def test_trajectories_are_grouped_by_root_wherever_they_branch():
    columns = {"reward.solved": [None, None, 1.0, 0.0, 0.0], "ok.solved": [False, False, True, True, True]}
    (found,) = passes(Forest.of([-1, 0, 0, 1, 1], columns), [2])
    assert found.passed.estimate == pytest.approx(2 / 3)


def test_errors():
    with pytest.raises(ColumnError, match=r"pass@k needs 'reward\.solved'"):
        passes(Forest.of([-1, 0]), [1])
    with pytest.raises(SettingError, match="k=0"):
        chance_of_one(torch.tensor([1]), torch.tensor([2]), k=0)
    with pytest.raises(ShapeError, match="0 <= hits <= count"):
        chance_of_one(torch.tensor([3]), torch.tensor([2]), k=1)
