"""What verl loads by itself: importing this module registers estimators and losses (entry point "verl.plugins").

verl imports it while it is itself imported, in every process, and logs a failure at level DEBUG only: if a name is
unknown there, `python -c "import milepost.engines.verl.plugin"` says why.
"""

from __future__ import annotations

from importlib.util import find_spec

from milepost import optional
from milepost.engines.verl.estimators import ESTIMATORS, Estimator, Told
from milepost.engines.verl.losses import LOSSES
from milepost.errors import SettingError
from milepost.part import Credit

KNOWN = ("0.9",)
"""Versions of verl whose seam is tested."""
_PURPOSE = "milepost in verl"


def check_version(found: str) -> None:
    """Refuse a verl that nobody looked at.

    Args:
        found: its version, such as "0.9.1".

    Raises:
        SettingError: another than those of `KNOWN`.
    """
    if ".".join(found.split(".")[:2]) not in KNOWN:
        raise SettingError(f"verl {found} is not known, only {', '.join(KNOWN)}: pip install 'milepost[verl]'")


def register_credit(name: str, credit: Credit) -> Estimator:
    """Give a credit rule a name that `algorithm.adv_estimator` can say.

    Args:
        name: the name; verl refuses one that something else has.
        credit: the rule.

    Returns:
        What verl calls.

    Raises:
        SettingError: the rule needs what verl does not tell an estimator, or is a class in place of a rule.
    """
    estimator = Estimator(credit=credit)
    optional.load("verl.trainer.ppo.core_algos", extra="verl", purpose=_PURPOSE).register_adv_est(name)(estimator)
    return estimator


def register() -> None:
    """Register everything that milepost brings; doing it again changes nothing.

    Raises:
        SettingError: a verl whose seam is not known.
    """
    check_version(optional.load("verl", extra="verl", purpose=_PURPOSE).__version__)
    for name, credit in ESTIMATORS.items():
        register_credit(name, credit)
    algorithms = optional.load("verl.trainer.ppo.core_algos", extra="verl", purpose=_PURPOSE)
    algorithms.register_adv_est("milepost_given")(Told())
    for name, loss in LOSSES.items():
        algorithms.register_policy_loss(name)(loss)


if find_spec("verl") is not None:  # reading our own modules, as the documentation does, needs no verl
    register()
