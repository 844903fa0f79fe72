"""The reward manager as verl loads it is tested in test_manager_in_verl; here what it asks and hands on."""

from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace

import pytest
import torch

from milepost.engines.verl import manager
from milepost.engines.verl.manager import scored


class Item:
    """One session of two outputs, as verl's batch."""

    def __init__(self, answer):
        self.batch = {"responses": torch.tensor([5, 6, 0]), "attention_mask": torch.tensor([1, 1, 1, 1, 0])}
        self.non_tensor_batch = {
            "data_source": "sums",
            "reward_model": {"ground_truth": answer},
            "raw_prompt": "1 + 1?",
        }

    def __getitem__(self, place):
        return self


def test_scores():
    tokenizer = SimpleNamespace(decode=lambda ids, **_: "<answer>2</answer>" if ids.tolist() == [5, 6] else "?")
    right = asyncio.run(scored(Item("2"), tokenizer, {}))
    assert right == {"reward_score": 1.0, "reward_extra_info": {"ok": 1, "reason": ""}}
    assert asyncio.run(scored(Item("3"), tokenizer, {}))["reward_score"] == 0.0
    failed = asyncio.run(scored(Item(None), tokenizer, {}))
    assert math.isnan(failed["reward_score"])
    assert failed["reward_extra_info"]["ok"] == 0
    assert failed["reward_extra_info"]["reason"]
    with pytest.raises(AttributeError, match="has no attribute 'Manager'"):
        _ = manager.Manager
