"""Windows hold the past, the state and the change; the published code's three faults do not occur."""

import pytest
import torch

from milepost.curation.relabel.windows import scale_of, windows
from milepost.errors import SettingError
from milepost.traces.moves import moves_of
from tests.environments.offline.trajectories import trajectories


def test_scale_by_hand():
    found = scale_of(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    assert found.mean.tolist() == [2, 5]
    assert found.std.tolist() == pytest.approx([1, 1e-6], rel=0.1)
    assert found(torch.tensor([[3.0, 5.0]])).tolist() == [[pytest.approx(1, rel=1e-5), 0]]


def test_two_states_without_a_past():
    found = windows(torch.tensor([[1.0]]), torch.tensor([[2.0]]), torch.tensor([-1]), 0)
    assert found.tolist() == [[1, 2]]
    with pytest.raises(SettingError, match="past"):
        windows(torch.zeros(1, 1), torch.zeros(1, 1), torch.tensor([-1]), -1)


@pytest.mark.parametrize("past", [0, 1, 3])
def test_the_last_window_is_not_shifted(past):
    """Trap: the published code pads the last step of a trajectory in front, because it lacks the next state."""
    moves = moves_of(trajectories(2, steps=5))
    found = windows(moves.state, moves.after - moves.state, moves.previous, past)
    assert found.shape == (10, past + 2)
    last = 4
    expected = [moves.state[last - back, 0] for back in range(past, -1, -1)]
    assert found[last, :-1].tolist() == pytest.approx([float(one) for one in expected])
    assert float(found[last, -1]) == pytest.approx(float(moves.after[last, 0] - moves.state[last, 0]))


def test_a_missing_past_is_the_mean_state_and_not_another_trajectory():
    """Trap: padding before the normalisation would be -mean / std."""
    moves = moves_of(trajectories(2, steps=3))
    scaled = scale_of(moves.state)(moves.state)
    found = windows(scaled, scaled, moves.previous, 2)
    assert found[0, :2].tolist() == [0, 0]
    assert found[3, :2].tolist() == [0, 0]
    assert found[4, :2].tolist() == [0, pytest.approx(float(scaled[3, 0]))]
    assert windows(scaled[:0], scaled[:0], moves.previous[:0], 2).shape == (0, 4)
