"""The comparison: same data and keys for all arms, and proxy labels are judged where the truth is known."""

import math

import pytest
import torch

from milepost import keys
from milepost.curation.relabel.inverse import InverseDynamics
from milepost.curation.relabel.labels import ProxyLabels
from milepost.curation.relabel.split import Split
from milepost.errors import SettingError
from milepost.evaluation.offline.comparison import Comparison
from milepost.policies.offline.cloning import Cloning
from tests.environments.offline.trajectories import trajectories

KEY = keys.root(0)


class Field:
    """An arena of one step: the return is how near the action is to minus the state."""

    def bounds(self, task):
        return (-1.0,), (1.0,)

    def returns(self, task, controller, count, key):
        states = torch.linspace(-0.5, 0.5, count)[:, None]
        action = torch.zeros_like(states) if controller is None else controller.act(states)
        return -(action + states).square().sum(1)

    def film(self, task, controller, key):
        return [{"png": "a picture", "told": ["step 1"]}]


def mixed(task, key):
    """Homing trajectories and, of lower return, ones that run away."""
    good = trajectories(8, key=key, action=lambda state, draw: (-state + 0.1 * draw).clip(-1, 1))
    bad = trajectories(8, key=keys.fold(key, "bad"), action=lambda state, draw: (0.3 * state + 0.5 * draw).clip(-1, 1))
    return type(good).concatenate([good, bad])


def comparison(**settings):
    return Comparison(
        record=mixed,
        split=Split(share=settings.pop("share", 0.25), quality=0.5),
        labels=ProxyLabels(inverse=InverseDynamics(hidden=(32,), steps=400), past=0, members=2),
        learners={"cloning": Cloning(share=0.3, width=16, steps=150)},
        arena=Field(),
        **settings,
    )


def test_arms():
    found = comparison()("point", KEY)
    assert list(found.numbers) == ["proxy labels", "true labels", "labelled only", "random actions"]
    worth = {arm: own["return, cloning"] for arm, own in found.numbers.items()}
    assert worth["true labels"] > worth["labelled only"]
    assert found.numbers["true labels"]["gap, cloning"] == 0
    assert found.numbers["proxy labels"]["label R2, outside"] > 0.8
    assert found.numbers == comparison()("point", KEY).numbers
    assert [len(one["lines"]) for one in found.scene["charts"]] == [2, 1, 2]
    assert [one["title"] for one in found.scene["films"]] == [
        "cloning, proxy labels", "cloning, true labels", "cloning, labelled only",
    ]  # fmt: skip
    assert "extra.action_variance" in found.forests["labelled"]


def test_everything_labelled():
    found = comparison(share=1.0)("point", KEY)
    assert found.numbers["proxy labels"]["return, cloning"] == found.numbers["true labels"]["return, cloning"]
    assert math.isnan(found.numbers["proxy labels"]["label R2, outside"])
    assert len(found.scene["charts"]) == 2


def test_settings():
    with pytest.raises(SettingError, match="learners"):
        Comparison(record=mixed, split=Split(), labels=ProxyLabels(), learners={}, arena=Field())
