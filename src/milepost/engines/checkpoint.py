"""Checkpoints: everything a run needs to continue, in one safetensors file that is replaced atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from milepost.errors import ResumeError

NAME = "checkpoint.safetensors"
_KEY = "milepost"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Tensors by name, and a JSON record of everything else."""

    tensors: Mapping[str, Tensor]
    record: Mapping[str, Any]


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint of a run; after a kill at any moment the old or the new one is there, whole.

    Args:
        folder: the run's folder.
        checkpoint: what to keep.
    """
    tensors = {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}
    replace(folder / NAME, save(tensors, {_KEY: json.dumps(checkpoint.record, sort_keys=True)}))


def replace(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old or the new content, never a part.

    Args:
        path: the file.
        data: its new content.
    """
    draft = path.with_name(path.name + ".draft")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(folder: Path) -> Checkpoint:
    """Read the checkpoint of a run.

    Args:
        folder: the run's folder.

    Returns:
        The checkpoint.

    Raises:
        ResumeError: there is none, or it cannot be read.
    """
    path = folder / NAME
    if not path.is_file():
        raise ResumeError(f"{folder} holds no checkpoint ({NAME}): start a new run with `milepost run`.")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            record = json.loads((file.metadata() or {})[_KEY])
    except (SafetensorError, KeyError, json.JSONDecodeError, OSError) as error:
        raise ResumeError(f"{path} cannot be read as a checkpoint: {error}.") from error
    return Checkpoint(tensors=tensors, record=record)
