"""Two classifiers that learned from different halves and are right on the other's."""

import torch

from milepost.images.digits import halves
from milepost.rewards.images import classifiers


def accuracy(network, half):
    return float((network(half.image).argmax(1) == half.label).float().mean())


def test_each_is_right_on_what_it_did_not_see(record_property):
    found = halves()
    seen = {"rewarding": accuracy(classifiers.rewarding(), found.second)}
    seen["judging"] = accuracy(classifiers.judging(), found.first)
    record_property("accuracy", seen)
    assert min(seen.values()) > 0.93


def test_log_prob_is_a_distribution_over_classes():
    image = halves().first.image[:3]
    whole = torch.stack([classifiers.log_prob(classifiers.rewarding(), image, torch.full((3,), c)) for c in range(10)])
    torch.testing.assert_close(whole.exp().sum(0), torch.ones(3))


def test_initial_weights_come_from_the_key():
    first, second, other = (classifiers.drawn(classifiers.Convolutional(), key).out.weight for key in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
