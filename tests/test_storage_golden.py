"""Every schema ever released is read for ever."""

from __future__ import annotations

import shutil

import pytest

from milepost import storage
from milepost.errors import FormatError
from milepost.testing.forests import difference
from tests.golden import make

FOLDERS = sorted(make.HERE.glob("schema-*"))


def test_there_is_one_for_each_schema():
    assert [path.name for path in FOLDERS] == [f"schema-{number}" for number in range(1, storage.SCHEMA + 1)]
    assert all(sum(file.stat().st_size for file in path.iterdir()) < 100_000 for path in FOLDERS)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_it_is_read(folder):
    assert difference(storage.read(folder), make.forest()) is None
    assert storage.read_table(folder).num_rows == 5


def test_the_next_schema_is_refused_by_its_number(tmp_path):
    shutil.copytree(FOLDERS[-1], tmp_path / "next")
    path = tmp_path / "next" / "manifest.json"
    path.write_text(path.read_text().replace(f'"schema": {storage.SCHEMA}', f'"schema": {storage.SCHEMA + 1}'))
    with pytest.raises(FormatError, match=f"schema is {storage.SCHEMA + 1}.*newer"):
        storage.read(tmp_path / "next")
