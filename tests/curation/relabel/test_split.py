"""The split law, and that what is hidden is gone."""

import pytest
import torch

from milepost import keys
from milepost.curation.relabel.split import Split, hidden, labelled, lowest
from milepost.errors import SettingError
from tests.environments.offline.trajectories import trajectories

KEY = keys.root(3)


def test_lowest_by_hand():
    assert lowest(torch.tensor([3.0, 1.0, 2.0, 0.0, 1.0]), 0.5).tolist() == [False, True, False, True, False]
    assert lowest(torch.tensor([3.0, 1.0]), 1.0).all()
    with pytest.raises(SettingError, match="quality"):
        lowest(torch.tensor([1.0]), 0.0)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.9])
@pytest.mark.parametrize("quality", [0.2, 0.5, 1.0])
def test_the_split_law(share, quality):
    total = torch.from_numpy(keys.generator(KEY).normal(size=40))
    found = labelled(total, share=share, quality=quality, key=KEY)
    rank = torch.argsort(torch.argsort(total))
    assert int(found.sum()) == min(int(40 * share), int(40 * quality))
    assert (rank[found] < int(40 * quality)).all()


def test_draws_follow_the_key_and_every_low_one_can_be_drawn():
    total = torch.arange(20.0)
    draws = [labelled(total, share=0.2, quality=0.5, key=keys.fold(KEY, n)) for n in range(60)]
    assert torch.equal(draws[0], labelled(total, share=0.2, quality=0.5, key=keys.fold(KEY, 0)))
    assert torch.stack(draws).any(0).tolist() == [True] * 10 + [False] * 10


def test_nothing_labelled_is_refused():
    with pytest.raises(SettingError, match="is none"):
        labelled(torch.arange(5.0), share=0.1, quality=0.5, key=KEY)


def test_hidden_actions_are_overwritten():
    forest = trajectories(3, steps=2)
    keeps = torch.tensor([False, True, False])
    found = hidden(forest, keeps)
    stays = found.valid("action")
    assert stays.tolist() == [False] * 4 + [True] * 2 + [False] * 3
    assert (found["action"][~stays] == 0).all()
    assert torch.equal(found["action"][stays], forest["action"][stays])


def test_a_share_of_one_keeps_all():
    cut = Split(share=1.0, quality=0.5)(trajectories(4, steps=2), KEY)
    assert cut.labelled.all()
    assert not (cut.inside | cut.outside).any()
    cut = Split(share=0.25, quality=0.5)(trajectories(8, steps=2), KEY)
    assert (cut.labelled.int() + cut.inside.int() + cut.outside.int() == 1).all()
    assert cut.outside.sum() == 4
