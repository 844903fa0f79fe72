"""Beams: who goes on, against a plain loop over everything."""

from __future__ import annotations

import pytest
import torch

from milepost.columns import End
from milepost.errors import SettingError
from milepost.sampling.branching.beam import Beam
from milepost.testing import check_sampler
from tests.sampling.branching.conftest import Worth, said, scorer


def test_contract(worth):
    check_sampler(Beam(width=2, branch=3, scorer=worth))


def value(forest, row):
    path = forest.path(row).tolist()[1:]
    return sum(float(forest["reward.total"][one]) for one in path)


def test_the_best_of_every_depth_go_on(rollout, worth):
    width, branch, turns = 3, 2, 4
    forest = rollout(Beam(width=width, branch=branch, scorer=worth), count=3, turns=turns)
    depth, root = forest.depth(), forest.root_of()
    for tree in range(3):
        for level in range(1, turns):
            rows = ((depth == level) & (root == tree)).nonzero().squeeze(1).tolist()
            assert len(rows) == (width if level == 1 else width * branch)
            alive = [row for row in rows if int(forest["end"][row]) != int(End.PRUNED)]
            best = sorted(rows, key=lambda row: (-round(value(forest, row), 9), row))[:width]
            assert sorted(value(forest, row) for row in alive) == pytest.approx(
                sorted(value(forest, row) for row in best)
            )
            assert len(alive) == width


def test_a_beam_of_one_without_branches_is_one_trajectory(rollout, worth):
    forest = rollout(Beam(width=1, branch=1, scorer=worth), count=2, turns=3)
    assert len(forest) == 2 + 2 * 3
    assert not bool((forest["end"] == int(End.PRUNED)).any())


def test_failed_steps_are_pruned(rollout):
    forest = rollout(Beam(width=4, branch=2, scorer=scorer(Worth(forbidden="a"))), count=3, turns=3)
    failed = ~forest["ok.total"] & (forest.parent >= 0)
    assert bool(failed.any())
    assert bool((torch.bincount(forest.parent[forest.parent >= 0], minlength=len(forest))[failed] == 0).all())


def test_the_batch_does_not_matter(rollout, worth):
    beam = Beam(width=2, branch=2, scorer=worth)
    assert said(rollout(beam, count=1))["t0"] == said(rollout(beam, count=3, workers=2))["t0"]


def test_settings(worth):
    for bad in ({"width": 0}, {"branch": 0}):
        with pytest.raises(SettingError):
            Beam(scorer=worth, **bad)
