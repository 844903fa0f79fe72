"""Growth: a trajectory does not depend on its neighbours, and every answer lands on its own row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from milepost import keys
from milepost.columns import End, Origin, Role
from milepost.errors import ShapeError
from milepost.forest import Forest, Given
from milepost.part import Action, Extension, Observation, Proposals, Start, Task, Transition
from milepost.ragged import Ragged
from milepost.sampling.frontier import Draw, grow, numbered
from milepost.sampling.independent import Independent

KEY = keys.root(7)


@dataclass(frozen=True)
class Letters:
    """Each step says two letters drawn from the step's key; says 'stop' at its own limit when asked to."""

    version: int = 3
    limit: bool = False

    def encode(self, observations: Sequence[Observation], *, start: bool) -> Mapping[str, Given]:
        role = Role.PROMPT if start else Role.OBSERVATION
        ids = [[ord(c) for c in observation.text or ""] for observation in observations]
        tokens = Ragged.of(ids, torch.int32)
        roles = torch.full((len(tokens.values),), int(role), dtype=torch.int8)
        none = torch.zeros(len(tokens.values), dtype=torch.bool)
        return {
            "tokens.id": tokens,
            "tokens.role": Ragged(roles, tokens.offsets),
            "tokens.train": Ragged(none, tokens.offsets),
        }

    def propose(self, forest: Forest, rows: Tensor, drawn: Tensor) -> Proposals:
        letters = (keys.uniform(drawn.tolist(), 2) * 26).astype(int) + ord("a")
        tokens = Ragged.of(letters.tolist(), torch.int32)
        size = len(tokens.values)
        columns: dict[str, Given] = {
            "tokens.id": tokens,
            "tokens.role": Ragged(torch.full((size,), int(Role.POLICY), dtype=torch.int8), tokens.offsets),
            "tokens.train": Ragged(torch.ones(size, dtype=torch.bool), tokens.offsets),
            "text": ["".join(map(chr, row)) for row in letters.tolist()],
            "end": [int(End.TOKEN_LIMIT if self.limit else End.OPEN)] * len(rows),
            "cost.model_calls": [1.0] * len(rows),
        }
        return Proposals(parent=rows, columns=columns)

    def log_prob(self, forest: Forest, rows: Tensor) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class Turns:
    """Ends after `turns` steps; shows what was said so far in between."""

    turns: int = 3

    def reset(self, task: Task, key: int) -> Start:
        return Start(observation=Observation(text=task.id), state=())

    def step(self, state: tuple[str, ...], action: Action, key: int) -> Transition:
        said = (*state, action.text or "")
        if len(said) == self.turns:
            return Transition(observation=None, state=said, end=End.TERMINATED, discount=0.0, columns={"result": "end"})
        return Transition(observation=Observation(text="<" + "|".join(said) + ">"), state=said)


def tasks(*names: str) -> list[Draw]:
    return [Draw(task=Task(id=name, record={"prompt": name})) for name in names]


def rollout(draws: list[Draw], workers: int = 1, width: int = 3, policy: Letters | None = None) -> Forest:
    return grow(
        draws,
        policy=policy or Letters(),
        environment=Turns(),
        sampler=Independent(width=width),
        key=KEY,
        workers=workers,
    )


def answers(forest: Forest) -> dict[str, list[str]]:
    """Texts of each leaf's path, by task."""
    texts, names = forest.text("text"), forest.text("task")
    found: dict[str, list[str]] = {}
    for leaf in forest.leaves().tolist():
        path = forest.path(leaf).tolist()
        found.setdefault(str(names[path[0]]), []).append("/".join(str(texts[row]) for row in path[1:]))
    return found


