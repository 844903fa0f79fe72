"""Signals: what they yield against random picks and the length rule, and what rates may be read from the picks."""

import functools
from pathlib import Path

import numpy as np
import pytest

from milepost.curation.selection.inclusion import either, rate, uniforms
from milepost.curation.selection.rules import ByLength, BySignals, Counted, Random, Selection
from milepost.curation.selection.yields import Arm, compare
from milepost.curation.signals.detect import detect
from milepost.curation.signals.flat import flat
from milepost.recipes import signals
from milepost.testing.recipes import check_recipe
from milepost.traces.forests import forest_of
from milepost.traces.record import Trace
from tests.recipes.dialogues import dialogues

SIZE, BUDGET, LINES = 2000, 100, np.arange(2000)


@functools.cache
def pool(key):
    conversations, defect = dialogues(SIZE, key)
    batch = flat(conversations)
    turns = np.bincount(np.array(batch.user.trace), minlength=SIZE)
    return Counted(counts=detect(batch).counts(SIZE), turns=turns), defect


def drawn(seen, selection):
    """Which are kept, which of them are sentinels, and every probability of being kept."""
    level = selection.rule.level(seen)
    by_rule = selection.probability(np.bincount(level, minlength=selection.rule.levels), SIZE)[level]
    sentinel = uniforms(selection.seed, "pool", LINES, "sentinel") < selection.uniform
    kept = (uniforms(selection.seed, "pool", LINES, "rule") < by_rule) | sentinel
    return kept, sentinel, either(by_rule, selection.uniform)


def arm(name, rule, key, seed=0):
    seen, defect = pool(key)
    kept, _, _ = drawn(seen, Selection(rule=rule, keep=BUDGET / SIZE, seed=seed))
    return Arm(name=name, informative=int(defect[kept].sum()), read=int(kept.sum()))


@pytest.mark.statistical
def test_yield_of_signals_above_length_above_random(record_property):
    """A budget of 100 of 2,000, a fifth of it sentinels; Fisher's test against random below 0.01 in each of 3 pools.

    The length rule is told apart from random picks over the pools together: long conversations have more room for a
    defect to be noticed, not more defects, so here it gains little.
    """
    totals = {name: [0, 0] for name in ("signals", "without dragging", "length", "random")}
    rules = {
        "signals": BySignals(),
        "without dragging": BySignals(without=("dragging",)),
        "length": ByLength(turns=10),
        "random": Random(),
    }
    for key in range(3):
        arms = {name: arm(name, rule, key) for name, rule in rules.items()}
        assert compare(arms["signals"], arms["random"]).p < 0.01
        assert compare(arms["signals"], arms["length"]).p < 0.01
        for name, one in arms.items():
            totals[name][0] += one.informative
            totals[name][1] += one.read
    record_property("informative of read", totals)
    share = {name: good / read for name, (good, read) in totals.items()}
    assert share["without dragging"] > 0.75
    assert share["signals"] > share["length"] + 0.2
    assert share["signals"] > share["random"] + 0.2


@pytest.mark.statistical
def test_sentinels_cover_the_rate_and_the_enriched_sample_does_not(record_property):
    """Of 100 seeds, the 95 % interval of sentinels, and of all picks by their probabilities, holds the true rate."""
    seen, defect = pool(0)
    truth, held = float(defect.mean()), {"sentinels": 0, "weighted": 0, "enriched": 0}
    for seed in range(100):
        selection = Selection(keep=0.2, sentinel=0.4, seed=seed)
        kept, sentinel, inclusion = drawn(seen, selection)
        for name, mask, weight in (
            ("sentinels", sentinel, np.full(SIZE, selection.uniform)),
            ("weighted", kept, inclusion),
            ("enriched", kept, np.full(SIZE, kept.mean())),
        ):
            found = rate(defect[mask].astype(float), weight[mask], SIZE)
            held[name] += found.low <= truth <= found.high
    record_property("intervals that hold the truth", held)
    assert held["sentinels"] >= 90
    assert held["weighted"] >= 90
    assert held["enriched"] <= 5


def test_planted_problems_are_found_and_decoys_are_not_failures():
    """Precision of "any trouble" against the planted defects, polling counted as a false alarm."""
    seen, defect = pool(1)
    trouble = BySignals(weights={"misalignment": 1, "stagnation": 1, "disengagement": 1, "failure": 1, "loops": 1})
    alarmed = BySignals(weights=trouble.weights, without=("dragging",)).level(seen) > 0
    precision, recall = defect[alarmed].mean(), alarmed[defect].mean()
    assert recall > 0.97
    assert precision > 0.75


def test_the_recipe_labels_and_keeps():
    conversations, defect = dialogues(200, 5)
    forest = forest_of(Trace(id=str(n), task=f"t{n}", messages=one) for n, one in enumerate(conversations))
    for step in signals.build(keep=0.3).steps:
        forest = step(forest)
    leaves = forest.leaves()
    kept = forest["keep"][leaves].numpy()
    assert defect[kept].mean() > defect.mean() + 0.2
    assert float(forest["inclusion"][leaves].sum()) == pytest.approx(0.3 * 200)


def test_the_recipe_keeps_the_common_promises():
    check_recipe("signals", tests=Path(__file__).parents[1])
