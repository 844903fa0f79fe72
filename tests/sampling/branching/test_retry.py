"""Retries from a pivot: what is kept, what is shown, what it costs, and what invalid verdicts do."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
import torch

from milepost.columns import Origin
from milepost.errors import SettingError
from milepost.sampling.branching.reflection import ByReward, write_reflections
from milepost.sampling.branching.retry import Retry
from milepost.sampling.independent import Independent
from milepost.testing import check_sampler
from milepost.testing.forests import difference
from milepost.testing.worlds import Letters
from tests.sampling.branching.conftest import Counted, said

PAYS: dict[str, float | None] = {"aaa": 1.0, "bbb": 1.0, "ccc": 1.0}


@dataclass(frozen=True)
class Scripted:
    """Says the same of every trajectory."""

    pivot: int = 1
    outcome: str = "failure"
    text: str | None = None
    seen: list[int] = field(default_factory=list)

    def __call__(self, forest, rows):
        self.seen.extend(rows.tolist())
        verdict = {
            "summary": "", "root_cause": "", "outcome": self.outcome, "suggestion": "b", "retry_from_step": self.pivot,
        }  # fmt: skip
        text = json.dumps(verdict) if self.text is None else self.text
        return write_reflections(forest, rows, [text] * len(rows))


def retried(rollout, reflector, count=3, **settings):
    return rollout(Retry(reflector=reflector, width=2), count=count, turns=4, **settings)


def test_contract(pays):
    check_sampler(Retry(reflector=ByReward(scorer=pays, advice="b"), width=3))


@pytest.mark.parametrize("pivot", [0, 1, 3])
def test_the_first_k_steps_are_the_same_rows(rollout, pivot):
    forest = retried(rollout, Scripted(pivot=pivot))
    inserted = (forest["origin"] == int(Origin.INSERTED)).nonzero().squeeze(1)
    assert len(inserted) == 6, "one retry of each base trajectory"
    by_key = {key: row for row, key in enumerate(forest["key"].tolist())}
    for row in inserted.tolist():
        assert forest.depth()[row] == pivot + 1
        base = by_key[int(forest["branch_of"][row])]
        assert forest.parent[base] == forest.parent[row]
    leaves = forest.leaves()
    lengths = forest.depth()[leaves]
    assert sorted(lengths.tolist()) == [4] * 6 + [5] * 6, "a retry has as many steps, and the inserted row"


def test_a_retry_costs_what_follows_the_pivot(rollout):
    for pivot in (0, 2):
        steps = []
        forest = retried(rollout, Scripted(pivot=pivot), count=2, world=Counted(Letters(turns=4), steps))
        assert len(steps) == 4 * 4 + 4 * (4 - pivot)
        assert float(forest["cost.environment_steps"].where(forest.valid("cost.environment_steps"), 0).sum()) == len(
            steps
        )


def test_the_advice_is_shown_and_is_no_part_of_the_answer(rollout):
    forest = retried(rollout, Scripted())
    inserted = forest["origin"] == int(Origin.INSERTED)
    assert {forest.text("text")[row] for row in inserted.nonzero().squeeze(1).tolist()} == {""}
    tokens = inserted[forest.token_row]
    assert bool((forest["tokens.role"][tokens] == 2).all())
    assert not bool(forest["tokens.train"][tokens].any())
    assert "tokens.drawn_log_prob" not in forest


@pytest.mark.parametrize(
    "reflector", [Scripted(outcome="success"), Scripted(text="no JSON"), Scripted(pivot=4), Scripted(pivot=-1)]
)
def test_without_a_valid_verdict_the_base_is_kept_alone(rollout, reflector):
    forest, base = retried(rollout, reflector), rollout(Independent(width=2), turns=4)
    assert difference(forest.without("reflection"), base) is None


def test_no_retry_of_a_retry(rollout):
    look = Scripted()
    forest = retried(rollout, look)
    assert len(look.seen) == 6
    below = torch.stack(
        [(forest["origin"][forest.path(row)] == int(Origin.INSERTED)).sum() for row in forest.leaves().tolist()]
    )
    assert int(below.max()) == 1


def test_the_budget_is_kept(rollout):
    """N / 2 base trajectories and at most one retry each: never more than N."""
    forest = retried(rollout, Scripted())
    assert torch.bincount(forest.root_of()[forest.leaves()]).tolist() == [4, 4, 4]


def test_the_batch_and_the_workers_do_not_matter(rollout):
    whole = said(retried(rollout, Scripted()))
    assert said(retried(rollout, Scripted(), workers=2)) == whole
    assert said(retried(rollout, Scripted(), count=1))["t0"] == whole["t0"]


def test_by_reward_retries_what_failed(rollout, pays):
    forest = rollout(Retry(reflector=ByReward(scorer=pays, advice="b"), width=3), count=4, turns=3, payoff=PAYS)
    by_key = {key: row for row, key in enumerate(forest["key"].tolist())}
    inserted = (forest["origin"] == int(Origin.INSERTED)).nonzero().squeeze(1).tolist()
    leaves = forest.leaves()
    base = [row for row in leaves.tolist() if int(forest["origin"][forest.path(row)].eq(1).sum()) == 0]
    wrong = [row for row in base if forest["reward.total"][row] < 1]
    assert {by_key[int(forest["branch_of"][row])] for row in inserted} == set(wrong)


def test_settings():
    with pytest.raises(SettingError):
        Retry(reflector=Scripted(), width=0)
