"""Credit per token, and where each token stands in a trainer's batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from milepost.credit.audit_tokens import audit_batch, audit_tokens
from milepost.credit.group import Normalised
from milepost.credit.tokens import assemble, lay_out, spread, token_credit
from milepost.errors import ColumnError, ShapeError
from milepost.forest import Forest
from milepost.ragged import Ragged
from milepost.testing.forests import batch as made


def answers() -> Forest:
    """One task with two tokens of prompt and two answers of three tokens each."""
    lines = [[0, 0], [1, 1, 1], [1, 1, 1]]
    columns = {
        "tokens.id": Ragged.of([[0, 1], [2, 3, 4], [5, 6, 7]], torch.int32),
        "tokens.train": Ragged.of([[one == 1 for one in line] for line in lines], torch.bool),
        "reward.total": [None, 1.0, 0.0],
        "ok.total": [False, True, True],
    }
    return Normalised(eps=0.0)(Forest.of([-1, 0, 0], columns))


def test_spread_hand_example():
    found = spread(
        torch.tensor([2.0, -1.0, 3.0]), torch.tensor([2, 0, 3]), torch.tensor([True, False, True, True, False])
    )
    assert found.tolist() == [2.0, 0.0, 3.0, 3.0, 0.0]
    with pytest.raises(ShapeError, match="one credit and one length per step"):
        spread(torch.tensor([1.0]), torch.tensor([2]), torch.tensor([True]))


def test_token_credit_gives_every_trained_token_the_credit_of_its_step():
    forest = Normalised()(made())
    found = token_credit(forest)
    expected = forest["advantage"][forest.token_row] * forest["tokens.train"]
    assert torch.equal(found, expected)
    assert audit_tokens(forest, found).clean
    bare = Forest.of([-1], {"advantage": [0.0]})
    for make in (token_credit, lambda forest: lay_out(forest, forest.paths())):
        with pytest.raises(ColumnError, match="no tokens"):
            make(bare)


def test_missing_credit_reaches_no_token():
    forest = answers()
    hidden = forest.with_columns({"advantage": [None, 1.0, None]})
    hidden["advantage"][2] = torch.nan
    assert token_credit(hidden).tolist() == [0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]


def test_lay_out_pads_on_either_side():
    forest = answers()
    lines = forest.paths()
    assert lay_out(forest, lines).tolist() == [[0, 1, 2, 3, 4], [0, 1, 5, 6, 7]]
    uneven = Ragged(torch.tensor([0, 1, 2]), torch.tensor([0, 2, 3]))
    assert lay_out(forest, uneven).tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, -1, -1]]
    assert lay_out(forest, uneven, right_aligned=True).tolist() == [[0, 1, 2, 3, 4], [-1, -1, 5, 6, 7]]


def test_steps_whose_reward_failed_are_not_assembled_for_training():
    forest = answers().with_columns({"ok.total": [False, True, False], "reason.total": [None, None, "reward_error"]})
    batch = assemble(Normalised()(forest), forest.paths())
    assert batch.train.any(1).tolist() == [True, False]


def test_an_assembled_batch_by_hand():
    found = assemble(answers(), answers().paths(), right_aligned=True)
    assert found.id.tolist() == [[0, 1, 2, 3, 4], [0, 1, 5, 6, 7]]
    assert found.advantage.tolist() == [[0.0, 0.0, 1.0, 1.0, 1.0], [0.0, 0.0, -1.0, -1.0, -1.0]]
    assert found.train.tolist() == [[False, False, True, True, True]] * 2
    assert audit_batch(answers(), found).clean
    with pytest.raises(ShapeError, match="four of one shape"):
        replace(found, id=found.id[:1])
