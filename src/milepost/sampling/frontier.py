"""Growth of a forest: a sampler asks, a policy proposes, an environment answers.

The key of a step is derived from the key of the step before and the step's number among its siblings, the key of a root
from the run's key, the task's id and the number of the draw. So a trajectory depends on its own task and draw only, not
on the batch, the order of tasks or the number of workers.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from milepost import keys, segments
from milepost.columns import End, Origin
from milepost.errors import ShapeError
from milepost.forest import Forest, Given
from milepost.part import (
    Action,
    Environment,
    Extension,
    Observation,
    Policy,
    Proposals,
    Sampler,
    Start,
    State,
    Task,
    Transition,
)
from milepost.ragged import Ragged, offsets_of
from milepost.sampling.branching.hooks import Reviews, Screens
from milepost.sampling.branching.inserting import insert


@dataclass(frozen=True, kw_only=True)
class Draw:
    """A task, and the number of this draw of it: a task drawn twice in one batch is two roots."""

    task: Task
    number: int = 0


def numbered(tasks: Sequence[Task], drawn_before: dict[str, int]) -> list[Draw]:
    """Number the draws of tasks.

    Args:
        tasks: what to roll out.
        drawn_before: draws so far by task id; it is counted on.

    Returns:
        One draw per task, in order.
    """
    draws: list[Draw] = []
    for task in tasks:
        number = drawn_before.get(task.id, 0)
        drawn_before[task.id] = number + 1
        draws.append(Draw(task=task, number=number))
    return draws


def grow(
    draws: Sequence[Draw], *, policy: Policy, environment: Environment, sampler: Sampler, key: int, workers: int = 1
) -> Forest:
    """Grow one tree per draw until the sampler is done.

    Args:
        draws: what to roll out.
        policy: proposes steps.
        environment: answers them.
        sampler: decides which steps to extend and how many children each gets.
        key: key of this batch; the same draws under the same key give the same trajectories.
        workers: threads that share the rows of each extension.

    Returns:
        The forest, roots first, in the order of `draws`.

    Raises:
        ShapeError: the sampler asks for rows that do not exist or have ended, or the policy answers with another number
            of rows.
    """
    states = [environment.reset(draw.task, _root_key(key, draw)) for draw in draws]
    forest = _roots(draws, states, policy, key)
    known: list[State] = [start.state for start in states]
    progress = sampler.init(forest, keys.fold(key, "sampler"))
    with ThreadPoolExecutor(max_workers=workers) as pool:
        while (extension := sampler.ask(forest, progress)) is not None:
            _check(forest, extension)
            first = len(forest)
            if extension.inserted is None:
                drawn = _proposed(forest, extension, policy, pool, workers)
                if isinstance(sampler, Screens):
                    drawn = _screened(forest, drawn, sampler, progress)
                fresh = _answer(drawn.fresh, drawn.parent, known, environment, policy)
                forest = drawn.forest.graft(drawn.parent, fresh)
            else:
                forest = insert(forest, extension.rows, extension.inserted, policy)
                known.extend(known[row] for row in extension.rows.tolist())
            rows = torch.arange(first, len(forest))
            if isinstance(sampler, Reviews):
                forest = sampler.review(forest, rows, progress)
            progress = sampler.tell(forest, rows, progress)
    return forest


@dataclass(frozen=True, kw_only=True, eq=False)
class _Drawn:
    """Steps that a policy proposed, not yet in the forest."""

    forest: Forest
    parent: Tensor
    fresh: Forest


def _proposed(forest: Forest, extension: Extension, policy: Policy, pool: ThreadPoolExecutor, workers: int) -> _Drawn:
    parent, child_keys = _children(forest, extension.rows, extension.counts)
    shares = _shares(parent, workers)
    parents, drawn = [parent[share] for share in shares], [child_keys[share] for share in shares]
    if len(shares) == 1:  # a thread is not worth its switch
        proposals = [policy.propose(forest, parent, child_keys)]
    else:
        proposals = list(pool.map(policy.propose, [forest] * len(shares), parents, drawn))
    return _Drawn(forest=forest, parent=parent, fresh=_rows(proposals, child_keys, policy.version))


def _screened(forest: Forest, drawn: _Drawn, sampler: Screens, progress: State) -> _Drawn:
    """Let the sampler look at proposals: it may write columns, and what it ends is not answered."""
    size, fresh = len(forest), drawn.fresh
    if "end" not in fresh:
        fresh = fresh.with_columns({"end": [int(End.OPEN)] * len(fresh)})
    whole = sampler.screen(forest.graft(drawn.parent, fresh), torch.arange(size, size + len(fresh)), progress)
    loose = dataclasses.replace(whole, parent=torch.full_like(whole.parent, -1))
    return _Drawn(
        forest=whole.select(torch.arange(size)), parent=drawn.parent, fresh=loose.select(torch.arange(size, len(whole)))
    )


def world_key(key: int) -> int:
    """Key of what the environment draws in a step.

    Args:
        key: of the step, as its row stores it.

    Returns:
        What `Environment.step` is given; with it a stored step can be repeated.
    """
    return keys.fold(key, "environment")


def _root_key(key: int, draw: Draw) -> int:
    return keys.fold(key, "task", draw.task.id, draw.number)


def _roots(draws: Sequence[Draw], starts: Sequence[Start], policy: Policy, key: int) -> Forest:
    size = len(draws)
    columns: dict[str, Given] = {
        "task": [draw.task.id for draw in draws],
        "record": [json.dumps(draw.task.record, sort_keys=True, ensure_ascii=False) for draw in draws],
        "label.family": [draw.task.family for draw in draws],
        "draw": [draw.number for draw in draws],
        "origin": [int(Origin.ENVIRONMENT)] * size,
        "key": [_root_key(key, draw) for draw in draws],
        "policy_version": [policy.version] * size,
        "end": [int(End.OPEN)] * size,
        "discount": [1.0] * size,
    }
    seen = policy.encode([start.observation for start in starts], start=True)
    return Forest.of([-1] * size, {**columns, **seen})


def _check(forest: Forest, extension: Extension) -> None:
    rows, counts = extension.rows, extension.counts
    inside = len(rows) == len(counts) and bool(((rows >= 0) & (rows < len(forest)) & (counts > 0)).all())
    if len(rows) == 0 or not inside:
        raise ShapeError(
            f"The sampler asked for rows {rows[:8].tolist()} with counts {counts[:8].tolist()}: expected "
            f"existing rows of the {len(forest)} there are, with at least 1 child each."
        )
    ended = forest["end"][rows] != int(End.OPEN)
    if bool(ended.any()):
        raise ShapeError(f"The sampler asked to extend row {int(rows[ended][0])}, whose trajectory has ended.")


def _children(forest: Forest, rows: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    parent = torch.repeat_interleave(rows, counts)
    before = segments.child_count(forest.parent)[rows]
    within = torch.arange(len(parent)) - torch.repeat_interleave(offsets_of(counts)[:-1], counts)
    number = torch.repeat_interleave(before, counts) + within
    drawn = keys.children(forest["key"][parent].tolist(), "step", number.tolist())
    return parent, torch.from_numpy(drawn)


def _shares(parent: Tensor, workers: int) -> list[Tensor]:
    """Split rows among workers without separating siblings."""
    _, group = parent.unique_consecutive(return_inverse=True)
    share = torch.div(group * workers, int(group[-1]) + 1, rounding_mode="floor")
    return [rows for rows in ((share == w).nonzero().squeeze(1) for w in range(workers)) if len(rows)]


def _rows(proposals: Sequence[Proposals], child_keys: Tensor, version: int) -> Forest:
    loose = [Forest.of(torch.full_like(proposal.parent, -1), proposal.columns) for proposal in proposals]
    rows = Forest.concatenate(loose)
    size = len(child_keys)
    if len(rows) != size:
        raise ShapeError(f"The policy proposed {len(rows)} steps, expected {size}.")
    return rows.with_columns(
        {
            "key": child_keys,
            "origin": torch.full((size,), int(Origin.POLICY), dtype=torch.int8),
            "policy_version": torch.full((size,), version, dtype=torch.int64),
        }
    )


def _answer(rows: Forest, parent: Tensor, known: list[State], environment: Environment, policy: Policy) -> Forest:
    """Let the environment answer every new step that the policy did not end itself, and write down what it said."""
    ends: list[int] = rows["end"].tolist() if "end" in rows else [int(End.OPEN)] * len(rows)
    texts = rows.text("text") if "text" in rows else [None] * len(rows)
    arrays = rows["action"].numpy() if "action" in rows else None
    answers: list[Transition] = []
    for row, (above, drawn) in enumerate(zip(parent.tolist(), rows["key"].tolist(), strict=True)):
        if ends[row] == int(End.OPEN):
            action = Action(text=texts[row], array=None if arrays is None else arrays[row])
            answers.append(environment.step(known[above], action, world_key(drawn)))
        else:
            answers.append(Transition(observation=None, state=known[above], end=End(ends[row])))
    known.extend(answer.state for answer in answers)
    rows = rows.with_columns(
        {
            "end": [int(answer.end) for answer in answers],
            "discount": [answer.discount for answer in answers],
            "cost.environment_steps": [float(end == int(End.OPEN)) for end in ends],
            **_extra(answers),
        }
    )
    return _observed(rows, [answer.observation for answer in answers], policy)


def _extra(answers: Sequence[Transition]) -> dict[str, Given]:
    names = dict.fromkeys(name for answer in answers for name in answer.columns)
    return {name: [cast("Any", answer.columns.get(name)) for answer in answers] for name in names}


def _observed(rows: Forest, observations: Sequence[Observation | None], policy: Policy) -> Forest:
    """Put what the environment showed behind the policy's own tokens; other columns are written as they are."""
    shown = [index for index, observation in enumerate(observations) if observation is not None]
    if not shown:
        return rows
    said = policy.encode([cast("Observation", observations[index]) for index in shown], start=False)
    place = torch.tensor(shown)
    block = Forest.of([-1] * len(shown), said)
    tokens = {name: block.ragged(name) for name in block.names if name.startswith("tokens.")}
    if tokens:
        rows = _longer(rows, place, tokens, block.validity)
    plain = {name: block[name] for name in block.names if name != "parent" and not name.startswith("tokens.")}
    for name, value in plain.items():
        whole = value.new_zeros((len(rows), *value.shape[1:])).index_copy(0, place, value)
        valid = torch.zeros(len(rows), dtype=torch.bool).index_fill(0, place, True)
        rows = rows.with_columns({name: whole}).with_valid(name, valid)
    return rows


