"""The credit checker on forests: silent on what is right, and every planted fault is found by name."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from milepost import keys
from milepost.columns import Role
from milepost.credit.asymmetric import Asymmetric, Smoothed
from milepost.credit.audit import audit
from milepost.credit.by_root import ByRoot
from milepost.credit.compare import PathSums
from milepost.credit.findings import CHECKS
from milepost.credit.group import Centred, LeaveOneOut, Normalised
from milepost.credit.sign import Limited, SignGain
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.ragged import Ragged
from milepost.testing.answers import solved

RULES = (
    Normalised(),
    Centred(),
    LeaveOneOut(),
    SignGain(positive=3.0),
    Asymmetric(),
    Asymmetric(gain=Limited(alpha=0.5, floor=0.2)),
    Smoothed(),
    ByRoot(rule=Normalised()),
)


def tree(seed: int = 1, size: int = 120) -> Forest:
    """A random forest with three roots, prompt and policy tokens, 0 or 1 on the leaves and some failures."""
    draws = keys.uniform([seed], 3 * size)[0]
    parent = [-1] * 3 + [int(draws[i] * (i + 3)) for i in range(size - 3)]
    leaf = torch.bincount(torch.tensor(parent[3:]), minlength=size) == 0
    failed = leaf & torch.from_numpy(draws[size : 2 * size] < 0.15)
    value = [float(draws[2 * size + i] < 0.4) if leaf[i] and not failed[i] else None for i in range(size)]
    ok, why = [v is not None for v in value], ["reward_error" if f else None for f in failed.tolist()]
    columns = {
        f"{kind}.{name}": given
        for name in ("total", "solved")
        for kind, given in (("reward", value), ("ok", ok), ("reason", why))
    }
    lengths = [3 + i % 4 for i in range(size)]
    role = [[int(Role.PROMPT if row < 3 else Role.POLICY)] * n for row, n in enumerate(lengths)]
    for row in range(3, size):
        if not leaf[row]:
            role[row][-1] = int(Role.OBSERVATION)
    tokens = {
        "tokens.id": Ragged.of([list(range(n)) for n in lengths], torch.int32),
        "tokens.role": Ragged.of(role, torch.int8),
        "tokens.train": Ragged.of([[one == int(Role.POLICY) for one in line] for line in role], torch.bool),
    }
    return Forest.of(parent, {**columns, **tokens})


def changed(forest: Forest, row: int, by: float) -> Forest:
    value, valid = forest["advantage"].clone(), forest.valid("advantage")
    value[row] += by
    return forest.with_columns({"advantage": value}).with_valid("advantage", valid)


def names(findings) -> set[str]:
    return {finding.check for finding in findings.found}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("seed", range(1, 6))
def test_nothing_is_found_where_nothing_is_wrong(rule, seed):
    findings = audit(rule(tree(seed)), rule)
    assert findings.clean, [str(finding) for finding in findings.found]
    assert {"offsets", "roles", "finite", "roots", "not_ok", "group_sum"} <= set(findings.checked)
    assert set(findings.checked) | set(findings.skipped) <= set(CHECKS)
    findings.raise_if_any()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_one_changed_credit_breaks_the_sum_of_its_group(rule):
    forest = rule(tree())
    compared = rule.compare(forest)
    count = torch.bincount(compared.group[compared.ok], minlength=len(forest))
    row = int(compared.row[compared.ok & (count[compared.group] > 1) & (forest["advantage"][compared.row] > 0)][0])
    down = -5.0 - 2 * float(forest["advantage"][row])
    for by in (5.0,) if isinstance(rule, Smoothed) else (5.0, down):  # a gain between 0 and 1 allows any loss
        findings = audit(changed(forest, row, by), rule)
        assert "group_sum" in names(findings)
        found = findings.named("group_sum")[0]
        assert row in found.rows
        assert type(rule).__name__ in found.expected


def test_swapped_credit_inside_a_group_is_found_by_applying_the_rule_again():
    """The sums still hold; only the rewards tell."""
    forest = Normalised()(solved([[1.0, 0.0, 0.0, 1.0]]))
    value = forest["advantage"].clone()
    value[[1, 2]] = value[[2, 1]]
    findings = audit(
        forest.with_columns({"advantage": value}).with_valid("advantage", forest.valid("advantage")), Normalised()
    )
    assert names(findings) == {"recomputed"}
    assert findings.found[0].rows == (1, 2)


def test_stale_credit_after_the_rewards_changed_is_found():
    forest = Normalised()(solved([[1.0, 0.0], [1.0, 1.0]]))
    replaced = forest.with_columns({"reward.total": [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]})
    assert names(audit(replaced, Normalised())) == {"recomputed"}


def test_credit_on_failed_rows_and_roots_is_found():
    forest = Normalised()(solved([[1.0, 0.0, None]]))
    failed = audit(changed(forest, 3, 1.0), Normalised())
    assert names(failed) == {"not_ok"}
    assert failed.found[0].rows == (3,)
    rooted = changed(forest, 0, 1.0).with_valid("advantage", torch.ones(4, dtype=torch.bool))
    assert "roots" in names(audit(rooted))


def test_missing_credit_may_be_stored_as_nan():
    forest = Normalised()(solved([[1.0, 0.0, None]]))
    stored = forest["advantage"].where(forest.valid("advantage"), torch.nan)
    again = Forest(forest.parent, {**forest.columns, "advantage": stored}, forest.validity)
    assert audit(again, Normalised()).clean


def test_the_number_0_in_place_of_a_failure_is_found():
    """NeMo Gym 2552: failed rollouts entered the group as 0. The credit of the others no longer fits the rewards."""
    honest, dishonest = solved([[1.0, 0.0, None, 0.0]]), solved([[1.0, 0.0, 0.0, 0.0]])
    mixed = honest.with_columns({"advantage": Centred()(dishonest)["advantage"]})
    assert {"not_ok", "group_sum", "recomputed"} <= names(audit(mixed, Centred()))


def test_credit_that_is_not_finite_is_found():
    forest = Normalised()(solved([[1.0, 0.0]]))
    forest["advantage"][1] = torch.nan  # in place: the constructor refuses it
    assert "finite" in names(audit(forest))


def test_trained_observations_and_prompts_are_found():
    forest = Normalised()(tree())
    train = torch.ones_like(forest["tokens.train"])
    findings = audit(forest.with_columns({"tokens.train": train}), Normalised())
    assert names(findings) == {"roles"}
    assert "observation" in findings.found[0].received
    assert "prompt" in findings.found[0].received


def test_offsets_that_moved_are_found():
    """Tensors can be edited in place behind the constructor's back."""
    forest = Normalised()(tree())
    forest.token_offsets[5] += 40
    assert names(audit(forest)) == {"offsets"}
    forest.token_offsets[5] -= 40
    forest.token_offsets[-1] -= 1
    assert names(audit(forest)) == {"offsets"}


