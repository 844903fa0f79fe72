"""The trainer as a name to import, and TRL versions that nobody looked at."""

from __future__ import annotations

import pytest
import trl

import milepost.engines.trl as ours
from milepost.errors import SettingError

pytestmark = pytest.mark.trainers


def test_it_is_trls_trainer():
    assert issubclass(ours.GRPOTrainer, trl.GRPOTrainer)
    assert ours.GRPOTrainer is ours.trainer_class()


def test_unknown_names():
    with pytest.raises(AttributeError, match="PPOTrainer"):
        _ = ours.PPOTrainer


def test_other_versions_are_refused(monkeypatch):
    monkeypatch.setattr(trl, "__version__", "1.99.0")
    with pytest.raises(SettingError, match=r"1\.99\.0 is not known"):
        ours.trainer_class.__wrapped__()
