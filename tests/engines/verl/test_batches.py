"""Forests to verl's batches and back, without loss."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from milepost.columns import Role
from milepost.credit.group import Centred
from milepost.engines.verl.batches import Batch, batch_of, forest_of
from milepost.engines.verl.estimators import Estimator
from milepost.errors import FormatError
from milepost.forest import Forest
from milepost.ragged import Ragged
from milepost.tables import take_apart


def tree() -> Forest:
    """Two prompts; the first has a trunk that two leaves share and a leaf whose reward failed."""
    parent = [-1, 0, 1, 1, 0, -1, 5]
    ids = [[1, 2], [3, 4, 5], [6], [7, 8], [9], [10], [11, 12]]
    roles = [[0, 0], [1, 1, 3], [1], [1, 1], [1], [0], [1, 1]]
    columns = {
        "task": ["a", None, None, None, None, "b", None],
        "draw": [0, None, None, None, None, 2, None],
        "text": [str(one) for one in ids],
        "tokens.id": Ragged.of(ids, torch.int32),
        "tokens.role": Ragged.of(roles, torch.int8),
        "tokens.train": Ragged.of([[role == int(Role.POLICY) for role in row] for row in roles], torch.bool),
        "tokens.log_prob": Ragged.of([[-float(one) for one in row] for row in ids], torch.float32),
        "reward.total": [None, 0.25, 1.0, 0.5, None, None, 2.0],
        "ok.total": [False, True, True, True, False, False, True],
        "reason.total": [None, None, None, None, "reward_timeout", None, None],
        "feature.deep": torch.arange(14.0).view(7, 2).to(torch.bfloat16),
    }
    return Forest.of(parent, columns)


def same(left: Forest, right: Forest) -> bool:
    one, other = take_apart(left), take_apart(right)
    arrays = one.arrays.keys() == other.arrays.keys()
    return (
        one.table.equals(other.table) and arrays and all(torch.equal(v, other.arrays[n]) for n, v in one.arrays.items())
    )


def test_lines_by_hand():
    batch = batch_of(tree())
    tensors = batch.tensors
    assert tensors["prompts"].tolist() == [[1, 2], [1, 2], [1, 2], [0, 10]]
    assert tensors["responses"].tolist() == [[3, 4, 5, 6, 0], [3, 4, 5, 7, 8], [9, 0, 0, 0, 0], [11, 12, 0, 0, 0]]
    assert tensors["response_mask"].tolist() == [[1, 1, 0, 1, 0], [1, 1, 0, 1, 1], [1, 0, 0, 0, 0], [1, 1, 0, 0, 0]]
    assert tensors["attention_mask"][3].tolist() == [0, 1, 1, 1, 0, 0, 0]
    assert tensors["position_ids"][3].tolist() == [0, 0, 1, 2, 2, 2, 2]
    assert tensors["rollout_log_probs"][2].tolist() == [-9.0, 0, 0, 0, 0]
    scores = tensors["rm_scores"]
    assert scores[:2].tolist() == [[0, 0.25, 0, 1.0, 0], [0, 0.25, 0, 0, 0.5]]
    assert scores[2].isnan().tolist() == [True, False, False, False, False]
    assert scores[3].tolist() == [0, 2.0, 0, 0, 0]
    assert batch.non_tensors["uid"].tolist() == ["a#0", "a#0", "a#0", "b#2"]


def test_there_and_back():
    forest = tree()
    assert same(forest_of(batch_of(forest)), forest)
    credited = Centred()(forest)
    assert same(forest_of(batch_of(credited)), credited)
    assert batch_of(credited).tensors["advantages"].shape == (4, 5)


def test_lines_may_be_left_out_and_moved():
    forest = tree()
    batch = batch_of(forest)
    kept = [3, 1]
    part = Batch(
        tensors={name: value[kept] for name, value in batch.tensors.items()},
        non_tensors={name: value[kept] for name, value in batch.non_tensors.items()},
        meta_info=batch.meta_info,
    )
    assert same(forest_of(part), forest.select(torch.tensor([0, 1, 3, 5, 6])))


def test_credit_comes_back():
    forest = tree()
    batch = batch_of(forest)
    tensors = batch.tensors
    found, _ = Estimator(credit=Centred())(tensors["rm_scores"], tensors["response_mask"], batch.non_tensors["uid"])
    back = forest_of(replace(batch, tensors={**tensors, "advantages": found}))
    assert back.valid("advantage").tolist() == [False, True, True, True, True, False, True]
    assert back["advantage"][2:4].tolist() == pytest.approx([0.25, -0.25])


def test_other_batches_are_refused():
    with pytest.raises(FormatError, match="not made by milepost"):
        forest_of(Batch(tensors={}, non_tensors={}, meta_info={}))


@st.composite
def forests(draw):
    """Any forest of steps with tokens: ragged trees, steps without tokens, rewards that are missing or failed."""
    count = draw(st.integers(1, 12))
    parent = [draw(st.integers(-1, row - 1)) if row else -1 for row in range(count)]
    parent += [row for row in range(count) if parent[row] < 0 and row not in parent]  # each root has an answer
    count = len(parent)
    ids = [draw(st.lists(st.integers(0, 2**31 - 1), max_size=4)) for _ in range(count)]
    role = [[int(Role.PROMPT)] * len(row) if parent[n] < 0 else [draw(st.sampled_from((1, 3))) for _ in row]
            for n, row in enumerate(ids)]  # fmt: skip
    ok = [parent[row] >= 0 and draw(st.booleans()) for row in range(count)]
    reward = [draw(st.floats(-4, 4, width=32)) if one else None for one in ok]
    failed = [None if one or not draw(st.booleans()) else "reward_timeout" for one in ok]
    return Forest.of(parent, {
        "task": [f"t{row}" if above < 0 else None for row, above in enumerate(parent)],
        "draw": [row if above < 0 else None for row, above in enumerate(parent)],
        "text": [draw(st.none() | st.text(max_size=3)) for _ in range(count)],
        "tokens.id": Ragged.of(ids, torch.int32),
        "tokens.role": Ragged.of(role, torch.int8),
        "tokens.train": Ragged.of([[one == int(Role.POLICY) for one in row] for row in role], torch.bool),
        "tokens.log_prob": Ragged.of([[-float(one % 7) for one in row] for row in ids], torch.float32),
        "reward.total": reward,
        "ok.total": ok,
        "reason.total": failed,
        "feature.deep": torch.arange(2.0 * count).view(count, 2),
    })  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(forests(), st.data())
def test_random_forests_come_back_and_so_does_any_choice_of_lines(forest, data):
    batch = batch_of(forest)
    assert same(forest_of(batch), forest)
    lines = len(batch.non_tensors["uid"])
    kept = data.draw(st.lists(st.integers(0, lines - 1), min_size=1, unique=True))
    part = Batch(
        tensors={name: value[kept] for name, value in batch.tensors.items()},
        non_tensors={name: value[kept] for name, value in batch.non_tensors.items()},
        meta_info=batch.meta_info,
    )
    assert same(forest_of(part), forest.select(forest.with_ancestors(forest.leaves()[kept])))
    real = batch.tensors["attention_mask"].sum(1).tolist()
    rows = forest.ragged("tokens.id")
    assert real == [sum(len(rows[row]) for row in forest.path(leaf).tolist()) for leaf in forest.leaves().tolist()]
