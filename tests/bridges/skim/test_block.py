"""Skimmed blocks against the parser: what is skimmed is what is there, and what is odd is left to the parser."""

import json
import random
from itertools import pairwise

import numpy as np
import orjson
import pytest

from milepost.bridges import chat
from milepost.bridges.skim.block import Block
from milepost.bridges.skim.messages import EMPTY, ODD, ROLES, SKIMMED
from milepost.bridges.skim.texts import keys_of
from milepost.traces.record import Trace

TEXTS = ("", "Hello", 'say "hi"\\ \n\t', "Grüße 日本 😀", "\u0000 zero", "a" * 40, '{"x": [1, "]"]}')
LIMIT = 1 << 20


def conversation(random):
    """One conversation in the commonest shape, with fields that do not matter in between."""
    messages = []
    for _ in range(random.randint(1, 5)):
        message = {"role": random.choice(ROLES), "content": random.choice([*TEXTS, None])}
        if random.random() < 0.4:
            call = {"name": random.choice(TEXTS), "arguments": random.choice(TEXTS)}
            message["tool_calls"] = random.choice([None, [], [{"id": "1", "function": call}] * random.randint(1, 3)])
        if random.random() < 0.3:
            message["more"] = random.choice([{"a": [{}, [], 1.5e-3, -0, True, None]}, [[]], "\\", 12345678901234567890])
        fields = list(message.items())
        random.shuffle(fields)
        messages.append(dict(fields))
    value = {"id": "x", "messages": messages, "reward": 0.5}
    return {name: value[name] for name in random.sample(list(value), 3)}


def written(value, random):
    separators = random.choice([(",", ":"), (", ", ": "), (" ,\t", " : ")])
    return json.dumps(value, separators=separators, ensure_ascii=random.random() < 0.5).encode()


def spoken(value):
    """What matters of a conversation: role and text of each message, and its calls."""
    found = []
    for message in value["messages"]:
        functions = [call["function"] for call in message.get("tool_calls") or ()]
        calls = [f"{function['name']} {function['arguments']}" for function in functions]
        found.append((message["role"], message.get("content") or "", calls))
    return found


def skimmed(block):
    chosen = np.ones(len(block.role), dtype=bool)
    texts, calls = block.texts(ROLES, chosen, (10**6, 10**6)), block.calls(chosen)[0]

    def told(packed):
        cuts = packed.offsets.tolist()
        return [packed.data[a:b].tobytes().decode() for a, b in pairwise(cuts)]

    said, called = dict(zip(texts.message.tolist(), told(texts), strict=True)), told(calls)
    found = [(ROLES[role], said.get(row, ""), []) for row, role in enumerate(block.role.tolist())]
    for row, call in zip(calls.message.tolist(), called, strict=True):
        found[row][2].append(call)
    return found


def test_skimmed_lines_are_what_the_parser_reads():
    source = random.Random(1)
    values = [conversation(source) for _ in range(300)]
    block = Block(b"\n".join(written(value, source) for value in values) + b"\n", limit=LIMIT)
    assert (block.kind == SKIMMED).all()
    assert skimmed(block) == [one for value in values for one in spoken(value)]
    assert [orjson.loads(head) for head in block.heads()] == [value | {"messages": 0} for value in values]
    assert block.count.tolist() == [len(value["messages"]) for value in values]


