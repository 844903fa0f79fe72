"""Inserted text: whose it is, what it costs, how likely the policy finds it."""

from __future__ import annotations

import pytest
import torch

from milepost import keys
from milepost.columns import Origin, Role
from milepost.errors import SettingError, ShapeError
from milepost.part import Inserted, Observation
from milepost.sampling.branching.inserting import insert
from milepost.sampling.independent import Independent
from tests.sampling.branching.conftest import policy


def inserted(texts, pool=(), train=False, keys_of=(5, 6)):
    said = [Observation(text=text, continues=True) for text in texts]
    every = [Observation(text=text, continues=True) for text in pool]
    return Inserted(shown=said, texts=list(texts), branch_of=torch.tensor(keys_of), pool=every, train=train)


@pytest.fixture
def forest(rollout):
    return rollout(Independent(width=2), count=2, turns=2)


def test_whose_it_is(forest):
    found = insert(forest, torch.tensor([2, 2]), inserted(["ab", "b"]), policy())
    new = slice(len(forest), None)
    assert found.parent[new].tolist() == [2, 2]
    assert found["origin"][new].tolist() == [int(Origin.INSERTED)] * 2
    assert found["branch_of"][new].tolist() == [5, 6]
    assert found["key"][new].tolist() == [keys.fold(5, "inserted"), keys.fold(6, "inserted")]
    tokens = found.token_row >= len(forest)
    assert set(found["tokens.role"][tokens].tolist()) == {int(Role.INSERTED)}
    assert not bool(found["tokens.train"][tokens].any())
    assert not bool(found.valid("tokens.log_prob")[tokens].any()), "nobody asked the policy"
    assert found["cost.model_calls"][new].tolist() == [0.0, 0.0]
    assert found.text("text")[len(forest) :] == ["ab", "b"]


def test_what_was_drawn_is_scored_by_the_policy_and_by_the_draw(forest):
    acts = policy()
    found = insert(forest, torch.tensor([2, 3]), inserted(["ab", "ac"], pool=["ab", "ac", "b"], train=True), acts)
    tokens = (found.token_row >= len(forest)).nonzero().squeeze(1)
    chance = acts.table.detach().log_softmax(1)
    before = [int(found["tokens.id"][found.token_offsets[row + 1] - 1]) for row in (2, 3)]
    a, b, c = (acts.ids(letter)[0] for letter in "abc")
    truth = [chance[before[0], a], chance[a, b], chance[before[1], a], chance[a, c]]
    assert found["tokens.log_prob"][tokens].tolist() == pytest.approx([float(one) for one in truth], abs=1e-6)
    assert found["tokens.drawn_log_prob"][tokens].exp().tolist() == pytest.approx([2 / 3, 1 / 2, 2 / 3, 1 / 2])
    assert bool(found["tokens.train"][tokens].all())
    assert found["cost.model_calls"][-2:].tolist() == [1.0, 1.0]


def test_the_rest_of_the_forest_is_as_it_was(forest):
    found = insert(forest, torch.tensor([2, 3]), inserted(["ab", "ac"]), policy())
    assert found.text("text")[: len(forest)] == forest.text("text")
    assert torch.equal(found["tokens.id"][: len(forest["tokens.id"])], forest["tokens.id"])


def test_what_does_not_fit_is_refused(forest):
    with pytest.raises(ShapeError, match="one each"):
        insert(forest, torch.tensor([2]), inserted(["ab", "b"]), policy())
    with pytest.raises(SettingError, match="not in the pool"):
        insert(forest, torch.tensor([2, 3]), inserted(["ab", "b"], pool=["ab"]), policy())
