"""A cluster of Ray that all tests of the second environment share: starting one takes long on a busy machine."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def ray():
    """A cluster on this machine with two workers."""
    from milepost.engines.on_ray.cluster import cluster

    with cluster("local", cpus=2) as found:
        yield found
