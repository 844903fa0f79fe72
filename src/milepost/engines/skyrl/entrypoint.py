"""SkyRL with our names in it: `trainer.override_entrypoint=milepost.engines.skyrl.entrypoint` starts this."""

from __future__ import annotations

import sys

from milepost import optional
from milepost.engines.skyrl.registries import register

OPTION = "trainer.override_entrypoint="


def main() -> None:
    """Register milepost's names, then do what SkyRL does without the option that named this module.

    Raises:
        MissingExtra: SkyRL is not installed.
    """
    register()
    base = optional.load("skyrl.train.entrypoints.main_base", extra="skyrl", purpose="milepost in SkyRL")
    sys.argv = [one for one in sys.argv if not one.startswith(OPTION)]
    base.main()
