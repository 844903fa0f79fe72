"""Rules: scores by hand, levels in range, and a selection that keeps what it should."""

import numpy as np
import pytest

from milepost.curation.selection.inclusion import either
from milepost.curation.selection.rules import (
    WEIGHTS,
    ByLength,
    BySignals,
    Counted,
    Random,
    Selection,
    Stratified,
    score,
)  # fmt: skip
from milepost.curation.signals.taxonomy import GROUPS, KINDS, NUMBER
from milepost.errors import SettingError


def counted(*conversations, turns=None):
    counts = np.zeros((len(conversations), len(KINDS)), dtype=np.int64)
    for row, signals in enumerate(conversations):
        for kind, count in signals.items():
            counts[row, NUMBER[kind]] = count
    return Counted(counts=counts, turns=np.array(turns or [1] * len(conversations)))


def test_score_by_hand():
    """Severity 1 of failure weighs 3, 3 of disengagement 9, exhaustion nothing, satisfaction 1."""
    seen = counted({}, {"bad_query": 2}, {"quit": 5}, {"timeout": 9}, {"gratitude": 1, "correction": 3})
    assert score(seen.counts, WEIGHTS).tolist() == [0, 3, 9, 0, 5]
    assert BySignals().levels == 1 + 3 * sum(WEIGHTS.values())
    assert BySignals().level(counted(dict.fromkeys(KINDS, 9))).max() == BySignals().levels - 1


def test_kinds_can_be_left_out():
    seen = counted({"dragging": 1}, {"repetition": 1})
    assert BySignals().level(seen).tolist() == [2, 2]
    assert BySignals(without=("dragging",)).level(seen).tolist() == [0, 2]
    assert seen.counts[0, NUMBER["dragging"]] == 1, "what was given is not changed"


def test_length_is_dragging():
    seen = counted({}, {}, {}, turns=[9, 10, 11])
    assert ByLength().level(seen).tolist() == [0, 1, 1]


def test_strata_are_gravest_groups():
    seen = counted({}, {"retry": 1, "quit": 1}, {"retry": 3, "quit": 1}, {"timeout": 1})
    names = ["none", *GROUPS]
    assert [names[level] for level in Stratified().level(seen)] == ["none", "disengagement", "loops", "exhaustion"]
    assert Stratified().level(counted()).tolist() == []


@pytest.mark.parametrize("rule", [BySignals(), ByLength(), Stratified(), Random()])
@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 1.0])
def test_rule_and_sentinel_together_keep_the_share(rule, keep):
    random = np.random.Generator(np.random.Philox(key=2))
    counts = random.poisson(0.1, (500, len(KINDS)))
    seen = Counted(counts=counts, turns=random.integers(1, 15, 500))
    selection = Selection(rule=rule, keep=keep)
    level = rule.level(seen)
    count = np.bincount(level, minlength=rule.levels)
    assert len(count) == rule.levels
    inclusion = either(selection.probability(count, 500)[level], selection.uniform)
    assert inclusion.sum() == pytest.approx(500 * keep)
    assert keep == 0 or inclusion.min() >= selection.uniform > 0


def test_settings_are_checked():
    for wrong in ({"keep": 1.5}, {"keep": -0.1}, {"sentinel": 2}):
        with pytest.raises(SettingError):
            Selection(**wrong)
    with pytest.raises(SettingError, match="weights"):
        BySignals(weights={"mood": 1})
    with pytest.raises(SettingError, match="without"):
        BySignals(without=("mood",))
    with pytest.raises(SettingError, match="turns"):
        ByLength(turns=0)
