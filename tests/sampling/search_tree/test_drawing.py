"""Draws from a tree: exact on a full one, by hand on a small one."""

import itertools

import pytest
import torch

from milepost import keys
from milepost.errors import ColumnError, SettingError
from milepost.forest import Forest
from milepost.sampling.search_tree.drawing import HighestValue, SoftShares, draw, shares, values
from tests.sampling.search_tree.words import REWARD, WORLD, soft_at

KEY = keys.root(8)


def full_tree():
    """Every word of the chain once, its letters in prior proportion: all of the support."""
    parent, word, depth = [-1], [0], [0]
    for row in itertools.count():
        if row == len(parent):
            break
        if depth[row] < WORLD.length:
            for symbol in range(WORLD.symbols):
                parent.append(row)
                word.append(word[row] * WORLD.symbols + symbol)
                depth.append(depth[row] + 1)
    leaf = torch.tensor(depth) == WORLD.length
    reward = torch.where(leaf, REWARD[torch.tensor(word).clamp(max=26)].float(), 0)
    forest = Forest.of(
        parent, {"reward.total": reward, "ok.total": leaf, "end": leaf.to(torch.int8), "extra.word": word}
    )
    return forest.with_valid("reward.total", leaf), leaf


@pytest.mark.parametrize("temperature", [1.0, 1 / 3])
def test_a_full_tree_is_exact(temperature):
    """Soft values solve Bellman's equation to 1e-12 and draws have the target's law."""
    forest, leaf = full_tree()
    found = values(forest, soft_at(temperature))
    reward = REWARD.float().double()
    for depth, rows in ((0, 1), (1, 3), (2, 9)):
        truth = temperature * ((reward.view(rows, -1) / temperature).exp().mean(1)).log()
        torch.testing.assert_close(found.state[forest.depth() == depth], truth, atol=1e-12, rtol=0)
    share = SoftShares(temperature=temperature)(forest)
    torch.testing.assert_close(share[leaf], WORLD.target(reward, temperature), atol=1e-12, rtol=0)


def test_shares_telescope():
    """exp((reward - value of the root) / T) / product of the numbers of children on the way, on an uneven tree."""
    parent = torch.tensor([-1, 0, 0, 1, 1, 1, 2])
    reward = torch.tensor([0, 0, 0, 1.0, 0.2, -1.0, 0.5])
    leaf = torch.tensor([False, False, False, True, True, True, True])
    forest = Forest.of(parent, {"reward.total": reward, "ok.total": leaf, "end": leaf.to(torch.int8)})
    root = values(forest, soft_at(0.5)).state[0]
    wide = torch.tensor([6.0, 6.0, 6.0, 2.0]).double()
    wanted = ((reward[leaf].double() - root) / 0.5).exp() / wide
    torch.testing.assert_close(SoftShares(temperature=0.5)(forest)[leaf], wanted)
    assert float(wanted.sum()) == pytest.approx(1.0)


def test_failed_and_pruned_leaves_are_never_drawn():
    ends = {"end": [0, 1, 6, 1], "ok.total": [False, True, True, False], "reward.total": [None, 0.0, 9.0, 9.0]}
    forest = Forest.of([-1, 0, 0, 0], ends)
    assert SoftShares()(forest).tolist() == [1.0, 1.0, 0.0, 0.0]
    assert HighestValue()(forest).tolist() == [1.0, 1.0, 0.0, 0.0]


def test_the_highest_value_is_not_the_highest_reward():
    """A spike among bad leaves has less soft value than a branch of good ones; at a low temperature it has more."""
    parent = [-1, 0, 0, *[1] * 8, *[2] * 8]
    reward = [None, None, None, 1.5, *[-3.0] * 7, *[0.5] * 8]
    known = [one is not None for one in reward]
    forest = Forest.of(parent, {"reward.total": reward, "ok.total": known, "end": [int(one) for one in known]})
    assert int(HighestValue(temperature=1.0)(forest).nonzero()[-1]) == 11
    assert int(HighestValue(temperature=0.1)(forest).nonzero()[-1]) == 3


def test_shares_of_nothing_that_counts():
    found = shares(torch.zeros(3).double(), torch.tensor([-1, 0, 0]), torch.tensor([True, False, False]))
    assert found.tolist() == [1.0, 0.0, 0.0]
    ends = {"end": [0, 1], "ok.total": [False, False], "reward.total": [None, None], "key": [1, 2]}
    forest = Forest.of([-1, 0], {**ends, "reward.total": [0.0, 0.0]}).with_valid("reward.total", torch.zeros(2) > 0)
    assert draw(forest, SoftShares()(forest), 2, "draw").tolist() == [[-1, -1]]


@pytest.mark.statistical
def test_draws_have_the_chances():
    """20,000 draws of four leaves: every frequency within 5 standard errors; the same again from the same key."""
    scores = {"end": [0, 1, 1, 1, 1], "ok.total": [False] + [True] * 4, "reward.total": [None, 0.0, 1.0, 0.5, -1.0]}
    forest = Forest.of([-1, 0, 0, 0, 0], {**scores, "key": [KEY, 1, 2, 3, 4]})
    share, count = SoftShares()(forest), 20_000
    found = draw(forest, share, count, "draw")[0]
    seen = torch.bincount(found, minlength=5)[1:] / count
    assert bool(((seen - share[1:]).abs() < 5 * (share[1:] * (1 - share[1:]) / count).sqrt()).all())
    assert torch.equal(found, draw(forest, share, count, "draw")[0])


def test_an_unscored_tree_is_refused():
    with pytest.raises(ColumnError, match=r"reward\.total"):
        SoftShares()(Forest.of([-1, 0]))
    for part in (SoftShares, HighestValue):
        with pytest.raises(SettingError, match="temperature"):
            part(temperature=0.0)
