"""Form and length: hand examples, limits, and the shape of DAPO's penalty."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from milepost.errors import SettingError
from milepost.rewards import guard
from milepost.rewards.text import Format, Length, Overlong, soft_overlong, well_formed


@pytest.mark.parametrize(
    ("completion", "score"),
    [
        ("<answer>7</answer>", 1),
        ("because <answer>7</answer> \n", 1),
        ("<answer>7</answer> bye", 0),
        ("<answer>6</answer><answer>7</answer>", 0),
        ("<answer> </answer>", 0),
        ("<answer>7", 0),
        ("7", 0),
        ("<answer><answer>7</answer></answer>", 0),
    ],
)
def test_form(completion, score):
    assert well_formed(completion, reasoning=False) == score


def test_form_with_reasoning():
    assert well_formed("<answer>7</answer>", reasoning=True) == 0
    assert well_formed(" \n<answer>7</answer>", reasoning=True) == 0
    assert well_formed("because <answer>7</answer>", reasoning=True) == 1


def test_soft_overlong_hand_example():
    # DAPO: limit 20,480 with a buffer of 4,096
    lengths = (0, 16_384, 18_432, 20_480, 20_481, 99_999)
    assert [soft_overlong(y, limit=20_480, buffer=4_096) for y in lengths] == [0, 0, -0.5, -1, -1, -1]


@given(st.integers(0, 300), st.integers(1, 200), st.integers(1, 200))
def test_soft_overlong_never_rises_and_stays_within_range(length, limit, buffer):
    buffer = min(buffer, limit)
    here = soft_overlong(length, limit=limit, buffer=buffer)
    assert -1 <= soft_overlong(length + 1, limit=limit, buffer=buffer) <= here <= 0
    assert soft_overlong(limit, limit=limit, buffer=buffer) == -1


def test_parts_write_their_columns(grow):
    forest = grow(({}, ["a b", "abcdef", "x <answer>1</answer>"]), tokens=True)
    for reward, wanted in (
        (Length(scale=4), [0.75, 1, 1]),
        (Length(scale=4, unit="words", name="words"), [0.5, 0.25, 0.5]),
        (Length(scale=12, unit="characters", name="letters"), [0.25, 0.5, 1]),
        (Overlong(limit=6, buffer=6), [-0.5, -1, -1]),
        (Format(), [0, 0, 1]),
    ):
        scored = guard.score(reward, forest)
        assert scored["ok." + reward.name][1:].all()
        assert scored["reward." + reward.name][1:].tolist() == pytest.approx(wanted)


def test_tokens_that_are_not_there_are_a_failure_and_never_a_zero(grow):
    scored = guard.score(Length(), grow(({}, ["a"])))
    assert not scored["ok.length"][1]
    assert 'unit="words"' in scored.text("reason.length")[1]


def test_settings():
    with pytest.raises(SettingError, match="longer than limit"):
        Overlong(limit=4, buffer=5)
    with pytest.raises(SettingError, match="unit="):
        Length(unit="lines")
    with pytest.raises(SettingError, match="scale="):
        Length(scale=0)
