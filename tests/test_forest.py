"""The forest by hand and against loops over parents: building, growing, selecting, reading, and every refusal."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from milepost.columns import End
from milepost.errors import ColumnError, ShapeError
from milepost.forest import Forest
from milepost.ragged import Ragged


def small() -> Forest:
    """Two trees: 0 - (1 - 3, 2) and 4 - 5."""
    return Forest.of(
        [-1, 0, 0, 1, -1, 4],
        {
            "reward.a": [None, 1.0, 2.0, 3.0, None, 5.0],
            "text": ["p", "a", None, "c", "q", "e"],
            "end": [End.OPEN, End.OPEN, End.TERMINATED, End.OPEN, End.OPEN, End.OPEN],
            "tokens.id": Ragged.of([[9, 8], [1], [], [3, 3], [7], [5]], torch.int32),
        },
    )


def rows_of(forest: Forest) -> list[dict[str, object]]:
    """Each row as a dictionary, None where missing: what is equal here is the same forest."""
    found: list[dict[str, object]] = [{"parent": parent} for parent in forest.parent.tolist()]
    for name in sorted(forest.names):
        if name == "parent":
            continue
        if name in ("text", "task"):
            values = forest.text(name)
        elif name.startswith("tokens."):
            ragged = forest.ragged(name)
            values = [ragged[row].tolist() for row in range(len(forest))]
        else:
            pairs = zip(forest[name].tolist(), forest.valid(name).tolist(), strict=True)
            values = [value if fine else None for value, fine in pairs]
        for row, value in zip(found, values, strict=True):
            row[name] = value
    return found


@st.composite
def forests(draw: st.DrawFn, least: int = 0) -> Forest:
    size = draw(st.integers(least, 12))
    parent = [draw(st.integers(-1, row - 1)) for row in range(size)]
    columns: dict[str, object] = {
        "value": [draw(st.none() | st.integers(-3, 3)) for _ in parent],
        "text": [draw(st.none() | st.sampled_from("abc")) for _ in parent],
        "tokens.id": Ragged.of([draw(st.lists(st.integers(0, 9), max_size=3)) for _ in parent], torch.int32),
    }
    return Forest.of(parent, columns)


def above(forest: Forest, row: int) -> list[int]:
    """Rows from the root down to `row`, by a loop."""
    found = [row]
    while (parent := forest.parent.tolist()[found[0]]) >= 0:
        found.insert(0, parent)
    return found


# ---- making and changing ----


def test_of_and_reading() -> None:
    forest = small()
    assert len(forest) == 6
    assert forest.names == ("parent", "reward.a", "text", "end", "tokens.id")
    assert "text" in forest
    assert "parent" in forest
    assert "value" not in forest
    assert forest["parent"] is forest.parent
    assert forest.valid("reward.a").tolist() == [False, True, True, True, False, True]
    assert forest.valid("end").tolist() == [True] * 6
    assert forest.valid("text").tolist() == [True, True, False, True, True, True]
    assert forest.text("text") == ["p", "a", None, "c", "q", "e"]
    assert forest["tokens.id"].tolist() == [9, 8, 1, 3, 3, 7, 5]
    assert forest.ragged("tokens.id")[3].tolist() == [3, 3]
    assert forest.token_row.tolist() == [0, 0, 1, 3, 3, 4, 5]


def test_structure_by_hand() -> None:
    forest = small()
    assert forest.roots().tolist() == [0, 4]
    assert forest.leaves().tolist() == [2, 3, 5]
    assert forest.depth().tolist() == [0, 1, 1, 2, 0, 1]
    assert forest.root_of().tolist() == [0, 0, 0, 0, 4, 4]
    assert forest.siblings().tolist() == [6, 0, 0, 1, 10, 4]
    assert forest.path(3).tolist() == [0, 1, 3]
    assert [forest.paths()[row].tolist() for row in range(3)] == [[0, 2], [0, 1, 3], [4, 5]]
    assert forest.subtree(1).tolist() == [1, 3]
    assert forest.with_ancestors(torch.tensor([3, 5])).tolist() == [0, 1, 3, 4, 5]
    assert forest.open_rows().tolist() == [3, 5]


def test_a_forest_without_rows() -> None:
    forest = Forest.of([])
    assert len(forest) == 0
    for rows in (forest.roots(), forest.leaves(), forest.depth(), forest.root_of(), forest.siblings()):
        assert rows.tolist() == []
    assert len(forest.paths()) == 0
    assert rows_of(Forest.concatenate([])) == []
    assert rows_of(Forest.concatenate([forest, small()])) == rows_of(small())


def test_a_path_costs_its_own_depth_only(monkeypatch):
    """Rewards ask for one path after another: work on the whole forest each time would be quadratic."""
    forest = Forest.of([-1, 0, -1, 1])

    def everywhere(*_given):
        raise AssertionError("a path looked at the whole forest")

    monkeypatch.setattr("milepost.segments.depth", everywhere)
    assert forest.path(3).tolist() == [0, 1, 3]
    for row in (-1, 4):
        with pytest.raises(IndexError, match="of a forest of 4 rows"):
            forest.path(row)


@given(forests())
def test_structure_against_loops(forest: Forest) -> None:
    rows = range(len(forest))
    paths = [above(forest, row) for row in rows]
    parents = forest.parent.tolist()
    leaves = [row for row in rows if row not in parents]
    assert forest.leaves().tolist() == leaves
    assert forest.roots().tolist() == [row for row in rows if parents[row] < 0]
    assert forest.root_of().tolist() == [path[0] for path in paths]
    assert forest.depth().tolist() == [len(path) - 1 for path in paths]
    assert [forest.path(row).tolist() for row in rows] == paths
    every = forest.paths(torch.arange(len(forest)))
    assert [every[row].tolist() for row in rows] == paths
    ended = forest.paths()
    assert [ended[number].tolist() for number in range(len(leaves))] == [paths[leaf] for leaf in leaves]
    group = forest.siblings().tolist()
    for one in rows:
        assert forest.subtree(one).tolist() == [row for row in rows if one in paths[row]]
        for other in rows:
            together = one == other or (parents[one] == parents[other] and parents[one] >= 0)
            assert (group[one] == group[other]) == together


@given(forests(least=1), st.data())
def test_select_keeps_the_rows(forest: Forest, data: st.DataObject) -> None:
    chosen = torch.tensor(data.draw(st.lists(st.integers(0, len(forest) - 1), max_size=5)), dtype=torch.int64)
    rows = forest.with_ancestors(chosen)
    assert rows.tolist() == sorted({step for row in chosen.tolist() for step in above(forest, row)})
    part, whole = rows_of(forest.select(rows)), rows_of(forest)
    for new, old in zip(part, rows.tolist(), strict=True):
        assert {**new, "parent": 0} == {**whole[old], "parent": 0}
        parent = new["parent"]
        assert isinstance(parent, int)
        assert (rows.tolist()[parent] if parent >= 0 else -1) == whole[old]["parent"]
    assert rows_of(forest.select(torch.arange(len(forest)))) == whole


@given(forests(), forests())
def test_concatenate_is_undone_by_select(first: Forest, second: Forest) -> None:
    both = Forest.concatenate([first, second])
    assert rows_of(both.select(torch.arange(len(first)))) == rows_of(first)
    assert rows_of(both.select(torch.arange(len(first), len(both)))) == rows_of(second)


def test_concatenate_fills_what_one_lacks() -> None:
    tokens = Ragged.of([[1, 2]], torch.int32)
    first, second = Forest.of([-1], {"value": [1.0], "text": ["a"]}), Forest.of([-1], {"tokens.id": tokens})
    both = Forest.concatenate([first, second])
    assert rows_of(both) == [
        {"parent": -1, "value": 1.0, "text": "a", "tokens.id": []},
        {"parent": -1, "value": None, "text": None, "tokens.id": [1, 2]},
    ]
    logged = Forest.concatenate([both, second.with_columns({"tokens.log_prob": torch.tensor([-1.0, -2.0])})])
    assert logged.valid("tokens.log_prob").tolist() == [False, False, True, True]


def test_append_grows_below_old_and_new_rows() -> None:
    forest = Forest.of([-1], {"value": [1.0], "text": ["root"]})
    longer = forest.append([0, 1, -1], {"value": [2.0, None, 4.0], "draw": [1, 2, 3]})
    assert longer.parent.tolist() == [-1, 0, 1, -1]
    assert longer.valid("value").tolist() == [True, True, False, True]
    assert longer.valid("draw").tolist() == [False, True, True, True]
    assert longer.text("text") == ["root", None, None, None]
    assert len(forest) == 1
    assert forest.names == ("parent", "value", "text")
    assert rows_of(forest.append([])) == rows_of(forest)


def test_graft_ignores_the_structure_of_the_rows() -> None:
    rows = Forest.of([-1, 0], {"text": ["x", "y"]})
    grown = small().graft(torch.tensor([3, 3]), rows)
    assert grown.parent.tolist() == [-1, 0, 0, 1, -1, 4, 3, 3]
    assert grown.text("text")[-2:] == ["x", "y"]
    assert rows_of(grown.select(torch.arange(6))) == rows_of(small())


def test_changes_share_and_leave_the_old_forest_alone() -> None:
    forest = small()
    before = rows_of(forest)
    changed = forest.with_columns({"value": torch.arange(6), "end": [0] * 6})
    assert changed["reward.a"] is forest["reward.a"]
    assert changed.parent is forest.parent
    assert changed["value"].dtype == torch.float32
    forest.with_valid("end", torch.zeros(6, dtype=torch.bool))
    forest.without("text")
    forest.append([0])
    assert rows_of(forest) == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        forest.parent = torch.tensor([-1])  # type: ignore[misc]


def test_a_replaced_column_forgets_what_was_missing() -> None:
    forest = small().with_columns({"reward.a": torch.zeros(6)})
    assert forest.valid("reward.a").tolist() == [True] * 6


def test_with_valid_and_without() -> None:
    forest = small().with_valid("end", torch.tensor([True, False] * 3))
    assert forest.valid("end").tolist() == [True, False] * 3
    less = forest.without("end", "text")
    assert less.names == ("parent", "reward.a", "tokens.id")
    assert less.token_offsets is not None
    assert "end" not in less.validity
    assert less.without("tokens.id").token_offsets is None


def test_flat_tokens_join_the_offsets_present() -> None:
    forest = small().with_columns({"tokens.log_prob": torch.arange(7)})
    assert forest.ragged("tokens.log_prob")[3].tolist() == [3.0, 4.0]


# ---- refusals ----


def test_with_columns_refuses() -> None:
    forest = small()
    with pytest.raises(ColumnError, match="'parent' is the structure of the forest and cannot be replaced"):
        forest.with_columns({"parent": [-1] * 6})
    with pytest.raises(ShapeError, match=r"tokens\.role has other offsets than the token columns present"):
        forest.with_columns({"tokens.role": Ragged.of([[1]] * 6, torch.int8)})
    with pytest.raises(ColumnError, match="column"):
        forest.with_columns({"nonsense": [1] * 6})
    with pytest.raises(ShapeError, match="Column 'value' has 2 entries"):
        forest.with_columns({"value": [1.0, 2.0]})


def test_a_child_before_its_parent_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"parent\[0\] is 1, expected -1 or a row before 0"):
        Forest.of([1, -1])
    with pytest.raises(ShapeError, match=r"parent\[6\] is 6"):
        small().append([6])


@pytest.mark.parametrize("rows", [[-1, 0], [0, 6], [1, 0], [0, 0]], ids=["low", "high", "falling", "repeat"])
def test_select_refuses_rows_out_of_range_or_order(rows: list[int]) -> None:
    with pytest.raises(ShapeError, match=r"select needs rising row numbers in \[0, 6\), received"):
        small().select(torch.tensor(rows))


def test_select_refuses_to_leave_out_a_parent() -> None:
    with pytest.raises(ShapeError, match=r"select leaves out row 1, the parent of row 3: pass forest\.with_ancestors"):
        small().select(torch.tensor([0, 3]))


def test_reading_refuses() -> None:
    forest = small()
    told = r"The forest has no column 'value'\. It has: parent, reward\.a, text, end, tokens\.id\."
    for read in (forest.__getitem__, forest.text, forest.valid, forest.without, forest.ragged):
        with pytest.raises(ColumnError, match=told):
            read("value")
    with pytest.raises(ColumnError, match=told):
        forest.with_valid("value", torch.ones(6, dtype=torch.bool))
    with pytest.raises(ColumnError, match=r"Column 'text' holds text: read it with forest\.text\('text'\)"):
        forest["text"]
    with pytest.raises(ColumnError, match=r"Column 'end' holds numbers: read it with forest\['end'\]"):
        forest.text("end")
    bare = Forest.of([-1])
    with pytest.raises(ColumnError, match=r"The forest has no tokens, so no column 'tokens\.id'\. It has: parent\."):
        bare.ragged("tokens.id")
    with pytest.raises(ColumnError, match=r"The forest has no tokens\."):
        bare.token_row  # noqa: B018
    with pytest.raises(ColumnError, match="no column 'end'"):
        bare.open_rows()


def test_with_valid_refuses_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match="validity of 'end' must be one bool for each entry"):
        small().with_valid("end", torch.ones(5, dtype=torch.bool))
