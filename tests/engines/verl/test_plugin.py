"""Installing milepost is enough: verl finds its names by itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from verl.trainer.ppo import core_algos

from milepost.credit.group import Centred, LeaveOneOut
from milepost.engines.verl import plugin
from milepost.engines.verl.estimators import ESTIMATORS, Estimator
from milepost.engines.verl.losses import LOSSES

pytestmark = pytest.mark.trainers

SEEN = """
import verl
from verl.trainer.ppo import core_algos
print(*(name for name in (*core_algos.ADV_ESTIMATOR_REGISTRY, *core_algos.POLICY_LOSS_REGISTRY) if "milepost" in name))
"""


def test_names_are_there_after_importing_verl():
    environment = {**os.environ, "VERL_USE_EXTERNAL_PLUGINS": "auto"}
    done = subprocess.run([sys.executable, "-c", SEEN], env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {*ESTIMATORS, *LOSSES, "milepost_given"}


def test_again_changes_nothing():
    before = dict(core_algos.ADV_ESTIMATOR_REGISTRY)
    plugin.register()
    assert before == core_algos.ADV_ESTIMATOR_REGISTRY


def test_a_rule_of_ones_own(monkeypatch):
    monkeypatch.setattr(core_algos, "ADV_ESTIMATOR_REGISTRY", {})
    made = plugin.register_credit("mine", Centred())
    assert core_algos.get_adv_estimator_fn("mine") is made == Estimator(credit=Centred())
    with pytest.raises(ValueError, match="already been registered"):
        plugin.register_credit("mine", LeaveOneOut())
