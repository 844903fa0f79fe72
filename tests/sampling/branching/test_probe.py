"""Probes at dead ends: who is probed, where they branch, and that failures start none."""

from __future__ import annotations

import pytest
import torch

from milepost.columns import End, Origin
from milepost.errors import SettingError
from milepost.sampling.branching.probe import Probe, below_inserted
from milepost.sampling.independent import Independent
from milepost.testing import check_sampler
from milepost.testing.forests import difference
from milepost.testing.worlds import Payoff, TabularPolicy
from tests.sampling.branching.conftest import said, scorer

PAYS: dict[str, float | None] = {"aa": 1.0, "bb": 1.0, "cc": 1.0, "ab": None}
POOL = ("b", "cb")


def probe(pays, probability=1.0, **settings):
    return Probe(scorer=pays, width=4, probability=probability, pool=POOL, **settings)


def grown(rollout, pays, count=6, **settings):
    return rollout(probe(pays, **settings), count=count, turns=2, payoff=PAYS)


def test_contract(pays):
    check_sampler(probe(pays))
    check_sampler(Probe(scorer=scorer(Payoff()), pool=("a", "b")))


def test_every_probe_knows_parent_branch_step_and_span(rollout, pays):
    forest = grown(rollout, pays)
    inserted = (forest["origin"] == int(Origin.INSERTED)).nonzero().squeeze(1)
    assert len(inserted) > 5
    row_of_key = {key: row for row, key in enumerate(forest["key"].tolist())}
    for row in inserted.tolist():
        replaced = row_of_key[int(forest["branch_of"][row])]
        assert forest.parent[replaced] == forest.parent[row], "same prefix: the very same rows"
        assert forest["end"][replaced] == int(End.TERMINATED)
        assert forest["ok.total"][replaced]
        assert forest["reward.total"][replaced] < 1
        assert forest.text("text")[row] in POOL
        assert int((forest.parent == row).sum()) == 1


def test_no_probe_of_a_probe(rollout, pays):
    forest = grown(rollout, pays)
    inserted = (forest["origin"] == int(Origin.INSERTED)).long()
    depth = torch.stack([inserted[forest.path(row)].sum() for row in forest.leaves().tolist()])
    assert int(depth.max()) == 1
    assert len(forest["branch_of"][inserted.bool()].unique()) == int(inserted.sum()), "one probe of each at most"


def test_only_wrong_answers_are_probed(rollout, pays):
    forest = grown(rollout, pays)
    own = forest.leaves()[~below_inserted(forest)[forest.leaves()]]
    wrong = own[forest["ok.total"][own] & (forest["reward.total"][own] < 1)]
    probed = forest["branch_of"][forest["origin"] == int(Origin.INSERTED)]
    assert set(probed.tolist()) == set(forest["key"][wrong].tolist())


def test_a_failed_reward_starts_no_probe(rollout, pays):
    every = {one + other: None for one in "abc" for other in "abc"}
    forest = rollout(probe(pays), count=3, turns=2, payoff=every)
    assert not bool((forest["origin"] == int(Origin.INSERTED)).any())


def test_a_trajectory_that_a_limit_ended_gave_no_answer(rollout, pays):

    acts = TabularPolicy(vocabulary="abc", table=torch.zeros(3, 3), length=3, stop="a")
    forest = rollout(probe(pays), count=20, turns=2, payoff={}, acts=acts)
    ends = dict(zip(forest["key"].tolist(), forest["end"].tolist(), strict=True))
    probed = forest["branch_of"][forest["origin"] == int(Origin.INSERTED)].tolist()
    assert int(End.TOKEN_LIMIT) in ends.values()
    assert {ends[key] for key in probed} == {int(End.TERMINATED)}


def test_probability_0_is_independent_to_the_bit(rollout, pays):
    one, other = grown(rollout, pays, probability=0.0), rollout(Independent(width=4), count=6, turns=2, payoff=PAYS)

    assert difference(one, other) is None


def test_probes_do_not_change_the_originals(rollout, pays):
    forest = grown(rollout, pays)
    own = forest.select(forest.with_ancestors(forest.leaves()[~below_inserted(forest)[forest.leaves()]]))
    assert said(own) == said(rollout(Independent(width=4), count=6, turns=2, payoff=PAYS))


def test_the_batch_does_not_matter(rollout, pays):
    whole = said(grown(rollout, pays))
    assert said(grown(rollout, pays, count=2))["t1"] == whole["t1"]


@pytest.mark.statistical
def test_dead_ends_are_probed_with_the_given_probability(rollout, pays):
    forest = rollout(probe(pays, probability=0.2), count=400, turns=1, payoff={})
    probed = int((forest["origin"] == int(Origin.INSERTED)).sum())
    assert abs(probed - 0.2 * 1600) < 5 * (1600 * 0.2 * 0.8) ** 0.5
    second = int((forest["tokens.id"][forest.token_row[forest["tokens.role"] == 2]] >= 0).sum())
    assert second > 0


def test_rewards_are_paid_once(rollout, pays):
    forest = grown(rollout, pays)
    spent = forest["cost.reward_calls"][forest.leaves()]
    assert spent.tolist() == [1.0] * len(spent)


def test_settings(pays):
    for bad in ({"probability": 1.5}, {"pool": ()}, {"width": 0}):
        with pytest.raises(SettingError):
            Probe(scorer=pays, **bad)
