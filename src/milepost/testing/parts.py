"""The common battery of checks for parts that turn forests into credit or a loss, the user's own included."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from milepost.forest import Forest
from milepost.part import Credit, Loss, Objective, StatefulCredit
from milepost.segments import group_count
from milepost.testing.forests import batch, difference, reordered, shuffle, tree

_FAMILIES = ("reward.", "ok.", "cost.", "label.", "extra.", "extra_text.")
_ALONE = ("value", "return", "advantage", "keep", "weight", "inclusion")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One promise of a part: its name, and what raises `AssertionError` when it is broken."""

    name: str
    run: Callable[[], None]


def require(fits: bool, message: str) -> None:
    """Raise `AssertionError` with the message unless `fits`; unlike `assert` it is never switched off."""
    if not fits:
        raise AssertionError(message)


def run_all(part: object, checks: Iterator[Check] | Sequence[Check]) -> tuple[str, ...]:
    """Run checks and report all that fail together.

    Args:
        part: what is checked, for the message.
        checks: its checks.

    Returns:
        Names of the checks that were run.

    Raises:
        AssertionError: with one line for each broken promise.
    """
    done: list[str] = []
    broken: list[str] = []
    for check in checks:
        done.append(check.name)
        try:
            check.run()
        except AssertionError as error:
            broken.append(f"  {check.name}: {error}")
        except Exception as error:  # noqa: BLE001 - a part of the user's may raise anything, which breaks a promise too
            broken.append(f"  {check.name}: it raised {type(error).__name__}: {error}")
    require(not broken, f"{type(part).__name__} breaks {len(broken)} of {len(done)} promises:\n" + "\n".join(broken))
    return tuple(done)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in type and content, to the bit: tensors, arrays, records and containers of them."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (Tensor, np.ndarray)):
        mine, theirs = np.asarray(one), np.asarray(other)
        return mine.dtype == theirs.dtype and mine.shape == theirs.shape and mine.tobytes() == theirs.tobytes()
    if dataclasses.is_dataclass(one):
        compared = [field.name for field in dataclasses.fields(one) if field.compare]
        return all(same(getattr(one, name), getattr(other, name)) for name in compared)
    if isinstance(one, Mapping):
        pairs = cast("Mapping[Any, Any]", one)
        return pairs.keys() == other.keys() and all(same(value, other[key]) for key, value in pairs.items())
    if isinstance(one, (tuple, list)):
        items = cast("Sequence[Any]", one)
        return len(items) == len(other) and all(map(same, items, other))
    return bool(one == other)


def check_part(part: Any, *, forest: Forest | None = None) -> tuple[str, ...]:
    """Check a credit rule or an objective against everything that every such part promises.

    Settings survive a round trip; the input is untouched; the same input gives the same bytes; only declared columns
    are read and written; a batch of one and an empty batch work; lone, partial and constant groups give no credit from
    nothing; values of rows that do not count never matter, NaN included; the order of rows does not matter; float32
    agrees with float64.

    Args:
        part: a `Credit`, a `StatefulCredit` or an `Objective`.
        forest: a batch to check on, with the columns that the part reads; default one with groups of every kind.

    Returns:
        Names of the checks that were run.

    Raises:
        AssertionError: with one line for each broken promise.

    Example:
        >>> from milepost.credit.group import LeaveOneOut
        >>> "constant groups (flat)" in check_part(LeaveOneOut())
        True
    """
    return run_all(part, list(part_checks(part, forest=forest)))


def part_checks(part: Any, *, forest: Forest | None = None) -> Iterator[Check]:
    """The checks of `check_part`, one by one, for parametrised tests."""
    yield Check(name="settings", run=lambda: settings(part))
    if hasattr(part, "needs_reference"):
        given = scored_batch(("total",)) if forest is None else forest
        yield from _objective_checks(part, given)
    else:
        names = [name.partition(".")[2] for name in part.reads if name.startswith("reward.")] or ["total"]
        yield from _credit_checks(part, [batch(names), tree(names)] if forest is None else [forest])


