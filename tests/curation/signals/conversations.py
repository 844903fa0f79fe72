"""Random conversations that hold every kind of signal, alone and beside what is nearly one."""

from __future__ import annotations

import random
from typing import Any

from milepost.curation.signals import phrases

PHRASES = [line.rstrip("*? ") for text in phrases.LISTS.values() for line in text.split("\n") if line]
WORDS = [word for line in PHRASES for word in line.split()]
OTHERS = (
    *("please", "order", "flight", "window", "seat", "morning", "OSLO", "not", "don't", "don\u2019t", "thanks!!", "?!"),
    *("\u00c9COLE", "\u65e5\u672c", "\U0001f600", "Error:", "not found", "rate limit", "timeout", "status 500", "\n"),
)
ANY = [*WORDS, *OTHERS]
ARGUMENTS = ("{}", '{"x": 1}', '{"x":1}', '{"b":"\u00e9","a":2}', "{bad")


def said(source: random.Random, most: int) -> str:
    """Up to so many words and phrases."""
    words = [
        source.choice(PHRASES) if source.random() < 0.15 else source.choice([*WORDS, *OTHERS]) for _ in range(most)
    ]
    text = " ".join(words[: source.randint(0, most)])
    return text.upper() if source.random() < 0.1 else text


def again(source: random.Random, text: str) -> str:
    """A text once more: as it was, with a word more, or in another order."""
    words = text.split(" ")
    source.shuffle(words)
    return source.choice([text, f"{text} ok", " ".join(words[:-1]), " ".join(words)])


def message(source: random.Random, before: list[str]) -> dict[str, Any]:
    """One message, at times like one of those before."""
    text = said(source, 30 if source.random() < 0.95 else 600)
    text = again(source, source.choice(before)) if before and source.random() < 0.2 else text
    before.append(text)
    role = source.choice(("user", "user", "user", "assistant", "assistant", "tool", "tool", "calls", "system"))
    if role != "calls":
        return {"role": role, "content": text}
    names = [source.choice(("a", "b", "get \u00e9")) for _ in range(source.randint(1, 3))]
    calls = [{"id": "x", "function": {"name": name, "arguments": source.choice(ARGUMENTS)}} for name in names]
    return {"role": "assistant", "content": source.choice((None, "", text)), "tool_calls": calls}


def conversations(count: int, *, seed: int) -> list[list[dict[str, Any]]]:
    """So many conversations, a few of them longer than what is looked at."""
    source = random.Random(seed)
    found: list[list[dict[str, Any]]] = []
    for _ in range(count):
        before: list[str] = []
        size = source.randint(1, 160 if source.random() < 0.1 else 24)
        found.append([message(source, before) for _ in range(size)])
    return found
