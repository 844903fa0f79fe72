"""One ratio per trajectory: GSPO's formula on flat batches, path sums on trees, and its limits."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from milepost.objectives.clipped import Clipped
from milepost.objectives.normalise import SequenceMean
from milepost.objectives.sequence_ratio import SequenceClipped, sequence_log_ratio
from milepost.objectives.trained import log_ratio, trained


def test_equal_to_the_formula_of_gspo(flat, padded):
    """TRL's importance_sampling_level="sequence" with loss_type="grpo"."""
    forest = flat.forest
    mask = padded(forest, forest["tokens.train"].double())
    now, old = padded(forest, flat.now), padded(forest, forest["tokens.log_prob"].double())
    advantages = forest["advantage"].double()[forest.parent >= 0][:, None]
    weight = (((now - old) * mask).sum(-1) / mask.sum(-1))[:, None].exp()
    loss = -torch.min(weight * advantages, weight.clamp(1 - 0.05, 1 + 0.1) * advantages)
    oracle = ((loss * mask).sum(-1) / mask.sum(-1)).mean()
    found = SequenceClipped(low=0.05, high=0.1)(forest, flat.now)
    assert_close(found.loss, oracle, rtol=1e-12, atol=1e-14)
    held_back = ((advantages > 0) & (weight > 1.1)) | ((advantages < 0) & (weight < 0.95))
    assert found.metrics["objective/clip_fraction"] == float(held_back.double().mean())
    assert 0 < found.metrics["objective/clip_fraction"] < 1


def test_ratio_of_a_trajectory_is_the_path_sum_of_unique_tokens(tree):
    units = trained(tree.forest, tree.now)
    ratio = log_ratio(units, tree.now)
    found = sequence_log_ratio(ratio, units.row, units.count, units.trajectories)
    for index, leaf in enumerate(tree.forest.leaves().tolist()):
        path = tree.forest.path(leaf)
        own = torch.isin(units.row, path) & units.mask
        assert_close(found[index], ratio[own].sum() / own.sum(), rtol=1e-12, atol=0)


def test_answers_of_one_token_have_the_token_ratio(batch):
    case = batch([-1, 0, 0, 0], [2, 1, 1, 1], masked=False)
    one = SequenceClipped(low=0.2, high=0.2)(case.forest, case.now)
    other = Clipped(normalise=SequenceMean())(case.forest, case.now)
    assert_close(one.loss, other.loss, rtol=1e-12, atol=1e-14)
    assert one.metrics == other.metrics
