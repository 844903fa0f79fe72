"""Proxies give what replaced text gives; replaced text is spoilt by names that begin like each other."""

from functools import cache

import numpy as np
import pytest

from milepost import keys
from milepost.jail.levels import opened
from milepost.programs.binding import bound, proxies, replaced, substituted
from milepost.programs.program import Program
from milepost.programs.screening import refused
from tests.programs.cube import BODIES, CARD, program

TEXT = """
def score_steps(observations, actions):
    found = []
    for obs, action in zip(observations, actions):
        value = compute_dense_reward(None, action, obs)
        found.append(float(sum(value.values()) if isinstance(value, dict) else value))
    return found
"""


@cache
def jail():
    return opened("process")


def data(rows=1000):
    stream = keys.generator(keys.root(0))
    seen, taken = stream.uniform(-1, 1, (rows, 13)), stream.uniform(-1, 1, (rows, 4))
    return {"observations": seen.tolist(), "actions": taken.tolist()}


def by_text(source):
    text = substituted(source, CARD.symbols).replace("(self, action)", "(self, action, obs)")
    return Program(source=text + TEXT, entry="score_steps", arrays=True)


def test_binding_is_rewriting():
    """20 programs on 1,000 observations: one call, their values summed with weights that no two errors can cancel."""
    weights = keys.generator(keys.root(7)).normal(size=len(BODIES)).round(6).tolist()
    parts = [f"def p{number}(self, action):\n    {body}\n" for number, body in enumerate(BODIES) if "{" not in body]
    names = [number for number, body in enumerate(BODIES) if "{" not in body]
    terms = ", ".join(f"'{number}': {weights[number]} * p{number}(self, action)" for number in names)
    source = "\n".join(["import math", "import numpy as np", *parts, *program(f"return {{{terms}}}").splitlines()[3:]])
    assert refused(source, CARD) == ()
    (ours,) = jail().run(bound(source, CARD), [data()])
    (theirs,) = jail().run(by_text(source), [data()])
    assert ours.reason is None, ours.reason
    np.testing.assert_allclose(ours.value, theirs.value, rtol=1e-9)
    (last,) = (body for body in BODIES if "{" in body)
    (ours,), (theirs,) = (jail().run(one, [data()]) for one in (bound(program(last), CARD), by_text(program(last))))
    np.testing.assert_allclose(ours.value, theirs.value, rtol=1e-9)


def test_replacing_in_any_order_breaks():
    """Trap: "self.obj1.pos" stands in "self.obj1.pos_goal"."""
    source = program("return self.obj1.pos_goal[0]")
    shortest = dict(sorted(CARD.symbols.items(), key=lambda pair: len(pair[0])))
    assert "obs[4:7]_goal" in replaced(source, shortest)
    assert "obs[7:10][0]" in substituted(source, CARD.symbols)


@pytest.mark.parametrize(
    ("body", "value"),
    [("return float('nan')", None), ("return np.inf", None), ("return 'x'", None), ("return {'a': 1, 'b': 2}", 3.0)],
)
def test_what_is_no_finite_number_is_none(body, value):
    (found,) = jail().run(bound(program(body), CARD), [data(2)])
    assert found.value == [value, value]


def test_a_program_cannot_change_what_it_reads():
    body = "p = self.obj1.pos\n    p[0] = 100.0\n    return self.obj1.pos[0]"
    (found,) = jail().run(bound(program(body), CARD), [data(3)])
    assert max(found.value) <= 1.0
    assert "class _Obj10" in proxies(CARD)
