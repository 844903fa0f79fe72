"""The child's own logic, without a child: what is compared, and what an error says."""

import io
import json
import resource
import sys

import pytest
from math_verify import parse, verify

from milepost.rewards import math_worker


def test_hand_example():
    assert math_worker.compare(parse, verify, "1/2", "0.5") == {"equal": True}
    assert math_worker.compare(parse, verify, "2", "three") == {"equal": False}
    assert "no mathematical expression" in math_worker.compare(parse, verify, "", "3")["error"]


@pytest.mark.parametrize("text", ["1/2", r"\frac{1}{2}", r"$\frac{1}{2}$", r"\boxed{\frac{1}{2}}"])
def test_latex_and_plain_expressions_are_read(text):
    assert [str(item) for item in math_worker.expressions(parse, text)] == ["1/2"]


def test_serves_until_the_input_ends(monkeypatch):
    requests = [{"gold": "1/2", "answer": "0.5"}, {"gold": "", "answer": "1"}, {"gold": "1"}]
    asked = "".join(json.dumps(request) + "\n" for request in requests)
    said = io.StringIO()
    limits = []
    monkeypatch.setattr(resource, "setrlimit", lambda *limit: limits.append(limit))
    monkeypatch.setattr(math_worker.logging, "disable", lambda level: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO(asked))
    monkeypatch.setattr(sys, "stdout", said)
    math_worker.serve()
    replies = [json.loads(line) for line in said.getvalue().splitlines()]
    assert replies[:2] == [{"ready": True}, {"equal": True}]
    assert "no mathematical expression" in replies[2]["error"]
    assert replies[3] == {"error": "KeyError: 'answer'"}
    assert limits == [(resource.RLIMIT_AS, (math_worker.MEMORY_BYTES,) * 2)]
