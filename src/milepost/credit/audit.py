"""The credit checker: does the credit of a forest keep what its rule promises, and does it lie where it belongs?

Credit that landed on the wrong tokens went unnoticed in SkyRL (1492) and TRL (6804): every number was finite, every
loss fell. These checks compare credit with the rewards it came from and with the tokens it is meant for.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Bool
from torch import Tensor

from milepost import segments
from milepost.columns import Role
from milepost.credit.compare import PromisesPaths, PromisesSums, worth
from milepost.credit.findings import SHOWN, Finding, Findings, first
from milepost.forest import Forest
from milepost.part import Credit, StatefulCredit

TOLERANCE = 1e-5
"""Rounding allowed in a sum, as a share of the sum of sizes."""


def audit(forest: Forest, credit: Credit | None = None) -> Findings:
    """Check the credit of a forest.

    Args:
        forest: with `advantage`; with rewards and tokens where it has them.
        credit: the rule that wrote it. Without it only what holds for every rule is checked.

    Returns:
        The findings. `skipped` says which checks could not be made and why.

    Raises:
        ColumnError: the forest has no `advantage`.
    """
    forest["advantage"]  # raises, and says which columns there are
    found: list[Finding] = [*_finite(forest), *_roots(forest)]
    checked, skipped = ["finite", "roots"], dict[str, str]()
    if forest.token_offsets is None:
        skipped |= dict.fromkeys(("offsets", "roles"), "the forest has no tokens")
    else:
        found += [*_offsets(forest), *_roles(forest)]
        checked += ["offsets", "roles"]
    if "reward.total" in forest and "ok.total" in forest:
        found += _not_ok(forest)
        checked.append("not_ok")
    else:
        skipped["not_ok"] = "the forest has no total reward"
    for name, reason, findings in _promises(forest, credit):
        if reason:
            skipped[name] = reason
        else:
            found += findings
            checked.append(name)
    return Findings(found=tuple(found), checked=tuple(checked), skipped=skipped)


def _promises(forest: Forest, credit: Credit | None) -> Iterator[tuple[str, str, list[Finding]]]:
    if credit is None:
        for name in ("group_sum", "path_sum", "recomputed"):
            yield name, "no credit rule was given", []
        return
    title = type(credit).__name__
    if isinstance(credit, PromisesSums):
        yield "group_sum", "", list(_group_sum(forest, credit, title))
    else:
        yield "group_sum", f"{title} promises no sum", []
    if isinstance(credit, PromisesPaths):
        yield "path_sum", "", list(_path_sum(forest, credit, title))
    else:
        yield "path_sum", f"{title} promises no sum along paths", []
    if isinstance(credit, StatefulCredit):
        yield "recomputed", f"{title} remembers earlier batches", []
    else:
        yield "recomputed", "", list(_recomputed(forest, credit, title))


def _values(values: Tensor, marked: Bool[Tensor, " n"]) -> str:
    shown = ", ".join(f"{float(value):.6g}" for value in values[marked][:SHOWN])
    return shown + (" ..." if int(marked.sum()) > SHOWN else "")


def _rows(check: str, marked: Bool[Tensor, " n"], values: Tensor, expected: str) -> Iterator[Finding]:
    if bool(marked.any()):
        received = f"credit {_values(values, marked)}"
        yield Finding(check=check, rows=first(marked), count=int(marked.sum()), expected=expected, received=received)


def _finite(forest: Forest) -> Iterator[Finding]:
    value = forest["advantage"]
    yield from _rows("finite", ~value.isfinite() & forest.valid("advantage"), value, "finite credit where it counts")


def _roots(forest: Forest) -> Iterator[Finding]:
    value = forest["advantage"]
    wrong = (forest.parent < 0) & forest.valid("advantage") & (value != 0)
    yield from _rows("roots", wrong, value, "no credit on roots, which nobody chose")


def _not_ok(forest: Forest) -> Iterator[Finding]:
    value, counts = forest["advantage"], worth(forest).ok
    missing = ~forest.valid("advantage") & value.isnan()
    wrong = (forest.parent >= 0) & ~counts & (value != 0) & ~missing
    yield from _rows("not_ok", wrong, value, "0 where a reward failed and below nothing that counts")


def _offsets(forest: Forest) -> Iterator[Finding]:
    offsets = forest.token_offsets
    size = len(forest["tokens.id"]) if "tokens.id" in forest else None
    if offsets is None:
        return
    steps = offsets.diff() < 0
    if int(offsets[0]) != 0 or bool(steps.any()) or (size is not None and int(offsets[-1]) != size):
        yield Finding(
            check="offsets",
            rows=first(steps),
            count=max(int(steps.sum()), 1),
            expected=f"offsets that start at 0, never fall and end at {size} tokens",
            received=f"{int(offsets[0])} ... {int(offsets[-1])}",
        )


def _roles(forest: Forest) -> Iterator[Finding]:
    if "tokens.role" not in forest or "tokens.train" not in forest:
        return
    role = forest["tokens.role"]
    wrong = forest["tokens.train"] & ((role == int(Role.PROMPT)) | (role == int(Role.OBSERVATION)))
    if bool(wrong.any()):
        names = sorted({Role(int(one)).name.lower() for one in role[wrong]})
        rows = torch.zeros(len(forest), dtype=torch.bool).index_fill(0, forest.token_row[wrong], True)
        yield Finding(
            check="roles",
            rows=first(rows),
            tokens=first(wrong),
            count=int(wrong.sum()),
            expected="train false on tokens of the prompt and of observations",
            received=f"train true on tokens of role {', '.join(names)}",
        )


def _group_sum(forest: Forest, credit: PromisesSums, title: str) -> Iterator[Finding]:
    promise = credit.sums(forest)
    compared, value = promise.compared, forest["advantage"].double()[promise.compared.row]
    total = segments.group_sum(value, compared.group, compared.groups, compared.ok)
    size = segments.group_sum(value.abs(), compared.group, compared.groups, compared.ok)
    count = segments.group_count(compared.group, compared.groups, compared.ok)
    slack = TOLERANCE * size + 1e-9
    wrong = (count > 1) & ~((total >= promise.low - slack) & (total <= promise.high + slack))
    if not bool(wrong.any()):
        return
    group = int(wrong.nonzero()[0])
    low, high = float(promise.low[group]), float(promise.high[group])
    wanted = f"{low:.6g}" if low == high else f"between {low:.6g} and {high:.6g}"
    members = torch.zeros(len(forest), dtype=torch.bool).index_fill(0, compared.row[compared.group == group], True)
    yield Finding(
        check="group_sum",
        rows=first(members),
        count=int(wrong.sum()),
        expected=f"the credit of the group below row {group} to sum to {wanted}, as {title} promises",
        received=f"{float(total[group]):.6g}",
    )


def _path_sum(forest: Forest, credit: PromisesPaths, title: str) -> Iterator[Finding]:
    promise = credit.path_sums(forest)
    value = forest["advantage"].double()
    inner = torch.where(forest.parent >= 0, value, 0)
    total = segments.path_sum(inner, forest.parent)[promise.leaf]
    size = segments.path_sum(inner.abs(), forest.parent)[promise.leaf]
    wrong = ~((total - promise.expected).abs() <= TOLERANCE * (size + promise.expected.abs()) + 1e-9)
    if bool(wrong.any()):
        wanted = _values(promise.expected, wrong)
        yield Finding(
            check="path_sum",
            rows=tuple(int(row) for row in promise.leaf[wrong][:SHOWN]),
            count=int(wrong.sum()),
            expected=f"credit down to these leaves to add up to {wanted}, as {title} promises",
            received=_values(total, wrong),
        )


def _recomputed(forest: Forest, credit: Credit, title: str) -> Iterator[Finding]:
    fresh = credit(forest)
    value, again = forest["advantage"].double(), fresh["advantage"].double()
    counts = fresh.valid("advantage")
    wrong = counts & ~((value - again).abs() <= 1e-4 * again.abs() + 1e-6)
    yield from _rows("recomputed", wrong, value, f"what {title} gives for the stored rewards: {_values(again, wrong)}")
