"""SkyRL's own registries, losses and estimators, with milepost's among them.

Its package does not import whole here, see docs/design/trainers.md: the folders of its modules are entered without
running what stands at their doors, and the module of its registries is run as it is.
"""

from __future__ import annotations

import ast
from types import SimpleNamespace

import pytest
import torch

from milepost.credit.group import Centred
from milepost.engines.skyrl import registries
from milepost.engines.verl.estimators import ESTIMATORS, Estimator
from milepost.errors import SettingError
from milepost.recipe import builder
from tests.engines.skyrl.doors import ROOT, entered
from tests.engines.verl.ragged_batches import random_batch

pytestmark = pytest.mark.trainers


def defaults(name):
    """Fields of one of SkyRL's classes of settings that hold plain values."""
    tree = ast.parse((ROOT / "train" / "config" / "config.py").read_text())
    (found,) = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name]
    plain = [node for node in found.body if isinstance(node, ast.AnnAssign)]
    plain = [node for node in plain if isinstance(node.value, ast.Constant | ast.UnaryOp)]
    return {node.target.id: ast.literal_eval(node.value) for node in plain}


@pytest.fixture(scope="module")
def skyrl():
    """The module of the registries."""
    with entered() as found:
        yield found


@pytest.fixture
def filled(skyrl):
    """With milepost's names, which are taken out again."""
    registries.register()
    yield skyrl
    for registry, names in (
        (skyrl.AdvantageEstimatorRegistry, ESTIMATORS),
        (skyrl.PolicyLossRegistry, registries.LOSSES),
    ):
        for name in names:
            registry.unregister(name)


def settings(**chosen):
    """SkyRL's settings of the algorithm."""
    correction = SimpleNamespace(**defaults("OffPolicyCorrectionConfig"))
    found = {**defaults("AlgorithmConfig"), "off_policy_correction": correction}
    assert set(chosen) <= set(found)
    return SimpleNamespace(**{**found, **chosen})


def test_names_are_there_and_again_changes_nothing(filled):
    registries.register()
    assert set(ESTIMATORS) <= set(filled.AdvantageEstimatorRegistry.list_available())
    assert set(registries.LOSSES) <= set(filled.PolicyLossRegistry.list_available())
    assert filled.AdvantageEstimatorRegistry.get("milepost_rloo") == Estimator(credit=ESTIMATORS["milepost_rloo"])


def test_a_rule_of_ones_own(filled):
    registries.register_credit("mine", Centred())
    assert filled.AdvantageEstimatorRegistry.get("mine") == Estimator(credit=Centred())
    with pytest.raises(ValueError, match="already registered"):
        registries.register_credit("mine", Centred())
    filled.AdvantageEstimatorRegistry.unregister("mine")
    with pytest.raises(SettingError):
        registries.register_credit("g2rl", builder("g2rl")().credit)


SAME = {"milepost_grpo": ("grpo", True), "milepost_dr_grpo": ("grpo", False), "milepost_rloo": ("rloo", True)}


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("name", SAME)
def test_skyrls_trainer_calls_it_and_gets_its_own_numbers(filled, name, dense):
    theirs, by_deviation = SAME[name]
    for number in range(10):
        batch = random_batch(number, dense=dense)
        given = {"response_mask": batch.mask, "index": batch.index, "config": settings()}
        found, wanted = (
            filled.compute_advantages_and_returns(
                token_level_rewards=batch.rewards.clone(), adv_estimator=one, grpo_norm_by_std=by_deviation, **given
            )[0]
            for one in (name, theirs)
        )
        assert wanted.std() > 0
        assert (found - wanted).abs().max() < 1e-6 * max(1.0, float(wanted.abs().max()))


LOSSES = {"milepost_clipped": "regular", "milepost_dual_clipped": "dual_clip", "milepost_sequence_clipped": "gspo"}


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_the_same_loss_and_gradient_as_skyrls_own(filled, name, corrected):
    theirs = LOSSES[name]
    config = settings(policy_loss_type=theirs, eps_clip_low=0.15, eps_clip_high=0.3, clip_ratio_c=2.0)
    config.off_policy_correction.tis_ratio_type = "token"
    for number in range(10):
        batch = random_batch(number)
        noise = torch.Generator().manual_seed(number)
        shape = batch.mask.shape
        old, now, rolled = (torch.randn(shape, generator=noise, dtype=torch.float64) * 0.7 - 1 for _ in range(3))
        credit = torch.randn(shape, generator=noise, dtype=torch.float64)  # of steps: it differs in a row
        scaled = filled.apply_loss_reduction_to_advantages_minibatch(credit, batch.mask, "sequence_mean", 1, shape[1])
        found = {}
        for who in (name, theirs):
            leaf = now.clone().requires_grad_()
            loss, metrics = filled.PolicyLossRegistry.get(who)(
                leaf, old, scaled, config, batch.mask.double(), rolled if corrected else None
            )
            loss.backward()
            found[who] = (loss.detach(), leaf.grad * batch.mask, set(metrics))
        assert (found[name][0] - found[theirs][0]).abs() < 1e-6
        assert (found[name][1] - found[theirs][1]).abs().max() < 1e-6
        assert found[name][1].abs().max() > 0
        assert found[name][2] == found[theirs][2]


def test_padding_may_hold_anything(filled):
    batch = random_batch(0)
    now = torch.where(batch.mask > 0, 0.1, torch.inf).requires_grad_()
    for loss in registries.LOSSES.values():
        value, _ = loss(now, torch.zeros(batch.mask.shape), torch.ones(batch.mask.shape), settings(), batch.mask)
        (grad,) = torch.autograd.grad(value, now)
        assert value.isfinite()
        assert grad.isfinite().all()
    value, _ = registries.ClippedLoss()(torch.zeros(1, 2), torch.zeros(1, 2), torch.ones(1, 2), settings())
    assert value == -2
