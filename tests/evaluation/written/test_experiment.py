"""The study: every reward is judged on the same probes and trained with the same draws."""

from dataclasses import dataclass

import pytest
import torch

from milepost import keys
from milepost.errors import SettingError
from milepost.evaluation.written.experiment import Study, forest_of
from milepost.policies.search.cross_entropy import CrossEntropy
from milepost.rewards.written.scoring import auc

KEY = keys.root(0)


@dataclass
class Walk:
    """A walker on a line that starts at 0 and is to come to 1: seen are place and distance."""

    seen: torch.Tensor
    taken: torch.Tensor
    dense: torch.Tensor
    success: torch.Tensor

    @property
    def done(self):
        return bool(self.success.any())


@dataclass
class Probe:
    kind: str
    lift: Walk


def walk(speed, steps=6):
    place = torch.arange(1, steps + 1) * speed
    return Walk(torch.stack((place, 1 - place), 1), torch.full((steps, 1), speed), -(1 - place).abs(), place >= 0.99)


class Stage:
    size = 1

    def __call__(self, task, setting, key):
        return walk(float(setting[0].clamp(-0.3, 0.3)))

    def film(self, task, setting, key):
        return [{"png": "a picture", "told": [f"speed {float(setting[0]):.1f}"]}]


class Rewards:
    """Two programs: minus the distance, and its opposite."""

    def write(self, task, probe, key):
        return {"written": 1.0, "flipped": -1.0}

    def score(self, program, lifts):
        return [program * one.dense for one in lifts], 0

    def told(self, program):
        return f"sign {program}"

    def auc(self, score, good):
        return auc(score, good)


def probes(task, key):
    kinds = (("expert", 0.25), ("near miss", 0.12), ("random", -0.1))
    return [Probe(kind, walk(speed)) for kind, speed in kinds]


def test_arms():
    study = Study(rewards=Rewards(), probes=probes, stage=Stage(), climb=CrossEntropy(generations=6), episodes=3)
    found = study("walk", KEY)
    assert list(found.numbers) == ["written", "flipped", "environment's reward", "success alone"]
    assert found.numbers["written"] == {"AUC without near misses": 1.0, "AUC": 1.0, "success after training": 1.0}
    assert found.numbers["flipped"]["AUC"] == 0.0
    assert found.numbers["flipped"]["success after training"] == 0.0
    assert [one["title"] for one in found.scene["texts"]] == ["written", "flipped"]
    assert len(found.scene["charts"][0]["lines"]) == 4
    (note,) = found.scene["notes"]
    assert note.startswith("flipped: AUC 0.00")
    assert found.numbers == study("walk", KEY).numbers


def test_the_forest():
    forest = forest_of("walk", [walk(0.25), walk(0.1)])
    assert len(forest.leaves()) == 2
    assert forest.valid("reward.success").sum() == 12
    assert float(forest["reward.success"].sum()) == 3


def test_settings():
    with pytest.raises(SettingError, match="episodes"):
        Study(rewards=Rewards(), probes=probes, stage=Stage(), climb=CrossEntropy(), episodes=0)
