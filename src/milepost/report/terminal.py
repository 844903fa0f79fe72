"""A stored forest or one of its trajectories as lines for a terminal. Imports no torch; control sequences are shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from milepost.columns import End, Origin
from milepost.errors import UnknownName
from milepost.report import figures, samples
from milepost.report.drawing import shades
from milepost.report.literal import one_line, visible
from milepost.report.stored import groups, steps
from milepost.report.stored.steps import Steps

MOST_TREES, MOST_ROWS = 8, 200
"""Trees of a forest and rows of a tree that are written; the last line says how many are left out."""
_WIDTH = 56


@dataclass(frozen=True, kw_only=True)
class Address:
    """A stored forest, and a row of it or none."""

    folder: Path
    row: int | None


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Part of a line, and the rich style it may be shown in."""

    text: str
    style: str = ""


def address(text: str) -> Address:
    """Read where to look.

    Args:
        text: a folder, or a folder and a row, such as "forests/step-000003#17".

    Returns:
        Folder and row.

    Raises:
        UnknownName: what follows the last "#" is not a row number.
    """
    place, mark, row = text.rpartition("#")
    if not mark:
        return Address(folder=Path(text), row=None)
    if not row.isdecimal() or not row.isascii():
        raise UnknownName(f"Unknown row {row!r} in {text!r}: expected a whole number after '#', such as {place}#17.")
    return Address(folder=Path(place), row=int(row))


def lines(folder: Path, row: int | None = None) -> list[str]:
    """Write a stored forest as plain lines.

    Args:
        folder: a stored forest.
        row: a step; then its trajectory is written in full. None: the trees, with rewards and credit.

    Returns:
        One string per line, free of control characters.

    Raises:
        FormatError: the folder holds no forest, or a damaged one.
        UnknownName: the forest has no such row.
    """
    return ["".join(piece.text for piece in line).rstrip() for line in _pieces(steps.read(folder), row)]


def styled(folder: Path, row: int | None = None) -> list[Text]:
    """Write a stored forest as rich lines, credit in colour and with its sign.

    Args:
        folder: a stored forest.
        row: as for `lines`.

    Returns:
        One text per line; the same characters as `lines`.

    Raises:
        FormatError: the folder holds no forest, or a damaged one.
        UnknownName: the forest has no such row.
    """
    return [
        Text.assemble(*((piece.text, piece.style) for piece in line), no_wrap=True)
        for line in _pieces(steps.read(folder), row)
    ]


def _pieces(found: Steps, row: int | None) -> list[list[Piece]]:
    if row is None:
        return _forest(found)
    found.require(row)
    return _trajectory(found, row)


# ---- trees ----


def _forest(found: Steps) -> list[list[Piece]]:
    every = groups.groups(found, found.main_reward)
    scale = shades.scale_of(found.number("advantage", row) for row in range(len(found)))
    dead, failed = sum(one.dead for one in every), sum(one.failed for one in every)
    answers = sum(len(one.leaves) for one in every)
    counts = ((len(found), "step"), (len(found.roots), "tree"), (answers, "trajectory"), (dead, "dead group"))
    head = ", ".join(figures.counted(*one) for one in (*counts, (failed, "failed reward")))
    written = [[Piece(text=head, style="bold")]]
    for one in every[:MOST_TREES]:
        written += [[], *_tree(found, one, scale)]
    if len(every) > MOST_TREES:
        written += [[], [Piece(text=f"{len(every) - MOST_TREES} more trees", style="dim")]]
    return written


def _tree(found: Steps, one: groups.Group, scale: float) -> list[list[Piece]]:
    task = visible(found.text("task", one.root) or "")
    mean = f"mean return {figures.fixed(one.spread.mean)}, spread {figures.fixed(one.spread.std)}"
    state = ", dead" if one.dead else ""
    head = [Piece(text=f"#{one.root} "), Piece(text=task, style="bold"), Piece(text=f"  {mean}{state}", style="dim")]
    asked = [Piece(text="   " + one_line(samples.prompt(found, one.root), 96))]
    written = [head, asked]
    for row, indent in _branches(found, one.root):
        if len(written) - 2 == MOST_ROWS:
            left = len(found.trees[one.root]) - 1 - MOST_ROWS
            return [*written, [Piece(text=f"   {left} more steps", style="dim")]]
        written.append(_step(found, row, indent, scale))
    return written


