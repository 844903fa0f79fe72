"""The battery passes what is right and names what is wrong: every check is seen to fail."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import numpy as np
import pytest
import torch
from torch import Tensor

from milepost import segments
from milepost.credit.group import Centred, LeaveOneOut, Normalised
from milepost.forest import Forest
from milepost.objectives.clipped import Clipped
from milepost.part import Loss
from milepost.testing.parts import check_part, part_checks, require, same


@pytest.mark.parametrize(
    "part", [Centred(), LeaveOneOut(), Normalised(), Clipped()], ids=lambda part: type(part).__name__
)
def test_right_parts_pass(part):
    assert len(check_part(part)) >= 8


def centred(forest: Forest) -> Tensor:
    group = forest.siblings()
    return segments.group_centre(forest["reward.total"], group, 2 * len(forest), forest["ok.total"])


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A credit rule made of a function, right unless the function is wrong."""

    work: Callable[[Forest], Forest]
    reads, writes = ("reward.total", "ok.total"), ("advantage",)

    def compare(self, forest: Forest):
        from milepost.credit.compare import siblings

        return siblings(forest)

    def __call__(self, forest: Forest) -> Forest:
        return self.work(forest)


def right(forest):
    return forest.with_columns({"advantage": centred(forest)}).with_valid("advantage", forest["ok.total"])


def changes_input(forest):
    forest["reward.total"].add_(1.0)
    return right(forest)


COUNT = count()


def not_repeatable(forest):
    return forest.with_columns({"advantage": torch.full((len(forest),), float(next(COUNT)))})


def writes_more(forest):
    return right(forest).with_columns({"value": torch.zeros(len(forest))})


def changes_others(forest):
    return (
        right(forest)
        .with_columns({"weight": torch.zeros(len(forest)), "draw": torch.zeros(len(forest)).long()})
        .without("weight")
    )


def reads_more(forest):
    cost = forest["cost.tokens"].float() if "cost.tokens" in forest else torch.zeros(len(forest))
    return forest.with_columns({"advantage": torch.where(forest["ok.total"], centred(forest) + cost, 0)})


def ignores_ok(forest):
    reward = forest["reward.total"].nan_to_num(0.5)
    every = torch.ones(len(forest), dtype=torch.bool)
    return forest.with_columns(
        {"advantage": segments.group_centre(reward, forest.siblings(), 2 * len(forest), every).nan_to_num(0)}
    )


def rounding(forest):
    mean = segments.group_sum(forest["reward.total"], forest.siblings(), 2 * len(forest), forest["ok.total"])
    count = segments.group_count(forest.siblings(), 2 * len(forest), forest["ok.total"]).clamp(min=1)
    centre = forest["reward.total"].double() - (mean / count)[forest.siblings()].double() * 1.0000001
    return forest.with_columns({"advantage": torch.where(forest["ok.total"], centre.float(), 0)})


def by_place(forest):
    return forest.with_columns({"advantage": torch.where(forest["ok.total"], torch.arange(len(forest)).float(), 0)})


def fails_when_empty(forest):
    require(bool(forest["reward.total"].numel() > 0), "nothing to do")
    return right(forest)


def infinite_alone(forest):
    spread = 1 / (len(forest.roots()) - 1) if len(forest.roots()) > 1 else float("inf")
    return (
        forest.with_columns({})
        if "advantage" in forest
        else Forest(
            forest.parent,
            {**forest.columns, "advantage": centred(forest) + spread},
            forest.validity,
            forest.token_offsets,
        )
    )


def test_a_right_rule_made_of_a_function_passes():
    check_part(Rule(work=right))


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (changes_input, "changed its input"),
        (not_repeatable, "two results"),
        (writes_more, "it wrote"),
        (changes_others, "column of others"),
        (reads_more, "reads more than it declares"),
        (ignores_ok, "not ok matters"),
        (rounding, "give credit"),
        (by_place, "order of the rows"),
        (fails_when_empty, "nothing to do"),
        (infinite_alone, "batch of one"),
    ],
)  # fmt: skip
def test_each_broken_promise_is_named(work, says):
    with pytest.raises(AssertionError, match=says):
        check_part(Rule(work=work))


@dataclass
class Loose:
    scale: float = 1.0
    reads, writes = ("reward.total", "ok.total"), ("advantage",)

    def __call__(self, forest: Forest) -> Forest:
        return right(forest)


def test_a_part_that_is_not_frozen_is_named():
    with pytest.raises(AssertionError, match="keyword-only"):
        check_part(Loose())


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A policy-gradient loss made wrong by one function."""

    spoil: str = ""
    needs_reference: bool = False

    def __call__(self, forest, log_prob, reference=None):
        advantage = torch.where(forest.valid("advantage"), forest["advantage"], 0)
        train, token = forest["tokens.train"], log_prob
        if self.spoil == "trains all":
            train = torch.ones_like(train)
        if self.spoil == "reads invalid":
            advantage = forest["advantage"].nan_to_num(1.0)
        if self.spoil == "rounds" and log_prob.dtype == torch.float32:
            token = token * 1.01
        weight = (advantage[forest.token_row] * train).to(log_prob.dtype)
        if self.spoil == "by place":
            weight = weight * torch.arange(len(weight)).cos()
        total = -(weight * token).sum() / (len(weight) if self.spoil == "divides" else max(len(weight), 1))
        if self.spoil == "infinite":
            total = total / 0.0
        name = "odd" if self.spoil == "names" else "objective/loss"
        return Loss(loss=total * (0 if self.spoil == "flat" else 1), metrics={name: float(total.detach())})


def test_a_right_objective_passes():
    check_part(Objective())


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("trains all", "not trained has a gradient|taken out of training"),
        ("reads invalid", "does not count matters"),
        ("rounds", "float32"),
        ("by place", "order of rows"),
        ("infinite", "finite"),
        ("names", "stage/quantity"),
        ("flat", "no finite gradient"),
    ],
)
def test_each_broken_promise_of_an_objective_is_named(spoil, says):
    with pytest.raises(AssertionError, match=says):
        check_part(Objective(spoil=spoil))


def test_checks_can_be_parametrised_one_by_one():
    names = [check.name for check in part_checks(LeaveOneOut())]
    assert len(names) == len(set(names))


def test_same_compares_to_the_bit():
    assert same({"a": (1, torch.ones(2))}, {"a": (1, torch.ones(2))})
    assert same(np.array([np.nan]), np.array([np.nan]))
    assert not same(torch.ones(2), torch.ones(2).double())
    assert not same((1,), [1])
    assert not same(torch.tensor([0.0]), torch.tensor([-0.0]))


def test_same_leaves_out_what_a_record_does_not_compare():
    kind = dataclasses.make_dataclass("Kept", [("size", int), ("warm", object, dataclasses.field(compare=False))])
    assert same(kind(1, object()), kind(1, object()))
    assert not same(kind(1, None), kind(2, None))
