"""Tests marked `trainers` run in the second environment, which holds verl: `make test` runs both."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

collect_ignore_glob = [] if find_spec("verl") else ["test_losses.py", "test_plugin.py", "test_*_in_verl.py"]


@pytest.fixture(scope="module")
def queue(ray):
    """verl's TransferQueue on the cluster: a controller and one unit of storage, which fit on its two processors."""
    import transfer_queue
    from omegaconf import OmegaConf

    transfer_queue.init(OmegaConf.create({"backend": {"SimpleStorage": {"num_data_storage_units": 1}}}))
    yield transfer_queue
    transfer_queue.close()
