"""`milepost show` and `milepost report` of a triage."""

import json

from milepost.cli import main
from tests.report.traces.triages import made


def test_show_lists_filters_and_opens(tmp_path, capsys):
    folder = made(tmp_path)
    assert main(["show", str(folder), "--signal", "tool_not_found", "--all", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["signals"]["tool_not_found"]["traces"], found["listed"][0]["id"]) == (1, "failing")
    assert main(["show", f"{folder}#{found['listed'][0]['row']}", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert one["why"]
    assert one["messages"][1]["calls"] == ['find({"zip": "1"})']
    assert one["found"][0]["signal"] == "tool_not_found"
    assert main(["show", str(folder)]) == 0
    assert "highest scores:" in capsys.readouterr().out
    assert main(["show", f"{folder}#41"]) == 0
    assert "** correction" in capsys.readouterr().out


def test_what_is_wrong_is_told(tmp_path, capsys):
    folder = made(tmp_path)
    assert main(["show", str(folder), "--signal", "retries"]) == 2
    assert "Did you mean 'retry'" in capsys.readouterr().err
    assert main(["show", str(folder), "--most", "0"]) == 2
    assert main(["show", f"{folder}#99999"]) == 2
    (tmp_path / "talks.jsonl").rename(tmp_path / "moved.jsonl")
    assert main(["show", f"{folder}#1"]) == 2
    assert "--source" in capsys.readouterr().err
    assert main(["show", f"{folder}#1", "--source", str(tmp_path / "moved.jsonl")]) == 0
    (tmp_path / "empty.jsonl").write_text("")
    assert main(["show", f"{folder}#1", "--source", str(tmp_path / "empty.jsonl")]) == 1


def test_report_writes_pages(tmp_path, capsys):
    folder = made(tmp_path)
    assert main(["report", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pages"] > 5
    assert (folder / "pages" / "index.html").stat().st_size < found["bytes"]
    assert main(["report", str(folder), "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "index.html").is_file()