def test_hand_example_two_tasks_three_turns() -> None:
    forest = rollout(tasks("p", "q"), width=2)
    assert len(forest) == 2 + 4 * 3
    assert forest["end"][forest.leaves()].tolist() == [int(End.TERMINATED)] * 4
    assert forest["discount"][forest.leaves()].tolist() == [0.0] * 4
    assert forest["origin"].tolist() == [int(Origin.ENVIRONMENT)] * 2 + [int(Origin.POLICY)] * 12
    assert forest["policy_version"].unique().tolist() == [3]
    assert forest.text("result").count("end") == 4
    assert float(forest["cost.model_calls"].where(forest.valid("cost.model_calls"), 0).sum()) == 12


def test_the_order_of_tasks_the_batch_and_the_workers_do_not_matter() -> None:
    reference = answers(rollout(tasks("p", "q", "r")))
    assert answers(rollout(tasks("r", "p", "q"))) == reference
    assert answers(rollout(tasks("q")))["q"] == reference["q"]
    for workers in (2, 4):
        assert answers(rollout(tasks("p", "q", "r"), workers=workers)) == reference


def test_more_siblings_do_not_change_the_first_ones() -> None:
    few, many = answers(rollout(tasks("p"), width=2))["p"], answers(rollout(tasks("p"), width=5))["p"]
    assert set(few) < set(many)


def test_two_draws_of_a_task_differ() -> None:
    task = Task(id="p", record={})
    forest = rollout([Draw(task=task), Draw(task=task, number=1)], width=1)
    assert forest["draw"][forest.roots()].tolist() == [0, 1]
    first, second = answers(forest)["p"]
    assert first != second


def test_what_the_environment_shows_follows_the_policys_tokens_on_the_same_row() -> None:
    forest = rollout(tasks("p"), width=1)
    ids, roles = forest.ragged("tokens.id"), forest.ragged("tokens.role")
    text = forest.text("text")
    for row in (1, 2):
        said = "".join(map(chr, ids[row].tolist()))
        assert said.startswith(f"{text[row]}<")
        assert said.endswith(">")
        assert roles[row].tolist() == [int(Role.POLICY)] * 2 + [int(Role.OBSERVATION)] * (len(said) - 2)
        assert forest.ragged("tokens.train")[row].tolist() == [True] * 2 + [False] * (len(said) - 2)
    assert len(ids[3]) == 2


def test_a_step_that_the_policy_ended_is_not_shown_to_the_environment() -> None:
    forest = rollout(tasks("p"), policy=Letters(limit=True))
    assert len(forest) == 4
    assert forest["end"][forest.leaves()].tolist() == [int(End.TOKEN_LIMIT)] * 3
    assert forest["discount"][forest.leaves()].tolist() == [1.0] * 3


@dataclass(frozen=True)
class Wrong:
    """Asks for what cannot be had."""

    row: int
    count: int = 1

    def init(self, forest: Forest, key: int) -> int:
        return 0

    def ask(self, forest: Forest, state: int) -> Extension | None:
        row = self.row if state or self.row > len(forest) else 0
        return Extension(rows=torch.tensor([row]), counts=torch.tensor([self.count]))

    def tell(self, forest: Forest, rows: Tensor, state: int) -> int:
        return state + 1


@pytest.mark.parametrize(("sampler", "says"), [(Wrong(row=9), "row"), (Wrong(row=0, count=0), "at least 1")])
def test_a_sampler_that_asks_for_the_impossible_is_told(sampler: Wrong, says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        grow(tasks("p"), policy=Letters(), environment=Turns(), sampler=sampler, key=KEY)


def test_a_sampler_that_extends_an_ended_row_is_told() -> None:
    with pytest.raises(ShapeError, match="has ended"):
        grow(tasks("p"), policy=Letters(limit=True), environment=Turns(), sampler=Wrong(row=1), key=KEY)


def test_draws_are_numbered_on() -> None:
    p, q = (Task(id=name, record={}) for name in "pq")
    before: dict[str, int] = {}
    assert [(one.task.id, one.number) for one in numbered([p, q, p], before)] == [("p", 0), ("q", 0), ("p", 1)]
    assert [one.number for one in numbered([p], before)] == [2]
