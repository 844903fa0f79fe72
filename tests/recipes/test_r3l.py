"""R3L: the mask of the prefix, dominance of successes, limits, and a scripted reflector at equal environment steps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from milepost import keys
from milepost.columns import End, Origin, Role
from milepost.credit.by_root import ByRoot
from milepost.credit.group import Centred
from milepost.credit.tree.pivot import PivotCredit, WithoutAdvice, shared_prefix
from milepost.objectives.likelihood import Likelihood
from milepost.part import Action, Observation, Start, Task, Transition
from milepost.recipes import r3l
from milepost.rewards.combine import Scored
from milepost.sampling.branching.probe import below_inserted
from milepost.sampling.branching.reflection import ByReward, write_reflections
from milepost.sampling.branching.retry import Retry
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.testing.recipes import check_recipe
from milepost.testing.worlds import Letters, Payoff, TabularPolicy, letter_task

PAYS: dict[str, float | None] = {"abca": 1.0, "bbca": 0.5, "cbac": 1.0, "cabb": 1.0, "bacb": 0.5}


@dataclass(frozen=True)
class Says:
    """A reflector that wants every base retried from the same step."""

    pivot: int = 2

    def __call__(self, forest, rows):
        said = {
            "summary": "", "root_cause": "", "outcome": "failure", "suggestion": "b", "retry_from_step": self.pivot,
        }  # fmt: skip
        return write_reflections(forest, rows, [json.dumps(said)] * len(rows))


def policy(length=4):
    """Long steps, so that no retry happens to repeat its base: repeated ones do not count."""
    return TabularPolicy.random("abc", key=keys.root(2), length=length)


def sampled(width, pivot=2, count=8, turns=4):
    task = [letter_task(f"t{number}", prompt="abc"[number % 3], payoff={}) for number in range(count)]
    forest = grow(
        [Draw(task=one) for one in task],
        policy=policy(),
        environment=Letters(turns=turns),
        sampler=Retry(reflector=Says(pivot=pivot), width=width),
        key=keys.root(0),
    )
    leaf = torch.zeros(len(forest), dtype=torch.bool).index_fill(0, forest.leaves(), True)
    paid = (forest["key"] % 5).abs().float() / 4
    return forest.with_columns({"reward.total": paid.where(leaf, 0), "ok.total": leaf})


def gradient(forest, acts=None):
    """Gradient of the recipe's loss in the policy's table."""
    acts = acts or policy()
    loss = Likelihood(scale=0.5)(forest, acts.log_prob(forest, torch.arange(len(forest)))).loss
    return torch.autograd.grad(loss, acts.table)[0]


def test_contract():
    check_recipe("r3l", tests=Path(__file__).parents[1])


def unnormalised(forest, rows=None):
    """Sum over trajectories of credit times the score of their trained tokens; rows limit what is summed."""
    acts = policy()
    log_prob = acts.log_prob(forest, torch.arange(len(forest)))
    held = torch.bincount(forest.paths().values, minlength=len(forest)).double()
    credit = forest["advantage"].double().where(forest.valid("advantage"), 0) * held
    weight = credit[forest.token_row] * forest["tokens.train"]
    if rows is not None:
        weight = weight * rows[forest.token_row]
    return torch.autograd.grad((weight * log_prob).sum(), acts.table)[0]


def test_the_mask_is_a_no_op_under_the_pair_baseline():
    """One base and its retry: A_base = -A_retry, so the summed gradient on their shared steps is exactly 0."""
    forest = WithoutAdvice(imitate=False)(ByRoot(rule=Centred())(sampled(width=1)))
    masked = WithoutAdvice(imitate=False)(PivotCredit(rule=Centred())(sampled(width=1)))
    shared = masked.valid("advantage").logical_not() & (masked.parent >= 0)
    assert int(shared.sum()) == 8 * 2
    assert float(unnormalised(forest, shared).abs().max()) < 1e-10
    assert torch.allclose(unnormalised(forest), unnormalised(masked), atol=1e-10)
    assert float(unnormalised(masked).abs().max()) > 0.1, "there is a gradient, only not on the prefix"


def test_under_the_group_baseline_the_mask_deletes_a_real_signal():
    """Three bases and retries: (A_base + A_retry) times the score of the prefix is not 0, and the mask drops it."""
    forest = WithoutAdvice(imitate=False)(ByRoot(rule=Centred())(sampled(width=3)))
    masked = WithoutAdvice(imitate=False)(PivotCredit(rule=Centred())(sampled(width=3)))
    shared = masked.valid("advantage").logical_not() & (masked.parent >= 0)
    lost = unnormalised(forest, shared)
    assert float(lost.abs().max()) > 0.1
    assert torch.allclose(unnormalised(forest) - unnormalised(masked), lost, atol=1e-10)


def test_without_retries_and_gain_it_is_reinforce():
    """alpha = 1, no mask, no retry: minus the mean over tokens of (R - group mean) log pi."""
    tasks = [letter_task(f"t{number}", prompt="abc"[number % 3], payoff=PAYS) for number in range(6)]
    forest = grow(
        [Draw(task=one) for one in tasks],
        policy=policy(length=1),
        environment=Letters(turns=4),
        sampler=Independent(width=4),
        key=keys.root(0),
    )
    forest = Scored(rewards=(Payoff(),), weights=(1.0,))(forest, torch.arange(len(forest)))
    mine = WithoutAdvice()(PivotCredit(rule=Centred(), masked=False)(forest))
    acts = policy(length=1)
    log_prob = acts.log_prob(forest, torch.arange(len(forest)))
    total, count = 0.0, 0
    for root in forest.roots().tolist():
        leaves = [row for row in forest.leaves().tolist() if int(forest.root_of()[row]) == root]
        mean = sum(float(forest["reward.total"][row]) for row in leaves) / len(leaves)
        for row in leaves:
            for step in forest.path(row).tolist()[1:]:
                tokens = forest.token_row == step
                total = total - (float(forest["reward.total"][row]) - mean) * log_prob[tokens].sum()
                count += int(tokens.sum())
    truth = torch.autograd.grad(total / count, acts.table)[0]
    assert torch.allclose(gradient(mine) * 2, truth, atol=1e-7), "the recipe's loss has the factor 1 / 2"


def test_the_advice_has_no_gradient_and_no_place_in_the_context():
    """Trap: retries are trained as if nobody had advised them, so their first letter follows that of the prefix."""
    forest = PivotCredit(rule=Centred())(sampled(width=1))
    seen = WithoutAdvice(imitate=False)(forest)
    assert not bool((seen["tokens.role"] == int(Role.INSERTED)).any())
    acts = policy()
    now = acts.log_prob(seen, torch.arange(len(seen))).detach()
    stored = seen["tokens.log_prob"].double()
    differs = (now - stored).abs() > 1e-6
    differs &= seen["tokens.train"]
    first = {int(seen.token_row[token]) for token in differs.nonzero().squeeze(1)}
    retried = {row for row in range(len(seen)) if int((seen.parent == row).sum()) == 2}
    assert first <= {row for row in range(len(seen)) if int(seen.parent[row]) in retried}
    assert first, "what was sampled with the advice is off-policy without it, and stays so"


def test_a_retry_has_the_rules_of_its_base():
    """Trap: in the authors' code a base ends at its first invalid action and a retry does not; one environment here."""
    forest = sampled(width=2)
    below, leaf = below_inserted(forest), forest.leaves()
    lengths = forest.depth()[leaf] - below[leaf].long()
    assert set(lengths.tolist()) == {4}
    assert set(forest["end"][leaf].tolist()) == {int(End.TERMINATED)}


