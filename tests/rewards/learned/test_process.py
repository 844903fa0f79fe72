"""A process reward model that was saved; how one is trained: tests/engines/trl/test_process.py."""

import pytest
import torch
from transformers import AutoModelForTokenClassification

from milepost.forest import Forest
from milepost.policies.loading import EMBEDDED
from milepost.ragged import Ragged
from milepost.rewards import guard
from milepost.rewards.learned.process import ProcessReward


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("model")
    AutoModelForTokenClassification.from_pretrained(str(EMBEDDED), num_labels=2).save_pretrained(str(place))
    return place


def test_by_hand(folder):
    forest = Forest.of([-1, 0, 1, 1], {
        "tokens.id": Ragged.of([[3, 4], [5, 6, 7], [8], [9]], torch.int32),
        "tokens.train": Ragged.of([[False, False], [True, True, False], [True], [False]], torch.bool),
    })  # fmt: skip
    found = guard.score(ProcessReward(folder=str(folder)), forest)
    model = AutoModelForTokenClassification.from_pretrained(str(folder)).eval()
    with torch.no_grad():
        good = model(input_ids=torch.tensor([[3, 4, 5, 6, 7, 8]])).logits[0].float().softmax(-1)[:, 1]
    assert torch.allclose(found["reward.process"][1:3], good[[3, 5]], atol=1e-6)
    assert found["ok.process"].tolist() == [False, True, True, False]
    assert "no token of the policy's" in found.text("reason.process")[3]