def _branches(found: Steps, root: int) -> Iterator[tuple[int, str]]:
    """Rows of a tree depth first, each with the lines that lead to it; a chain keeps its indentation."""
    stack = [(row, "", place == 0) for place, row in enumerate(reversed(found.children[root]))]
    while stack:
        row, indent, last = stack.pop()
        only = len(found.children[int(found.parent[row])]) == 1
        yield row, indent + ("│ " if only else ("└ " if last else "├ "))
        below = found.children[row]
        inner = indent if only else indent + ("  " if last else "│ ")
        stack += [(child, inner, place == 0) for place, child in enumerate(reversed(below))]


def _step(found: Steps, row: int, indent: str, scale: float) -> list[Piece]:
    credit = found.number("advantage", row)
    said = found.text("text", row) or found.text("call", row) or ""
    end, origin = found.end(row), found.origin(row)
    marks = [] if origin in (None, Origin.POLICY) else [origin.name.lower()]
    marks += [] if end in (End.OPEN, End.TERMINATED) else [end.name.lower().replace("_", " ")]
    return [
        Piece(text=f"   {indent}", style="dim"),
        Piece(text=f"{figures.signed(credit):>7}", style=_style(credit, scale)),
        Piece(text=f"  #{row:<5}", style="dim"),
        Piece(text=f"{one_line(said, _WIDTH):<{_WIDTH}}"),
        Piece(text="  " + "  ".join(_scores(found, row)), style=""),
        Piece(text="  " + ", ".join(marks) if marks else "", style="italic"),
    ]


def _scores(found: Steps, row: int) -> list[str]:
    told: list[str] = []
    for name in found.rewards:
        value, reason = found.number(f"reward.{name}", row), found.text(f"reason.{name}", row)
        if value is not None:
            told.append(f"{visible(name)} {figures.fixed(value)}")
        elif reason is not None:
            told.append(f"{visible(name)} failed ({one_line(reason, 40)})")
    return told


def _style(credit: float | None, scale: float) -> str:
    level = shades.level(credit, scale)
    if not level:
        return "dim"
    strong = "bold " if abs(level) > 2 else ""
    return strong + ("blue" if level > 0 else "dark_orange3")


# ---- one trajectory ----


def _trajectory(found: Steps, row: int) -> list[list[Piece]]:
    path = found.path(row)
    scale = shades.scale_of(found.number("advantage", one) for one in path)
    worth = groups.worth(found, path[0], found.main_reward)
    written = [[Piece(text=f"Trajectory to #{row}: {len(path) - 1} steps below {_name(found, path[0])}", style="bold")]]
    for one in path:
        written += [[], *_full(found, one, scale, worth)]
    return written


def _name(found: Steps, root: int) -> str:
    return visible(found.text("task", root) or f"root #{root}")


def _full(found: Steps, row: int, scale: float, worth: Mapping[int, float | None]) -> list[list[Piece]]:
    root = int(found.parent[row]) < 0
    credit, origin, end = found.number("advantage", row), found.origin(row), found.end(row)
    head = [Piece(text=f"#{row}", style="bold")]
    if not root:
        head += [Piece(text="  credit "), Piece(text=figures.signed(credit), style=_style(credit, scale))]
    head += [Piece(text=f"  {origin.name.lower()}")] if origin is not None else []
    head += [Piece(text=f"  {end.name.lower().replace('_', ' ')}")] if end is not End.OPEN else []
    written = [head]
    said = samples.prompt(found, row) if root else found.text("text", row)
    for label, text in (("", said), ("call: ", found.text("call", row)), ("answered: ", found.text("result", row))):
        if text is not None:
            written += [[Piece(text="  │ " + part)] for part in visible(label + text).replace("\t", "    ").split("\n")]
    scores = _scores(found, row)
    written += [[Piece(text="  rewards: " + ", ".join(scores))]] if scores else []
    siblings = found.children[int(found.parent[row])] if not root else ()
    if len(siblings) > 1:
        others = groups.spread([worth[other] for other in siblings])
        told = f"{len(siblings)} siblings, mean {figures.fixed(others.mean, 3)}, spread {figures.fixed(others.std, 3)}"
        written.append([Piece(text="  " + told, style="dim")])
    facts = samples.facts(found, row)
    return [*written, [Piece(text="  " + ", ".join(facts), style="dim")]] if facts else written