@pytest.mark.parametrize("pivot", [0, 3])
def test_the_mask_covers_exactly_the_pivot(pivot):
    forest = sampled(width=2, pivot=pivot)
    assert int(shared_prefix(forest).sum()) == 8 * 2 * pivot


def test_a_failed_verdict_degrades_to_plain_group_training():
    """The default reflector says nothing where the reward failed: the forest is that of independent answers."""
    job = r3l.build()
    assert isinstance(job.sampler, Retry)
    assert isinstance(job.sampler.reflector, ByReward)
    task = letter_task("t", prompt="a", payoff={})
    forest = grow(
        [Draw(task=task)], policy=policy(), environment=Letters(turns=2), sampler=job.sampler, key=keys.root(0)
    )
    assert not bool((forest["origin"] == int(Origin.INSERTED)).any()), "the record of the task names no verifier"
    assert len(forest.leaves()) == 4


# ---- a corridor with one fatal mistake: retries from the pivot against fresh restarts, at equal environment steps ----

LENGTH = 8


@dataclass(frozen=True)
class Corridor:
    """Say "a" at every step; from the first other letter on, nothing helps: the distance to the goal rises for good."""

    def reset(self, task: Task, key: int) -> Start:
        return Start(observation=Observation(text="a"), state=())

    def step(self, state: tuple[str, ...], action: Action, key: int) -> Transition:
        said = (*state, action.text or "")
        lost = any(letter != "a" for letter in said)
        columns = {"result": "lost" if lost else "on the way"}
        if len(said) == LENGTH:
            return Transition(observation=None, state=said, end=End.TERMINATED, discount=0.0, columns=columns)
        return Transition(observation=None, state=said, columns=columns)


