"""A server as something that answers: retries, limits, order against a stub; a real model behind a real server."""

import time
from itertools import pairwise

import pytest

from milepost.errors import SettingError
from milepost.part import ChatRequest
from milepost.policies.server import DEAD_AFTER, Server
from tests.chat_servers import completion, free_port, stub_server, transformers_server


def ask(text="hello", **settings):
    return ChatRequest(messages=({"role": "user", "content": text},), **settings)


def connect(url, **settings):
    return Server(base_url=url, name="stub", **{"first_wait_s": 0.01, "timeout_s": 5.0, **settings})


def said(body):
    return body["messages"][-1]["content"]


def test_reads_a_reply():
    with stub_server(lambda number, body: completion("fine", log_probs=[-0.1, -0.2])) as stub:
        (reply,) = connect(stub.url).reply([ask(max_tokens=9, log_probs=True)])
    assert (reply.end, reply.text, reply.tokens, reply.calls) == ("stop", "fine", 7, 1)
    assert reply.log_probs == (-0.1, -0.2)
    assert reply.seconds > 0
    (body,) = stub.bodies
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("stub", 9, 0.0)
    assert "seed" not in body, "at temperature 0 nothing is drawn"


def test_seed_and_temperature_are_asked_for():
    with stub_server(lambda number, body: completion("x")) as stub:
        connect(stub.url).reply([ask(temperature=0.7, seed=41)])
    assert (stub.bodies[0]["temperature"], stub.bodies[0]["seed"]) == (0.7, 41)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_what_is_worth_another_try(status):
    with stub_server(lambda number, body: (status, {}) if number < 3 else completion("at last")) as stub:
        (reply,) = connect(stub.url).reply([ask()])
    assert (reply.text, reply.calls) == ("at last", 3)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_not_costs_its_own_request_only(status):
    act = lambda number, body: (status, {}) if said(body) == "bad" else completion("fine")  # noqa: E731
    with stub_server(act) as stub:
        bad, good = connect(stub.url).reply([ask("bad"), ask("good")])
    assert (bad.end, bad.text, bad.calls, good.text) == ("error", "", 1, "fine")
    assert str(status) in bad.detail


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_fails_for_all_is_said_at_once(status):
    with stub_server(lambda number, body: (status, {})) as stub, pytest.raises(SettingError, match=str(status)):
        connect(stub.url).reply([ask(str(number)) for number in range(20)])
    assert len(stub.bodies) <= 8 + 1, "those under way, no more"


def test_a_server_that_asks_to_wait_is_left_alone_so_long():
    with stub_server(lambda number, body: (429, {"retry-after": "0.4"}) if number == 1 else completion("x")) as stub:
        began = time.monotonic()
        (reply,) = connect(stub.url).reply([ask()])
    assert time.monotonic() - began >= 0.4
    assert reply.calls == 2


def test_pauses_double(monkeypatch):
    waited = []
    monkeypatch.setattr("milepost.policies.server.time.sleep", waited.append)
    with stub_server(lambda number, body: (500, {})) as stub:
        connect(stub.url, first_wait_s=1.0, retries=3).reply([ask()])
    assert [1 <= two / one <= 4 for one, two in pairwise(waited)] == [True, True]
    assert all(2**n / 2 <= one <= 2**n for n, one in enumerate(waited))


def test_silence_is_a_timeout():
    def act(number, body):
        time.sleep(0.6)
        return completion("too late")

    with stub_server(act) as stub:
        (reply,) = connect(stub.url, timeout_s=0.15, retries=1).reply([ask()])
    assert (reply.end, reply.text, reply.calls) == ("timeout", "", 2)


def test_a_dead_server_is_not_asked_for_ever():
    server = connect(f"http://127.0.0.1:{free_port()}/v1", retries=1, concurrency=1)
    replies = server.reply([ask(str(number)) for number in range(50)])
    ends = [reply.end for reply in replies]
    assert ends == ["error"] * DEAD_AFTER + ["absent"] * (50 - DEAD_AFTER)
    assert all("cannot be reached" in reply.detail for reply in replies[:DEAD_AFTER])
    assert [reply.calls for reply in replies] == [2] * DEAD_AFTER + [0] * (50 - DEAD_AFTER)


