"""Two invented recipes, so that the command is tested apart from the real ones."""

import pytest

from milepost import recipe

BARGE = '''
"""Barge."""
from __future__ import annotations
from typing import Literal
from milepost.recipe import Card, Train

CARD = Card(
    title="Barge", paper="arXiv:0000.00001", year=2026, domains=("text",), summary="Slow and steady.",
    parts={"credit": "eq. 4"}, claims={"sums to 0": "tests/recipes/test_barge.py::test_sums"}, departs=("a judge",),
    advice=("use it",), bibtex="@article{barge,\\n  title = {Barge}\\n}",
)


def build(*, width: int = 8, clip: float = 0.2, kind: Literal["a", "b"] = "a", cap: float | None = None) -> Train:
    """Build it.

    Args:
        width: answers per task.
        clip: half width of the trust region,
            around 1.
        kind: which.
        cap: largest value.

    Returns:
        The job.
    """
'''
FERRY = (
    BARGE.replace("Barge", "Ferry")
    .replace("barge", "ferry")
    .replace('("text",)', '("flow", "control")')
    .replace(
        'clip: float = 0.2, kind: Literal["a", "b"] = "a", cap: float | None = None',
        'alpha: float = 0.5, names: tuple[str, ...] = ("x",), temperature: float = 2.0',
    )
)


@pytest.fixture
def recipes(tmp_path, monkeypatch):
    """A folder with the recipes barge and long-ferry in place of milepost's own."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "barge.py").write_text(BARGE)
    (folder / "long_ferry.py").write_text(FERRY)
    monkeypatch.setattr(recipe, "FOLDER", folder)
    return folder
