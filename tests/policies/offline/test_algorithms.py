"""d3rlpy's algorithms learn from moves; what they draw follows from the key, and the global stream is left alone."""

import pytest
import torch

from milepost import keys
from milepost.errors import SettingError
from milepost.policies.offline.algorithms import CQL, IQL, TD3BC, Training
from milepost.traces.moves import moves_of
from tests.environments.offline.trajectories import trajectories

LOW, HIGH, KEY = torch.tensor([-1.0]), torch.tensor([1.0]), keys.root(0)
STATES = torch.tensor([[-0.8], [0.8]])


@pytest.mark.parametrize("kind", [TD3BC, CQL, IQL])
def test_the_key_decides(kind):
    moves = moves_of(trajectories(6))
    part = kind(training=Training(steps=3, width=8, batch=16))
    before = torch.random.get_rng_state()
    first, again, other = (part(moves, LOW, HIGH, key).act(STATES) for key in (KEY, KEY, keys.root(1)))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (first.abs() <= 1).all()


def test_td3bc_finds_the_way_home():
    """Random actions near a point; the reward is the squared distance: the controller moves towards it."""
    moves = moves_of(trajectories(30, steps=12))
    training = Training(steps=1600, width=16, batch=64, discount=0.5)
    controller = TD3BC(training=training, alpha=50.0)(moves, LOW, HIGH, KEY)
    left, right = controller.act(STATES)[:, 0].tolist()
    assert left > 0.5
    assert right < -0.5


def test_settings():
    with pytest.raises(SettingError, match="discount"):
        Training(discount=1.5)
