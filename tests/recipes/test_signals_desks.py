"""Signals on conversations of tau2's own desks, by an agent whose mistakes are known."""

import numpy as np
import pytest

from milepost.curation.selection.yields import Arm, compare
from milepost.environments.sandbox.clerk import Clerk, pool
from milepost.environments.sandbox.environment import Desk
from milepost.environments.sandbox.tau2 import DOMAINS, Tau2
from milepost.recipes import signals
from milepost.traces.forests import forest_of
from milepost.traces.record import Trace

COUNT = 150
LOUD = {"invented_tool", "missing_argument", "repeated", "wrong_entity", "deaf"}


@pytest.fixture(scope="module")
def worked():
    desks = [Desk(sandbox=Tau2(domain=name), train_size=99, turns=60) for name in DOMAINS]
    return [one for desk in desks for one in pool(Clerk(), desk, desk.train(), count=COUNT, key=4)]


def curated(worked, **settings):
    forest = forest_of(Trace(id=str(n), task=str(n), messages=one.messages) for n, one in enumerate(worked))
    for step in signals.build(sentinel=0.0, **settings).steps:
        forest = step(forest)
    return forest


def test_picks_hold_planted_mistakes_far_more_often_than_random_ones(worked):
    forest = curated(worked, keep=0.15)
    leaves = forest.leaves()
    kept, bad = forest["keep"][leaves].numpy(), np.array([bool(one.mistakes) for one in worked])
    assert bad[kept].mean() > 0.8
    picks = Arm(name="signals", informative=int(bad[kept].sum()), read=int(kept.sum()))
    first = Arm(name="random", informative=int(bad[: picks.read].sum()), read=picks.read)
    assert "differ (Fisher" in str(compare(picks, first))


def test_loud_mistakes_leave_a_signal_and_silent_ones_do_not(worked):
    forest = curated(worked)
    leaves = forest.leaves()
    kinds = [name for name in forest.columns if name.startswith("signal.")]
    fine = ("signal.gratitude", "signal.confirmation", "signal.success")
    trouble = sum(forest[name][leaves].numpy() for name in kinds if name not in fine) > 0
    loud = np.array([bool(set(one.mistakes) & LOUD) for one in worked])
    quiet = np.array([bool(one.mistakes) for one in worked]) & ~loud
    assert trouble[loud].mean() > 0.95
    assert trouble[quiet].mean() < 0.6  # what was left out looks like any other conversation
