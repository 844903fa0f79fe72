"""Optional dependencies: an installed one is imported, a missing one is named with the extra that brings it."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest

from milepost.errors import MissingExtra
from milepost.optional import load, machine_code


def test_an_installed_module_is_returned() -> None:
    import json.decoder

    assert load("json", extra="lm", purpose="A test") is json
    assert load("json.decoder", extra="lm", purpose="A test") is json.decoder


def test_a_missing_module_is_named_with_its_extra_and_purpose() -> None:
    with pytest.raises(MissingExtra) as caught:
        load("no_such_package_here", extra="lm", purpose="The pool of puzzles")
    assert str(caught.value) == (
        "The pool of puzzles needs the package 'no_such_package_here', which is not installed. "
        "Install it with: pip install 'milepost[lm]'"
    )
    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_missing_parent_is_what_gets_named() -> None:
    with pytest.raises(MissingExtra, match="'no_such_package_here'"):
        load("no_such_package_here.inner.most", extra="report", purpose="A test")


def test_what_a_module_lacks_itself_is_what_gets_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "optional_probe_lacks.py").write_text("import no_such_dependency_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtra, match=r"'no_such_dependency_here'.*milepost\[track\]"):
        load("optional_probe_lacks", extra="track", purpose="A test")


def test_a_module_barred_from_import_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optional_probe_barred", None)
    with pytest.raises(MissingExtra, match="'optional_probe_barred'"):
        load("optional_probe_barred", extra="lm", purpose="A test")


@pytest.mark.parametrize(
    ("source", "error"), [("raise RuntimeError('broken')", RuntimeError), ("from os import nothing_such", ImportError)]
)
def test_a_module_that_is_installed_but_broken_is_not_called_missing(
    source: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "optional_probe_broken.py").write_text(source + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(error) as caught:
        load("optional_probe_broken", extra="lm", purpose="A test")
    assert not isinstance(caught.value, MissingExtra)


def test_odd_syntax_of_a_package_is_no_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odd_syntax_here.py").write_text('FOUND = 1 is "one"\n')
    monkeypatch.syspath_prepend(tmp_path)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert load("odd_syntax_here", extra="lm", purpose="A test").FOUND is False
    assert seen == []


def _double(number: int) -> int:
    return number + number


def _fourfold(number: int) -> int:
    return _double(_double(number))


def test_machine_code_says_the_same() -> None:
    compiled = machine_code(_double, _fourfold, extra="planning", purpose="A test")
    assert set(compiled) == {"_double", "_fourfold"}
    assert compiled["_fourfold"](3) == _fourfold(3) == 12


def test_machine_code_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(MissingExtra, match=r"milepost\[planning\]"):
        machine_code(_double, extra="planning", purpose="A test")
