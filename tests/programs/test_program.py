"""What is accepted as a program and as its limits."""

import pytest

from milepost.errors import SettingError
from milepost.programs.program import LONGEST_SOURCE, Limits, Program


def test_a_changed_program_is_another_one():
    one = Program(source="x")
    assert one.digest == Program(source="x").digest
    assert len({one.digest, Program(source="y").digest, Program(source="x", entry="f").digest}) == 3
    assert Program(source="x", arrays=True).digest != one.digest


@pytest.mark.parametrize("settings", [{"source": ""}, {"source": "x" * (LONGEST_SOURCE + 1)}, {"entry": "a b"}])
def test_programs_that_are_none(settings):
    with pytest.raises(SettingError):
        Program(**{"source": "x", **settings})


@pytest.mark.parametrize(
    "settings", [{"timeout_s": 0}, {"memory_bytes": 10}, {"output_bytes": -1}, {"answer_bytes": 0}]
)
def test_limits_that_are_none(settings):
    with pytest.raises(SettingError):
        Limits(**settings)
