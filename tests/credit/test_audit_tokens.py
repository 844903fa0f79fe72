"""The credit checker on tokens: SkyRL 1492 and TRL 6804 planted as they happened, and caught by name."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from milepost.columns import Role
from milepost.credit.audit import audit
from milepost.credit.audit_tokens import audit_batch, audit_tokens
from milepost.credit.group import Normalised
from milepost.credit.tokens import TokenBatch, assemble, lay_out, token_credit
from milepost.errors import ShapeError
from milepost.forest import Forest
from milepost.ragged import Ragged

P, A, S = int(Role.PROMPT), int(Role.POLICY), int(Role.OBSERVATION)


def with_tokens(parent: list[int], roles: list[list[int]], reward: list[float | None]) -> Forest:
    ids = iter(range(1000))
    columns = {
        "tokens.id": Ragged.of([[next(ids) for _ in line] for line in roles], torch.int32),
        "tokens.role": Ragged.of(roles, torch.int8),
        "tokens.train": Ragged.of([[one == A for one in line] for line in roles], torch.bool),
        "reward.total": reward,
        "ok.total": [value is not None for value in reward],
    }
    return Forest.of(parent, columns)


def turns() -> Forest:
    """One task, two trajectories of three turns of different lengths; each turn ends with what a tool said."""
    parent = [-1, 0, 0, 1, 2, 3, 4]
    roles = [[P] * 4, [A, A, A, S], [A, S, S, S, S], [A, A, S], [A, S, S], [A, A], [A]]
    return Normalised()(with_tokens(parent, roles, [None] * 5 + [1.0, 0.0]))


def answers(rewards: list[list[float]], first_id: int = 0) -> Forest:
    """Answers of one turn, three tokens each."""
    count = sum(len(group) for group in rewards)
    parent = [-1] * len(rewards) + [root for root, group in enumerate(rewards) for _ in group]
    roles = [[P, P] for _ in rewards] + [[A, A, A]] * count
    forest = with_tokens(parent, roles, [None] * len(rewards) + [value for group in rewards for value in group])
    return Normalised()(forest.with_columns({"tokens.id": forest["tokens.id"] + first_id}))


def lines_of(forest: Forest) -> Ragged:
    """One line per step that is not a root: its whole path."""
    return forest.paths((forest.parent >= 0).nonzero().squeeze(1))


def own_step_only(forest: Forest) -> TokenBatch:
    """One line per step, with the steps before it as context: only its own tokens train, as in step-wise trainers."""
    batch = assemble(forest, lines_of(forest), right_aligned=True)
    step = (forest.parent >= 0).nonzero().squeeze(1)
    own = forest.token_row[batch.source.clamp(min=0)] == step[:, None]
    return replace(batch, train=batch.train & own, advantage=torch.where(own, batch.advantage, 0))


# ---- credit per token ----


@pytest.mark.parametrize("right_aligned", [False, True])
def test_nothing_is_found_in_batches_that_are_right(right_aligned):
    forest = turns()
    whole = assemble(forest, forest.paths(), right_aligned=right_aligned)
    assert audit_batch(forest, whole).clean
    assert audit_batch(forest, own_step_only(forest)).clean


# ---- SkyRL 1492 ----


def test_skyrl_1492_step_wise_credit_on_the_wrong_token_positions():
    """The credit of the last step, masked by its own positions, was copied to every step of the trajectory."""
    forest = turns()
    right = own_step_only(forest)
    last = {1: 5, 2: 6, 3: 5, 4: 6, 5: 5, 6: 6}  # step -> last step of its trajectory
    line = {row: index for index, row in enumerate(range(1, 7))}
    copied = torch.stack([right.advantage[line[last[row]]] for row in range(1, 7)])
    wrong = replace(right, advantage=copied)
    findings = audit_batch(forest, wrong)
    assert {finding.check for finding in findings.found} == {"untrained", "misplaced"}
    misplaced = findings.named("misplaced")[0]
    assert misplaced.rows == (1, 2, 3, 4)  # every step but the last ones: (N - 1) / N of the samples
    assert misplaced.received.startswith("0")
    assert "credit of the step that each token belongs to" in misplaced.expected


def test_skyrl_1492_on_the_forest_itself():
    """The same fault without a batch: credit per token shifted by one step."""
    forest = turns()
    shifted = token_credit(forest).roll(3)
    assert {"untrained", "misplaced"} == {finding.check for finding in audit_tokens(forest, shifted).found}
    with pytest.raises(ShapeError, match="token_advantage has shape"):
        audit_tokens(forest, shifted[:-1])


# ---- TRL 6804 ----


def replayed() -> tuple[Forest, Forest]:
    """A batch with a dead group, and the group that a replay buffer puts in its place."""
    return answers([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]), answers([[0.0, 1.0, 1.0]], first_id=500)


def test_trl_6804_tokens_swapped_but_one_advantage_overwritten():
    """The replay buffer replaced all tokens of a group and overwrote the credit of a single row."""
    now, old = replayed()
    both = Forest.concatenate([now, old])
    fresh, stored = assemble(now, now.paths()), assemble(both, both.paths(torch.tensor([9, 10, 11])))
    advantage = fresh.advantage.clone()
    advantage[0] = stored.advantage[0]
    ids, source = fresh.id.clone(), lay_out(both, both.paths(torch.tensor([9, 10, 11, 5, 6, 7])))
    ids[:3] = stored.id
    faulty = replace(fresh, source=source, id=ids, advantage=advantage)
    findings = audit_batch(both, faulty, rows=torch.tensor([5, 6, 7, 9, 10, 11]))
    assert [finding.check for finding in findings.found] == ["misplaced"]
    assert findings.found[0].rows == (10, 11)
    mended = replace(faulty, advantage=torch.cat((stored.advantage, fresh.advantage[3:])))
    assert audit_batch(both, mended, rows=torch.tensor([5, 6, 7, 9, 10, 11])).clean


def test_trl_6804_seen_from_a_trainer_that_does_not_know_of_the_swap():
    """The lines still claim to hold the rows of this batch, but their ids are those of other rows."""
    now, old = replayed()
    fresh, stored = assemble(now, now.paths()), assemble(old, old.paths())
    ids = fresh.id.clone()
    ids[:3, 2:] = stored.id[:, 2:]
    findings = audit_batch(now, replace(fresh, id=ids))
    assert [finding.check for finding in findings.found] == ["swapped"]
    assert findings.found[0].rows == (2, 3, 4)
    assert findings.found[0].count == 9


def test_trl_6804_in_a_forest_whose_rewards_were_replaced_too():
    now, _ = replayed()
    reward = now["reward.total"].clone()
    reward[2:5] = torch.tensor([0.0, 1.0, 1.0])
    findings = audit(now.with_columns({"reward.total": reward}), Normalised())
    assert [finding.check for finding in findings.found] == ["recomputed"]
    assert findings.found[0].rows == (2, 3, 4)


# ---- owners ----


def test_a_token_trained_by_nobody_or_by_too_many_is_found():
    forest = turns()
    whole = assemble(forest, forest.paths())
    dropped = whole.train.clone()
    dropped[0, 4] = False
    findings = audit_batch(forest, replace(whole, train=dropped, advantage=torch.where(dropped, whole.advantage, 0)))
    assert [finding.check for finding in findings.found] == ["owner"]
    assert findings.found[0].rows == (1,)
    assert findings.found[0].received == "trained 0 times"
    twice = assemble(forest, forest.paths(torch.tensor([5, 6, 6])))
    assert [finding.check for finding in audit_batch(forest, twice).found] == ["owner"]


def test_a_step_that_nobody_trains_is_found():
    forest = turns()
    fewer = assemble(forest, forest.paths(torch.tensor([5])))
    findings = audit_batch(forest, fewer)
    assert [finding.check for finding in findings.found] == ["owner"]
    assert findings.found[0].rows == (2, 4, 6)
    assert audit_batch(forest, fewer, rows=torch.tensor([1, 3, 5])).clean


def test_a_step_whose_tokens_are_trained_unevenly_is_found():
    """Row 1 is held by two trajectories; one of its tokens trains in one line only."""
    forest = Normalised()(with_tokens([-1, 0, 0, 1, 1], [[P], [A, A], [A], [A], [A]], [None, None, 0.0, 1.0, 0.0]))
    batch = assemble(forest, forest.paths())
    train = batch.train.clone()
    train[2, 1] = False
    findings = audit_batch(forest, replace(batch, train=train, advantage=torch.where(train, batch.advantage, 0)))
    assert [finding.check for finding in findings.found] == ["owner"]
    assert findings.found[0].rows == (1,)
    assert findings.found[0].received == "trained 1 times"


def test_credit_of_either_sign_on_untrained_tokens_is_found():
    forest = turns()
    for sign in (1.0, -1.0):
        value = token_credit(forest)
        value[0] = sign  # a token of the prompt
        found = audit_tokens(forest, value).found
        assert [(finding.check, finding.tokens) for finding in found] == [("untrained", (0,))]


def test_a_shared_step_may_be_trained_once_or_once_per_trajectory():
    forest = Normalised()(with_tokens([-1, 0, 0, 1, 1], [[P], [A, A], [A], [A], [A]], [None, None, 0.0, 1.0, 0.0]))
    per_trajectory = assemble(forest, forest.paths())
    assert audit_batch(forest, per_trajectory).clean
    once = per_trajectory.train.clone()
    once[2, 1:3] = False  # the trunk of the second trajectory through row 1 is context only
    batch = replace(per_trajectory, train=once, advantage=torch.where(once, per_trajectory.advantage, 0))
    assert audit_batch(forest, batch).clean


def test_training_on_padding_is_found():
    forest = answers([[1.0, 0.0]])
    batch = assemble(forest, Ragged(torch.tensor([0, 1, 2]), torch.tensor([0, 2, 3])))
    findings = audit_batch(forest, replace(batch, train=torch.ones_like(batch.train)))
    assert findings.named("untrained")[0].count == 4  # two of the prompt, two of padding
    assert findings.named("untrained")[0].rows == (0,)
    with pytest.raises(ShapeError, match="four of one shape"):
        replace(batch, train=batch.train[:1])
