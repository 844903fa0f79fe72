"""Stored forests come back to the bit, have the same bytes whenever they are equal, and others read them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from milepost import storage
from milepost.errors import ColumnError, FormatError
from milepost.forest import Forest
from milepost.ragged import Ragged
from milepost.testing.forests import batch, difference, reordered, shuffle, tree


def rich() -> Forest:
    """A forest with every kind of column and missing values in each."""
    forest = batch(("total", "solved"))
    rows = len(forest)
    third = torch.arange(rows) % 3 == 0
    columns = {
        "latent": torch.arange(rows * 6, dtype=torch.float32).view(rows, 2, 3),
        "mean": torch.arange(rows * 2, dtype=torch.float64).view(rows, 2),
        "extra.half": torch.arange(rows).half(),
        "extra.brain": torch.arange(rows).bfloat16(),
        "extra.wide": torch.arange(rows * 3).view(rows, 3).to(torch.int16),
        "extra.flags": torch.ones(rows, 2, dtype=torch.bool),
        "extra.byte": torch.arange(rows, dtype=torch.uint8),
        "extra_text.note": ["" if row % 2 else "é\0\n😀" for row in range(rows)],
        "observation": torch.zeros(rows, 0, 4),
        "keep": third,
    }
    forest = forest.with_columns(columns)
    for name in ("latent", "extra.half", "extra.brain", "keep"):
        forest = forest.with_valid(name, ~third)
    return forest


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    "forest",
    [rich(), batch(), tree(), Forest.of([]), Forest.of([-1, 0])],
    ids=["rich", "batch", "tree", "empty", "bare"],
)
def test_round_trip(forest, tmp_path):
    storage.write(forest, tmp_path / "a")
    again = storage.read(tmp_path / "a")
    assert difference(forest, again) is None
    storage.write(again, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_hand_example(tmp_path):
    forest = Forest.of([-1, 0], {"tokens.id": Ragged.of([[7], [8, 9]], torch.int32), "advantage": [None, 0.5]})
    storage.write(forest, tmp_path)
    table = storage.read_table(tmp_path)
    assert table.to_pydict() == {"parent": [-1, 0], "advantage": [None, 0.5], "tokens.id": [[7], [8, 9]]}
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["format"], manifest["schema"], manifest["rows"]) == ("milepost-forest", 1, 2)
    assert set(manifest["files"]) == {"steps"}


def test_equal_forests_have_equal_bytes(tmp_path):
    forest = rich()
    backwards = Forest(
        forest.parent,
        dict(reversed(forest.columns.items())),
        {"end": torch.ones(len(forest), dtype=torch.bool), **forest.validity},
        forest.token_offsets,
    )
    hidden = forest.columns["latent"].clone()
    hidden[~forest.valid("latent")] = 77.0
    backwards = Forest(forest.parent, {**backwards.columns, "latent": hidden}, backwards.validity, forest.token_offsets)
    storage.write(forest, tmp_path / "a")
    storage.write(backwards, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_bytes_do_not_depend_on_the_process(tmp_path):
    code = (
        "import sys; from pathlib import Path; from milepost import storage; from tests.test_storage import rich;"
        "storage.write(rich(), Path(sys.argv[1]))"
    )
    storage.write(rich(), tmp_path / "here")
    for seed in ("1",):
        out = tmp_path / seed
        subprocess.run(
            [sys.executable, "-c", code, str(out)],
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        )
        assert contents(out) == contents(tmp_path / "here")


def test_other_libraries_read_the_file(tmp_path):
    import duckdb
    import pandas as pd
    import polars as pl

    forest = rich()
    storage.write(forest, tmp_path)
    (path,) = tmp_path.glob("steps-*.parquet")
    expected = storage.read_table(tmp_path)
    ours = {
        name: expected.column(name).to_pylist()
        for name in ("parent", "task", "draw", "tokens.id", "tokens.log_prob", "keep")
    }
    theirs = {
        "duckdb": duckdb.sql(f"select * from read_parquet('{path}')").to_arrow_table().to_pydict(),
        "polars": pl.read_parquet(path).to_dict(as_series=False),
        "pandas": pa.Table.from_pandas(pd.read_parquet(path, dtype_backend="pyarrow")).to_pydict(),
    }
    for library, found in theirs.items():
        for name, values in ours.items():
            assert same(found[name], values), (library, name)
    top = duckdb.sql(f'select sum("reward.total") from read_parquet(\'{path}\') where "ok.total"').fetchall()
    assert top[0][0] == pytest.approx(float(forest["reward.total"][forest["ok.total"]].sum()), rel=1e-6)


def same(found, expected) -> bool:
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == expected or (found != found and expected != expected)


def test_the_table_is_read_without_torch(tmp_path):
    storage.write(rich(), tmp_path)
    code = (
        "import sys; from milepost import storage; table = storage.read_table(sys.argv[1]);"
        "assert table.num_rows > 3; assert 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_some_columns_are_enough(tmp_path):
    storage.write(rich(), tmp_path)
    assert storage.read_table(tmp_path, columns=["task", "parent"]).column_names == ["task", "parent"]
    with pytest.raises(FormatError, match="nowhere"):
        storage.read_table(tmp_path, columns=["nowhere"])


def test_a_smaller_forest_leaves_no_old_file(tmp_path):
    storage.write(rich(), tmp_path)
    (tmp_path / "mine.txt").write_text("stays")
    storage.write(tree().without("feature.gradient"), tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".parquet", ".txt"]


columns = st.fixed_dictionaries(
    {},
    optional={
        "advantage": st.floats(width=32, allow_nan=False, allow_infinity=False),
        "cost.tokens": st.floats(allow_nan=False, allow_infinity=False),
        "key": st.integers(-(2**63), 2**63 - 1),
        "end": st.integers(0, 8),
        "keep": st.booleans(),
        "text": st.text(max_size=8),
    },
)


@st.composite
def forests(draw) -> Forest:
    rows = draw(st.integers(0, 12))
    parent = [draw(st.integers(-1, row - 1)) for row in range(rows)]
    given = draw(columns)
    fresh = {name: st.none() | st.just(value) for name, value in given.items()}
    forest = Forest.of(parent, {name: [draw(one) for _ in range(rows)] for name, one in fresh.items()})
    if draw(st.booleans()):
        lengths = [draw(st.integers(0, 4)) for _ in range(rows)]
        tokens = Ragged.of([list(range(length)) for length in lengths], torch.int32)
        forest = forest.with_columns({"tokens.id": tokens})
        size = int(tokens.offsets[-1])
        valid = torch.tensor([draw(st.booleans()) for _ in range(size)], dtype=torch.bool)
        forest = forest.with_valid("tokens.id", valid) if draw(st.booleans()) else forest
    return forest


@given(forests())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_forest_comes_back(tmp_path, forest):
    storage.write(forest, tmp_path)
    assert difference(forest, storage.read(tmp_path)) is None


def test_what_cannot_be_stored_is_refused(tmp_path):
    with pytest.raises(ColumnError, match="complex64"):
        storage.write(Forest.of([-1], {"extra.z": torch.zeros(1, dtype=torch.complex64)}), tmp_path)
    assert not list(tmp_path.iterdir())


def damaged(folder: Path, **changes) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": 2, "writer": "milepost 9.9"}, "schema is 2, written by 'milepost 9.9'"),
        ({"format": "other"}, "milepost-forest"),
        ({"rows": 10**9}, "rows, expected 1000000000"),
        ({"rows": -1}, "whole number"),
        ({"columns": {}}, "int64 column 'parent'"),
        ({"files": {}}, "file 'steps'"),
    ],
)
def test_what_the_manifest_says_wrongly_is_refused(change, says, tmp_path):
    storage.write(batch(), tmp_path)
    damaged(tmp_path, **change)
    for read in (storage.read, storage.read_table):
        with pytest.raises(FormatError, match=says):
            read(tmp_path)


@pytest.mark.parametrize("name", ["/etc/passwd", "../manifest.json", "a/../../b.parquet", "manifest.json", ""])
def test_names_outside_the_folder_are_refused(name, tmp_path):
    storage.write(batch(), tmp_path)
    files = json.loads((tmp_path / "manifest.json").read_text())["files"]
    damaged(tmp_path, files={"steps": {**files["steps"], "name": name}})
    with pytest.raises(FormatError, match="is named"):
        storage.read(tmp_path)


def test_folders_without_a_forest_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(FormatError, match="holds no forest"):
            storage.read(path)
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(FormatError):
        storage.read(tmp_path)


def test_a_missing_or_foreign_data_file_is_refused(tmp_path):
    storage.write(batch(), tmp_path)
    (path,) = tmp_path.glob("steps-*.parquet")
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"x")
    with pytest.raises(FormatError, match="SHA-256"):
        storage.read(tmp_path)
    path.write_bytes(data + b"x")
    with pytest.raises(FormatError, match="bytes, expected"):
        storage.read(tmp_path)
    path.unlink()
    with pytest.raises(FormatError, match="the copy is not whole"):
        storage.read(tmp_path)
    path.mkdir()
    with pytest.raises(FormatError):
        storage.read(tmp_path)


def test_a_bomb_is_refused_before_it_goes_off(tmp_path):
    """One long text, said a thousand times: a few bytes on the disk."""
    forest = Forest.of([-1] * 1000, {"text": ["x" * 100_000] * 1000})
    storage.write(forest, tmp_path)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size < 20_000
    with pytest.raises(FormatError, match="limit_bytes"):
        storage.read(tmp_path, limit_bytes=1 << 20)
    assert storage.read(tmp_path).text("text")[5] == "x" * 100_000


def test_a_manifest_that_is_nested_or_huge_is_refused(tmp_path):
    path = tmp_path / "manifest.json"
    for text in (
        "[" * 100_000,
        '{"a":' * 100_000,
        "",
        "null",
        "NaN",
        '{"format": NaN}',
        "\ud800".encode("utf-8", "surrogatepass").decode("latin1"),
    ):
        path.write_text(text)
        with pytest.raises(FormatError):
            storage.read(tmp_path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(FormatError, match="not JSON"):
        storage.read(tmp_path)
    path.write_bytes(b" " * (1 << 20) + b"{}")
    with pytest.raises(FormatError, match="at most"):
        storage.read(tmp_path)


def test_stored_order_is_the_order_of_rows(tmp_path):
    forest = tree()
    moved = reordered(forest, shuffle(forest, 5))
    storage.write(moved, tmp_path)
    assert difference(moved, storage.read(tmp_path)) is None
