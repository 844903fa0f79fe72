"""A corpus of broken files, made by rules: every format's good file, damaged in every way of the list."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bridges.examples import FILES, LINES

GOOD = {
    "chat": json.dumps(LINES["chat"][0]).encode(),
    "anthropic": json.dumps(LINES["anthropic"][0]).encode(),
    "trl": json.dumps(LINES["trl"][1]).encode(),
    "verl": json.dumps(LINES["verl"][0]).encode(),
    "verifiers": (FILES / "verifiers.jsonl").read_bytes().splitlines()[0],
    "otel": (FILES / "otel.jsonl").read_bytes().splitlines()[4],
    "tau2": (FILES / "tau2.json").read_bytes(),
    "inspect": (FILES / "inspect.json").read_bytes(),
}
DEEP = 100_000

BYTES: dict[str, Callable[[bytes], bytes]] = {
    "cut in the middle": lambda raw: raw[: len(raw) // 2],
    "cut before the last byte": lambda raw: raw.rstrip()[:-1],
    "without its first byte": lambda raw: raw[1:],
    "a zero byte in it": lambda raw: raw[:20] + b"\0" + raw[20:],
    "not UTF-8": lambda raw: raw.replace(b'"', b'"\xff\xfe', 1),
    "half a surrogate": lambda raw: raw.replace(b': "', b': "\\ud800', 1).replace(b':"', b':"\\ud800', 1),
    "NaN": lambda raw: raw.replace(b"{", b'{"x": NaN, ', 1),
    "infinity": lambda raw: raw.replace(b"{", b'{"x": Infinity, ', 1),
    "a number beyond all": lambda raw: raw.replace(b"{", b'{"x": 1e999, ', 1),
    "a number of many digits": lambda raw: raw.replace(b"{", b'{"x": ' + b"9" * 400 + b", ", 1),
    "an encoded surrogate": lambda raw: raw.replace(b'"', b'"\xed\xa0\x80', 1),
    "an overlong code": lambda raw: raw.replace(b'"', b'"\xc0\xaf', 1),
    "two marks": lambda raw: b"\xef\xbb\xbf" * 2 + raw,
    "UTF-16 without a mark": lambda raw: raw[:200].decode().encode("utf-16-le"),
    "compressed and cut": lambda raw: gzip.compress(raw, mtime=0)[:-8].replace(b"\n", b"-"),
    "as deep as the parser goes": lambda raw: raw.replace(b"{", b'{"x": ' + b"[" * 900 + b"]" * 900 + b", ", 1),
    "single quotes": lambda raw: raw.replace(b'"', b"'"),
    "a comment": lambda raw: b"// traces\n" + raw.replace(b"\n", b" ")[:-9],
    "compressed": lambda raw: b"\x1f\x8b\x08\x00" + raw[:40],
    "Parquet": lambda raw: b"PAR1" + raw[:40],
    "UTF-16": lambda raw: raw[:200].decode().encode("utf-16"),
    "too deep": lambda raw: b'{"messages": ' + b"[" * DEEP + raw[:3],
    "too deep and closed": lambda raw: b'{"messages": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "a number": lambda raw: b"17",
    "null": lambda raw: b"null",
    "a text": lambda raw: b'"messages"',
    "an array of numbers": lambda raw: b"[1, 2, 3]",
    "an empty array": lambda raw: b"[]",
    "an empty object": lambda raw: b"{}",
    "other fields": lambda raw: b'{"a": 1, "b": [2], "c": {"d": null}}',
}
"""Damage to the bytes of any file."""

KEYS = {
    "chat": "messages", "anthropic": "messages", "trl": "completion", "verl": "input", "verifiers": "nodes",
    "otel": "resourceSpans", "tau2": "simulations", "inspect": "samples",
}  # fmt: skip
VALUES: dict[str, object] = {
    "null": None, "a number": 3, "a fraction": 1.5, "truth": True, "an object": {"a": 1},
    "an empty array": [], "nulls": [None], "numbers": [1, 2], "texts": ["a"], "arrays": [[]], "empty objects": [{}],
    "a wrong role": [{"role": "wizard", "content": "x"}], "a role that is a number": [{"role": 3, "content": "x"}],
    "content that is a number": [{"role": "user", "content": 3}],
    "content that is an object": [{"role": "user", "content": {"a": 1}}],
    "parts that are numbers": [{"role": "user", "content": [3]}],
    "calls that are a text": [{"role": "assistant", "tool_calls": "f()"}],
    "a call without a name": [{"role": "assistant", "tool_calls": [{"id": "c"}]}],
    "a call whose name is a number": [{"role": "assistant", "tool_calls": [{"function": {"name": 3}}]}],
    "a call that is a text": [{"role": "assistant", "tool_calls": ["f"]}],
}  # fmt: skip
"""What stands where the messages should."""

NOTHING_IN_IT = (
    "otel: messages are an empty array",
    "otel: messages are empty objects",
    "tau2: messages are an empty array",
    "inspect: messages are an empty array",
)
"""Files that are odd and sound: a request without spans, a run without simulations, a log without samples."""


@dataclass(frozen=True)
class Broken:
    """A broken file and how it came about."""

    format: str
    damage: str
    content: bytes

    @property
    def name(self) -> str:
        return f"{self.format}: {self.damage}"


def inside(name: str, value: object) -> bytes:
    """The good file of a format with something else in the place of its messages."""
    record = json.loads(GOOD[name])
    if name in ("tau2", "inspect") and isinstance(value, list) and value and isinstance(value[0], dict):
        record[KEYS[name]][0]["messages"] = value
        record[KEYS[name]] = record[KEYS[name]][:1]
    elif name == "verifiers" and isinstance(value, list) and value and isinstance(value[0], dict):
        record["nodes"] = [{"message": one} if "role" in one else one for one in value]
    elif name == "otel" and isinstance(value, list) and value and isinstance(value[0], dict) and value != [{}]:
        span = record["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
        span["attributes"] = [{"key": "gen_ai.input.messages", "value": {"stringValue": json.dumps(value)}}]
    else:
        record[KEYS[name]] = value
    return json.dumps(record).encode()


def corpus() -> Iterator[Broken]:
    """All broken files."""
    for name, raw in GOOD.items():
        for damage, change in BYTES.items():
            changed = change(raw)
            if changed != raw:
                yield Broken(name, damage, changed)
        for damage, value in VALUES.items():
            yield Broken(name, f"messages are {damage}", inside(name, value))


def write(broken: Broken, folder: Path) -> Path:
    """The broken file."""
    path = folder / f"broken.{'json' if broken.format in ('tau2', 'inspect') else 'jsonl'}"
    path.write_bytes(broken.content)
    return path
