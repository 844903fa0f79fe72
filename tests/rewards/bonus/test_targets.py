"""Targets and readouts: RND, RDD, DRND and coin flips, by hand and at their limits."""

import pytest
import torch

from milepost import keys
from milepost.errors import SettingError
from milepost.rewards.bonus.targets import CoinFlips, Counted, Distance, Drawn, MomentMatched, Norm, OneOf, pseudo_count

FROZEN = torch.tensor([[[1.0, 3.0], [0.0, 2.0]]])


def test_without_noise_the_target_is_the_frozen_network_to_the_bit():
    assert torch.equal(Drawn(sigma=0.0).draw(FROZEN, keys.generator(1)), FROZEN[0])


@pytest.mark.statistical
def test_noise_has_the_asked_spread_and_is_new_at_every_visit():
    """Mean and variance of 80,000 draws within 5 standard errors (false alarms: 6e-7 each)."""
    frozen = torch.ones(1, 40_000, 2)
    stream = keys.generator(2)
    drawn, again = (Drawn(sigma=0.5).draw(frozen, stream) for _ in range(2))
    noise = (drawn - 1).flatten()
    assert not torch.equal(drawn, again)
    assert abs(float(noise.mean())) < 5 * 0.5 / len(noise) ** 0.5
    assert abs(float(noise.square().mean()) - 0.25) < 5 * 0.25 * (2 / len(noise)) ** 0.5


def test_distance_by_hand_is_to_the_mean_of_the_targets():
    assert Distance()(torch.tensor([[2.0, 3.0], [0.0, 0.0]]), FROZEN).tolist() == [0.5, 2.0]


def test_a_count_is_read_from_the_distance():
    assert pseudo_count(torch.tensor([0.25, 4.0, 0.0]), sigma=1.0).tolist() == [4.0, 1.0, 1e6]
    assert Counted(sigma=2.0)(torch.tensor([[1.0, 3.0 + 2**0.5], [0.0, 2.0]]), FROZEN).tolist() == pytest.approx(
        [0.5, 1e-3]
    )


def test_one_of_several_networks():
    frozen = torch.arange(5.0)[:, None, None].expand(5, 1000, 1)
    drawn = OneOf(networks=5).draw(frozen, keys.generator(3)).flatten()
    assert set(drawn.tolist()) == {0, 1, 2, 3, 4}
    assert float(drawn.mean()) == pytest.approx(2, abs=5 * 1.42 / 1000**0.5)
    with pytest.raises(SettingError, match="networks"):
        OneOf(networks=1)


def test_moments_by_hand():
    """Two networks say 1 and 3: mean 2, mean square 5, spread 1. A prediction of 2.5 shows |6.25 - 4| cut to 1."""
    frozen = torch.tensor([[[1.0]], [[3.0]]])
    found = MomentMatched(share=0.9)(torch.tensor([[2.5]]), frozen)
    assert float(found) == pytest.approx(0.9 * 0.25 + 0.1 * 1.0)
    exact = MomentMatched(share=0.5)(torch.tensor([[2.0]]), frozen)
    assert float(exact) == pytest.approx(0.5 * 1e-3)


@pytest.mark.statistical
def test_coins_average_out_as_one_over_the_root_of_the_count():
    """The best prediction after n tosses of 4,096 coins has a root mean square of n^-1/2 (5 standard errors)."""
    frozen, stream = torch.zeros(1, 1, 4096), keys.generator(4)
    tosses = torch.cat([CoinFlips().draw(frozen, stream) for _ in range(100)])
    assert set(tosses.unique().tolist()) == {-1.0, 1.0}
    for n in (1, 10, 100):
        found = float(Norm()(tosses[:n].mean(0, keepdim=True), frozen))
        assert found == pytest.approx(n**-0.5, abs=5 * n**-0.5 / (2 * 4096) ** 0.5)
