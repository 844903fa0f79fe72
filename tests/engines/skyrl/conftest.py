"""Tests marked `trainers` run in the second environment, which holds SkyRL's files: `make test` runs both."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("skyrl") else ["test_*.py"]
