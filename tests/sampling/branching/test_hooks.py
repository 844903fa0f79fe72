"""Screening and reviews: when the sampler looks, what it may end, and who pays for it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from milepost.columns import End
from milepost.part import Extension
from milepost.sampling.branching.choosing import Told, prune
from milepost.sampling.branching.hooks import Reviews, Screens
from milepost.sampling.branching.step_level import StepLevel
from milepost.sampling.independent import Independent
from milepost.testing.worlds import Letters
from tests.sampling.branching.conftest import Counted


@dataclass(frozen=True, kw_only=True)
class Watches:
    """Two children at every step; ends the second before the environment sees it, and notes what it saw."""

    seen: list[tuple[str, bool]]
    width: int = 2

    def init(self, forest, key):
        return Told()

    def ask(self, forest, state):
        rows = forest.open_rows()
        return Extension(rows=rows, counts=torch.full_like(rows, self.width)) if len(rows) else None

    def screen(self, forest, rows, state):
        self.seen.append(("screen", bool(forest["end"][rows].eq(int(End.OPEN)).all())))
        return prune(forest, rows[1::2]).with_columns({"extra.seen": torch.arange(len(forest)).float()})

    def review(self, forest, rows, state):
        self.seen.append(("review", bool(forest["end"][rows].eq(int(End.OPEN)).all())))
        return forest

    def tell(self, forest, rows, state):
        return Told(extensions=state.extensions + 1)


def test_who_watches():
    watching = Watches(seen=[])
    assert isinstance(watching, Screens)
    assert isinstance(watching, Reviews)
    assert not isinstance(Independent(), Screens | Reviews)
    assert not issubclass(StepLevel, Reviews)


def test_screening_comes_before_the_environment_and_a_review_after(rollout):
    watching, steps = Watches(seen=[]), []
    forest = rollout(watching, count=2, turns=2, world=Counted(Letters(turns=2), steps))
    assert [name for name, _ in watching.seen] == ["screen", "review"] * 2
    assert [fine for name, fine in watching.seen if name == "screen"] == [True, True]
    assert len(steps) == 4, "only what was not pruned is answered"
    assert forest["end"].eq(int(End.PRUNED)).sum() == 4
    assert forest["discount"][forest["end"] == int(End.PRUNED)].tolist() == [1.0] * 4, "pruned is not terminated"


def test_what_is_answered_costs_a_step(rollout):
    forest = rollout(Watches(seen=[]), count=2, turns=2)
    spent = forest["cost.environment_steps"].where(forest.valid("cost.environment_steps"), 0)
    assert spent[forest["end"] == int(End.PRUNED)].sum() == 0
    assert spent.sum() == 4


def test_columns_written_while_screening_are_kept(rollout):
    forest = rollout(Watches(seen=[]), count=2, turns=1)
    assert forest["extra.seen"].tolist() == list(range(6))