def settings(part: Any) -> None:
    """Check that a part is a frozen keyword-only dataclass which its fields describe completely.

    Args:
        part: any part.

    Raises:
        AssertionError: it is not.
    """
    require(dataclasses.is_dataclass(part), "it is not a dataclass")
    fields = [field for field in dataclasses.fields(part) if field.init]
    given = {field.name: getattr(part, field.name) for field in fields}
    require(all(field.kw_only for field in fields), "its fields are not keyword-only")
    require(same(type(part)(**given), part), "built again from its fields it is another part")
    params = cast("Any", type(part)).__dataclass_params__
    require(params.frozen, "it is not frozen: a part's settings do not change, its state is explicit")


# ---- credit ----


def _credit(part: Any) -> Callable[[Forest], Forest]:
    if isinstance(part, StatefulCredit):
        return lambda forest: part.apply(forest, part.init())[0]
    return cast("Credit", part)


def _credit_checks(part: Any, forests: Sequence[Forest]) -> Iterator[Check]:
    rule = _credit(part)
    for forest in forests:
        where = "" if len(forests) == 1 else " (tree)" if int(forest.depth().max()) > 1 else " (flat)"
        for name, check in (
            ("input untouched, same bytes", _repeats),
            ("declared columns only", _declared),
            ("batch of one", _each_tree),
            ("rows that do not count", _not_ok),
            ("constant groups", _constant),
            ("order of rows", _order),
        ):
            yield Check(name=name + where, run=lambda check=check, forest=forest: check(part, rule, forest))
    yield Check(name="empty batch", run=lambda: _empty(rule, forests[0]))


def _repeats(part: Any, rule: Callable[[Forest], Forest], forest: Forest) -> None:  # noqa: ARG001 - one signature
    kept = deepcopy(forest)
    first, second = rule(forest), rule(forest)
    require((found := difference(kept, forest)) is None, f"it changed its input: {found}")
    require((found := difference(first, second)) is None, f"the same input gave two results: {found}")


def _declared(part: Any, rule: Callable[[Forest], Forest], forest: Forest) -> None:
    result = rule(forest)
    added = set(result.columns) - set(forest.columns)
    require(added == set(part.writes) - set(forest.columns), f"it wrote {sorted(added)}, and declares {part.writes}")
    others = [name for name in forest.columns if name not in part.writes]
    require((found := difference(forest, result, names=others)) is None, f"it changed a column of others: {found}")
    unread = [n for n in others if (n.startswith(_FAMILIES) or n in _ALONE) and n not in part.reads]
    less = rule(forest.without(*unread))
    found = difference(result, less, names=part.writes)
    require(found is None, f"it reads more than it declares ({part.reads}): without {unread}, {found}")


def _each_tree(part: Any, rule: Callable[[Forest], Forest], forest: Forest) -> None:
    for root in forest.roots().tolist():
        alone = rule(forest.select(forest.subtree(root)))
        for name in part.writes:
            fine = alone[name][alone.valid(name)].isfinite().all()
            require(bool(fine), f"the tree at row {root} by itself gives {name} that is not finite")


def _not_ok(part: Any, rule: Callable[[Forest], Forest], forest: Forest) -> None:
    names = [name for name in forest.columns if name.startswith("reward.")]
    results: list[Forest] = []
    for odd in (torch.nan, 0.0, 1e30, -torch.inf):
        spoilt = {n: forest[n].where(forest["ok." + n.removeprefix("reward.")], odd) for n in names}
        results.append(rule(forest.with_columns(spoilt)))
    for result in results[1:]:
        found = difference(results[0], result, names=part.writes)
        require(found is None, f"the value of a row that is not ok matters: {found}")


