"""Mixtures of originals and probes: densities, weights, and what a view does with them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from milepost.columns import Role
from milepost.credit.by_root import ByRoot
from milepost.credit.group import Centred
from milepost.credit.tree.mixture import TokenMixture, TrajectoryMixture, mixture_log_prob, trajectory_weight
from milepost.errors import SettingError
from tests.credit.tree.conftest import leaves_of, retried

DRAWN = math.log(1 / 4)


def batch(probes=(0.0, None, None, None), base=(0.0, 0.0, 1.0, 1.0)):
    """Originals and probes with trained insertions; the first token of each was drawn with 1/4, the rest follows."""
    forest = retried(base=base, retry=probes, pivot=1)
    inserted = forest["tokens.role"] == int(Role.INSERTED)
    first = torch.zeros_like(inserted).index_fill(0, forest.token_offsets[:-1], True)
    drawn = torch.where(inserted & first, DRAWN, 0.0)
    forest = forest.with_columns({"tokens.drawn_log_prob": drawn, "tokens.train": forest["tokens.train"] | inserted})
    return ByRoot(rule=Centred())(forest.with_valid("tokens.drawn_log_prob", inserted))


def chains(found):
    """Leaf, whether it is a probe, and the rows of every chain."""
    base, probes = leaves_of(found)
    return [(row, row in probes.tolist(), found.path(row)) for row in sorted([*base.tolist(), *probes.tolist()])]


def test_hand_example_of_a_mixture():
    found = mixture_log_prob(torch.tensor([0.5]).log(), torch.tensor([0.1]).log(), share=0.25).exp()
    assert float(found) == pytest.approx(0.75 * 0.5 + 0.25 * 0.1)
    assert float(trajectory_weight(torch.tensor([math.log(0.2)]), share=0.25)) == pytest.approx(1 / 0.8)


@given(st.floats(-5, -0.01), st.floats(0, 0.9))
def test_limits_of_a_mixture(log_pi, share):
    one = torch.tensor([log_pi], dtype=torch.float64)
    assert torch.equal(mixture_log_prob(one, one, share=0.0), one)
    assert torch.allclose(mixture_log_prob(one, one, share=share), one, atol=1e-12)
    none = mixture_log_prob(one, torch.full_like(one, -torch.inf), share=share)
    assert float((one - none).exp()) == pytest.approx(1 / (1 - share))
    assert float(trajectory_weight(torch.full_like(one, -torch.inf), share=share)) == pytest.approx(1 / (1 - share))
    assert float(trajectory_weight(torch.zeros_like(one), share=share)) == pytest.approx(1)


def test_every_token_has_the_published_density():
    """One probe among five, half of the originals wrong: before, inside, after the insertion, and in originals."""
    forest = batch()
    found = TokenMixture(high=1.0)(forest)
    share, failing, length = 1 / 5, 0.5, 2
    for _, probe, path in chains(found):
        below = False
        for row in path.tolist()[1:]:
            inside = int(found["origin"][row]) == 1
            below = below or inside
            for token in range(int(found.token_offsets[row]), int(found.token_offsets[row + 1])):
                source = int((forest["key"] == found["key"][row]).nonzero())
                at = token - int(found.token_offsets[row]) + int(forest.token_offsets[source])
                pi = math.exp(float(forest["tokens.log_prob"][at]))
                mu = pi if below and not inside else pi / failing ** (1 / length)
                mu = math.exp(float(forest["tokens.drawn_log_prob"][at])) if inside else mu
                q = (1 - share) * pi + share * mu if probe else (1 - share) * pi
                assert float(found["tokens.log_prob"][token]) == pytest.approx(math.log(q), abs=1e-5)


def test_where_the_bound_passes_the_clip_originals_keep_their_own():
    """alpha > 1/6 at a clip of 0.2: by the published rule every good original token would be clipped from the start."""
    forest = batch()
    published, guarded = TokenMixture(high=0.3)(forest), TokenMixture(high=0.2)(forest)
    for name, weight in ((published, 1 / (1 - 1 / 5)), (guarded, 1.0)):
        for _, probe, path in chains(name):
            if probe:
                continue
            for row in path.tolist()[1:]:
                source = int((forest["key"] == name["key"][row]).nonzero())
                mine = name.ragged("tokens.log_prob")[row]
                assert torch.allclose((forest.ragged("tokens.log_prob")[source] - mine).exp(), torch.tensor(weight))


def test_all_wrong_or_no_prefix_has_no_lift():
    everyone = TokenMixture(high=1.0)(batch(base=(0.0, 0.0, 0.0, 0.0)))
    share = 1 / 5
    (path,) = [path for _, probe, path in chains(everyone) if probe]
    first = everyone.ragged("tokens.log_prob")[int(path[1])]
    forest = batch(base=(0.0, 0.0, 0.0, 0.0))
    own = forest.ragged("tokens.log_prob")[int((forest["key"] == everyone["key"][path[1]]).nonzero())]
    assert torch.allclose(first, own, atol=1e-6), "z = 1: the prefix was not conditioned on anything"
    assert share > 0


def test_trajectory_weights_go_onto_the_credit():
    forest = batch()
    found = TrajectoryMixture()(forest)
    share = 1 / 5
    for leaf, probe, path in chains(found):
        source = int((forest["key"] == found["key"][leaf]).nonzero())
        own = forest["tokens.role"] == int(Role.INSERTED)
        odds = float((forest["tokens.drawn_log_prob"] - forest["tokens.log_prob"])[own].sum())
        weight = 1 / (1 - share + share * math.exp(odds)) if probe else 1 / (1 - share)
        truth = weight * float(forest["advantage"][source])
        assert found["advantage"][path[1:]].tolist() == pytest.approx([truth] * (len(path) - 1), abs=1e-6)
        for row in path.tolist():
            before = int((forest["key"] == found["key"][row]).nonzero())
            assert torch.equal(found.ragged("tokens.log_prob")[row], forest.ragged("tokens.log_prob")[before])


@pytest.mark.parametrize("view", [TokenMixture(), TrajectoryMixture()])
def test_without_probes_the_batch_is_trained_as_it_is(view):
    forest = ByRoot(rule=Centred())(retried(retry=(None,)))
    assert view(forest) is forest


@pytest.mark.parametrize("view", [TokenMixture(), TrajectoryMixture()])
def test_probes_that_do_not_count_are_no_share(view):
    forest = batch()
    _, probes = leaves_of(forest)
    valid = forest.valid("advantage").index_fill(0, probes, False)
    found = view(forest.with_valid("advantage", valid))
    for _, probe, path in chains(found):
        counted = found.valid("advantage")[path[1:]]
        assert bool((~counted).all()) if probe else bool(counted.all())
        if not probe:
            source = torch.stack([(forest["key"] == key).nonzero()[0, 0] for key in found["key"][path]])
            assert torch.allclose(found["advantage"][path[1:]], forest["advantage"][source[-1]])


def test_settings():
    with pytest.raises(SettingError):
        TokenMixture(high=0.0)
