"""The probe tells a level that holds from one that does not, and from one that runs nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from milepost.errors import SandboxError
from milepost.jail.off import Off
from milepost.jail.probe import probe
from milepost.programs.program import Answer, Limits


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A level that gives the same answer to every attack."""

    harmless: Answer
    other: Answer
    level = "made up"

    def run(self, program, inputs) -> Sequence[Answer]:
        return [self.harmless if one["attack"] < 0 else self.other for one in inputs]


YES = Answer(value="escaped")
NO = Answer(reason="reward_error: no")


def test_a_level_that_isolates_nothing_is_found_out():
    jail = Off(limits=Limits(timeout_s=0.3))
    found = probe(jail, timeout_s=0.3)
    jail.workers.close()
    assert [(one.attack, one.refused) for one in found] == [("read a file", False)]


@pytest.mark.parametrize(("other", "refused"), [(NO, True), (YES, False), (Answer(value=1.0), False)])
def test_an_answer_of_any_kind_is_no_refusal(other, refused):
    found = probe(Answers(harmless=YES, other=other), timeout_s=1.0)
    assert len(found) == (10 if refused else 1)
    assert {one.refused for one in found} == {refused}


def test_a_late_refusal_is_none():
    late = Answer(reason="reward_timeout: late", seconds=9.0)
    assert not probe(Answers(harmless=YES, other=late), timeout_s=1.0)[0].refused


def test_a_level_that_runs_nothing_is_no_level():
    with pytest.raises(SandboxError, match="cannot run a harmless program"):
        probe(Answers(harmless=NO, other=NO), timeout_s=1.0)
