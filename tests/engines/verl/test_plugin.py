"""Installing milepost is enough: verl finds its names by itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import verl
from verl.trainer.ppo import core_algos

from milepost.credit.group import Centred, LeaveOneOut
from milepost.engines.verl import plugin
from milepost.engines.verl.estimators import ESTIMATORS, Estimator
from milepost.engines.verl.losses import LOSSES
from milepost.errors import SettingError

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


@pytest.mark.parametrize("version", ["0.8.3", "0.10.0", "1.0.0"])
def test_other_versions_are_refused(monkeypatch, version):
    monkeypatch.setattr(verl, "__version__", version)
    with pytest.raises(SettingError, match=f"verl {version} is not known, only 0.9: pip install"):
        plugin.register()


def test_later_patches_of_a_known_version_are_not_refused():
    plugin.check_version("0.9.2.post1")


def test_a_class_is_not_a_rule():
    with pytest.raises(SettingError, match=r"credit is the class Centred.*write Centred\("):
        plugin.register_credit("mine", Centred)


def test_a_rule_of_ones_own(monkeypatch):
    monkeypatch.setattr(core_algos, "ADV_ESTIMATOR_REGISTRY", {})
    made = plugin.register_credit("mine", Centred())
    assert core_algos.get_adv_estimator_fn("mine") is made == Estimator(credit=Centred())
    with pytest.raises(ValueError, match="already been registered"):
        plugin.register_credit("mine", LeaveOneOut())
