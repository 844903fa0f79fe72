"""Mutated files for readers: byte and structure mutations, with and without digests that fit, from a fixed key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from milepost import keys

ODD_NUMBERS = (0, 1, 2, 127, 128, 255, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
ODD_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**62, 2**64, 1e308, "", "x", "../x", "/etc/passwd", "steps-0.parquet",
    [], {}, [[]], {"": 0},
)  # fmt: skip


@dataclass
class Tally:
    """What became of the mutated files: read without complaint, or refused, by the start of the message."""

    read: int = 0
    refused: int = 0
    messages: dict[str, int] = field(default_factory=dict)


def of_bytes(data: bytes, draws: np.random.Generator) -> bytes:
    """One to four mutations of a byte string."""
    changed = bytearray(data)
    for _ in range(int(draws.integers(1, 5))):
        size = len(changed)
        at = int(draws.integers(0, size + 1))
        kind = int(draws.integers(0, 7))
        if size == 0 or kind == 0:
            changed[at:at] = draws.bytes(int(draws.integers(1, 9)))
        elif kind == 1:
            changed[at % size] ^= 1 << int(draws.integers(0, 8))
        elif kind == 2:
            changed[at % size] = int(draws.integers(0, 256))
        elif kind == 3:
            del changed[at : at + int(draws.integers(1, 64))]
        elif kind == 4:
            width = int(draws.choice([1, 2, 4, 8]))
            odd = int(draws.choice(ODD_NUMBERS)) & ((1 << 8 * width) - 1)
            changed[at : at + width] = odd.to_bytes(width, "little")
        elif kind == 5:
            start = int(draws.integers(0, size))
            changed[at:at] = changed[start : start + int(draws.integers(1, 64))]
        else:
            del changed[at:]
    return bytes(changed)


def of_json(value: Any, draws: np.random.Generator) -> Any:
    """One mutation somewhere in a JSON value."""
    if isinstance(value, dict) and value and draws.random() < 0.9:
        name = str(draws.choice(sorted(value)))
        if draws.random() < 0.1:
            return {key: item for key, item in value.items() if key != name}
        if draws.random() < 0.05:
            return {("odd" if key == name else key): item for key, item in value.items()}
        return {**value, name: of_json(value[name], draws)}
    if isinstance(value, list) and value and draws.random() < 0.9:
        place = int(draws.integers(0, len(value)))
        return [*value[:place], of_json(value[place], draws), *value[place + 1 :]]
    if isinstance(value, str) and value and draws.random() < 0.3:
        return of_bytes(value.encode(), draws).decode("utf-8", "replace")
    return ODD_VALUES[int(draws.integers(0, len(ODD_VALUES)))]


def with_fitting_digests(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files, with names, sizes and digests in the manifest that fit: damage that an attacker would make."""
    manifest = json.loads(files["manifest.json"])
    fitting: dict[str, bytes] = {}
    for role, entry in manifest["files"].items():
        data = files[entry["name"]]
        digest = hashlib.sha256(data).hexdigest()
        name = f"{role}-{digest[:16]}{Path(entry['name']).suffix}"
        manifest["files"][role] = {"name": name, "bytes": len(data), "sha256": digest}
        fitting[name] = data
    return {**fitting, "manifest.json": json.dumps(manifest).encode()}


def of_folder(files: dict[str, bytes], key: int) -> Iterator[dict[str, bytes]]:
    """Endless mutations of a stored folder: manifest as bytes and as JSON, data with and without digests that fit."""
    names = sorted(files)
    data = [name for name in names if name != "manifest.json"]
    for number in count():
        draws = keys.generator(keys.fold(key, "mutation", number))
        kind = number % 4
        changed = dict(files)
        if kind == 0:
            changed["manifest.json"] = json.dumps(of_json(json.loads(files["manifest.json"]), draws)).encode()
        elif kind == 1:
            name = names[int(draws.integers(0, len(names)))]
            changed[name] = of_bytes(files[name], draws)
        else:
            name = data[int(draws.integers(0, len(data)))]
            changed[name] = of_bytes(files[name], draws)
            changed = with_fitting_digests(changed)
        yield changed


def tally(
    cases: Iterator[dict[str, bytes]], number: int, folder: Path, read: Callable[[Path], Any], refusal: type[Exception]
) -> Tally:
    """Write each case into a folder and read it; any other exception than the refusal is passed on."""
    found = Tally()
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(number):
        case = next(cases)
        for path in folder.iterdir():
            path.unlink()
        for name, data in case.items():
            (folder / name).write_bytes(data)
        try:
            read(folder)
        except refusal as error:
            found.refused += 1
            start = str(error).replace(str(folder), "")[:60]
            found.messages[start] = found.messages.get(start, 0) + 1
        else:
            found.read += 1
    return found
