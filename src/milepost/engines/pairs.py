"""Two methods in paired runs: same tasks, same initial weights, same held-out tasks, same seeds, same cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from milepost import checks
from milepost.engines import repeats
from milepost.engines.events import Event
from milepost.engines.pairing import pacing
from milepost.engines.repeats import Standing
from milepost.engines.settings import RunSettings
from milepost.errors import SettingError

if TYPE_CHECKING:
    from milepost.evaluation.compare import Result
    from milepost.forest import Forest

UNLIMITED = 1_000_000
"""Steps of a run that only its budget ends."""
OnPair: TypeAlias = Callable[[str, int, Event], None]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of two methods."""

    name: str
    settings: RunSettings
    """With the seed of the whole; each pair has a seed derived from it."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Finished runs of two methods; where they are paired, equal places share a seed."""

    first: tuple[Standing, ...]
    second: tuple[Standing, ...]


def run(first: Side, second: Side, *, count: int, unit: str, out: Path, on_event: OnPair) -> Pairs:
    """Run pairs at equal cost: in each pair the second method gets the budget that the first spent.

    Args:
        first: sets the pace: it runs its steps, or until its own budget is spent.
        second: runs until it has spent as much; its last step is cut to fit.
        count: pairs, at least 1.
        unit: unit of cost that is made equal; of "seconds" see `pairing.pacing`.
        out: folder; runs go to <out>/<name>/repeat-0, ... Finished ones are kept, stopped ones continued.
        on_event: told the method's name, the number of the pair and what happened.

    Returns:
        The finished runs.

    Raises:
        SettingError: the methods differ in tasks, policy or seed, or there are no held-out tasks.
        ResumeError: a folder holds a run with other settings.
    """
    checks.at_least("repeats", count, 1)
    _same(first.settings, second.settings)
    if unit == pacing.SECONDS:
        return _by_time(first, second, count=count, out=out, on_event=on_event)
    found: tuple[list[Standing], list[Standing]] = ([], [])
    for number in range(count):
        seed = repeats.seed_of(first.settings.seed, number)
        pace = _through(first, replace(first.settings, seed=seed), number, out, on_event)
        budget = budgeted(second.settings, unit, pace.cost.get(unit, 0.0))
        found[0].append(pace)
        found[1].append(_through(second, replace(budget, seed=seed), number, out, on_event))
    return Pairs(first=tuple(found[0]), second=tuple(found[1]))


def _by_time(first: Side, second: Side, *, count: int, out: Path, on_event: OnPair) -> Pairs:
    """The second gets the steps that make up the seconds it is behind, by what its steps have taken so far."""
    found: tuple[list[Standing], list[Standing]] = ([], [])
    trial = repeats.see_through(
        pacing.pilot(second.settings),
        out / second.name / "pilot",
        on_event=lambda event: on_event(second.name, -1, event),
    )
    times = pacing.seconds_of(trial.folder)
    behind, taken = 0.0, list[float]()
    for number in range(count):
        seed = repeats.seed_of(first.settings.seed, number)
        found[0].append(_through(first, replace(first.settings, seed=seed), number, out, on_event))
        behind += sum(pacing.seconds_of(found[0][-1].folder))
        steps = pacing.steps_for(behind, pacing.typical(taken or times))
        found[1].append(
            _through(second, replace(pacing.fixed(second.settings, steps), seed=seed), number, out, on_event)
        )
        spent = pacing.seconds_of(found[1][-1].folder)
        behind, taken = max(behind - sum(spent), 0.0), [*taken, *spent]
    return Pairs(first=tuple(found[0]), second=tuple(found[1]))


def timed(side: Side, limit_s: float, out: Path, on_event: OnPair) -> Side:
    """A method with as many steps as take a given time here.

    Args:
        side: the method.
        limit_s: seconds of each of its runs.
        out: folder of the comparison; a pilot of a few steps goes there.
        on_event: as for `run`; the pilot's number is -1.

    Returns:
        The method, with that number of steps and no budget.
    """
    trial = repeats.see_through(
        pacing.pilot(side.settings), out / side.name / "pilot", on_event=lambda event: on_event(side.name, -1, event)
    )
    steps = pacing.steps_for(limit_s, pacing.typical(pacing.seconds_of(trial.folder)))
    return replace(side, settings=pacing.fixed(side.settings, steps))


def _through(side: Side, settings: RunSettings, number: int, out: Path, on_event: OnPair) -> Standing:
    return repeats.see_through(
        settings, out / side.name / f"repeat-{number}", on_event=lambda event: on_event(side.name, number, event)
    )


def budgeted(settings: RunSettings, unit: str, limit: float) -> RunSettings:
    """Settings of a run that ends when its budget is spent, and not before.

    Args:
        settings: of the run.
        unit: unit of cost.
        limit: budget; 0 is no step at all.

    Returns:
        The settings with that budget alone.
    """
    steps = UNLIMITED if limit > 0 else 0
    cost = {unit: limit} if limit > 0 else {}
    return replace(settings, cost=cost, update=replace(settings.update, steps=steps))


