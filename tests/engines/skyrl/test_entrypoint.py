"""SkyRL's own option that names another module to start."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from milepost.engines.skyrl import entrypoint
from milepost.engines.skyrl.registries import LOSSES
from tests.engines.skyrl.doors import ROOT, entered

pytestmark = pytest.mark.trainers


def test_skyrl_is_started_with_our_names(monkeypatch):
    seen = []
    with entered() as registries:
        base = ModuleType("skyrl.train.entrypoints.main_base")
        base.main = lambda: seen.append((sys.argv[1:], registries.PolicyLossRegistry.list_available()))
        sys.modules[base.__name__] = base
        named = f"{entrypoint.OPTION}{entrypoint.__name__}"
        monkeypatch.setattr(sys, "argv", ["main_base", named, "trainer.algorithm.policy_loss_type=milepost_clipped"])
        entrypoint.main()
    ((arguments, names),) = seen
    assert arguments == ["trainer.algorithm.policy_loss_type=milepost_clipped"]
    assert set(LOSSES) <= set(names)


def test_the_option_is_skyrls():
    text = (ROOT / "train" / "entrypoints" / "main_base.py").read_text()
    assert f'arg.startswith("{entrypoint.OPTION}")' in text
    assert "import_module(override_entrypoint).main()" in text