def test_a_server_that_comes_back_is_asked_again():
    with stub_server(lambda number, body: (503, {}) if number <= DEAD_AFTER else completion("back")) as stub:
        server = connect(stub.url, retries=0, concurrency=1)
        assert server.reply([ask(str(number)) for number in range(9)])[-1].end == "absent"
        assert server.reply([ask("again")])[0].text == "back", "a new batch begins without prejudice"


@pytest.mark.parametrize("concurrency", [1, 3])
def test_order_and_the_limit_of_what_is_under_way(concurrency):
    def act(number, body):
        time.sleep(0.001 * (50 - int(said(body))))  # later requests are answered sooner
        return completion(said(body))

    with stub_server(act) as stub:
        replies = connect(stub.url, concurrency=concurrency).reply([ask(str(number)) for number in range(40)])
    assert [reply.text for reply in replies] == [str(number) for number in range(40)]
    assert stub.most <= concurrency


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>busy</html>",
        b"",
        b"[]",
        b"{}",
        {"choices": []},
        {"choices": None},
        {"choices": [{"message": None}]},
        b"null",
    ],
)
def test_answers_that_are_none(answer):
    with stub_server(lambda number, body: answer) as stub:
        (reply,) = connect(stub.url, retries=0).reply([ask()])
    assert (reply.end, reply.text) == ("error", "")
    assert reply.detail


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (completion("half", finish="length"), "length"),
        (completion("", finish="content_filter"), "refused"),
        (completion("", refusal="I will not"), "refused"),
        (completion("", finish="tool_calls"), "error"),
    ],
)
def test_how_a_reply_ended(answer, end):
    with stub_server(lambda number, body: answer) as stub:
        assert connect(stub.url).reply([ask()])[0].end == end


def test_choices_are_compared_by_the_first_token():
    answer = completion("A", finish="length", top={"A": -0.1, " B": -2.5, "tie": -4.0})
    with stub_server(lambda number, body: answer) as stub:
        reply, missing = connect(stub.url).reply([ask(choices=("A", "B")), ask(choices=("A", "C"))])
    assert (reply.end, reply.choices) == ("stop", (-0.1, -2.5))
    assert missing.choices == (), "a word that the server does not name has no probability that is known"
    assert stub.bodies[0]["top_logprobs"] == 20


def test_the_key_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "secret")
    with stub_server(lambda number, body: completion("x")) as stub:
        server = connect(stub.url, key_variable="JUDGE_KEY")
        server.reply([ask()])
    assert stub.bodies[0]["authorization"] == "Bearer secret"
    assert "secret" not in repr(server)


def test_nothing_asked_needs_no_server():
    assert connect("http://127.0.0.1:1/v1").reply([]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "127.0.0.1:8000"},
        {"base_url": "ftp://127.0.0.1/v1"},
        {"base_url": "http://me:secret@127.0.0.1/v1"},
        {"name": ""},
        {"timeout_s": 0.0},
        {"retries": -1},
        {"concurrency": 0},
    ],
)
def test_settings_are_checked(wrong):
    with pytest.raises(SettingError):
        Server(**{"base_url": "http://127.0.0.1:1/v1", "name": "x", **wrong})


@pytest.mark.slow
def test_a_real_model_behind_a_real_server(tmp_path):
    """transformers' own server with the embedded model: the same replies at any concurrency; a kill is no answer."""
    with transformers_server(tmp_path) as real:
        server = Server(base_url=real.url, name=real.model, first_wait_s=0.01, timeout_s=60.0, retries=1)
        asked = [ask(f"{one} + {one + 3} =", max_tokens=24) for one in range(1, 7)]
        first = server.reply(asked)
        assert {reply.end for reply in first} <= {"stop", "length"}
        assert all(reply.text for reply in first)
        assert all(reply.tokens > 0 for reply in first)
        one_by_one = Server(base_url=real.url, name=real.model, concurrency=1).reply(asked)
        assert [reply.text for reply in one_by_one] == [reply.text for reply in first]
        real.kill()
        gone = server.reply(asked)
        assert all(reply.end in ("error", "absent") for reply in gone)
        assert all(reply.text == "" for reply in gone)
