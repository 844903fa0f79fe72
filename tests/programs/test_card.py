"""A card says what a program may read, and is checked against what the environment shows."""

import pytest

from milepost.errors import SettingError
from milepost.programs.card import Attribute, Entity, EnvironmentCard
from tests.programs.cube import CARD, place


def test_text_is_typed_python():
    text = CARD.text()
    compile(text.replace("np.ndarray", "object"), "card", "exec")
    assert "ee: np.ndarray  # shape (3,); metres; in [-1, 1]" in text
    assert "ee_open: float  # metres; in [-1, 1]" in text
    assert "obj10: Obj10" in text


def test_symbols_and_digest():
    assert CARD.symbols["self.robot.ee_open"] == "obs[3]"
    assert CARD.symbols["self.obj10.pos"] == "obs[10:13]"
    other = EnvironmentCard(name="cubes", entities=CARD.entities)
    assert len(CARD.digest) == 16
    assert CARD.digest != other.digest


def test_ranges_are_checked():
    inside = [[0.0] * 3 + [-0.9] + [0.0] * 9, [0.0] * 3 + [0.9] + [0.0] * 9]
    assert CARD.broken(inside) == ()
    (said,) = CARD.broken([[0.0, 2.0, 0.0, -0.9, *[0.0] * 9], [0.0] * 3 + [0.9] + [0.0] * 9])
    assert said.startswith("robot.ee was in [0, 2]")
    (said,) = CARD.broken([[0.0] * 13, [0.0] * 3 + [0.9] + [0.0] * 9])
    assert "robot.ee_open only took [0, 0.9] of [-1, 1]" in said


def test_what_is_refused():
    with pytest.raises(SettingError, match="plain Python name"):
        place("two words", 0)
    with pytest.raises(SettingError, match="stop"):
        Attribute(name="a", start=3, stop=3, about="", low=0, high=1)
    with pytest.raises(SettingError, match="plain Python name"):
        Entity(name="_hidden", about="", attributes=(place("a", 0),))
    with pytest.raises(SettingError, match="must differ"):
        EnvironmentCard(name="x", entities=(CARD.entities[0], CARD.entities[0]))
