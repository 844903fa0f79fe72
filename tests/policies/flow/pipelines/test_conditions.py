"""The table of prompts: numbers to rows, the empty prompt last."""

import pytest
import torch

from milepost.errors import SettingError, ShapeError
from milepost.policies.flow.pipelines.conditions import Conditions


def table():
    return Conditions(tokens=torch.arange(12.0).view(3, 2, 2), pooled=torch.arange(3.0)[:, None])


def test_minus_one_is_the_empty_prompt():
    found = table().of(torch.tensor([1, -1, 0]))
    assert found.pooled.flatten().tolist() == [1, 2, 0]
    assert found.tokens[1].flatten().tolist() == [8, 9, 10, 11]
    assert table().prompts == 2


@pytest.mark.parametrize("number", [-2, 2])
def test_a_number_without_a_prompt_is_refused(number):
    with pytest.raises(SettingError, match="2 were encoded"):
        table().of(torch.tensor([0, number]))


def test_no_row_is_fine_and_types_change():
    assert table().of(torch.zeros(0, dtype=torch.int64)).pooled.shape == (0, 1)
    assert table().to(torch.device("cpu"), torch.bfloat16).tokens.dtype == torch.bfloat16


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="last row for the empty prompt"):
        Conditions(tokens=torch.zeros(3, 2, 2), pooled=torch.zeros(2, 2))
