"""A triage in the terminal: nothing that a file says moves the cursor."""

from milepost.report.literal import visible
from milepost.report.traces import lines, source, table
from milepost.traces.record import Fault
from tests.report.hostile import STRINGS
from tests.report.traces.triages import made


def test_lists_and_conversations(tmp_path):
    folder = made(tmp_path)
    rows = table.listed(folder, kept=False, most=1000)
    text = "\n".join(lines.list_lines(folder, table.overview(folder), rows, "correction"))
    assert "highest scores with correction:" in text
    assert f"Next: milepost show {folder}#{rows[0].number}" in text
    everything = [text]
    for row, trace in source.conversations(source.source_of(folder), rows):
        everything += lines.conversation_lines(row, source.said(trace), table.signals_of(folder, row))
    whole = "\n".join(everything)
    assert whole == visible(whole)  # every hidden character is a code point by now
    assert any("** correction" in line for line in everything)
    assert any("-> find(" in line for line in everything)
    assert sum(text[:30].split("\n")[0] in whole for text in STRINGS if text.isascii() and text.isprintable()) > 30


def test_nothing_to_list_and_nothing_to_read(tmp_path):
    folder = made(tmp_path)
    text = lines.list_lines(folder, table.overview(folder), [], "")
    assert "  none" in text
    (row,) = table.rows(folder, [0])
    found = lines.conversation_lines(row, Fault(file="a", line=1, reason="gone\x1b[2J"), [])
    assert found[-1] == "The conversation cannot be shown: gone⟨U+001B⟩[2J"


def test_long_messages_are_cut(tmp_path):
    (row,) = table.rows(made(tmp_path), [0])
    said = [source.Said(number=0, role="tool", text="x" * 5000)]
    assert lines.conversation_lines(row, said, [])[-1].endswith("x ... 3800 more")
