"""What is written is what Minari itself opens, and what our own reader gives back."""

import json
import os
import subprocess
import sys

import pytest
import torch

from milepost import keys
from milepost.bridges.minari import episodes
from milepost.bridges.minari_files import Stored, write
from milepost.errors import FormatError, ResumeError
from milepost.forest import Forest
from tests.environments.offline.trajectories import trajectories

MINARI = """
import json, minari
data = minari.load_dataset("point/mixed-v0")
one = next(data.iterate_episodes([2]))
print(json.dumps([data.total_episodes, data.total_steps, one.observations.tolist(), one.actions.tolist(),
    one.rewards.tolist(), one.truncations.tolist(), data.action_space.low.tolist()]))
"""


def test_minari_opens_it(tmp_path):
    forest = trajectories(3, steps=4)
    write(forest, tmp_path / "point" / "mixed-v0", name="point/mixed-v0", low=[-1.0], high=[1.0])
    environment = {**os.environ, "MINARI_DATASETS_PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", MINARI], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found[:2] == [3, 12]
    rows = slice(10, 15)
    torch.testing.assert_close(torch.tensor(found[2]), forest["observation"][rows])
    torch.testing.assert_close(torch.tensor(found[3]), forest["action"][11:15])
    assert found[4] == pytest.approx(forest["reward.outcome"][11:15].tolist())
    assert found[5] == [False, False, False, True]
    assert found[6] == [-1.0]


def test_our_reader_gives_it_back(tmp_path):
    forest = trajectories(3, steps=4)
    path = tmp_path / "point" / "mixed-v0"
    write(forest, path, name="point/mixed-v0", low=[-1.0], high=[1.0])
    again = Forest.concatenate(list(episodes(path)))
    for name in ("observation", "action", "reward.outcome", "end", "discount", "parent"):
        assert torch.equal(again[name], forest[name]), name
    with pytest.raises(ResumeError, match="exists"):
        write(forest, path, name="point/mixed-v0", low=[-1.0], high=[1.0])


class Field:
    def bounds(self, task):
        return (-1.0,), (1.0,)


def test_recorded_once(tmp_path):
    calls = []

    def record(task, key):
        calls.append(task)
        return trajectories(2, steps=3, key=key)

    part = Stored(record=record, arena=Field(), folder=str(tmp_path))
    first, again = part("point", keys.root(0)), part("point", keys.root(0))
    assert torch.equal(first["observation"], again["observation"])
    assert calls == ["point"]
    part("point", keys.root(1))
    assert calls == ["point", "point"]
    for file in tmp_path.glob("point/*/data/main_data.hdf5"):
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(FormatError, match="Remove it"):
        part("point", keys.root(0))
    assert len(Stored(record=record, arena=Field())("point", keys.root(0))) == 8


def test_what_minari_cannot_hold(tmp_path):
    forest = trajectories(1, steps=2)
    branched = forest.append([0], {"observation": torch.zeros(1, 1), "action": torch.zeros(1, 1), "end": [0]})
    with pytest.raises(FormatError, match="branches"):
        write(branched, tmp_path / "a", name="a/b-v0", low=[-1.0], high=[1.0])
    missing = forest.with_valid("action", torch.tensor([False, True, False]))
    with pytest.raises(FormatError, match="lacks an action"):
        write(missing, tmp_path / "a", name="a/b-v0", low=[-1.0], high=[1.0])
