"""Readers survive anything: mutated files are refused with a FormatError, or hold a valid forest."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from milepost import storage, tables
from milepost.errors import FormatError
from milepost.forest import Forest
from milepost.testing.forests import batch, difference
from tests import mutations

KEY = 20


def seed() -> Forest:
    forest = batch(groups=((1.0, 0.0, None), (0.5, 0.5)))
    forest = forest.with_columns(
        {"latent": torch.ones(len(forest), 2, 3), "extra.brain": torch.ones(len(forest)).bfloat16()}
    )
    return forest.with_valid("latent", torch.arange(len(forest)) % 3 > 0)


def stored(folder) -> dict[str, bytes]:
    storage.write(seed(), folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_mutated_folders(tmp_path):
    files = stored(tmp_path / "good")
    found = mutations.tally(mutations.of_folder(files, KEY), 1500, tmp_path / "bad", storage.read, FormatError)
    assert found.refused > 1000
    assert len(found.messages) > 50, "the mutations reach few of the checks"


def test_mutated_pages(tmp_path, monkeypatch):
    """Digests fit and nothing is compressed, so that mutations reach the decoders."""
    real = storage.pq.write_table
    monkeypatch.setattr(storage.pq, "write_table", lambda *a, **k: real(*a, **{**k, "compression": "none"}))
    files = stored(tmp_path / "good")
    monkeypatch.undo()
    (name,) = [name for name in files if name.startswith("steps")]

    def cases():
        for number in range(10**9):
            draws = mutations.keys.generator(mutations.keys.fold(KEY, "page", number))
            yield mutations.with_fitting_digests({**files, name: mutations.of_bytes(files[name], draws)})

    found = mutations.tally(cases(), 1500, tmp_path / "bad", storage.read, FormatError)
    assert found.refused > 1000


def test_without_fitting_digests_nothing_else_is_ever_read(tmp_path):
    files, original = stored(tmp_path / "good"), seed()
    folder = tmp_path / "bad"
    folder.mkdir()
    accepted = 0
    plain = (case for number, case in enumerate(mutations.of_folder(files, KEY + 1)) if number % 4 < 2)
    for case in islice(plain, 600):
        for path in folder.iterdir():
            path.unlink()
        for name, data in case.items():
            (folder / name).write_bytes(data)
        try:
            found = storage.read(folder)
        except FormatError:
            continue
        accepted += 1
        assert difference(original, found) is None
    assert accepted < 100


def test_mutated_ipc_files(tmp_path):
    path = tmp_path / "good.arrow"
    tables.write_ipc(seed(), path)
    data = path.read_bytes()

    def cases():
        for number in range(10**9):
            yield {
                "bad.arrow": mutations.of_bytes(data, mutations.keys.generator(mutations.keys.fold(KEY, "ipc", number)))
            }

    found = mutations.tally(
        cases(), 800, tmp_path / "bad", lambda folder: tables.read_ipc(folder / "bad.arrow"), FormatError
    )
    assert found.refused > 200


def test_the_fuzz_would_notice(tmp_path, monkeypatch):
    files = stored(tmp_path / "good")
    monkeypatch.setattr(storage, "FormatError", KeyError)
    with pytest.raises((KeyError, TypeError)):
        mutations.tally(mutations.of_folder(files, KEY), 200, tmp_path / "bad", storage.read, FormatError)
