"""Python's own documentation: names that are defined once, bases and modules that the interpreter confirms."""

import collections
import importlib

from milepost.environments.search import python_docs
from milepost.environments.search.collection import collection
from tests.environments.search import corpora

WORLD, KNOWN = collection("python"), python_docs.described()


def test_descriptions_by_hand():
    known = {one.name: one for one in python_docs.described(("collections", "builtins", "no_such_module"))}
    assert known["OrderedDict"].bases == ("dict",)
    assert known["OrderedDict"].module == "collections"
    assert known["FileNotFoundError"].bases == ("OSError",)
    assert known["OSError"].text == "Base class for I/O related errors."
    assert not any(name.startswith("_") for name in known)


def test_documents_hold_what_is_asked():
    texts = {one.id: one.text for one in WORLD.documents}
    assert texts["OrderedDict"].startswith("class OrderedDict(dict): module collections. ")
    corpora.check(WORLD, python_docs.facts(KNOWN))


def test_the_interpreter_confirms_the_answers():
    """Each class is imported, and what it extends is looked up again."""
    known, confirmed = {one.name: one for one in KNOWN}, 0
    for one in WORLD.questions:
        shape, _, name = one.id.partition(":")
        path = shape.partition("-")[2].split("-")
        if set(path) == {"base"}:
            value = getattr(importlib.import_module(known[name].module), name)
            for _ in path:
                (value,) = [base for base in value.__bases__ if base is not object]
            assert value.__name__ == one.answer
            confirmed += 1
    assert confirmed > 300


def test_there_is_enough_to_learn_from():
    counts = collections.Counter(one.hops for one in WORLD.questions)
    assert min(counts[hops] for hops in (1, 2, 3)) > 200
    assert corpora.check_play(WORLD) == 24


def test_what_else_is_imported_changes_nothing():
    """torch, for one, puts functions of its own in the place of some."""
    importlib.import_module("torch")
    assert python_docs.described() == KNOWN