def _constant(part: Any, rule: Callable[[Forest], Forest], forest: Forest) -> None:
    """Equal rewards hold no information, whatever their value; nor does a row that has nobody to be compared with."""
    # What is compared is the total; a component may have a range that these values leave.
    names = [name for name in forest.columns if name == "reward.total"]
    if not hasattr(part, "compare") or "advantage" not in part.writes:
        return
    for value in (0.1, 1.0, 3e-39, -7.3e29):
        flat = {n: torch.full_like(forest[n], value).where(forest["ok." + n.removeprefix("reward.")], 0) for n in names}
        end = forest.leaves()
        inner = torch.ones(len(forest), dtype=torch.bool).index_fill(0, end, False)
        flat = {name: column.where(~inner, 0) for name, column in flat.items()}
        depth = forest.depth()[end]
        if bool((depth == depth[0]).all()):
            result = rule(forest.with_columns(flat))
            require(bool((result["advantage"] == 0).all()), f"rewards that are all {value} give credit")
    compared = part.compare(forest)
    count = group_count(compared.group, compared.groups, compared.ok)[compared.group]
    lone = compared.row[compared.ok & (count < 2)]
    own = rule(forest)["advantage"][lone]
    if bool((forest.parent[forest.parent.clamp(min=0)] < 0).all()):
        require(bool((own == 0).all()), "a row without others to compare it with has credit")


def _order(part: Any, rule: Callable[[Forest], Forest], forest: Forest) -> None:
    result = rule(forest)
    for key in range(3):
        order = shuffle(forest, key)
        moved = rule(reordered(forest, order))
        for name in part.writes:
            require(torch.equal(result.valid(name)[order], moved.valid(name)), f"{name} is valid elsewhere")
            mine, theirs = result[name][order], moved[name]
            require(torch.allclose(mine, theirs, rtol=1e-5, atol=1e-6), f"{name} depends on the order of the rows")


def _empty(rule: Callable[[Forest], Forest], forest: Forest) -> None:
    require(len(rule(forest.select(torch.empty(0, dtype=torch.int64)))) == 0, "an empty batch does not stay empty")


# ---- objectives ----


def scored_batch(names: Sequence[str], *, key: int = 0) -> Forest:
    """A batch with rewards and an advantage of both signs, as an objective gets it.

    Args:
        names: rewards by name.
        key: decides everything.

    Returns:
        `forests.batch` with `advantage`: reward less 0.4 where ok, else missing.
    """
    forest = batch(names, key=key)
    ok = forest[f"ok.{names[0]}"]
    credit = torch.where(ok, forest[f"reward.{names[0]}"] - 0.4, 0)
    return forest.with_columns({"advantage": credit}).with_valid("advantage", ok)


def _objective_checks(part: Objective, forest: Forest) -> Iterator[Check]:
    for name, check in (
        ("input untouched, same bytes", _loss_repeats),
        ("finite, with a gradient", _loss_finite),
        ("tokens that are not trained", _untrained),
        ("rows that do not count", _uncounted),
        ("order of trees", _tree_order),
        ("float32 against float64", _precision),
        ("batch of one, empty batch", _small_batches),
    ):
        yield Check(name=name, run=lambda check=check: check(part, forest))


def _log_prob(forest: Forest, dtype: torch.dtype = torch.float64) -> Tensor:
    """New log-probabilities near the old ones: the same shift wherever the same token stands."""
    old = forest["tokens.log_prob"].to(torch.float64)
    shift = 0.3 * torch.sin(forest["tokens.id"].double() * 12.9898 + old * 78.233)
    chosen = forest["tokens.role"] == 1
    return torch.where(chosen, (old + shift).clamp(max=-1e-3), 0).to(dtype)


def _loss(part: Objective, forest: Forest, log_prob: Tensor) -> Loss:
    reference = _log_prob(forest).to(log_prob.dtype) - 0.05 if part.needs_reference else None
    return part(forest, log_prob, reference)


def _gradient(part: Objective, forest: Forest, log_prob: Tensor) -> tuple[float, Tensor]:
    leaf = log_prob.clone().requires_grad_()
    loss = _loss(part, forest, leaf).loss
    (slope,) = torch.autograd.grad(loss, leaf, allow_unused=True, materialize_grads=True)
    return float(loss.detach()), slope


