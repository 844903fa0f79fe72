"""A run folder as it lies on disk: manifest, metrics, timings, evaluations, stored forests. Read without torch."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from milepost.errors import FormatError, UnknownName
from milepost.recipe import Card, card, names

_STEP = re.compile(r"step-(\d+)")


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A forest that was kept, and the training steps done before it."""

    step: int
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run left behind. What is missing is empty."""

    folder: Path
    manifest: Mapping[str, Any]
    settings: Mapping[str, Any]
    metrics: tuple[Mapping[str, float], ...]
    timings: tuple[Mapping[str, float], ...]
    evaluations: tuple[Mapping[str, Any], ...]
    forests: tuple[Stored, ...]
    held_out: tuple[Stored, ...]
    card: Card | None
    """Card of the recipe; None if this installation does not have it."""

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.folder.resolve().name

    @property
    def recipe(self) -> str:
        """Name of the recipe; empty if unknown."""
        return str(self.manifest.get("recipe", self.settings.get("recipe", "")))


def read(folder: Path) -> Run:
    """Read a run folder.

    Args:
        folder: as an engine writes it.

    Returns:
        The run.

    Raises:
        UnknownName: no such folder, or it holds no run.
        FormatError: one of its files is damaged.
    """
    if not (folder / "manifest.json").is_file() and not (folder / "metrics.jsonl").is_file():
        raise UnknownName(
            f"{folder} holds no run: expected manifest.json or metrics.jsonl. "
            "Give the folder that `milepost run` printed, or start one with `milepost run @ examples/demo.toml`."
        )
    manifest = _json(folder / "manifest.json")
    settings = _toml(folder / "run.toml")
    recipe = str(manifest.get("recipe", settings.get("recipe", "")))
    return Run(
        folder=folder,
        manifest=manifest,
        settings=settings,
        metrics=_lines(folder / "metrics.jsonl"),
        timings=_lines(folder / "timings.jsonl"),
        evaluations=_lines(folder / "evaluation.jsonl"),
        forests=stored(folder / "forests"),
        held_out=stored(folder / "evaluation"),
        card=card(recipe) if recipe in names() else None,
    )


def stored(folder: Path) -> tuple[Stored, ...]:
    """Forests kept in a folder, by step.

    Args:
        folder: holds folders named "step-000003"; may be missing.

    Returns:
        The forests, by rising step.
    """
    if not folder.is_dir():
        return ()
    found = ((match, path) for path in folder.iterdir() if (match := _STEP.fullmatch(path.name)) and path.is_dir())
    return tuple(sorted((Stored(step=int(match[1]), folder=path) for match, path in found), key=lambda one: one.step))


def _json(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FormatError(f"{path} is not JSON: {error}.") from error
    if not isinstance(data, dict):
        raise FormatError(f"{path} holds {type(data).__name__}, expected a JSON object.")
    return cast("Mapping[str, Any]", data)


def _toml(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FormatError(f"{path} is not TOML: {error}.") from error


def _lines(path: Path) -> tuple[Mapping[str, Any], ...]:
    if not path.is_file():
        return ()
    found: list[Mapping[str, Any]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise FormatError(f"{path}, line {number}, is not JSON: {error}.") from error
        if not isinstance(record, dict):
            raise FormatError(f"{path}, line {number}, holds {type(record).__name__}, expected a JSON object.")
        found.append(cast("Mapping[str, Any]", record))
    return tuple(found)
