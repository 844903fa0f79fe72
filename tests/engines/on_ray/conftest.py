"""Tests marked `trainers` run in the second environment, which holds Ray: `make test` runs both."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest

collect_ignore_glob = [] if find_spec("ray") else ["test_*.py"]


@pytest.fixture(autouse=True, scope="session")
def by_value():
    """Functions of these tests travel whole: a package in the environment is named "tests", and workers import that."""
    from ray import cloudpickle

    here = {name: module for name, module in sys.modules.items() if name.startswith("tests.engines.on_ray")}
    for module in here.values():
        cloudpickle.register_pickle_by_value(module)
