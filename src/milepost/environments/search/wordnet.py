"""Nouns of WordNet 3.0 (Princeton University, its own free licence), as the Debian package wordnet-base ships them.

A synset is a meaning with the words for it, a gloss, and pointers to what it is a kind of and a part of. milepost holds
nothing of it: the files of the package are read where they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from milepost.environments.search.chains import Shape, ask, clip, plain
from milepost.environments.search.corpus import Fact
from milepost.environments.search.index import Document
from milepost.environments.search.questions import Hop, Question
from milepost.errors import FormatError, MissingExtra

FOLDER = Path("/usr/share/wordnet")
NAME = "wordnet"
FILES: Mapping[int, str] = {5: "animal", 8: "body", 13: "food"}
"""Numbers of the lexicographers' files that are taken: things whose kinds and parts are not a matter of opinion."""
SHOWN = 240
"""Characters of a gloss that make a document."""
GLOSS = (25, 140)
"""Length of a gloss that is asked for."""

_KIND, _WHOLE = Hop(relation="kind"), Hop(relation="whole")
_MEANT = Hop(relation="gloss", back=True)
QUERIES: Mapping[Hop, str] = {_KIND: "kind of {}", _WHOLE: "whole of {}", _MEANT: "{}"}
SHAPES = (
    Shape(name="kind", text="What is {} a kind of?", path=(_KIND,)),
    Shape(name="whole", text="What is {} a part of?", path=(_WHOLE,)),
    Shape(name="gloss", text="What is this: {}?", path=(_MEANT,)),
    Shape(name="gloss-kind", text="What is this a kind of: {}?", path=(_MEANT, _KIND)),
    Shape(name="kind-kind", text="What is the thing a kind of, that {} is a kind of?", path=(_KIND, _KIND)),
    Shape(name="whole-kind", text="What is the thing a kind of, that {} is a part of?", path=(_WHOLE, _KIND)),
    Shape(
        name="gloss-kind-kind",
        text="What is the thing a kind of, that this is a kind of: {}?",
        path=(_MEANT, _KIND, _KIND),
    ),
    Shape(
        name="kind-kind-kind",
        text="{} is a kind of something, which is a kind of something else. What is that a kind of?",
        path=(_KIND, _KIND, _KIND),
    ),
    Shape(
        name="whole-kind-kind",
        text="{} is a part of something, which is a kind of something else. What is that a kind of?",
        path=(_WHOLE, _KIND, _KIND),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Synset:
    """A meaning."""

    offset: str
    """Its place in the file, which is its name there."""
    file: int
    """Number of the lexicographers' file."""
    words: tuple[str, ...]
    kinds: tuple[str, ...]
    """Offsets of what it is a kind of."""
    wholes: tuple[str, ...]
    """Offsets of what it is a part of."""
    gloss: str
    """Its definition, without examples."""


def synsets(folder: Path = FOLDER) -> tuple[Synset, ...]:
    """Read all nouns.

    Args:
        folder: holds data.noun.

    Returns:
        The synsets in the order of the file.

    Raises:
        MissingExtra: the file is not there.
        FormatError: a line is no synset.
    """
    path = folder / "data.noun"
    if not path.is_file():
        raise MissingExtra(
            f"The corpus {NAME!r} reads {path}, which is not there. Install the system's package with: "
            "apt install wordnet-base"
        )
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(_synset(line, path) for line in lines if line and not line.startswith(" "))


def _synset(line: str, path: Path) -> Synset:
    """Read a line: offset, file, type, number of words in base 16, words, number of pointers, pointers, | gloss."""
    try:
        data, _, gloss = line.partition(" | ")
        offset, file, _, count, *rest = data.split()
        size = int(count, 16)
        words, pointers = rest[: 2 * size : 2], rest[2 * size + 1 :]
        marks = [(pointers[at], pointers[at + 1]) for at in range(0, 4 * int(rest[2 * size]), 4)]
        return Synset(
            offset=offset,
            file=int(file),
            words=tuple(plain(word.replace("_", " ")) for word in words),
            kinds=tuple(target for mark, target in marks if mark in ("@", "@i")),
            wholes=tuple(target for mark, target in marks if mark == "#p"),
            gloss=plain(gloss.partition('; "')[0]),
        )
    except (ValueError, IndexError) as error:
        raise FormatError(f"{path} has a line that is no synset: {line[:60]!r}.") from error


def facts(known: Sequence[Synset]) -> tuple[Fact, ...]:
    """What the documents state: "gloss", "kind" and "whole".

    Args:
        known: all synsets; those of `FILES` are taken.

    Returns:
        Facts whose subject is a word with a single meaning among the nouns, so that it names one thing.
    """
    meanings = Counter(word.lower() for one in known for word in set(one.words))
    first = {one.offset: one.words[0] for one in known}
    found: list[Fact] = []
    for one in known:
        name = one.words[0]
        if one.file not in FILES or meanings[name.lower()] > 1:
            continue
        stated = {"gloss": [one.gloss] if GLOSS[0] <= len(one.gloss) <= GLOSS[1] else []}
        stated |= {"kind": [first[to] for to in one.kinds], "whole": [first[to] for to in one.wholes]}
        for relation, values in stated.items():
            document = f"{relation}:{one.offset}"
            found += [Fact(document=document, relation=relation, subject=name, object=value) for value in values]
    return tuple(found)


def documents(known: Sequence[Synset]) -> tuple[Document, ...]:
    """Write the corpus: a document per gloss, and per list of kinds and of wholes.

    Args:
        known: all synsets; those of `FILES` are taken.

    Returns:
        Documents such as "Kind of aardvark: placental", with the id "kind:02082791".
    """
    first = {one.offset: one.words[0] for one in known}
    found: list[Document] = []
    for one in known:
        if one.file in FILES:
            name = one.words[0]
            found.append(Document(id=f"gloss:{one.offset}", title=", ".join(one.words), body=clip(one.gloss, SHOWN)))
            for relation, targets in (("kind", one.kinds), ("whole", one.wholes)):
                if targets:
                    body = ", ".join(first[to] for to in targets)
                    title = f"{relation.capitalize()} of {name}"
                    found.append(Document(id=f"{relation}:{one.offset}", title=title, body=body))
    return tuple(found)


def questions(known: Sequence[Synset]) -> tuple[Question, ...]:
    """Every question about the synsets that has one answer.

    Args:
        known: all synsets.

    Returns:
        Questions of one, two and three documents.
    """
    return tuple(ask(facts(known), SHAPES, QUERIES))