@dataclass(frozen=True)
class Oracle:
    """Goes back to the first fatal step, moved by `shift`."""

    shift: int = 0

    def __call__(self, forest, rows):
        results, said = forest.text("result"), []
        for row in rows.tolist():
            steps = forest.path(row).tolist()[1:]
            lost = [place for place, step in enumerate(steps) if results[step] == "lost"]
            pivot = min(max((lost[0] if lost else 0) + self.shift, 0), LENGTH - 1)
            found = {
                "summary": "", "root_cause": "", "outcome": "failure" if lost else "success", "suggestion": "a",
                "retry_from_step": pivot,
            }  # fmt: skip
            said.append(json.dumps(found))
        return write_reflections(forest, rows, said)


def corridor(sampler, count=150):
    """Successes per environment step, over retries alone where there are any, and over all."""
    table = torch.zeros(3, 3)
    table[:, 0] = 1.5
    acts = TabularPolicy(vocabulary="abc", table=table)
    payoff: dict[str, float | None] = {"a" * LENGTH: 1.0}
    draws = [Draw(task=letter_task("t", prompt="a", payoff=payoff), number=number) for number in range(count)]
    forest = grow(draws, policy=acts, environment=Corridor(), sampler=sampler, key=keys.root(0))
    forest = Scored(rewards=(Payoff(),), weights=(1.0,))(forest, torch.arange(len(forest)))
    steps = forest["cost.environment_steps"].where(forest.valid("cost.environment_steps"), 0)
    leaf, below = forest.leaves(), below_inserted(forest)
    won = forest["reward.total"][leaf]
    return (
        float(won[below[leaf]].sum()) / max(float(steps[below].sum()), 1),
        float(won[~below[leaf]].sum()) / float(steps[~below].sum()),
        float(won[below[leaf]].mean()) if bool(below[leaf].any()) else 0.0,
    )


@pytest.mark.statistical
def test_a_retry_from_the_pivot_beats_a_fresh_restart(record_property):
    """Success per environment step at least 1.5 times that of fresh ones; a late pivot is worse than an early one."""
    at, fresh, _ = corridor(Retry(reflector=Oracle(), width=2))
    record_property("retry_per_step", at)
    record_property("fresh_per_step", fresh)
    assert at > 1.5 * fresh
    early = corridor(Retry(reflector=Oracle(shift=-2), width=2))[2]
    late = corridor(Retry(reflector=Oracle(shift=5), width=2))[2]
    assert late < early, "after the mistake nothing helps"
