"""Solved tasks that are shown to the model that is to write a reward: the ones whose sentences are most alike."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from milepost.errors import FormatError

_WORD = re.compile(r"[a-z0-9]+")
_COMMON = frozenset(("a", "an", "and", "by", "from", "in", "into", "it", "its", "of", "on", "the", "to", "with"))


@dataclass(frozen=True, kw_only=True)
class Example:
    """A task in a sentence, and a program that was a good reward for it."""

    task: str
    source: str


def likeness(one: str, other: str) -> float:
    """How alike two sentences are: the cosine of their counts of words.

        cos = sum_w a_w b_w / (|a| |b|),   a_w and b_w how often word w occurs, small words left out

    Args:
        one: a sentence.
        other: another one.

    Returns:
        In [0, 1]; 0 where they share no word.

    Source: the vector space model. Text2Reward, arXiv:2309.11489, takes sentence embeddings, which need a model.
    """
    a, b = (Counter(word for word in _WORD.findall(text.lower()) if word not in _COMMON) for text in (one, other))
    shared = sum(count * b[word] for word, count in a.items())
    if not shared:
        return 0.0
    return shared / math.sqrt(sum(n * n for n in a.values()) * sum(n * n for n in b.values()))


def nearest(task: str, known: Sequence[Example], count: int = 1) -> tuple[Example, ...]:
    """Solved tasks that are most like a task; the task itself is never among them.

    Args:
        task: in a sentence.
        known: solved tasks.
        count: how many are wanted.

    Returns:
        At most that many, the most alike first; ties keep their order.

    Source: Text2Reward, arXiv:2309.11489, few-shot: one example by default.
    """
    others = [one for one in known if _plain(one.task) != _plain(task)]
    return tuple(sorted(others, key=lambda one: -likeness(task, one.task))[:count])


def _plain(task: str) -> str:
    return " ".join(_WORD.findall(task.lower()))


def read(path: str) -> tuple[Example, ...]:
    """Read solved tasks from a file of JSON lines with `task` and `program`.

    Args:
        path: of the file; empty: there are none.

    Returns:
        The examples.

    Raises:
        FormatError: the file cannot be read, or a line lacks one of the two.
    """
    if not path:
        return ()
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise FormatError(f"The file of solved tasks cannot be read: {error}.") from error
    return tuple(_example(path, number, line) for number, line in enumerate(lines, 1) if line.strip())


def _example(path: str, number: int, line: str) -> Example:
    try:
        found: Any = json.loads(line)
        task, source = found["task"], found["program"]
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(
            f"{path}, line {number}, is no solved task: received {line[:80]!r}, expected an object with "
            f'"task" and "program".'
        ) from error
    if not isinstance(task, str) or not isinstance(source, str):
        raise FormatError(f'{path}, line {number}: "task" and "program" must be text.')
    return Example(task=task, source=source)
