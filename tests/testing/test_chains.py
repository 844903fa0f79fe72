"""The world of words: its letters, its law."""

import pytest
import torch

from milepost.forest import Forest
from milepost.testing.chains import Uniform, law
from tests.sampling.search_tree.words import REWARD, WORLD, grown, search


def test_a_word_is_spelled_by_its_symbols():
    forest = grown(search())
    for leaf in forest.leaves()[:5].tolist():
        first, second, third = forest["action"][forest.path(leaf)[1:]].tolist()
        assert int(forest["extra.word"][leaf]) == 9 * first + 3 * second + third


def test_the_target_by_hand():
    assert WORLD.target(torch.tensor([0.0, 3.0]).log1p(), 1.0).tolist() == pytest.approx([0.2, 0.8])
    assert float(WORLD.target(REWARD, 1e9).max()) < 1 / 27 + 1e-6


def test_law_adds_up_what_spells_the_same():
    assert law(torch.tensor([1, 0, 1]), torch.tensor([0.2, 0.5, 0.3]), 3).tolist() == pytest.approx([0.5, 0.5, 0.0])


def test_every_symbol_has_the_same_log_probability():
    found = Uniform(symbols=4).log_prob(Forest.of([-1, 0]), torch.tensor([1]))
    assert float(found.exp()) == 0.25
    assert list(WORLD.train()[0].record) == WORLD.held_out()
