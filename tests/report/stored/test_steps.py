import subprocess
import sys

import numpy as np
import pytest
import torch

from milepost import storage
from milepost.columns import End, Origin
from milepost.errors import FormatError, UnknownName
from milepost.forest import Forest
from milepost.ragged import Ragged
from milepost.report.stored import steps


@pytest.fixture
def found(tmp_path):
    forest = Forest.of(
        [-1, 0, 0, 2],
        {
            "text": ["ask", "a", None, ""],
            "end": [0, 1, 0, 3],
            "origin": [4, 0, 1, 0],
            "reward.total": [None, 1.0, None, 0.5],
            "ok.total": [False, True, False, True],
            "reason.total": [None, None, "reward_timeout: slow", None],
            "cost.tokens": [None, 3.0, 0.0, 2.0],
            "tokens.log_prob": Ragged.of([[], [-0.1, -0.2], [-1.0], []], torch.float32),
        },
    )
    storage.write(forest, tmp_path)
    return steps.read(tmp_path)


def test_structure(found):
    assert len(found) == 4
    assert found.roots == (0,)
    assert found.children == ((1, 2), (), (3,), ())
    assert found.leaves_below(0) == (1, 3)
    assert found.path(3) == (0, 2, 3)
    assert found.trees == {0: (0, 1, 2, 3)}


def test_values_and_what_is_missing(found):
    assert found.number("reward.total", 1) == 1.0
    assert found.number("reward.total", 2) is None
    assert found.number("cost.tokens", 0) is None
    assert found.number("cost.tokens", 2) == 0.0
    assert found.number("nothing", 1) is None
    assert found.text("text", 2) is None
    assert found.text("text", 3) == ""
    assert found.text("reason.total", 2) == "reward_timeout: slow"
    assert found.end(3) is End.TOKEN_LIMIT
    assert found.origin(2) is Origin.INSERTED
    assert (found.rewards, found.costs, found.main_reward) == (("total",), ("tokens",), "total")


def test_tokens_of_a_row(found):
    np.testing.assert_allclose(found.span("tokens.log_prob", 1), [-0.1, -0.2], rtol=1e-6)
    assert len(found.span("tokens.log_prob", 3)) == 0
    assert len(found.span("tokens.id", 1)) == 0


def test_a_reward_that_is_not_ok_is_missing_whatever_it_holds():
    numbers = {"reward.a": np.array([np.nan, 2.0, 0.0]), "ok.a": np.array([False, True, False])}
    found = steps.Steps(parent=np.array([-1, 0, 0]), numbers=numbers)
    assert [found.number("reward.a", row) for row in range(3)] == [None, 2.0, None]


def test_unknown_row_and_folder(found, tmp_path):
    with pytest.raises(UnknownName, match="rows 0 to 3"):
        found.path(4)
    with pytest.raises(FormatError):
        steps.read(tmp_path / "nowhere")


def test_reading_needs_no_torch(found, tmp_path):
    code = (
        "import sys; from pathlib import Path; from milepost.report.stored import steps, run, groups, tables\n"
        "from milepost.report import terminal\n"
        f"terminal.lines(Path({str(tmp_path)!r})); terminal.lines(Path({str(tmp_path)!r}), 3)\n"
        "assert 'torch' not in sys.modules and 'jinja2' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
