"""Credit of nodes: by hand, its identities, and that shared prefixes do not bias it."""

import itertools

import pytest
import torch

from milepost import keys
from milepost.credit.by_root import ByRoot
from milepost.credit.group import Centred, Normalised
from milepost.credit.tree.nodes import Nodes, Siblings, gained
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.testing.parts import check_part


def scored(parent, leaves):
    """A forest whose leaves, in order, have the given rewards; None failed."""
    inner = set(parent)
    values = iter(leaves)
    reward = [None if row in inner else next(values) for row in range(len(parent))]
    return Forest.of(parent, {"reward.total": reward, "ok.total": [one is not None for one in reward]})


BINARY = [-1, 0, 0, 1, 1, 2, 2]


def test_nodes_by_hand():
    """Worths 1, 3 above 0, 2, 2, 4: means 2 and 2, deviations 1 and sqrt 2."""
    forest = Nodes(rule=Normalised(eps=0.0))(scored(BINARY, [0.0, 2.0, 2.0, 4.0]))
    assert forest["advantage"][1:3].tolist() == [-1.0, 1.0]
    assert forest["advantage"][3:].tolist() == pytest.approx([-(2**0.5), 0.0, 0.0, 2**0.5])


def test_siblings_by_hand():
    forest = Siblings(eps=0.0)(scored(BINARY, [0.0, 2.0, 2.0, 4.0]))
    assert forest["advantage"][1:3].tolist() == [-1.0, 1.0]
    assert forest["advantage"][3:].tolist() == pytest.approx([-(0.5**0.5), 0.5**0.5] * 2)


@pytest.mark.parametrize("part", [Nodes(), Siblings()])
def test_the_contract(part):
    check_part(part)


def test_equal_rewards_have_no_credit():
    for part in (Nodes(), Siblings()):
        assert part(scored(BINARY, [0.3] * 4))["advantage"].tolist() == [0.0] * 7


def test_branching_once_it_is_the_credit_of_leaves():
    parent, rewards = [-1, 0, 1, 1, 1, 2, 3, 4], [0.1, 0.9, 0.4]
    rule = Normalised(eps=1e-8)
    node, leaf = Nodes(rule=rule)(scored(parent, rewards)), ByRoot(rule=rule)(scored(parent, rewards))
    torch.testing.assert_close(node["advantage"][2:], leaf["advantage"][2:])


def test_a_failed_leaf_counts_nowhere():
    forest = Nodes(rule=Centred())(scored(BINARY, [0.0, None, 2.0, 4.0]))
    assert forest.valid("advantage").tolist() == [False, True, True, True, False, True, True]
    assert forest["advantage"][1:3].tolist() == [-1.5, 1.5]


def test_leaf_credit_on_edges_is_that_of_repeated_edges():
    """In a balanced tree the mean over edges of (mean credit below) slope is that over leaves with repeated edges."""
    drawn = torch.from_numpy(keys.generator(1).standard_normal(11))
    slope, rewards = drawn[:7], drawn[7:].tolist()
    forest = ByRoot(rule=Normalised(eps=1e-8))(scored(BINARY, rewards))
    credit = forest["advantage"].double()
    own = credit[3:]
    for rows, repeated in (([1, 2], [1, 1, 2, 2]), ([3, 4, 5, 6], [3, 4, 5, 6])):
        torch.testing.assert_close(
            (credit[rows] * slope[rows]).mean(), (own * slope[repeated]).mean(), atol=1e-6, rtol=0
        )


def test_sibling_credit_is_unbiased():
    """Two actions, two steps, two children at every node: over all 64 trees, twice its mean is the policy gradient.

    Twice, because the mean of two siblings holds half of each. What is averaged is the credit before it is divided by
    the deviation of the depth.
    """
    logit = torch.tensor([0.4, -0.3, 0.8]).double()  # at the root, after action 0, after action 1
    chance = torch.stack((1 - logit.sigmoid(), logit.sigmoid()), 1)  # by state and action
    payoff = torch.tensor([[0.2, 1.5], [-0.7, 0.9]]).double()
    state_worth = (chance[1:] * payoff).sum(1)
    truth = torch.stack(
        (
            chance[0, 0] * chance[0, 1] * (state_worth[1] - state_worth[0]),
            *(chance[0, a] * chance[1 + a, 0] * chance[1 + a, 1] * (payoff[a, 1] - payoff[a, 0]) for a in (0, 1)),
        )
    )
    found = torch.zeros(3).double()
    for first in itertools.product((0, 1), repeat=2):
        for second in itertools.product((0, 1), repeat=4):
            states = [1 + first[place // 2] for place in range(4)]
            weight = float(chance[0, list(first)].prod() * chance[states, list(second)].prod())
            forest = scored(BINARY, [float(payoff[s - 1, a]) for s, a in zip(states, second, strict=True)])
            credit = gained(forest).value
            for row, action in enumerate(first):  # rows 1 and 2 are entries 0 and 1; slope of ln p is a - p(1)
                found[0] += weight * float(credit[row]) * (action - float(chance[0, 1])) / 2
            for row, (state, action) in enumerate(zip(states, second, strict=True)):
                found[state] += weight * float(credit[2 + row]) * (action - float(chance[state, 1])) / 4
    torch.testing.assert_close(2 * found, truth, atol=1e-6, rtol=1e-6)


def test_ranges():
    with pytest.raises(SettingError, match="eps"):
        Siblings(eps=-1.0)
