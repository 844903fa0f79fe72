"""Proxy labels: what is missing is written, what is known stays to the bit, and what is hidden cannot matter."""

import pytest
import torch

from milepost import keys
from milepost.curation.relabel.inverse import InverseDynamics
from milepost.curation.relabel.labels import PROVENANCE, UNCERTAINTY, ProxyLabels, most_certain
from milepost.curation.relabel.split import hidden
from milepost.errors import SettingError
from tests.environments.offline.trajectories import trajectories

KEY, KEEPS = keys.root(0), torch.tensor([True, True, True, False, False, False])
PART = ProxyLabels(inverse=InverseDynamics(hidden=(32,), steps=400), past=0)


def test_the_most_certain_by_hand():
    variance, labelled = torch.tensor([4.0, 0.0, 1.0, 3.0, 1.0]), torch.tensor([True, False, True, True, True])
    assert most_certain(variance, labelled, 0.3).tolist() == [False, False, True, False, False]
    assert most_certain(variance, labelled, 0.8).tolist() == [False, False, True, True, True]
    assert most_certain(variance, labelled, 1.0).tolist() == labelled.tolist()
    assert not most_certain(variance, labelled, 0.0).any()


def test_what_is_missing_is_written():
    truth, keeps = trajectories(12), torch.arange(12) < 8
    found, model = PART.apply(hidden(truth, keeps), [-1.0], [1.0], KEY)
    moved = truth.parent >= 0
    stays = hidden(truth, keeps).valid("action")
    assert float((found["action"] - truth["action"])[moved & ~stays].abs().mean()) < 0.1
    assert torch.equal(found["action"][stays], truth["action"][stays])
    assert (found[UNCERTAINTY][stays] == 0).all()
    assert (found[UNCERTAINTY][moved & ~stays] > 0).all()
    named = found.text(PROVENANCE)
    assert [named[0], named[1], named[-1]] == [None, "true", "proxy"]
    assert len(model.members) == 1


def test_all_known_keeps_every_bit():
    truth = trajectories(3)
    found, _ = PART.apply(truth, [-1.0], [1.0], KEY)
    assert torch.equal(found["action"], truth["action"])


def test_labels_stay_inside_the_range():
    truth = trajectories(6, action=lambda state, draw: draw / abs(draw))
    found, _ = PART.apply(hidden(truth, KEEPS), [-1.0], [1.0], KEY)
    assert float(found["action"].abs().max()) <= 1.0


def test_an_ensemble_and_rounds():
    cut = hidden(trajectories(6), KEEPS)
    part = ProxyLabels(inverse=InverseDynamics(hidden=(8,), steps=50), members=2, rounds=2)
    found, model = part.apply(cut, [-1.0], [1.0], KEY)
    assert len(model.members) == 2
    once, _ = ProxyLabels(inverse=InverseDynamics(hidden=(8,), steps=50), members=2).apply(cut, [-1.0], [1.0], KEY)
    assert not torch.equal(found["action"], once["action"])


def test_nothing_known_is_refused():
    with pytest.raises(SettingError, match="None of the 20 moves has an action"):
        PART.apply(hidden(trajectories(2), torch.tensor([False, False])), [-1.0], [1.0], KEY)
    with pytest.raises(SettingError, match="members"):
        ProxyLabels(members=0)
