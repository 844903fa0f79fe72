"""Rows that are computed together: every row once, siblings together, within the limit."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from milepost.forest import Forest
from milepost.policies.batches import batches, path_tokens
from milepost.ragged import Ragged


def cost(places, context, own, above):
    """Tokens of one batch: its rows and each of its prefixes once."""
    prefixes = {context[place]: above[place] for place in places}
    return sum(own[place] for place in places) + sum(prefixes.values())


@given(st.data(), st.integers(1, 60))
def test_each_row_once_and_within_the_limit(data, limit):
    context = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=25))
    prefix = data.draw(st.lists(st.integers(1, 30), min_size=5, max_size=5))
    own = data.draw(st.lists(st.integers(1, 20), min_size=len(context), max_size=len(context)))
    above = [prefix[one] for one in context]
    found = batches(torch.tensor(context), torch.tensor(own), torch.tensor(above), limit)
    assert sorted(place for places in found for place in places.tolist()) == list(range(len(context)))
    for places in found:
        assert len(places) == 1 or cost(places.tolist(), context, own, above) <= limit
        assert [context[place] for place in places] == sorted(context[place] for place in places)


def test_a_generous_limit_keeps_all_rows_together():
    found = batches(torch.tensor([3, 1, 3]), torch.tensor([2, 2, 2]), torch.tensor([9, 5, 9]), 20)
    assert [places.tolist() for places in found] == [[1, 0, 2]]


def test_a_prefix_is_counted_once_for_siblings():
    context, own, above = torch.zeros(4, dtype=torch.int64), torch.full((4,), 5), torch.full((4,), 80)
    assert len(batches(context, own, above, 100)) == 1
    assert len(batches(context, own, above, 99)) == 2


def test_no_rows_make_no_batch():
    empty = torch.zeros(0, dtype=torch.int64)
    assert batches(empty, empty, empty, 10) == []


def test_path_tokens_run_from_the_root():
    tokens = Ragged.of([[1, 2], [3], [], [4, 5]], torch.int32)
    forest = Forest.of([-1, 0, 0, 1], {"tokens.id": tokens})
    found = path_tokens(forest, torch.tensor([3, 2, 0]))
    assert [found[row].tolist() for row in range(3)] == [[1, 2, 3, 4, 5], [1, 2], [1, 2]]
