"""The inverse model learns, keeps its best weights, and sets whole trajectories aside."""

import pytest
import torch

from milepost import keys
from milepost.curation.relabel import gaussian
from milepost.curation.relabel.inverse import InverseDynamics, set_aside
from milepost.errors import SettingError, ShapeError

KEY = keys.root(0)


def data(rows=400, noise=0.0):
    stream = torch.Generator().manual_seed(1)
    window = torch.randn(rows, 2, generator=stream)
    inner = window[:, :1] - window[:, 1:] + noise * torch.randn(rows, 1, generator=stream)
    return window, inner, torch.arange(rows) // 20


def test_it_learns():
    window, inner, trajectory = data()
    found = InverseDynamics(hidden=(32,), steps=400).fit(window, inner, trajectory, KEY)
    centre, _ = found.network(window)
    assert float((centre - inner).square().mean()) < 0.01 * float(inner.var())
    assert found.validated
    assert found.losses[-1] < found.losses[0]


def test_the_best_weights_are_returned():
    """Trap: the published code keeps the best model in a loop's variable and labels with the last."""
    window, inner, trajectory = data(60, noise=1.0)  # overfits soon
    found = InverseDynamics(hidden=(64, 64), steps=600, patience=12).fit(window, inner, trajectory, KEY)
    aside = set_aside(trajectory, 0.1, keys.fold(KEY, "set aside"))
    held = aside if found.validated else ~aside
    own = float(gaussian.negative_log_density(inner[held], *found.network(window[held])).mean())
    assert own == pytest.approx(min(found.losses), abs=1e-5)
    noisy, wanted, owner = data(200, noise=1.0)
    found = InverseDynamics(hidden=(64, 64), steps=600, patience=12).fit(noisy, wanted, owner, KEY)
    aside = set_aside(owner, 0.1, keys.fold(KEY, "set aside"))
    own = float(gaussian.negative_log_density(wanted[aside], *found.network(noisy[aside])).mean())
    assert own == pytest.approx(min(found.losses), abs=1e-5)
    assert found.losses[-1] > min(found.losses) + 0.05


def test_too_few_trajectories_are_said():
    window, inner, _ = data(40)
    found = InverseDynamics(hidden=(8,), steps=50).fit(window, inner, torch.zeros(40, dtype=torch.int64), KEY)
    assert not found.validated


def test_same_key_same_weights_and_dropout_is_drawn():
    window, inner, trajectory = data(100)
    part = InverseDynamics(hidden=(8, 8), steps=60, dropout=0.3)
    first, again, other = (part.fit(window, inner, trajectory, key) for key in (KEY, KEY, keys.root(1)))
    assert torch.equal(first.network.weights[0], again.network.weights[0])
    assert not torch.equal(first.network.weights[0], other.network.weights[0])


def test_whole_trajectories_are_set_aside():
    trajectory = torch.arange(100) // 5
    found = set_aside(trajectory, 0.1, KEY)
    assert int(found.sum()) == 10
    assert len(trajectory[found].unique()) == 2
    assert not set_aside(trajectory[:40], 0.1, KEY).any()


def test_what_is_refused():
    with pytest.raises(ShapeError, match="no labelled move"):
        InverseDynamics().fit(torch.zeros(0, 2), torch.zeros(0, 1), torch.zeros(0, dtype=torch.int64), KEY)
    with pytest.raises(SettingError, match="dropout"):
        InverseDynamics(dropout=1.0)
