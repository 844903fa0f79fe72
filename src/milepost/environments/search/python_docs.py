"""Python's own documentation: what the classes and functions of the standard library say of themselves.

It is read from the running interpreter, so that it is there wherever milepost is. Another version of Python says other
things: a run's manifest holds the version, and a digest of the tasks.
"""

from __future__ import annotations

import importlib
import inspect
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from milepost.environments.search.chains import Shape, ask, clip, plain
from milepost.environments.search.corpus import Fact
from milepost.environments.search.index import Document
from milepost.environments.search.questions import Hop, Question

NAME = "python"
MODULES = (
    "builtins", "abc", "argparse", "array", "ast", "asyncio", "base64", "bisect", "bz2", "calendar", "codecs",
    "collections", "configparser", "contextlib", "copy", "csv", "ctypes", "dataclasses", "datetime", "decimal",
    "difflib", "dis", "email.message", "email.policy", "enum", "fileinput", "fnmatch", "fractions", "ftplib",
    "functools", "glob", "gzip", "hashlib", "heapq", "hmac", "html", "html.parser", "http.client", "http.cookiejar",
    "http.server", "imaplib", "io", "ipaddress", "itertools", "json", "locale", "logging",
    "logging.handlers", "lzma", "mailbox", "math", "mimetypes", "multiprocessing", "numbers", "operator", "optparse",
    "os.path", "pathlib", "pickletools", "poplib", "pprint", "queue", "random", "re", "sched", "selectors", "shelve",
    "shlex", "shutil", "smtplib", "socket", "socketserver", "sqlite3", "ssl", "statistics", "string", "struct",
    "subprocess", "tarfile", "tempfile", "textwrap", "threading", "time", "timeit", "tokenize", "trace", "traceback",
    "tracemalloc", "types", "typing", "unittest", "unittest.mock", "urllib.error", "urllib.parse", "urllib.request",
    "uuid", "wave", "weakref", "xml.dom", "xml.etree.ElementTree", "xml.sax", "xmlrpc.client", "zipfile", "zoneinfo",
)  # fmt: skip
"""Modules that are read: without effect when they are imported, and not changed by others (torch changes `inspect`)."""
SHOWN = 240
"""Characters of a docstring that make a document."""
SENTENCE = (25, 140)
"""Length of a first line that is asked for."""

_BASE, _MODULE = Hop(relation="base"), Hop(relation="module")
_MEANT = Hop(relation="summary", back=True)
QUERIES: Mapping[Hop, str] = {_BASE: "{}", _MODULE: "{}", _MEANT: "{}"}
SHAPES = (
    Shape(name="module", text="In which module of Python is {} defined?", path=(_MODULE,)),
    Shape(name="base", text="Which class does Python's {} extend?", path=(_BASE,)),
    Shape(name="summary", text="Which class or function of Python says: {}?", path=(_MEANT,)),
    Shape(name="base-base", text="Which class does the class extend that Python's {} extends?", path=(_BASE, _BASE)),
    Shape(
        name="base-module",
        text="In which module is the class defined that Python's {} extends?",
        path=(_BASE, _MODULE),
    ),
    Shape(
        name="summary-base-base",
        text="A class of Python says: {}. Which class does the class extend that it extends?",
        path=(_MEANT, _BASE, _BASE),
    ),
    Shape(
        name="base-base-base",
        text="Python's {} extends a class that extends another. Which class does that one extend?",
        path=(_BASE, _BASE, _BASE),
    ),
    Shape(
        name="base-base-module",
        text="Python's {} extends a class that extends another. In which module is that one defined?",
        path=(_BASE, _BASE, _MODULE),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Described:
    """A class or function with what is said of it."""

    name: str
    module: str
    """Where it is defined."""
    bases: tuple[str, ...]
    """Names of the classes that a class extends; empty for a function."""
    is_class: bool
    text: str
    """First paragraph of its docstring on one line, without a signature."""


def described(modules: Sequence[str] = MODULES) -> tuple[Described, ...]:
    """Read the documentation of the running interpreter.

    Args:
        modules: dotted names; one that this system lacks is left out.

    Returns:
        Public classes and functions whose name no other of them has, ordered by name.
    """
    found: dict[str, list[Described]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # some say so when they are looked at
        for name in modules:
            try:
                module = importlib.import_module(name)
            except ImportError:
                continue
            for one in _of(module):
                others = found.setdefault(one.name, [])
                if one not in others:
                    others.append(one)
    return tuple(same[0] for _, same in sorted(found.items()) if len(same) == 1)


def _of(module: object) -> Iterator[Described]:
    for name, value in sorted(vars(module).items()):
        is_class = inspect.isclass(value)
        if name.startswith("_") or not (is_class or inspect.isroutine(value)):
            continue
        home, own = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
        text = value.__doc__ if isinstance(value.__doc__, str) else ""
        if home is None or own != name or home.startswith("_"):
            continue
        bases = tuple(base.__name__ for base in value.__bases__ if base is not object) if is_class else ()
        yield Described(name=name, module=home, bases=bases, is_class=is_class, text=_first(text))


def _first(text: str) -> str:
    """First paragraph that is not a signature."""
    paragraphs = [plain(one) for one in inspect.cleandoc(text).split("\n\n")]
    return next((re.sub(r"^\w[\w.]*\([^()]*\)( -> \S+| --?)? ?", "", one) for one in paragraphs if " " in one), "")


def documents(known: Sequence[Described]) -> tuple[Document, ...]:
    """Write the corpus: a document per class and function.

    Args:
        known: what is described.

    Returns:
        Documents such as "class OrderedDict(dict): module collections. Dictionary that remembers insertion order", with
        the name as id.
    """
    return tuple(Document(id=one.name, title=_title(one), body=_body(one)) for one in known)


def _title(one: Described) -> str:
    if not one.is_class:
        return f"function {one.name}"
    return f"class {one.name}({', '.join(one.bases)})" if one.bases else f"class {one.name}"


def _body(one: Described) -> str:
    return clip(f"module {one.module}. {one.text}".strip(), SHOWN)


def facts(known: Sequence[Described]) -> tuple[Fact, ...]:
    """What the documents state: "module", "base" and "summary".

    Args:
        known: what is described.

    Returns:
        Facts whose subject is the name of a class or function; a class that extends several has several.
    """
    return tuple(fact for one in known for fact in _stated(one))


def _stated(one: Described) -> Iterator[Fact]:
    def fact(relation: str, value: str) -> Fact:
        return Fact(document=one.name, relation=relation, subject=one.name, object=value)

    yield fact("module", one.module)
    yield from (fact("base", base) for base in one.bases)
    summary = one.text.partition(". ")[0].rstrip(".")
    if SENTENCE[0] <= len(summary) <= SENTENCE[1]:
        yield fact("summary", summary)


def questions(known: Sequence[Described]) -> tuple[Question, ...]:
    """Every question about the descriptions that has one answer.

    Args:
        known: what is described.

    Returns:
        Questions of one, two and three documents.
    """
    return tuple(ask(facts(known), SHAPES, QUERIES))
