"""Equality of mathematical answers: values not spellings, and no verdict where there is none."""

import threading
import time

import pytest

from milepost.errors import FormatError, MissingExtra
from milepost.rewards import mathematics
from milepost.rewards.mathematics import equal_math


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        ("1/2", "0.5", True),
        (r"\frac{1}{2}", "1/2", True),
        (r"\sqrt{8}", r"2\sqrt{2}", True),
        ("x^2+2x+1", "(x+1)^2", True),
        ("3", "x = 3", True),
        ("1000", "1,000", True),
        (r"\{1,2\}", r"\{2,1\}", True),
        ("1/3", "0.333", False),
        ("0", "0.0000001", False),
        ("7", "7 or 8", False),
        ("3", "4", False),
        ("3", "", False),
        ("3", "no idea", False),
        ("3", "9" * 5000, False),
    ],
)
def test_values_are_compared(gold, answer, equal):
    assert equal_math(gold, answer) is equal


def test_trap_a_time_out_is_no_verdict_and_the_next_answer_is_unharmed():
    equal_math("1", "1")  # the child runs
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"longer than 0\.5 s"):
        equal_math("7", "9^{9^{9^{9}}} - 9^{9^{9^{9}}} + 7", timeout_s=0.5)
    assert time.monotonic() - started < 5
    assert equal_math("7", "7") is True


def test_a_reference_without_an_expression_is_an_error_and_never_a_zero():
    with pytest.raises(FormatError, match="holds no mathematical expression"):
        equal_math("", "7")


def test_works_outside_the_main_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(equal_math("1/4", "0.25")))
    thread.start()
    thread.join()
    assert found == [True]


def test_a_child_that_died_is_replaced():
    equal_math("1", "1")
    mathematics._CHILD.process.kill()
    mathematics._CHILD.process.wait()
    assert equal_math("1", "1") is True


def test_a_missing_package_names_the_extra(monkeypatch):
    mathematics._CHILD.close()
    monkeypatch.setattr(mathematics.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"milepost\[lm\]"):
        equal_math("1", "1")
