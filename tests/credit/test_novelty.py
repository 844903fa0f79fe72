"""Novelty inside a group: its scale, what it does not depend on, and what the shapings make of it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from torch.testing import assert_close

from milepost import keys
from milepost.credit.group import Normalised
from milepost.credit.novelty import (
    AsDescribed,
    AsPrinted,
    Grid,
    Novel,
    OneSided,
    cosines,
    novelty,
    standing,
)
from milepost.errors import ColumnError, SettingError
from milepost.forest import Forest
from milepost.testing.parts import check_part
from tests.trees import draws, seeds

KEY = keys.root(31)


def normal(name: object, *shape: int) -> torch.Tensor:
    return torch.from_numpy(keys.normal([keys.fold(KEY, str(name))], shape)[0])


def group_of(feature: torch.Tensor, reward: list[float], **settings) -> torch.Tensor:
    return novelty(cosines(feature[None]), torch.tensor([reward], dtype=feature.dtype), **settings)[0]


# ---- novelty ----


def test_ends_of_the_scale() -> None:
    copies = normal("copy", 1, 6).expand(4, 6)
    assert_close(group_of(copies, [1.0, -1.0, 1.0, -1.0]), torch.zeros(4, dtype=torch.float64), atol=1e-12, rtol=0)
    assert_close(group_of(torch.eye(4), [1.0, -1.0, 1.0, -1.0]), torch.ones(4))


def test_by_hand() -> None:
    feature = torch.tensor([[1.0, 0.0], [2.0, 0.0], [1.0, 1.0]])
    e, f = math.exp(1), math.exp(-1)
    expected = [1 - (e + 0.5 * f) / (e + f), 1 - (e + 0.5 * f) / (e + f), 0.5]
    assert_close(group_of(feature, [1.0, 1.0, -1.0]), torch.tensor(expected))


@given(seeds)
def test_what_novelty_does_not_depend_on(seed: int) -> None:
    drawn = draws(seed)
    feature = torch.from_numpy(drawn.standard_normal((5, 4)))
    reward = drawn.choice([-1.0, 1.0], 5).tolist()
    plain = group_of(feature, reward)
    assert bool(((plain >= 0) & (plain <= 1)).all())
    length = torch.from_numpy(drawn.uniform(0.1, 9, (5, 1)))
    turn = torch.linalg.qr(torch.from_numpy(drawn.standard_normal((4, 4))))[0]
    flip = torch.from_numpy(drawn.choice([-1.0, 1.0], (5, 1)))
    for other in (feature * length, feature @ turn, feature * flip):  # an opposing direction counts as redundant
        assert_close(group_of(other, reward), plain)
    order = torch.from_numpy(drawn.permutation(5))
    assert_close(group_of(feature[order], [reward[one] for one in order.tolist()]), plain[order])


def test_signed_novelty_takes_an_opposing_direction_for_new() -> None:
    feature = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert group_of(feature, [1.0, 1.0]).tolist() == [0.0, 0.0]
    assert group_of(feature, [1.0, 1.0], signed=True).tolist() == [1.0, 1.0]


def test_a_right_peer_weighs_e_squared_times_a_wrong_one() -> None:
    """The overlap with one peer is its weight: the others are orthogonal."""
    right = 1 - group_of(torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0]]), [1.0, 1.0, -1.0])[0]
    wrong = 1 - group_of(torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 0, 0]]), [1.0, 1.0, -1.0])[0]
    assert float(right / wrong) == pytest.approx(math.exp(2), rel=1e-5)
    assert float(right + wrong) == pytest.approx(1)


def test_nobody_to_compare_with() -> None:
    assert group_of(torch.tensor([[3.0, 4.0]]), [1.0]).tolist() == [1.0]
    assert standing(torch.tensor([[1.0]]), torch.tensor([[True]])).tolist() == [[0.5]]


def test_standing_ties_and_the_silent() -> None:
    yes = torch.ones(1, 4, dtype=torch.bool)
    assert standing(torch.tensor([[0.2, 0.6, 0.6, 1.0]]), yes)[0].tolist() == pytest.approx([0, 0.5, 0.5, 1])
    assert standing(torch.tensor([[0.3, 0.3 + 1e-7, 0.3, 0.3]]), yes).tolist() == [[0.5] * 4]
    told = torch.tensor([[True, True, True, False]])  # a zero feature has novelty 1 and says nothing
    assert standing(torch.tensor([[0.2, 0.4, 0.6, 1.0]]), told)[0].tolist() == pytest.approx([0, 0.5, 1, 0.5])


def test_grid_holds_partial_groups() -> None:
    grid = Grid.of(torch.tensor([2, 0, 2, 0, 2]), 3, torch.tensor([True, True, True, False, True]))
    laid = grid.lay(torch.arange(5.0), -1.0)
    assert laid.tolist() == [[1, -1, -1], [-1, -1, -1], [0, 2, 4]]
    assert laid.flatten()[grid.place].tolist() == grid.row.tolist()


# ---- shaping ----

PLACES = torch.linspace(0, 1, 11)


@pytest.mark.parametrize("shaping", [AsDescribed(weight=1.0), AsPrinted(weight=9.0), OneSided(weight=9.0)])
def test_shaped_rewards_stay_within_three(shaping) -> None:
    for reward in (-1.0, -0.3, 0.0, 1.0):
        assert bool((shaping(torch.full((11,), reward), PLACES).abs() <= 3).all())


@pytest.mark.parametrize("shaping", [AsDescribed(weight=0.0), AsPrinted(weight=0.0), OneSided(weight=0.0)])
def test_weight_zero_changes_nothing(shaping) -> None:
    reward = torch.linspace(-1, 1, 11)
    assert torch.equal(shaping(reward, PLACES), reward)


@pytest.mark.parametrize("weight", [0.2, 0.5, 1.0])
def test_described_order(weight: float) -> None:
    shaping = AsDescribed(weight=weight)
    right, wrong = (shaping(torch.full((11,), sign), PLACES) for sign in (1.0, -1.0))
    assert bool((right.diff() > 0).all())
    assert bool((wrong.diff() < 0).all())
    assert bool((right >= 0).all() and (wrong <= 0).all())


def test_printed_formula_reverses_the_order_of_wrong_answers() -> None:
    """The conflict between the paper's formula and its words, pinned."""
    shaping = AsPrinted(weight=0.5)
    right, wrong = (shaping(torch.full((11,), sign), PLACES) for sign in (1.0, -1.0))
    assert bool((right.diff() > 0).all())
    assert bool((wrong.diff() > 0).all())


