"""Dense arrays of a stored forest without torch."""

import numpy as np
import pytest
import torch

from milepost import storage
from milepost.errors import FormatError
from milepost.forest import Forest
from milepost.report.stored import arrays, steps


def stored(tmp_path, **columns):
    storage.write(Forest.of([-1, 0], columns), tmp_path / "forest")
    return tmp_path / "forest"


def test_an_array_is_read_as_it_was_written(tmp_path):
    latent = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0))
    folder = stored(tmp_path, latent=latent)
    np.testing.assert_array_equal(arrays.read(folder, "latent"), latent.numpy())
    np.testing.assert_array_equal(steps.read(folder).numbers["latent"], latent.numpy())


def test_what_is_not_there_or_no_float32_is_none(tmp_path):
    assert arrays.read(stored(tmp_path, time=[1.0, 0.5]), "latent") is None
    folder = stored(tmp_path, latent=torch.ones(2, 3, dtype=torch.bfloat16))
    assert arrays.read(folder, "mean") is None
    assert arrays.read(folder, "latent") is None


def test_a_damaged_file_says_so(tmp_path):
    folder = stored(tmp_path, latent=torch.ones(2, 3))
    (file,) = folder.glob("arrays-*")
    file.write_bytes(b"nothing")
    with pytest.raises(FormatError, match="cannot be read"):
        arrays.read(folder, "latent")
