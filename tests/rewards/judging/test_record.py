"""Replies on disk: asked once, the same at any concurrency, whole after any kill, and replayed without asking."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from milepost.errors import FormatError, SettingError
from milepost.part import ChatReply, ChatRequest
from milepost.rewards.judging.record import Cached, Replay, ReplyFile, cached


def ask(text, **fields):
    return ChatRequest(messages=({"role": "user", "content": text},), prompt="sound@1", **fields)


def echo(request):
    return request.messages[0]["content"].upper()


def test_asked_once(tmp_path, scripted):
    file = tmp_path / "sub" / "replies.jsonl"
    chat = scripted(echo)
    keeper = Cached(chat=chat, file=file)
    assert not file.parent.exists(), "making it reads and writes nothing"
    first = keeper.reply([ask("a"), ask("b"), ask("a")])
    assert [one.text for one in first] == ["A", "B", "A"]
    assert len(chat.asked) == 2, "equal requests of one batch are asked once"
    again = Cached(chat=scripted(lambda request: pytest.fail("asked again")), file=file).reply([ask("b"), ask("a")])
    assert [one.text for one in again] == ["B", "A"]
    assert again[0] == first[1], "cost included: a bill does not depend on what ran before"


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "sound@2"},
        {"max_tokens": 9},
        {"temperature": 0.5},
        {"seed": 3},
        {"choices": ("a",)},
        {"log_probs": True},
    ],
)
def test_what_makes_another_request(tmp_path, scripted, other):
    chat = scripted(echo)
    keeper = Cached(chat=chat, file=tmp_path / "replies")
    keeper.reply([ask("a")])
    fields = {"messages": ask("a").messages, "prompt": "sound@1", **other}
    keeper.reply([ChatRequest(**fields)])
    assert len(chat.asked) == 2


def test_another_model_is_another_reply(tmp_path, scripted):
    file = tmp_path / "replies"
    Cached(chat=scripted(echo, model="one"), file=file).reply([ask("a")])
    assert Cached(chat=scripted(lambda _: "other", model="two"), file=file).reply([ask("a")])[0].text == "other"


def test_no_file_keeps_nothing(tmp_path, scripted):
    chat = scripted(echo)
    assert cached(chat, "") is chat
    assert cached(chat, str(tmp_path / "replies")).file == tmp_path / "replies"


@pytest.mark.parametrize("end", ["timeout", "error", "absent"])
def test_failures_are_asked_again(tmp_path, scripted, end):
    replies = iter([ChatReply(end=end, detail="gone"), "back"])
    keeper = Cached(chat=scripted(lambda _: next(replies)), file=tmp_path / "replies")
    assert keeper.reply([ask("a")])[0].end == end
    assert keeper.reply([ask("a")])[0].text == "back"


@pytest.mark.parametrize("end", ["length", "refused"])
def test_what_the_model_said_is_kept_though_it_is_no_use(tmp_path, scripted, end):
    keeper = Cached(chat=scripted(lambda _: ChatReply(end=end, text="I")), file=tmp_path / "replies")
    assert keeper.reply([ask("a")]) == keeper.reply([ask("a")])
    assert len(keeper.chat.asked) == 1


def test_replay(tmp_path, scripted):
    file = tmp_path / "replies"
    Cached(chat=scripted(echo), file=file).reply([ask("a")])
    strict, lenient = (Replay(file=file, model="scripted", missing_fails=fails) for fails in (True, False))
    assert strict.reply([ask("a")])[0].text == "A"
    with pytest.raises(SettingError, match="1 of 2 requests"):
        strict.reply([ask("a"), ask("b")])
    missing = lenient.reply([ask("a"), ask("b")])[1]
    assert (missing.end, missing.calls, missing.text) == ("absent", 0, "")
    assert Replay(file=tmp_path / "none", model="x", missing_fails=False).reply([ask("a")])[0].end == "absent"


def test_everything_comes_back(tmp_path):
    text, costs = "é\u2028\ud800\n", {"calls": 2, "tokens": 3, "seconds": 0.25}
    reply = ChatReply(end="stop", text=text, detail="d", choices=(-1.5, -float("inf")), log_probs=(0.0,), **costs)
    ReplyFile(path=tmp_path / "r").keep("m", [ask("a")], [reply])
    assert ReplyFile(path=tmp_path / "r").find("m", [ask("a"), ask("b")]) == [reply, None]


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_line_that_was_cut_short_is_left_out(tmp_path, scripted, cut):
    file = tmp_path / "replies"
    Cached(chat=scripted(echo), file=file).reply([ask("a"), ask("b")])
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    chat = scripted(echo)
    assert [one.text for one in Cached(chat=chat, file=file).reply([ask("a"), ask("b")])] == ["A", "B"]
    assert len(chat.asked) == 1
    assert file.read_bytes() == whole


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 400), byte=st.integers(0, 255))
def test_a_damaged_file_is_refused_or_right(tmp_path, scripted, place, byte):
    file = tmp_path / "replies"
    file.unlink(missing_ok=True)
    Cached(chat=scripted(echo), file=file).reply([ask("a")])
    damaged = bytearray(file.read_bytes())
    damaged[place % len(damaged)] = byte
    file.write_bytes(bytes(damaged))
    try:
        (found,) = ReplyFile(path=file).find("scripted", [ask("a")])
    except FormatError:
        return
    assert found is None or isinstance(found, ChatReply)


@pytest.mark.parametrize(
    "line", [b"{}", b"[]", b"1", b'{"schema": 2}', b"x", b'{"schema": 1, "key": "a", "reply": {}}', b"[" * 100_000]
)
def test_lines_that_are_no_replies(tmp_path, line):
    (tmp_path / "replies").write_bytes(line + b"\n")
    with pytest.raises(FormatError):
        ReplyFile(path=tmp_path / "replies").find("m", [ask("a")])


def test_threads_share_a_file(tmp_path, scripted):
    keeper = Cached(chat=scripted(echo), file=tmp_path / "replies")
    work = [
        threading.Thread(target=keeper.reply, args=([ask(str(n % 7)) for n in range(m, m + 20)],)) for m in range(8)
    ]
    for one in work:
        one.start()
    for one in work:
        one.join()
    keys = [json.loads(line)["key"] for line in (tmp_path / "replies").read_text().splitlines()]
    assert len(keys) == len(set(keys)) == 7


WRITER = """
import sys
from pathlib import Path
from milepost.part import ChatReply, ChatRequest
from milepost.rewards.judging.record import ReplyFile
file = ReplyFile(path=Path(sys.argv[1]))
for number in range(100000):
    request = ChatRequest(messages=({"role": "user", "content": str(number)},))
    file.keep("m", [request], [ChatReply(end="stop", text="x" * 5000)])
    print(number, flush=True)
"""


@pytest.mark.slow
def test_killed_writers_leave_a_file_that_opens(tmp_path):
    """SIGKILL at several instants, one after the other on one file: every reply that was reported is there."""
    file = tmp_path / "replies"
    most = -1
    for wait in (0.02, 0.05, 0.11):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        told = process.stdout.read().split()
        process.wait()
        most = max([most, 0, *(int(one) for one in told if one.isdigit())])
        asked = [ChatRequest(messages=({"role": "user", "content": str(number)},)) for number in range(most + 1)]
        assert None not in ReplyFile(path=file).find("m", asked)
