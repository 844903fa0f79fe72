"""A corpus of broken files: each gives a line that says what is wrong; none crashes or hangs."""

import time
import tracemalloc
import zipfile

import pytest

from milepost.bridges import formats
from milepost.traces import forests
from milepost.traces.record import Fault, Trace
from tests.bridges import broken
from tests.bridges.examples import FILES

CORPUS = list(broken.corpus())


def test_the_corpus_is_large_and_repeatable():
    assert len(CORPUS) >= 300
    assert len({(one.format, one.content) for one in CORPUS}) > 280
    assert [one.content for one in broken.corpus()] == [one.content for one in CORPUS]


@pytest.mark.parametrize("name", broken.GOOD)
def test_undamaged_files_have_no_faults(name, tmp_path):
    path = broken.write(broken.Broken(name, "", broken.GOOD[name]), tmp_path)
    found = list(formats.read(path, name))
    assert found
    assert not [one for one in found if isinstance(one, Fault)]


def test_every_broken_file_gives_a_line_that_says_what_is_wrong(tmp_path):
    silent, slow, unclear = [], [], []
    for one in CORPUS:
        path, start = broken.write(one, tmp_path), time.perf_counter()
        found = list(formats.read(path, one.format))
        faults = [fault for fault in found if isinstance(fault, Fault)]
        forests.forest_of([trace for trace in found if isinstance(trace, Trace)])
        if time.perf_counter() - start > 5:
            slow.append(one.name)
        if not faults and one.name not in broken.NOTHING_IN_IT:
            silent.append(one.name)
        for fault in faults:
            if len(fault.reason) < 8 or len(fault.reason) > 300 or "\n" in fault.reason or fault.file != path.name:
                unclear.append((one.name, str(fault)))
    assert not slow
    assert not silent, "\n".join(silent)
    assert not unclear


@pytest.mark.parametrize("damage", ["cut", "flipped", "no archive", "empty", "bomb"])
def test_broken_archives(damage, tmp_path):
    raw, path = (FILES / "inspect.eval").read_bytes(), tmp_path / "a.eval"
    if damage == "bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("samples/a.json", b"[" + b" " * (8 << 20))
    else:
        changed = {
            "cut": raw[:-200],
            "no archive": b"{}",
            "empty": b"",
            "flipped": raw[:2500] + b"\xff" * 400 + raw[2900:],
        }
        path.write_bytes(changed[damage])
    tracemalloc.start()
    found = list(formats.read(path, "inspect", limit=1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [one for one in found if isinstance(one, Fault)]
    assert peak < 8 << 20


def test_a_line_without_end_is_skipped_without_being_kept(tmp_path):
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(broken.GOOD["chat"] + b"\n")
        for _ in range(64):
            file.write(b"x" * (1 << 20))
        file.write(b"\n" + broken.GOOD["chat"] + b"\n")
    tracemalloc.start()
    found = list(formats.read(path, "chat", limit=1 << 16))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(one) for one in found] == [Trace, Fault, Trace]
    assert "longer than 65536 bytes" in found[1].reason
    assert found[1].line == 2
    assert peak < 8 << 20
