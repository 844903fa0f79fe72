"""The Free On-line Dictionary of Computing (foldoc.org, GNU FDL), as the Debian package dict-foldoc ships it.

An entry has a head, perhaps the fields it is filed under, and text with {links} to other entries. milepost holds
nothing of it: the files of the package are read where they are.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from milepost.environments.search.chains import Shape, ask, clip, plain
from milepost.environments.search.corpus import Fact
from milepost.environments.search.index import Document
from milepost.environments.search.questions import Hop, Question
from milepost.errors import FormatError, MissingExtra

FOLDER = Path("/usr/share/dictd")
NAME = "foldoc"
SHOWN = 240
"""Characters of an entry that make its document; what is asked stands among them."""
SENTENCE = (30, 140)
"""Length of a first sentence that is asked for."""

_DIGITS = {
    letter: value for value, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}
_FIELDS = re.compile(r"<([^<>@]+)>\s*")
_LINK = re.compile(r"\{([^{}()]+)\}")
_REFERENCE = re.compile(r"\{([^{}()]+)\}\.?")

_FIELD, _LINKED = Hop(relation="field"), Hop(relation="link")
_MEANT, _STANDS = Hop(relation="definition", back=True), Hop(relation="stands for")
QUERIES: Mapping[Hop, str] = {_FIELD: "{}", _LINKED: "{}", _STANDS: "{}", _MEANT: "{}"}
SHAPES = (
    Shape(name="field", text="Which field is the term {} filed under?", path=(_FIELD,)),
    Shape(name="stands", text="Which entry does the entry {} refer to?", path=(_STANDS,)),
    Shape(name="definition", text="Which term is defined as: {}?", path=(_MEANT,)),
    Shape(
        name="stands-field",
        text="Which field is the term filed under that the entry {} refers to?",
        path=(_STANDS, _FIELD),
    ),
    Shape(
        name="link-field",
        text="Which field is the term filed under that the entry {} names first in braces?",
        path=(_LINKED, _FIELD),
    ),
    Shape(
        name="definition-link-field",
        text="Take the term that is defined as: {}. Which field is the term filed under that its entry names first in "
        "braces?",
        path=(_MEANT, _LINKED, _FIELD),
    ),
    Shape(
        name="link-link-field",
        text="Take the term that the entry {} names first in braces. Which field is the term filed under that its own "
        "entry names first?",
        path=(_LINKED, _LINKED, _FIELD),
    ),
    Shape(
        name="stands-link-field",
        text="Take the term that the entry {} refers to. Which field is the term filed under that its own entry names "
        "first in braces?",
        path=(_STANDS, _LINKED, _FIELD),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry of the dictionary."""

    term: str
    fields: tuple[str, ...]
    """What it is filed under; empty where nothing is said."""
    text: str
    """Its first paragraph on one line, without the fields; links in braces."""


def entries(folder: Path = FOLDER) -> tuple[Entry, ...]:
    """Read the dictionary.

    Args:
        folder: holds foldoc.index and foldoc.dict.dz.

    Returns:
        The entries in the order of the file; of several with one name the first.

    Raises:
        MissingExtra: the files are not there.
        FormatError: the index points beyond the text.
    """
    index, data = folder / f"{NAME}.index", folder / f"{NAME}.dict.dz"
    if not index.is_file() or not data.is_file():
        raise MissingExtra(
            f"The corpus {NAME!r} reads {data}, which is not there. Install the system's package with: "
            "apt install dict-foldoc"
        )
    text = gzip.decompress(data.read_bytes())
    found: dict[str, Entry] = {}
    for start, size in sorted({_place(line) for line in index.read_text(encoding="utf-8").splitlines()}):
        if start + size > len(text):
            raise FormatError(f"{index} points beyond the end of {data}: the two files do not belong together.")
        made = _entry(text[start : start + size].decode("utf-8", "replace"))
        if made is not None:
            found.setdefault(made.term.lower(), made)
    return tuple(found.values())


def _place(line: str) -> tuple[int, int]:
    *_, start, size = line.split("\t")
    return _number(start), _number(size)


def _number(text: str) -> int:
    """Read a number of the index: base 64, the highest digit first."""
    value = 0
    for letter in text:
        if letter not in _DIGITS:
            raise FormatError(f"{text!r} in the index is no number: expected digits of base 64.")
        value = value * 64 + _DIGITS[letter]
    return value


def _entry(block: str) -> Entry | None:
    lines = block.strip("\n").split("\n")
    if lines[0].startswith("00-") or not lines[0].strip() or lines[0].startswith(" "):
        return None
    head = next((place for place, line in enumerate(lines) if not line.strip()), len(lines))
    paragraph = "\n".join(lines[head:]).strip().split("\n\n")[0]
    text = plain(paragraph)
    marked = _FIELDS.match(text)
    fields = tuple(one.strip() for one in marked.group(1).split(",")) if marked else ()
    term = plain(lines[0])
    return Entry(term=term, fields=fields, text=text[marked.end() :] if marked else text) if term else None


def documents(known: Sequence[Entry]) -> tuple[Document, ...]:
    """Write the corpus: a document per entry.

    Args:
        known: the entries.

    Returns:
        Documents such as "admissible: <algorithm> A description of a {search algorithm} ...", with the term as id.
    """
    return tuple(Document(id=one.term, title=one.term, body=_body(one)) for one in known)


def _body(entry: Entry) -> str:
    filed = f"<{', '.join(entry.fields)}> " if entry.fields else ""
    return clip(f"{filed}{entry.text}", SHOWN)


def facts(known: Sequence[Entry]) -> tuple[Fact, ...]:
    """What the documents state: "field", "definition", "link" and "stands for".

    Args:
        known: the entries.

    Returns:
        Facts whose subject is a term; each stands in what the term's document shows.
    """
    terms = {one.term.lower(): one.term for one in known}
    return tuple(fact for one in known for fact in _stated(one, terms))


def _stated(entry: Entry, terms: Mapping[str, str]) -> Iterator[Fact]:
    def fact(relation: str, value: str) -> Fact:
        return Fact(document=entry.term, relation=relation, subject=entry.term, object=value)

    if whole := _REFERENCE.fullmatch(entry.text):
        if (target := terms.get(whole.group(1).lower())) is not None:
            yield fact("stands for", target)
        return
    if len(entry.fields) == 1:
        yield fact("field", entry.fields[0])
    linked = _LINK.search(_body(entry))
    if linked and (target := terms.get(linked.group(1).lower())) is not None:
        yield fact("link", target)
    sentence = re.sub(r"^\([^()]*\) ", "", re.sub(r"[{}]", "", entry.text)).partition(". ")[0].rstrip(".")
    if SENTENCE[0] <= len(sentence) <= SENTENCE[1] and len(sentence) < len(_body(entry)) - 4:
        yield fact("definition", sentence)


def questions(known: Sequence[Entry]) -> tuple[Question, ...]:
    """Every question about the entries that has one answer.

    Args:
        known: the entries.

    Returns:
        Questions of one, two and three documents.
    """
    return tuple(ask(facts(known), SHAPES, QUERIES))
