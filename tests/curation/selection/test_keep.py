"""A selection on a forest: whole trajectories, known probabilities, the same draws in any company."""

import torch

from milepost.curation.selection.keep import Keep
from milepost.curation.selection.rules import Random, Selection
from milepost.curation.signals.labels import Label
from milepost.traces.forests import forest_of
from milepost.traces.record import Trace


def pool(count):
    bad = {"role": "user", "content": "That is not what I asked!! This is ridiculous, I give up"}
    good = {"role": "user", "content": "Book a flight"}
    return [Trace(id=str(n), task=f"t{n}", messages=[good, bad if n % 4 == 0 else good]) for n in range(count)]


def test_trajectories_with_signals_come_first():
    forest = Keep(selection=Selection(keep=0.25, sentinel=0.0))(Label()(forest_of(pool(40))))
    leaves = forest.leaves()
    assert forest["inclusion"][leaves].tolist() == [1.0, 0.0, 0.0, 0.0] * 10
    assert forest["keep"][leaves].tolist() == [True, False, False, False] * 10
    assert torch.equal(forest["keep"][forest.roots()], forest["keep"][leaves]), "whole trajectories"
    assert forest.valid("inclusion").tolist() == [False, True] * 40


def test_a_draw_does_not_depend_on_the_company():
    rule = Keep(selection=Selection(rule=Random(), keep=0.5, sentinel=0.0, seed=3))
    few, many = (rule(Label()(forest_of(pool(count)))) for count in (10, 60))
    assert torch.equal(few["keep"], many["keep"][: len(few)])
    assert 0.2 < many["keep"].float().mean() < 0.8


def test_branches_are_drawn_one_by_one():
    messages = [{"role": "user", "content": "x"}] * 5
    forest = forest_of([Trace(id="a", messages=messages, parents=[-1, 0, 0, 0, 0])])
    kept = Keep(selection=Selection(rule=Random(), keep=0.5, sentinel=0.0))(Label()(forest))
    leaves = kept["keep"][1:].tolist()
    assert kept["keep"][0] == any(leaves)
    assert len(set(leaves)) == 2