def test_one_sided_order() -> None:
    shaping = OneSided(weight=0.5)
    right, wrong = (shaping(torch.full((11,), sign), PLACES) for sign in (1.0, -1.0))
    assert bool((right >= 1).all() and (right.diff() > 0).all())
    assert bool((wrong <= -1).all() and (wrong.diff() < 0).all())


def test_settings() -> None:
    with pytest.raises(SettingError, match="weight"):
        AsDescribed(weight=1.1)
    for part in (AsPrinted, OneSided):
        with pytest.raises(SettingError, match="weight"):
            part(weight=-0.1)
    with pytest.raises(SettingError, match="low below high"):
        Novel(low=1.0, high=1.0)


# ---- the rule ----


def forest_of(reward: list[float | None], feature: torch.Tensor) -> Forest:
    """One prompt and its answers."""
    rows = {"reward.total": [None, *reward], "ok.total": [False, *(one is not None for one in reward)]}
    zero = torch.zeros(1, feature.shape[1])
    return Forest.of([-1] + [0] * len(reward), {**rows, "feature.gradient": torch.cat((zero, feature.float()))})


def test_groups_of_equal_rewards_are_left_alone_unless_asked() -> None:
    forest = forest_of([1.0, 1.0, 1.0], torch.tensor([[1.0, 0], [1, 0], [0, 1]]))
    assert Novel()(forest)["advantage"].tolist() == [0.0] * 4
    asked = Novel(equal_too=True)(forest)["advantage"]
    assert bool(asked[3] > 0)
    assert float(asked.sum()) == pytest.approx(0, abs=1e-6)


def test_failed_rewards_count_nowhere() -> None:
    feature = normal("failed", 5, 3)
    whole = Novel()(forest_of([1.0, 0.0, 1.0, 1.0, None], feature))
    without = Novel()(forest_of([1.0, 0.0, 1.0, 1.0], feature[:4]))
    assert_close(whole["advantage"][:5], without["advantage"])
    assert not bool(whole.valid("advantage")[5])


def test_trajectories_of_several_turns_have_the_direction_of_their_path() -> None:
    rows = {"reward.total": [None, None, None, 1.0, 1.0, 0.0], "ok.total": [False] * 3 + [True] * 3}
    feature = torch.tensor([[0.0, 0], [1, 0], [0, 1], [3, 0], [0, 2], [1, 1]])
    deep = Forest.of([-1, 0, 0, 1, 2, 0], {**rows, "feature.gradient": feature})
    flat = forest_of([1.0, 1.0, 0.0], torch.tensor([[4.0, 0], [0, 3], [1, 1]]))
    assert_close(Novel()(deep)["advantage"][3:], Novel()(flat)["advantage"][1:])
    assert_close(Novel()(deep)["advantage"][1:3], Novel()(deep)["advantage"][3:5])


def test_other_ranges_are_mapped() -> None:
    feature, reward = normal("range", 4, 3), [1.0, 0.0, 1.0, 0.0]
    plain = Novel(rule=Normalised(eps=0.0))(forest_of(reward, feature))
    wide = Novel(rule=Normalised(eps=0.0), low=-5.0, high=15.0)(forest_of([20 * one - 5 for one in reward], feature))
    assert_close(plain["advantage"], wide["advantage"], atol=1e-6, rtol=1e-6)


def test_numbers_to_report() -> None:
    feature = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [1, 0]])
    found = Novel().metrics(forest_of([1.0, 1.0, 1.0, 0.0], feature), None)
    assert found["credit/cosine_of_right"] == pytest.approx(-1 / 3)
    assert found["credit/opposing_pairs"] == pytest.approx(1 / 3)
    assert 0 < found["credit/novelty"] < 1
    assert "credit/cosine_of_right" not in Novel().metrics(forest_of([1.0, 0.0], feature[:2]), None)


@pytest.mark.parametrize("part", [Novel(), Novel(signed=True, shaping=AsPrinted())])
def test_contract(part) -> None:
    check_part(part)


def test_the_column_is_asked_for() -> None:
    rows = {"reward.total": [None, 1.0], "ok.total": [False, True]}
    with pytest.raises(ColumnError, match=r"feature\.gradient"):
        Novel()(Forest.of([-1, 0], rows))
