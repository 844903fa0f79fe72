"""What a program may not use is named before it is run; the published form passes."""

import pytest

from milepost.programs.screening import refused
from tests.programs.cube import BODIES, CARD, HEAD, program

HOSTILE = (
    "import os", "import numpy", "import subprocess as np", "from os import path", "return open('x').read()",
    "return eval('1')", "return exec('1')", "return __import__('os')", "return getattr(self, 'robot')",
    "return self.__class__", "return self.robot.__dict__", "return ().__class__.__bases__", "return np.load('x')",
    "return np.fromfile('x')", "return np.ctypeslib", "return np.linalg.svd", "while True: pass",
    "return self.secret",
    "return self.robot.secret", "return (lambda: 1)()", "global x", "self.robot = 1", "return globals()",
    "return vars()",
    "with action: pass", "return f'{self}'", "raise ValueError", "yield 1", "class A: pass", "del action",
    "return 9 ** 9 ** 9", "return 1 << 99", "np = 1", "return action.tofile('x')", "return 2j", "return type(action)",
)  # fmt: skip


@pytest.mark.parametrize("line", HOSTILE)
def test_hostile(line):
    body = line if line.startswith("return") else f"{line}\n    return 0.0"
    assert refused(program(body), CARD), line


@pytest.mark.parametrize("body", BODIES)
def test_the_published_form_passes(body):
    assert refused(program(body), CARD) == ()


def test_reasons():
    assert refused("def f(", CARD)[0].startswith("it is no Python")
    assert "it must define compute_dense_reward(self, action), once" in refused("x = 1\n", CARD)
    assert refused(program("return self.robot.speed"), CARD) == ("line 5: self.robot.speed is not on the card",)
    two = program("return 0.0") + program("return 1.0").removeprefix(HEAD.splitlines()[0])
    assert any("once" in one for one in refused(two, CARD))
    staged = (
        HEAD + "    total = 0.0\n    for k in range(3):\n        if self.obj1.pos[k] > 0:\n            total += 1.0\n"
    )
    assert refused(staged + "    return total\n", CARD) == ()
