"""Tests marked `trainers` run in the second environment, which holds verl: `make test` runs both."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

collect_ignore_glob = [] if find_spec("verl") else ["test_losses.py", "test_plugin.py", "test_*_in_verl.py"]


@pytest.fixture(scope="session")
def started(ray):
    """TransferQueue of verl: controller and storage take both processors until the end, so verl comes last."""
    import transfer_queue
    from omegaconf import OmegaConf

    transfer_queue.init(OmegaConf.create({"backend": {"SimpleStorage": {"num_data_storage_units": 1}}}))
    yield transfer_queue
    transfer_queue.close()


@pytest.fixture
def queue(started):
    """The queue, empty afterwards."""
    yield started
    for partition, held in (started.kv_list() or {}).items():
        if held:
            started.kv_clear(keys=list(held), partition_id=partition)
