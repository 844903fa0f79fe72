"""The two passes: the same tables whatever the workers and the cuts, and a bad file among good ones stops nothing."""

import pyarrow.parquet as pq
import pytest

from milepost.engines.triage.run import Triage, files_of, triage
from milepost.errors import FormatError, SettingError
from tests.bridges.examples import FILES, LINES, write_lines


def test_workers_and_cuts_change_nothing(tmp_path):
    values = [
        {"id": f"t{i}", "messages": [{"role": "user", "content": f"This is wrong {i}" if i % 3 else "fine"}]}
        for i in range(200)
    ]
    path = write_lines(tmp_path / "a.jsonl", values)
    told = []
    for number, settings in enumerate(({}, {"piece_bytes": 2000}, {"piece_bytes": 3000, "workers": 2})):
        triage(path, tmp_path / str(number), Triage(**settings), tell=told.append)
    for name in ("traces", "signals"):
        first, *others = (pq.read_table(tmp_path / str(n) / f"{name}.parquet").to_pylist() for n in range(3))
        assert all(other == first for other in others)
    assert told[0] == told[-1] == 200


def test_a_folder_of_many_formats(tmp_path):
    for file in ("tau2.json", "verifiers.jsonl", "inspect.eval", "otel.jsonl"):
        (tmp_path / file).write_bytes((FILES / file).read_bytes())
    write_lines(tmp_path / "chat.jsonl", LINES["chat"])
    (tmp_path / "odd.json").write_text('{"x": 1}')
    done = triage(tmp_path, tmp_path / "out", Triage(), tell=lambda _: None)
    assert done.formats == ("chat", "inspect", "otel", "tau2", "verifiers")
    assert done.chosen.traces == 3 + 2 + 2 + 2 + len(LINES["chat"])
    (fault,) = pq.read_table(tmp_path / "out" / "faults.parquet").to_pylist()
    assert (fault["file"], done.faults) == ("odd.json", 1)


def test_nothing_to_read_or_to_write(tmp_path):
    with pytest.raises(SettingError, match="holds no traces"):
        files_of(tmp_path)
    path = tmp_path / "a.json"
    path.write_text("{}")
    with pytest.raises(SettingError, match="exists already"):
        triage(path, tmp_path, Triage(), tell=lambda _: None)
    with pytest.raises(FormatError, match="Name it"):
        triage(path, tmp_path / "out", Triage(), tell=lambda _: None)
    with pytest.raises(SettingError, match="workers"):
        Triage(workers=0)
