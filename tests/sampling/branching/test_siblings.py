"""Siblings at every step: all executed, one goes on, none sees another."""

import pytest
import torch

from milepost import keys
from milepost.columns import End
from milepost.errors import SettingError, ShapeError
from milepost.part import Extension
from milepost.sampling.branching.siblings import Siblings
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.testing import check_sampler
from milepost.testing.worlds import Letters, TabularPolicy, letter_task

POLICY = TabularPolicy.random("abc", key=1)
TASKS = [Draw(task=letter_task(name, prompt=name, payoff={})) for name in "abc"]


def prefers(letter):
    """Scores a step by whether it says the letter; "" can judge nothing."""

    def score(forest, rows):
        texts = forest.text("text")
        value = [
            None if row not in set(rows.tolist()) or not letter else float(texts[row] == letter)
            for row in range(len(forest))
        ]
        return forest.with_columns({"reward.total": value, "ok.total": [one is not None for one in value]})

    return score


def grown(sampler, turns=3):
    return grow(TASKS, policy=POLICY, environment=Letters(turns=turns), sampler=sampler, key=keys.root(2))


def test_one_goes_on_at_every_step_and_the_others_end_as_pruned():
    forest = grown(Siblings(width=4, scorer=prefers("b")))
    texts = forest.text("text")
    assert len(forest) == 3 + 3 * 3 * 4
    for row in (forest.parent >= 0).nonzero().squeeze(1).tolist():
        siblings = (forest.parent == forest.parent[row]).nonzero().squeeze(1)
        on = siblings[forest["end"][siblings] != int(End.PRUNED)]
        assert len(on) == 1
        assert texts[int(on)] == "b" or "b" not in [texts[one] for one in siblings.tolist()]
    finished = forest["end"][forest.leaves()] == int(End.TERMINATED)
    assert int(finished.sum()) == 3  # an answer counts only if its step was chosen


def test_where_nothing_is_known_the_first_goes_on():
    forest = grown(Siblings(width=3, scorer=prefers("")))
    first = [
        min((forest.parent == above).nonzero().squeeze(1).tolist())
        for above in forest.parent.unique().tolist()
        if above >= 0
    ]
    assert (forest["end"][torch.tensor(first)] != int(End.PRUNED)).all()
    assert not forest["ok.total"].any()


def test_width_1_is_one_independent_trajectory():
    one, other = grown(Siblings(width=1, scorer=prefers("b"))), grown(Independent(width=1))
    assert one.text("text") == other.text("text")


def test_it_keeps_the_contract():
    check_sampler(Siblings(width=2, scorer=prefers("a")))
    with pytest.raises(SettingError, match="width"):
        Siblings(width=0, scorer=prefers("a"))
    with pytest.raises(ShapeError, match="at most one"):
        grown(Siblings(width=2, scorer=prefers("a"), selector=lambda forest, rows: rows))


def test_extensions_ask_for_every_open_leaf():
    forest = grown(Siblings(width=2, scorer=prefers("a")), turns=1)
    assert Siblings(width=2, scorer=prefers("a")).ask(forest, None) is None
    roots = forest.select(forest.roots())
    found = Siblings(width=2, scorer=prefers("a")).ask(roots, None)
    assert isinstance(found, Extension)
    assert found.counts.tolist() == [2, 2, 2]