def test_without_a_rule_the_audit_says_what_it_could_not_check():
    findings = audit(Normalised()(solved([[1.0, 0.0]])))
    assert findings.clean
    assert findings.skipped["group_sum"] == "no credit rule was given"
    assert findings.skipped["offsets"] == "the forest has no tokens"
    assert audit(Smoothed()(tree()), Smoothed()).skipped["recomputed"] == "Smoothed remembers earlier batches"
    bare = Forest.of([-1, 0], {"advantage": [0.0, 1.0]})
    assert audit(bare).skipped["not_ok"] == "the forest has no total reward"
    with pytest.raises(ColumnError, match="no column 'advantage'"):
        audit(Forest.of([-1]))


@dataclass(frozen=True, kw_only=True)
class StepRewards:
    """A rule whose credit along a path adds up to the return."""

    reads, writes = ("reward.total", "ok.total"), ("advantage",)

    def __call__(self, forest: Forest) -> Forest:
        return forest.with_columns({"advantage": forest["reward.total"]})

    def path_sums(self, forest: Forest) -> PathSums:
        leaf = forest.leaves()
        paths = forest.paths(leaf)
        total = torch.zeros(len(leaf)).index_add_(0, paths.row, forest["reward.total"][paths.values])
        return PathSums(leaf=leaf, expected=total)


def test_credit_that_does_not_add_up_to_the_return_is_found():
    forest = Forest.of([-1, 0, 1, 1], {"reward.total": [0.0, 1.0, 2.0, 3.0], "ok.total": [True] * 4})
    credited = StepRewards()(forest)
    findings = audit(credited, StepRewards())
    assert findings.clean
    assert "path_sum" in findings.checked
    found = audit(changed(credited, 1, 0.5), StepRewards()).named("path_sum")
    assert found[0].rows == (2, 3)
    assert found[0].received == "3.5, 4.5"
    assert "3, 4" in found[0].expected


def test_a_finding_says_where_what_and_how_to_mend_it():
    forest = changed(Normalised()(solved([[1.0, 0.0]])), 1, 1.0)
    with pytest.raises(
        ColumnError, match=r"group_sum at rows 1, 2: expected .* to sum to 0, as Normalised promises, received 1"
    ):
        audit(forest, Normalised()).raise_if_any()
