"""Models that are trained on the spot, once for each user: weights are kept as safetensors in the cache folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock

import torch
from safetensors.torch import load, save
from torch import Tensor

from milepost import keys

_ONE_AT_A_TIME = Lock()


def folder() -> Path:
    """Where weights are kept: `milepost` in $XDG_CACHE_HOME, else in .cache of the user's own folder."""
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(chosen) if chosen else Path.home() / ".cache") / "milepost"


def weights(name: str, recipe: Mapping[str, object], train: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Weights of a model, trained if nobody did before.

    Args:
        name: of the model, part of the file's name.
        recipe: everything the weights depend on, as data; another recipe is another file. The version of torch is added
            to it.
        train: trains the model; called when there is no such file.

    Returns:
        The tensors by name.
    """
    known = keys.digest({**recipe, "torch": str(torch.__version__)})
    path = folder() / f"{name}-{known}.safetensors"
    with _ONE_AT_A_TIME:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(f".{os.getpid()}")
            with torch.enable_grad():  # who asks for the weights may have gradients switched off
                trained = train()
            fresh.write_bytes(save({key: value.detach().contiguous() for key, value in trained.items()}))
            fresh.replace(path)  # another process may do the same: the bytes are equal, and the last one stays
        return load(path.read_bytes())
