"""Data sets that Minari wrote: both stores say the same, the last observation is there, cuts are no terminations."""

import shutil

import pytest
import torch

from milepost.bridges import minari
from milepost.columns import End
from milepost.errors import FormatError
from milepost.forest import Forest
from milepost.traces.record import Fault
from tests.bridges.examples import FILES


def test_both_stores_say_the_same():
    arrow, hdf5 = (list(minari.episodes(FILES / "minari" / store)) for store in ("arrow", "hdf5"))
    assert len(arrow) == len(hdf5) == 3
    for one, two in zip(arrow, hdf5, strict=True):
        assert isinstance(one, Forest)
        assert torch.equal(one["observation"], two["observation"])
        assert torch.equal(one["action"], two["action"])
        assert one["end"].tolist() == two["end"].tolist()


def test_an_episode():
    first = next(minari.episodes(FILES / "minari" / "arrow"))
    assert first.parent.tolist() == list(range(-1, 8))
    assert first["observation"].shape == (9, 4)
    assert first.valid("action").tolist() == [False] + [True] * 8
    assert first["reward.outcome"][1:].tolist() == [1.0] * 8
    assert first["end"].tolist() == [0] * 8 + [int(End.TIME_LIMIT)]
    assert first["discount"].tolist() == [1.0] * 9, "a cut is no termination"


@pytest.mark.parametrize("store", ["arrow", "hdf5"])
def test_a_damaged_episode_is_a_fault(store, tmp_path):
    shutil.copytree(FILES / "minari" / store, tmp_path / "d")
    file = next((tmp_path / "d").rglob("*.arrow" if store == "arrow" else "*.hdf5"))
    file.write_bytes(file.read_bytes()[:300])
    found = list(minari.episodes(tmp_path / "d"))
    assert [one for one in found if isinstance(one, Fault)]


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(FormatError, match="no Minari data set"):
        next(minari.episodes(tmp_path))