def _longer(rows: Forest, place: Tensor, tokens: Mapping[str, Ragged], validity: Mapping[str, Tensor]) -> Forest:
    """Append tokens to the tokens of the rows at `place`."""
    own = cast("Tensor", rows.token_offsets)
    added = torch.zeros(len(rows), dtype=torch.int64).index_copy(0, place, next(iter(tokens.values())).lengths)
    lengths = own.diff()
    offsets = offsets_of(lengths + added)
    old = torch.arange(int(own[-1])) + torch.repeat_interleave(offsets[:-1] - own[:-1], lengths)
    mark = torch.ones(int(offsets[-1]), dtype=torch.bool).index_fill(0, old, False)
    new = mark.nonzero().squeeze(1)
    columns: dict[str, Given] = {}
    valid: dict[str, Tensor] = {}
    for name in [name for name in rows.names if name.startswith("tokens.")]:
        value = rows[name].new_zeros(int(offsets[-1])).index_copy(0, old, rows[name])
        fine = torch.zeros(int(offsets[-1]), dtype=torch.bool).index_copy(0, old, rows.valid(name))
        if name in tokens:
            value = value.index_copy(0, new, tokens[name].values.to(value.dtype))
            fine = fine.index_copy(0, new, validity.get(name, torch.ones(len(new), dtype=torch.bool)))
        columns[name], valid[name] = Ragged(value, offsets), fine
    names = [name for name in rows.names if name.startswith("tokens.")]
    rows = rows.without(*names).with_columns(columns)
    for name, fine in valid.items():
        rows = rows if bool(fine.all()) else rows.with_valid(name, fine)
    return rows
