"""Steps as trees of their own: the same loss and gradient, in minibatches of steps."""

import torch

from milepost import keys
from milepost.credit.transitions import Transitions
from milepost.engines.update import minibatches
from milepost.forest import Forest
from milepost.objectives.clipped import Clipped


def episode():
    columns = {
        "observation": torch.arange(5.0)[:, None],
        "action": torch.tensor([0, 1, 0, 1, 1]),
        "log_prob": [None, -0.5, -0.7, -0.6, -0.4],
        "advantage": [None, 1.0, -2.0, 0.5, None],
        "feature.return": torch.arange(10.0).view(5, 2),
    }
    return Forest.of([-1, 0, 1, 2, 3], columns)


def test_every_step_stands_below_the_observation_it_was_taken_in():
    found = Transitions()(episode())
    assert found.parent.tolist() == [-1, 0, -1, 2, -1, 4]
    assert found["observation"].flatten().tolist() == [0, 1, 1, 2, 2, 3], "a step without credit is left out"
    steps = torch.tensor([1, 3, 5])
    assert found["advantage"][steps].tolist() == [1.0, -2.0, 0.5]
    assert found["feature.return"][steps].tolist() == [[2, 3], [4, 5], [6, 7]]
    assert found.valid("advantage").tolist() == [False, True] * 3


def test_the_loss_is_the_same():
    forest = episode().select(torch.arange(4))
    log = torch.tensor([0.0, -0.4, -0.8, -0.7])
    whole, single = Clipped()(forest, log), Transitions()(forest)
    again = Clipped()(single, torch.tensor([0.0, -0.4, 0.0, -0.8, 0.0, -0.7]))
    torch.testing.assert_close(whole.loss, again.loss)


def test_minibatches_are_shuffled_steps():
    parts = minibatches(Transitions()(episode()), 3, keys.root(0))
    assert [len(part) for part in parts] == [2, 2, 2]


def test_nothing_stays_nothing():
    assert len(Transitions()(episode().select(torch.tensor([0])))) == 0
