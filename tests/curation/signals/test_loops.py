"""Loops against a definition that looks at every stretch of calls."""

import json

import numpy as np
import pytest

from milepost.curation.signals.detect import detect_in
from milepost.curation.signals.loops import Loop, canonical, loops
from milepost.curation.signals.taxonomy import KINDS


def defined(names, arguments):
    """Loops by looking at every stretch: longest runs, and shortest patterns from the left."""
    size, found = len(names), []
    for start in range(size):
        for stop in range(start + 3, size + 1):
            stretch = names[start:stop]
            longest = (start == 0 or names[start - 1] != names[start]) and (
                stop == size or names[stop] != names[stop - 1]
            )
            if len(set(stretch)) != 1 or not longest:
                continue
            own = arguments[start:stop]
            retries = [
                (a, b)
                for a in range(len(own))
                for b in range(a + 3, len(own) + 1)
                if len(set(own[a:b])) == 1
                and (a == 0 or own[a - 1] != own[a])
                and (b == len(own) or own[b] != own[b - 1])
            ]
            found += [Loop("retry", start + a, start + b) for a, b in retries]
            if not retries and len(set(own)) > 1:
                found.append(Loop("parameter_drift", start, stop))
    place = 0
    while place < size:
        best = None
        for length in range(2, 6):
            pattern = names[place : place + length]
            times = 0
            while names[place + times * length : place + (times + 1) * length] == pattern and len(pattern) == length:
                times += 1
            if times >= 3 and len(set(pattern)) > 1:
                best = Loop("oscillation", place, place + times * length)
                break
        if best:
            found.append(best)
            place = best.stop
        else:
            place += 1
    return sorted(found, key=lambda one: (one.start, one.kind))


def test_loops_are_those_of_the_definition():
    """1,000 random sequences of calls, few names and arguments so that loops are common."""
    random = np.random.Generator(np.random.Philox(key=4))
    kinds = set()
    for _ in range(1000):
        size = int(random.integers(0, 25))
        names = ["abc"[i] for i in random.integers(0, int(random.integers(1, 4)), size)]
        if random.random() < 0.3:
            names = (names[:3] * 9)[:size]
        arguments = ["xy"[i] for i in random.integers(0, 2, size)]
        expected = defined(names, arguments)
        assert loops(names, arguments) == expected
        kinds |= {one.kind for one in expected}
        messages = [
            {"role": "assistant", "tool_calls": [{"name": n, "arguments": a}]}
            for n, a in zip(names, arguments, strict=True)
        ]
        found = detect_in([[], messages])
        seen = sorted((place, KINDS[kind]) for place, kind in zip(found.place, found.kind, strict=True))
        assert seen == sorted((one.start, one.kind) for one in expected)
    assert kinds == {"retry", "parameter_drift", "oscillation"}


@pytest.mark.parametrize("spelled", [dict, json.dumps])
def test_the_order_of_arguments_does_not_matter(spelled):
    one, two = {"a": 1, "b": [2, {"c": 3, "d": 4}]}, {"b": [2, {"d": 4, "c": 3}], "a": 1}
    assert [loop.kind for loop in loops(["f"] * 3, [spelled(one), spelled(two), spelled(one)])] == ["retry"]


def test_arguments_that_are_no_json_are_compared_as_text():
    assert canonical("{oops") == "{oops"
    assert canonical("[" * 100_000) == "[" * 100_000
    assert [one.kind for one in loops(["f"] * 3, ["{a", "{b", "{a"])] == ["parameter_drift"]
    assert canonical(None) == canonical("null") == "null"


def test_calls_of_one_message_share_its_place():
    call = {"name": "f", "arguments": "{}"}
    found = detect_in([[{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [call] * 3}]])
    assert (found.place, [KINDS[kind] for kind in found.kind]) == ([1], ["retry"])