def test_every_change_of_a_byte_is_read_as_the_parser_reads_it():
    """Lines with a few bytes changed: the parser reads all that is skimmed, and reads the same."""
    source = random.Random(2)
    lines = []
    for _ in range(20_000):
        line = bytearray(written(conversation(source), source))
        for _ in range(source.randint(1, 3)):
            place, what = source.randrange(len(line)), source.choice(b'"\\{}[],: \x00\x1f\x80\xffu0n1e.-tfa')
            change = source.randrange(3)
            if change == 0:
                line[place] = what
            elif change == 1:
                line.insert(place, what)
            else:
                del line[place]
        lines.append(bytes(line).replace(b"\n", b""))
    kinds, odd = {EMPTY: 0, SKIMMED: 0, ODD: 0}, 0
    for line in lines:
        block = Block(line + b"\n", limit=LIMIT)
        (kind,) = block.kind.tolist()
        kinds[kind] += 1
        if kind == SKIMMED:
            value = orjson.loads(line)
            assert skimmed(block) == spoken(value)
            assert isinstance(chat.of_value(value, "f", 1), Trace)
            assert orjson.loads(block.heads()[0]) == value | {"messages": 0}
        elif kind == ODD:
            odd += len(block.odd()) == 1
    assert kinds[SKIMMED] > 2000
    assert odd == kinds[ODD] > 2000


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" \t",
        b"[]",
        b'{"messages": []}',
        b'{"messages": null}',
        b'{"messages": [{"role": "user"}], "messages": [{"role": "user"}]}',
        b'{"messages": [{"role": "user", "role": "tool"}]}',
        b'{"messages": [{"role": "user", "content": "a", "content": "b"}]}',
        b'{"messages": [{"role": "us\\u0065r"}]}',
        b'{"messages": [{"r\\u006fle": "user"}]}',
        b'{"messages": [{"role": "user", "content": ["a"]}]}',
        b'{"messages": [{"role": "judge"}]}',
        b'{"messages": [{"content": "a"}]}',
        b'{"messages": [{"role": "user", "tool_calls": [{"name": "f", "arguments": "{}"}]}]}',
        b'{"messages": [{"role": "user", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}]}',
        b'{"messages": [{"role": "user"},]}',
        b'{"messages": [{"role": "user"}]} {}',
        b'{"messages": [{"role": "user"}], "x": NaN}',
        b'{"messages": [{"role": "user"}], "x": 1e999}',
        b'{"messages": [{"role": "user"}], "x": 01}',
        b'{"messages": [{"role": "user"}], "x": +1}',
        b'{"messages": [{"role": "user"}], "x": ' + b"9" * 400 + b"}",
        b'{"messages": [{"role": "user"}], "x": ' + b"[" * 2000 + b"]" * 2000 + b"}",
        b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"messages": [{"role": "user", "content": "\\ud800\\u0041"}]}',
        b'{"messages": [{"role": "user", "content": "\\udc00"}]}',
        b'{"messages": [{"role": "user", "content": "\\x41"}]}',
        b'{"messages": [{"role": "user", "content": "\xed\xa0\x80"}]}',
        b'{"messages": [{"role": "user", "content": "\xc0\xaf"}]}',
        b'\xef\xbb\xbf{"messages": [{"role": "user"}]}',
        '{"messages": [{"role": "user"}]}'.encode("utf-16"),
        b"\x1f\x8b\x08\x00",
        b'{"messages": [{"role": "user", "content": "' + b"x" * 3000,
    ],
)
def test_what_is_rare_is_left_to_the_parser(line):
    assert (Block(line, limit=LIMIT).kind != SKIMMED).all()


def test_pairs_of_surrogates_are_one_character():
    line = b'{"messages": [{"role": "user", "content": "\\ud83d\\ude00\\u00e9\\u65e5\\/"}]}'
    assert skimmed(Block(line, limit=LIMIT)) == [("user", "😀é日/", [])]


def test_lines_of_every_kind_keep_their_numbers():
    good = b'{"messages": [{"role": "user", "content": "x"}]}'
    block = Block(b"\n".join([b"", good, b"{", b"  ", good + b"\r", b"[" + good, good]), limit=LIMIT)
    assert block.kind.tolist() == [EMPTY, SKIMMED, ODD, EMPTY, SKIMMED, ODD, SKIMMED]
    assert block.line.tolist() == [1, 4, 6]
    assert block.odd() == [(2, b"{\n"), (5, b"[" + good + b"\n")]


def test_long_lines_are_odd():
    good = b'{"messages": [{"role": "user", "content": "x"}]}\n'
    assert Block(good, limit=len(good)).kind.tolist() == [SKIMMED]
    assert Block(good, limit=len(good) - 1).kind.tolist() == [ODD]


def test_only_texts_with_a_key_are_copied():
    texts = ["an ERROR here", "nothing", "err or", "\\u0065rror", "tail erro"]
    line = b'{"messages": [' + b", ".join(b'{"role": "tool", "content": "%s"}' % one.encode() for one in texts) + b"]}"
    block = Block(line, limit=LIMIT)
    packed = block.texts(("tool",), np.ones(5, dtype=bool), (100, 100), keys_of(["erro"]))
    assert packed.message.tolist() == [0, 3, 4]
