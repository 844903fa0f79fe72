"""One dense array of a stored forest, read without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from milepost.errors import FormatError


def read(folder: Path, name: str) -> NDArray[np.float32] | None:
    """Read an array of 32-bit numbers.

    Args:
        folder: as `storage.write` writes it.
        name: column name, such as "latent".

    Returns:
        One entry per row; None where the forest has no such array.

    Raises:
        FormatError: the file is damaged.
    """
    files = sorted(folder.glob("arrays-*.safetensors"))
    if not files:
        return None
    try:
        found: dict[str, Any] = dict(deserialize(files[0].read_bytes()))
    except SafetensorError as error:
        raise FormatError(f"{files[0]} cannot be read: {error}.") from error
    if name not in found or found[name]["dtype"] != "F32":
        return None
    return np.frombuffer(found[name]["data"], dtype="<f4").reshape(found[name]["shape"])
