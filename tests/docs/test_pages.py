"""Code on the pages runs: every Python block of a page, in order, in one namespace and in an empty folder.

A block whose first line is a comment with a file's name, `# mine.py`, is that file.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w-]+\.py)\n")
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")


def pages() -> list[Path]:
    """Every page that is written by hand."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(page for page in found if not {"_build", "generated"} & set(page.parts))


def blocks(page: Path) -> list[tuple[int, str]]:
    """The Python blocks of a page, each with the line it starts at."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, match.start(1)), match.group(1)) for match in BLOCK.finditer(text)]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


WITH_CODE = [page for page in pages() if blocks(page)]


def test_the_how_to_pages_have_code():
    assert {"docs/how-to/reward.md", "docs/how-to/credit.md", "docs/how-to/recipe.md"} <= {
        name(page) for page in WITH_CODE
    }


@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_code_runs(page, tmp_path):
    # One script per page, with empty lines in front of each block, so that a traceback names the line of the page.
    script = tmp_path / f"page_{page.stem}.py"
    lines: list[str] = []
    for start, code in blocks(page):
        if file := FILE.match(code):
            (tmp_path / file.group(1)).write_text("\n" * start + code, encoding="utf-8")
        else:
            lines += [""] * (start - len(lines)) + code.splitlines()
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = subprocess.run([sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"{name(page)}:\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("page", pages(), ids=name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    broken = [
        target for target in LINK.findall(text) if not (page.parent / target).exists() and "generated/" not in target
    ]
    assert not broken, f"{name(page)} links to {broken}"


def test_blocks_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# T\n\n```python\nx = 1\n```\n\n```console\n$ ls\n```\n\n```python\nassert x\n```\n", encoding="utf-8"
    )
    assert blocks(page) == [(3, "x = 1\n"), (11, "assert x\n")]
