"""Trees as completions: one line per leaf, padding that counts for nothing, and every token in one line only."""

import pytest
import torch

from milepost.columns import End
from milepost.credit.tokens import lay_out
from milepost.engines.trl.rollouts import TOTAL, lines_of, milepost, once, rows_for
from milepost.engines.trl.samples import TASK, pool_of, record_of, task_of
from milepost.environments.search.environment import Search
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.ragged import Ragged


def trees():
    """Two trees: one with a trunk of one step and three leaves, one with a single answer."""
    ids = [[1], [5, 6], [7], [8], [9], [2], [3, 4]]
    return Forest.of([-1, 0, 1, 1, 0, -1, 5], {
        "tokens.id": Ragged.of(ids, torch.int32), "end": [int(End.OPEN)] * 7,
    })  # fmt: skip


def test_lines():
    lines = lines_of(trees(), 4)
    assert [lines[at].tolist() for at in range(len(lines))] == [[1, 2], [1, 3], [4], [], [6], [], [], []]
    with pytest.raises(SettingError, match="3 leaves, and TRL has num_generations=2"):
        lines_of(trees(), 2)


def test_every_token_once():
    source = lay_out(trees(), lines_of(trees(), 4))
    mine = once(source)
    assert mine[:3].tolist() == [[True, True, True], [False, False, True], [True, False, False]]
    held = source[mine]
    assert sorted(held.tolist()) == sorted(set(source[source >= 0].tolist()))
    assert not once(torch.full((2, 0), -1)).any()
    assert not once(torch.full((2, 3), -1)).any()


def test_tasks_travel_whole():
    environment = Search(train_size=4, hops=(1, 2))
    rows = rows_for(environment)
    assert [task_of(row) for row in rows] == list(environment.train())
    assert pool_of(rows) == list(environment.train())
    assert record_of(rows[0]) == environment.train()[0].record
    assert set(rows[0]) == {"prompt", TASK}
    assert task_of({"prompt": "1 + 1?", "family": "sums"}).id == "1 + 1?"


def test_what_trl_is_told():
    assert milepost(["?"] * 2, ["a", "b"], **{TOTAL: [0.5, None]}) == [0.5, None]
    assert milepost(["?"], ["a"]) == [None]
