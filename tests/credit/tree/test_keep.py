"""Which probes are kept: the likeliest insertions, a quota that follows success, and GRPO without probes."""

from __future__ import annotations

import pytest
import torch

from milepost.credit.audit import audit
from milepost.credit.by_root import ByRoot
from milepost.credit.group import Normalised
from milepost.credit.tree.keep import KeepLikely, Quota, insertion_score
from milepost.errors import SettingError
from milepost.testing import check_part
from milepost.testing.forests import batch, difference, tree
from milepost.testing.strategies import through_checkpoint
from tests.credit.tree.conftest import leaves_of, retried


def probed(probes=(1.0, 0.0, 1.0)):
    """Four wrong originals of which three are probed; the first insertion is the likeliest."""
    return retried(base=(0.0, 0.0, 0.0, 1.0), retry=(*probes, None), pivot=1)


def test_contract():
    check_part(KeepLikely(), forest=batch())


def test_the_score_is_the_mean_log_probability_of_the_insertion():
    forest = probed()
    score = insertion_score(forest)
    base, probes = leaves_of(forest)
    assert bool((score[base] == -torch.inf).all())
    for row in probes.tolist():
        own = [step for step in forest.path(row).tolist() if int(forest["origin"][step]) == 1]
        tokens = forest.token_row == own[0]
        assert float(score[row]) == pytest.approx(float(forest["tokens.log_prob"][tokens].mean()))


@pytest.mark.parametrize(("share", "kept"), [(0.0, 0), (0.24, 0), (0.25, 1), (0.5, 2), (1.0, 3)])
def test_as_many_as_the_quota_allows_and_the_likeliest(share, kept):
    forest = probed()
    credited, _ = KeepLikely().apply(forest, Quota(share=share))
    _, probes = leaves_of(forest)
    counts = credited.valid("advantage")[probes]
    assert counts.tolist() == [place < kept for place in range(3)], "log-probabilities fall with the row"


def test_dropped_probes_are_in_no_group():
    forest = probed()
    credited, _ = KeepLikely().apply(forest, Quota(share=0.25))
    base, probes = leaves_of(forest)
    leaf = torch.cat((base, probes[:1]))
    value = forest["reward.total"][leaf].double()
    truth = (value - value.mean()) / (value.std(correction=0) + 1e-6)
    assert torch.allclose(credited["advantage"][leaf].double(), truth, atol=1e-6)
    assert not bool(credited.valid("advantage")[probes[1:]].any())


def test_the_quota_follows_the_success_of_the_kept():
    _, after = KeepLikely(follow=0.1).apply(probed((1.0, 0.0, 1.0)), Quota(share=0.5))
    assert after.share == pytest.approx(0.9 * 0.5 + 0.1 * 0.5)
    _, lost = KeepLikely(follow=0.1).apply(probed((0.0, 0.0, 0.0)), Quota(share=0.25))
    assert lost.share == pytest.approx(0.9 * 0.25)
    _, none = KeepLikely().apply(probed(), Quota(share=0.0))
    assert none.share == 0.0
    assert through_checkpoint(after) == after


def test_without_probes_it_is_group_credit_to_the_bit():
    for forest in (batch(), tree(), retried(retry=(None,))):
        credited, after = KeepLikely().apply(forest, Quota(share=0.3))
        assert difference(credited, ByRoot(rule=Normalised())(forest)) is None
        assert after.share == 0.3
    assert torch.equal(KeepLikely()(batch())["advantage"], Normalised()(batch())["advantage"])


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_checker_holds(share):
    rule = KeepLikely(start=share)
    credited, after = rule.apply(probed(), rule.init())
    found = audit(credited, rule)
    assert found.clean, str(found)
    assert "group_sum" in found.checked
    numbers = rule.metrics(credited, after)
    assert numbers["credit/probes"] == 3
    kept = int(4 * share) if share < 1 else 3
    assert numbers["credit/probes_kept"] == kept
    assert numbers["credit/probe_share"] == pytest.approx(kept / (4 + kept))
    assert numbers["credit/original_weight"] == pytest.approx((4 + kept) / 4)


def test_settings():
    for bad in ({"start": 1.5}, {"follow": -0.1}):
        with pytest.raises(SettingError):
            KeepLikely(**bad)
