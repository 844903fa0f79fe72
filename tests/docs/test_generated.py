"""What is made from cards and docstrings: it is up to date, complete, and refuses what is not documented."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

from milepost.recipe import Card

ROOT = Path(__file__).resolve().parents[2]
CARD = Card(
    title="Ferry | boat", paper="arXiv:1234.56789", year=2026, domains=("text", "flow"), summary="One sentence.",
    parts={"credit": "eq. 4"}, claims={"it holds": "tests/a.py::test_a"},
    departs=("a difference",), bibtex="@misc{ferry}",
)  # fmt: skip


def extension(name: str):
    """Import an extension of the documentation."""
    if name not in sys.modules:
        if name != "method_pages":
            extension("method_pages")
        spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "extensions" / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.mark.parametrize("kept", ["README.md", "SKILL.md", "docs/llms.txt"])
def test_kept_files_are_up_to_date(kept):
    methods = extension("method_pages")
    wanted = methods.kept_files(methods.cards())[ROOT / kept]
    assert (ROOT / kept).read_text(encoding="utf-8") == wanted, f"{kept} is old: run `make cards`"


def test_a_method_page_holds_the_whole_card():
    text = extension("method_pages").page("ferry", CARD)
    for wanted in (
        "eq. 4",
        "it holds",
        "tests/a.py::test_a",
        "a difference",
        "@misc{ferry}",
        "https://arxiv.org/abs/1234.56789",
    ):
        assert wanted in text


def test_tables_escape_bars():
    row = extension("method_pages").table({"ferry": CARD}).splitlines()[-1]
    assert "Ferry \\| boat" in row
    assert row.replace("\\|", "").count("|") == 7


def test_settings_are_read_from_the_recipe(monkeypatch, tmp_path):
    methods = extension("method_pages")
    (tmp_path / "two_words.py").write_text("def build(*, width: int = 8, clip: float = 0.2): ...\n", encoding="utf-8")
    monkeypatch.setattr(methods.recipe, "FOLDER", tmp_path)
    assert methods.build_settings("two-words") == [("width", "int", "8"), ("clip", "float", "0.2")]


SOURCE = '''"""A module with *stars*."""

LIMIT = 3
"""A documented constant."""


class Part:
    """A part.

    Example:
        >>> Part()
        Part
    """

    width: int = 8
    """Number of things."""

    @property
    def name(self) -> str:
        """Its name."""

    def __call__(self, x: int, *, y: float = 0.5) -> int:
        """Apply it."""


def formula(value: "Tensor", *, share: float) -> "Tensor":
    """Sum of reward_i.

        sum = reward_1 + ... + reward_n

    Args:
        value: one number per row,
            on two lines.
        share: in (0, 1].

    Returns:
        A scalar.
    """


def _private(): ...
'''


def test_the_reference_shows_every_public_name():
    text = extension("reference_pages").module_page("milepost.example", ast.parse(SOURCE), [])
    for wanted in (
        "{py:module} milepost.example", "{py:data} LIMIT", "{py:class} Part", "{py:attribute} Part.width", ":value: 8",
        "{py:property} Part.name", "{py:method} Part.__call__(x: int, *, y: float=0.5) -> int",
        "{py:function} formula(", "```text\nsum = reward_1 + ... + reward_n\n```", "- `share`: in (0, 1\\].",
        "on two lines", "\\*stars\\*", ">>> Part()",
    ):  # fmt: skip
        assert wanted in text, wanted
    assert "_private" not in text


def test_undocumented_names_are_found():
    reference = extension("reference_pages")
    assert reference.undocumented("m", ast.parse(SOURCE)) == []
    bare = ast.parse('"""M."""\nclass A:\n    """A."""\n    def f(self): ...\n    def _g(self): ...\ndef h(): ...\n')
    assert reference.undocumented("m", bare) == ["m.A.f", "m.h"]


def test_an_undocumented_name_stops_the_build(monkeypatch, tmp_path):
    reference = extension("reference_pages")
    monkeypatch.setattr(reference, "DOCS", tmp_path)
    monkeypatch.setattr(reference, "modules", lambda: {"milepost.bare": ast.parse('"""M."""\ndef h(): ...\n')})
    with pytest.raises(reference.Undocumented, match=r"milepost\.bare\.h"):
        reference.write_pages(None)