def _loss_repeats(part: Objective, forest: Forest) -> None:
    kept, log_prob = deepcopy(forest), _log_prob(forest)
    first, second = _loss(part, forest, log_prob), _loss(part, forest, log_prob)
    require((found := difference(kept, forest)) is None, f"it changed its input: {found}")
    require(torch.equal(log_prob, _log_prob(forest)), "it changed the log-probabilities")
    same = torch.equal(first.loss, second.loss) and first.metrics == second.metrics
    require(same, "the same input gave two losses")


def _loss_finite(part: Objective, forest: Forest) -> None:
    found = _loss(part, forest, _log_prob(forest))
    require(
        found.loss.shape == () and bool(found.loss.isfinite()), f"the loss is {found.loss}, expected one finite number"
    )
    odd = [name for name in found.metrics if name.count("/") != 1]
    require(not odd, f"metrics {odd} are not named stage/quantity")
    loss, slope = _gradient(part, forest, _log_prob(forest))
    require(bool(slope.isfinite().all()) and bool((slope != 0).any()), f"the loss {loss} has no finite gradient")


def _untrained(part: Objective, forest: Forest) -> None:
    _, slope = _gradient(part, forest, _log_prob(forest))
    require(bool((slope[~forest["tokens.train"]] == 0).all()), "a token that is not trained has a gradient")
    masked = forest["tokens.train"].clone()
    masked[masked.nonzero().squeeze(1)[::3]] = False
    _, slope = _gradient(part, forest.with_columns({"tokens.train": masked}), _log_prob(forest))
    require(bool((slope[~masked] == 0).all()), "a token taken out of training has a gradient")


def _uncounted(part: Objective, forest: Forest) -> None:
    valid = forest.valid("advantage")
    results: list[tuple[float, Tensor]] = []
    for odd in (0.0, 1e20, torch.nan):
        spoilt = forest.with_columns({"advantage": forest["advantage"].where(valid, 0)}).with_valid("advantage", valid)
        spoilt = Forest(
            spoilt.parent,
            {**spoilt.columns, "advantage": forest["advantage"].where(valid, odd)},
            spoilt.validity,
            spoilt.token_offsets,
        )
        results.append(_gradient(part, spoilt, _log_prob(forest)))
    for loss, slope in results[1:]:
        same = loss == results[0][0] and torch.equal(slope, results[0][1])
        require(same, "the advantage of a row that does not count matters")


def _tree_order(part: Objective, forest: Forest) -> None:
    loss, slope = _gradient(part, forest, _log_prob(forest))
    order = shuffle(forest, 1)
    moved = reordered(forest, order)
    other, turned = _gradient(part, moved, _log_prob(moved))
    close = abs(loss - other) <= 1e-9 * max(1.0, abs(loss))
    require(close, f"the order of rows changes the loss from {loss} to {other}")
    require(abs(float(slope.abs().sum() - turned.abs().sum())) < 1e-9, "the order of rows changes the gradient")


def _precision(part: Objective, forest: Forest) -> None:
    (exact, fine), (rough, coarse) = (
        _gradient(part, forest, _log_prob(forest, dtype)) for dtype in (torch.float64, torch.float32)
    )
    close = abs(exact - rough) <= 1e-5 * max(1.0, abs(exact))
    require(close, f"the loss is {rough} in float32, {exact} in float64")
    require(torch.allclose(fine, coarse.double(), rtol=1e-4, atol=1e-6), "the gradients in float32 and float64 differ")


def _small_batches(part: Objective, forest: Forest) -> None:
    for rows in (*(forest.subtree(root) for root in forest.roots().tolist()), torch.empty(0, dtype=torch.int64)):
        some = forest.select(rows)
        loss, slope = _gradient(part, some, _log_prob(some))
        fine = abs(loss) < float("inf") and bool(slope.isfinite().all())
        require(fine, f"a batch of {len(some)} rows gives the loss {loss}")
