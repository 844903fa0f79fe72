"""The manifest of a run: what it is, what it was made from, how many steps it owes. Nothing else is resumed."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import milepost
from milepost.engines.checkpoint import replace
from milepost.engines.settings import RunSettings
from milepost.errors import FormatError, ResumeError
from milepost.part import Task

NAME = "manifest.json"
SCHEMA = 1
_PACKAGES = ("torch", "transformers", "numpy", "pyarrow", "safetensors", "reasoning-gym", "math-verify", "sacrebleu")


def _digest(data: object) -> str:
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@cache
def _code() -> str:
    """Digest of milepost's own source, so that a run is not continued by other code unnoticed."""
    folder = Path(milepost.__file__).parent
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _reward_files(sources: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for source in sources:
        place = source.rpartition(":")[0]
        path = Path(place if place.endswith(".py") else _file_of(place))
        if path.is_file():
            found[source] = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    return found


def _file_of(module: str) -> str:
    """File of a module that can be imported; empty for one that cannot, which loading it will say."""
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return ""
    return (found.origin or "") if found is not None else ""


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "milepost": milepost.__version__}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def manifest(settings: RunSettings, tasks: Sequence[Task]) -> dict[str, Any]:
    """Describe a run.

    Args:
        settings: what the user chose.
        tasks: training and held-out tasks.

    Returns:
        A JSON-able record with fingerprints of recipe, data, reward files and code, and the versions in use.
    """
    chosen = json.loads(json.dumps(asdict(settings)))
    return {
        "format": "milepost-run",
        "schema": SCHEMA,
        "recipe": settings.recipe,
        "seed": settings.seed,
        "steps": settings.update.steps,
        "settings": chosen,
        "fingerprints": {
            "settings": _digest({name: value for name, value in chosen.items() if name != "keep"}),
            "data": _digest([[task.id, task.record] for task in tasks]),
            "rewards": _digest(_reward_files(settings.reward)),
            "code": _code(),
        },
        "versions": _versions(),
    }


def write(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the manifest of a run, atomically."""
    replace(folder / NAME, json.dumps(record, indent=1, sort_keys=True).encode() + b"\n")


def read(folder: Path) -> dict[str, Any]:
    """Read the manifest of a run.

    Args:
        folder: the run's folder.

    Returns:
        What `manifest` made.

    Raises:
        ResumeError: the folder is not a run.
        FormatError: the manifest is damaged, or of a newer schema.
    """
    path = folder / NAME
    if not path.is_file():
        raise ResumeError(
            f"{folder} is not a run: it has no {NAME}. Start one with `milepost run <recipe> --out {folder}`."
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        schema = int(record["schema"])
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path} is damaged: {error}.") from error
    if schema > SCHEMA:
        raise FormatError(f"{path} has schema {schema}; this milepost reads up to {SCHEMA}. Install a newer milepost.")
    return record


def differences(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is no longer as it was when the run began.

    Args:
        stored: the manifest in the run's folder.
        now: the manifest as it would be written now.

    Returns:
        One sentence per difference; empty when the run can be continued to the byte.
    """
    found = [
        f"the {name} changed"
        for name in ("settings", "data", "rewards", "code")
        if stored["fingerprints"].get(name) != now["fingerprints"].get(name)
    ]
    for package, version in now["versions"].items():
        before = stored["versions"].get(package)
        if before != version:
            found.append(f"{package} was {before} and is {version}")
    return found
