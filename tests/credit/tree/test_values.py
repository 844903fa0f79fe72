"""Values of trees: exact ones by enumeration, GRPO as a limit, sums along paths."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given

from milepost import keys
from milepost.credit.audit import audit
from milepost.credit.group import Centred
from milepost.credit.tree.values import Best, Mean, SoftMean, TreeValues
from milepost.errors import SettingError
from milepost.rewards import combine, guard
from milepost.sampling.branching.tree import Tree
from milepost.sampling.frontier import Draw, grow
from milepost.testing import check_part
from milepost.testing.forests import batch, tree
from milepost.testing.worlds import Letters, Payoff, TabularPolicy, expected_payoff, letter_task
from tests import trees
from tests.credit.tree.conftest import scored

PAYS: dict[str, float | None] = {"aab": 1.0, "abc": 0.5, "bca": 1.0, "cab": 0.25, "ccc": 1.0}


@pytest.mark.parametrize("reduction", [Mean(), SoftMean(temperature=0.3), Best()])
def test_contract(reduction):
    check_part(TreeValues(reduction=reduction))


def full_tree(table):
    """Every answer of three letters once: a tree of 3 + 9 + 27 steps, and the policy whose table decides."""
    parent, texts = [-1], ["a"]
    for row in range(13):
        for letter in "abc":
            parent.append(row)
            texts.append((texts[row] if row else "") + letter)
    rewards = [None if len(text) < 3 or row == 0 else PAYS.get(text, 0.0) for row, text in enumerate(texts)]
    return scored(parent, rewards), texts


def test_a_full_tree_of_a_uniform_policy_has_the_exact_values():
    """Each child is equally likely, so the mean over children is the expectation: enumerated by the worlds."""
    forest, texts = full_tree(torch.zeros(3, 3))
    found = TreeValues()(forest)
    for row, text in enumerate(texts[:13]):
        said = "" if row == 0 else text
        left = {answer[len(said) :]: value for answer, value in PAYS.items() if answer.startswith(said)}
        policy = TabularPolicy(vocabulary="abc", table=torch.zeros(3, 3))
        task = letter_task("t", prompt="a", payoff=left)
        truth = float(expected_payoff(policy, Letters(turns=3 - len(said)), task).detach())
        assert float(found["value"][row]) == pytest.approx(truth, abs=1e-6)
    value = found["value"]
    inner = forest.parent >= 0
    reward = torch.where(forest["ok.total"], forest["reward.total"], 0)
    gain = reward + value - value[forest.parent.clamp(min=0)]
    assert torch.allclose(found["advantage"][inner], gain[inner], atol=1e-6)
    assert torch.allclose(found["return"][inner], (reward + value)[inner], atol=1e-6)


@pytest.mark.statistical
def test_sampled_trees_have_the_policys_value_on_average():
    """A tree of 3 x 2 x 1: its root's value is unbiased; 400 trees, 5 standard errors."""
    policy = TabularPolicy.random("abc", key=keys.root(3))
    task, world = letter_task("t", prompt="a", payoff=PAYS), Letters(turns=3)
    forest = grow(
        [Draw(task=task, number=number) for number in range(400)],
        policy=policy,
        environment=world,
        sampler=Tree(widths=(3, 2)),
        key=keys.root(0),
    )
    forest = combine.total(guard.score(Payoff(), forest), ["payoff"], [1.0])
    value = TreeValues()(forest)["value"][forest.roots()].double()
    truth = float(expected_payoff(policy, world, task).detach())
    assert abs(float(value.mean()) - truth) < 5 * float(value.std()) / 20


def test_branching_at_the_roots_only_gives_centred_group_credit():
    forest = batch()
    mine, theirs = TreeValues()(forest), Centred()(forest)
    assert torch.allclose(mine["advantage"].double(), theirs["advantage"].double(), atol=1e-6)
    assert torch.equal(mine.valid("advantage"), theirs.valid("advantage"))


def test_soft_values_lie_between_mean_and_best():
    forest, _ = full_tree(None)
    mean, best = (TreeValues(reduction=one)(forest)["value"] for one in (Mean(), Best()))
    soft = TreeValues(reduction=SoftMean(temperature=0.2))(forest)["value"]
    assert bool(((soft >= mean - 1e-6) & (soft <= best + 1e-6)).all())
    cold, hot = (TreeValues(reduction=SoftMean(temperature=t))(forest)["value"] for t in (1e-3, 1e3))
    assert torch.allclose(cold, best, atol=5e-3)
    assert torch.allclose(hot, mean, atol=1e-3)


def test_soft_credit_is_the_log_ratio_of_the_best_policy():
    """exp(A / T) has mean 1 over siblings: the share of the optimal policy over that of a uniform one."""
    forest, _ = full_tree(None)
    credit = TreeValues(reduction=SoftMean(temperature=0.5))(forest)["advantage"]
    for parent in range(13):
        assert float((credit[forest.parent == parent] / 0.5).exp().mean()) == pytest.approx(1, abs=1e-5)


@given(trees.seeds)
def test_credit_adds_up_along_every_path(seed):
    forest = tree(rows=30, roots=2, key=seed)
    for reduction in (Mean(), SoftMean(temperature=0.3), Best()):
        rule = TreeValues(reduction=reduction)
        found = audit(rule(forest), rule)
        assert found.clean, str(found)
        assert "path_sum" in found.checked


def test_the_checker_sees_a_step_that_was_moved():
    forest, _ = full_tree(None)
    rule = TreeValues()
    wrong = rule(forest)
    moved = wrong["advantage"].clone()
    moved[[4, 5]] = moved[[5, 4]] + 0.1
    assert audit(wrong.with_columns({"advantage": moved}), rule).named("path_sum")


def test_a_discount_counts_and_makes_no_promise_of_sums():
    forest = scored([-1, 0, 1], [None, None, 1.0], discount=[1.0, 0.5, 0.0])
    found = TreeValues()(forest)
    assert found["value"].tolist() == [0.5, 1.0, 0.0]
    assert len(TreeValues().path_sums(forest).leaf) == 0


def test_settings():
    with pytest.raises(SettingError):
        SoftMean(temperature=0.0)
