"""Losses against verl's own, values and gradients, on random ragged batches."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from verl.trainer.ppo import core_algos
from verl.workers.config import ActorConfig

from milepost.engines.verl.losses import LOSSES
from tests.engines.verl.ragged_batches import random_batch

pytestmark = pytest.mark.trainers


def actor(**settings) -> ActorConfig:
    """verl's settings of an actor, those of its losses chosen."""
    chosen = {"clip_ratio": 0.2, "clip_ratio_low": 0.15, "clip_ratio_high": 0.3, "clip_ratio_c": 2.0, **settings}
    return ActorConfig(strategy="fsdp", rollout_n=1, use_dynamic_bsz=True, **chosen)


NEVER = 1e9
SAME = {
    "milepost_clipped": ("vanilla", actor(clip_ratio_c=NEVER), "token-mean"),
    "milepost_dual_clipped": ("vanilla", actor(), "token-mean"),
    "milepost_sequence_clipped": ("gspo", actor(), "seq-mean-token-mean"),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", SAME)
def test_the_same_numbers_as_verls_own(name, weighted):
    theirs, config, mode = SAME[name]
    for number in range(25):
        batch = random_batch(number)
        noise = torch.Generator().manual_seed(number)
        old = -torch.rand(batch.mask.shape, generator=noise, dtype=torch.float64)
        credit = torch.randn(batch.mask.shape, generator=noise, dtype=torch.float64)  # of steps: it differs in a row
        now = old + (1 + 11 * (number % 2)) * torch.randn(batch.mask.shape, generator=noise, dtype=torch.float64)
        given = {"old_log_prob": old, "advantages": credit, "response_mask": batch.mask, "loss_agg_mode": mode}
        if weighted:
            given["rollout_is_weights"] = torch.rand(batch.mask.shape, generator=noise, dtype=torch.float64)
        found = {}
        for who in (name, theirs):
            leaf = now.clone().requires_grad_()
            loss, metrics = core_algos.get_policy_loss_fn(who)(log_prob=leaf, config=config, **given)
            loss.backward()
            found[who] = (loss.detach(), leaf.grad, metrics["actor/ppo_kl"])
        assert found[name][0] == pytest.approx(float(found[theirs][0]), rel=1e-6, abs=1e-6)
        torch.testing.assert_close(found[name][1], found[theirs][1], rtol=1e-6, atol=1e-6)
        assert found[name][1].abs().max() > 0
        assert found[name][2] == pytest.approx(found[theirs][2], abs=1e-6)


def test_clip_ratio_alone():
    batch = random_batch(0)
    old = torch.zeros(batch.mask.shape)
    now = torch.full_like(old, 1.0)
    config = SimpleNamespace(clip_ratio=0.2, clip_ratio_low=None, clip_ratio_high=None, global_batch_info={})
    given = {"old_log_prob": old, "advantages": torch.ones_like(old), "response_mask": batch.mask, "config": config}
    loss, metrics = LOSSES["milepost_clipped"](log_prob=now, **given)
    assert loss == pytest.approx(-1.2)
    assert metrics == {"actor/pg_clipfrac": 1.0, "actor/ppo_kl": pytest.approx(-1.0)}


def test_padding_may_hold_anything():
    batch = random_batch(0)
    old = torch.zeros(batch.mask.shape)
    now = torch.where(batch.mask > 0, 0.1, torch.inf).requires_grad_()
    for loss in LOSSES.values():
        value, _ = loss(old, now, torch.ones_like(old), batch.mask, "token-mean", actor())
        (grad,) = torch.autograd.grad(value, now)
        assert value.isfinite()
        assert grad.isfinite().all()