def _same(first: RunSettings, second: RunSettings) -> None:
    for name in ("tasks", "policy", "seed"):
        ours, theirs = getattr(first, name), getattr(second, name)
        if ours != theirs:
            raise SettingError(f"The two methods differ in {name}, so they cannot be paired: {ours} and {theirs}.")
    if first.tasks.held_out == 0:
        raise SettingError("tasks.held_out=0 leaves nothing to compare: expected at least 1.")


def finished(first: Path, second: Path) -> Pairs:
    """Read the runs of two folders.

    Args:
        first: folder of a run, or of repeats.
        second: the same of the other method.

    Returns:
        The runs, by rising seed.

    Raises:
        FormatError: a folder holds no run.
        SettingError: a run is not finished, or the runs were made from other tasks or another policy.
    """
    sides = [sorted((repeats.standing(one) for one in repeats.runs_in(at)), key=_seed) for at in (first, second)]
    every = [one for side in sides for one in side]
    for one in every:
        if not one.finished:
            raise SettingError(f"{one.folder} is not finished: continue it with `milepost resume {one.folder}`.")
    start, data = every[0], _data(every[0].folder)
    for one in every[1:]:
        _same(replace(start.settings, seed=one.settings.seed), one.settings)
        if _data(one.folder) != data:
            raise SettingError(f"{one.folder} was made from other tasks than {start.folder}: they cannot be compared.")
    return Pairs(first=tuple(sides[0]), second=tuple(sides[1]))


def _seed(one: Standing) -> int:
    return one.settings.seed


def _data(folder: Path) -> str:
    """Fingerprint of the tasks of a run."""
    record: Mapping[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return str(cast("Mapping[str, Any]", record.get("fingerprints", {})).get("data", ""))


# ---- numbers of a run ----


def results(runs: Sequence[Standing]) -> tuple[Result, ...]:
    """What each run came to, for `evaluation.compare`.

    Args:
        runs: finished runs.

    Returns:
        One record per run, with the metrics of `held_out_metrics`, the mean of each reward as "reward/<name>", and the
        recipe's measures by name.
    """
    from milepost import storage
    from milepost.engines import evaluate
    from milepost.evaluation.compare import Result

    found: list[Result] = []
    for one in runs:
        last = one.evaluations[-1]
        forest = storage.read(evaluate.stored(one.folder, last.step))
        _, by_task = evaluate.success_by_task(forest)
        rewards = {f"reward/{name}": value for name, value in last.rewards.items()}
        metrics = {"success": last.success, **held_out_metrics(forest, last.samples), **rewards, **last.measures}
        times = pacing.seconds_of(one.folder)
        cost = {**one.cost, pacing.SECONDS: sum(times)} if times else one.cost
        found.append(Result(seed=one.settings.seed, metrics=metrics, cost=cost, by_task=by_task.tolist()))
    return tuple(found)


def held_out_metrics(forest: Forest, samples: int) -> dict[str, float]:
    """Numbers of held-out answers beside their success.

    Args:
        forest: held-out trajectories with `reward.solved`.
        samples: answers per task.

    Returns:
        "pass@k" for k = 2, 4, ... up to `samples`, "distinct" (share of different answers to a task) and "entropy"
        (nats per token, estimated by the mean surprise), as far as the forest has the columns.
    """
    from milepost.columns import Role
    from milepost.evaluation import compare

    leaves = forest.leaves()
    _, task = forest.root_of()[leaves].unique(return_inverse=True)
    ok = forest["ok.solved"][leaves].bool()
    solved = (forest["reward.solved"][leaves] > 0) & ok
    found = {
        f"pass@{draws}": float(compare.pass_at(solved, task, ok, draws=draws))
        for draws in range(2, samples + 1)
        if draws & (draws - 1) == 0
    }
    if "text" in forest:
        texts = forest.text("text")
        found["distinct"] = float(compare.distinct_share([texts[row] or "" for row in leaves.tolist()], task))
    if "tokens.log_prob" in forest:
        chosen = (forest["tokens.role"] == int(Role.POLICY)) & forest.valid("tokens.log_prob")
        found["entropy"] = float(compare.surprisal(forest["tokens.log_prob"], chosen))
    return found


def describe(found: Pairs) -> dict[str, Any]:
    """Folders, seeds and costs of the runs, as data."""

    def rows(runs: Sequence[Standing]) -> list[dict[str, Any]]:
        return [
            {
                "folder": str(one.folder),
                "seed": one.settings.seed,
                "steps_done": one.step,
                "cost": dict(one.cost),
                "first": asdict(one.evaluations[0]),
                "last": asdict(one.evaluations[-1]),
            }
            for one in runs
        ]

    return {"first": rows(found.first), "second": rows(found.second)}
