"""Tests marked `trainers` run in the second environment, which holds verl: `make test` runs both."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("verl") else ["test_losses.py", "test_plugin.py", "test_*_in_verl.py"]
