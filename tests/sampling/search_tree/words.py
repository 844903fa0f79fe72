"""Searches among words whose target law is known."""

from __future__ import annotations

import torch

from milepost import keys
from milepost.credit.tree.values import SoftMean
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.search_tree.selection import Boltzmann, Budget, Widening
from milepost.sampling.search_tree.tree_search import TreeSearch
from milepost.testing.chains import WORD, Chains, Uniform, WordReward, law

KEY = keys.root(1)
WORLD = Chains()
REWARD = torch.from_numpy(keys.generator(5).random(27)).double()
SCORE = WordReward(of=lambda word, count: REWARD[word])


def search(*, temperature=1.0, **changes):
    """Diffusion Tree Sampling at a temperature."""
    fixed = {
        "scorer": SCORE,
        "selector": Boltzmann(temperature=temperature),
        "reduction": SoftMean(temperature=temperature),
        "widening": Widening(),
        "budget": Budget(calls=1e9, descents=40),
    }
    return TreeSearch(**{**fixed, **changes})


def grown(sampler, *, roots=1, world=WORLD, score=SCORE):
    """The trees of some roots, all leaves scored."""
    draws = [Draw(task=world.task(number)) for number in range(roots)]
    forest = grow(draws, policy=Uniform(symbols=world.symbols), environment=world, sampler=sampler, key=KEY)
    return score(forest, forest.leaves())


def laws(forest, share, words=27):
    """Law of words of each root under the chances of its leaves."""
    of, leaves = forest.root_of(), forest.leaves()
    own = [leaves[of[leaves] == root] for root in forest.roots().tolist()]
    return torch.stack([law(forest[WORD][rows], share[rows] / share[rows].sum(), words) for rows in own])


def soft_at(temperature):
    """The soft mean at a temperature, as a grouped reduction."""
    return SoftMean(temperature=temperature).reduce
