"""Small worlds with known answers: letters as actions, a table as policy, so that every expectation can be enumerated.

A task shows a prompt of letters and pays for some answers. `TabularPolicy` draws each letter from a softmax that
depends on the letter before it, so that `trajectories` lists everything that can happen with its exact probability,
differentiably.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks
from milepost import keys as key_streams
from milepost.columns import End, Role
from milepost.errors import ResumeError, SettingError
from milepost.forest import Forest, Given
from milepost.part import Action, Environment, Observation, Proposals, Scores, Start, Task, Transition
from milepost.ragged import Ragged, gather_index
from milepost.segments import nearest


def letter_task(name: str, *, prompt: str, payoff: Mapping[str, float | None]) -> Task:
    """A task that shows a prompt and pays for answers.

    Args:
        name: id of the task.
        prompt: letters shown.
        payoff: whole answer (the letters of all turns) to reward; None makes the reward fail; what is not listed pays
            0.

    Returns:
        The task.
    """
    return Task(id=name, record={"prompt": prompt, "payoff": dict(payoff)}, family="letters")


@dataclass(frozen=True, kw_only=True)
class Said:
    """State of `Letters`: what was said so far, turn by turn."""

    turns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Letters:
    """An environment that listens for some turns and then ends the trajectory."""

    turns: int = 1
    """Number of actions until the end."""
    shows: str = ""
    """What it says after every action but the last."""

    def __post_init__(self) -> None:
        """Check the number of turns."""
        checks.at_least("turns", self.turns, 1)

    def reset(self, task: Task, key: int) -> Start:  # noqa: ARG002 - nothing here is random
        """Show the prompt."""
        return Start(observation=Observation(text=str(task.record["prompt"])), state=Said(turns=()))

    def step(self, state: Said, action: Action, key: int) -> Transition:  # noqa: ARG002 - nothing here is random
        """Listen to one turn."""
        said = Said(turns=(*state.turns, action.text or ""))
        if len(said.turns) == self.turns:
            return Transition(observation=None, state=said, end=End.TERMINATED, discount=0.0)
        return Transition(observation=Observation(text=self.shows) if self.shows else None, state=said)


@dataclass(frozen=True, kw_only=True)
class Payoff:
    """Reward of a leaf: what its task pays for the letters of all turns."""

    reads = ("text", "record")
    when: ClassVar[Literal["step", "leaf"]] = "leaf"
    side: ClassVar[Literal["before", "after"]] = "after"
    name: str = "payoff"
    low: float = 0.0
    high: float = 1.0

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest payoff of the tasks."""
        return (self.low, self.high)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Look the answers up; an answer that pays None has no score."""
        texts, records = forest.text("text"), forest.text("record")
        found: list[float | None] = []
        for row in rows.tolist():
            path = forest.path(row).tolist()
            pays = json.loads(records[path[0]] or "{}")["payoff"]
            found.append(pays.get("".join(texts[step] or "" for step in path[1:]), 0.0))
        return Scores(
            values=torch.tensor([torch.nan if value is None else value for value in found], dtype=torch.float32),
            ok=torch.tensor([value is not None for value in found], dtype=torch.bool),
            reasons=[None if value is not None else "reward_error: the task pays None" for value in found],
        )


@dataclass(kw_only=True, eq=False)
class TabularPolicy:
    """A policy over letters: the next letter depends on the letter before it only.

        p(letter | before) = softmax(table[before])[letter]

    A step is `length` letters, or ends early after the letter `stop`. All randomness of a step comes from its key.
    """

    vocabulary: str
    """The letters; a token id is a position in it. Prompts must use these letters too."""
    table: Float[Tensor, " v v"]
    """Logits of the next letter, one row per letter before; -inf where a letter can never follow."""
    length: int = 1
    stop: str | None = None
    samples: bool = True
    """Whether it draws; else it takes the likeliest letter, the first of equals."""
    version: int = 0
    _ids: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check that table and vocabulary fit."""
        checks.at_least("length", self.length, 1)
        size = len(self.vocabulary)
        if self.table.shape != (size, size) or len(set(self.vocabulary)) != size:
            raise SettingError(
                f"table has shape {tuple(self.table.shape)} and the vocabulary is {self.vocabulary!r}: "
                "expected different letters, and one row and one column for each."
            )
        self.table = self.table.detach().clone().requires_grad_()
        self._ids = {letter: place for place, letter in enumerate(self.vocabulary)}

    @staticmethod
    def random(vocabulary: str, *, key: int, length: int = 1, stop: str | None = None) -> TabularPolicy:
        """A policy whose logits are standard normal draws of the key, in float64."""
        table = torch.from_numpy(key_streams.normal([key], (len(vocabulary), len(vocabulary)))[0])
        return TabularPolicy(vocabulary=vocabulary, table=table, length=length, stop=stop)

    # ---- the policy protocol ----

    def encode(self, observations: Sequence[Observation], *, start: bool) -> Mapping[str, Given]:
        """Token columns of the letters shown."""
        ids = Ragged.of([self.ids(one.text or "") for one in observations], torch.int32)
        return _columns(ids, Role.PROMPT if start else Role.OBSERVATION)

    def propose(self, forest: Forest, rows: Tensor, keys: Tensor) -> Proposals:
        """Draw one step per row by inverting the cumulative probabilities at the uniforms of its key."""
        chance = self.table.detach().double().log_softmax(1)
        edges = np.cumsum(chance.exp().numpy(), axis=1)
        before = _last_token(forest)[rows].tolist()
        written: list[list[int]] = []
        for at, draws in zip(before, key_streams.uniform(keys.tolist(), self.length), strict=True):
            said = [at]
            for draw in draws:
                edge = edges[said[-1]]
                place = int(np.searchsorted(edge, draw * edge[-1], side="right"))
                said.append(min(place, len(self.vocabulary) - 1) if self.samples else int(chance[said[-1]].argmax()))
                if self.vocabulary[said[-1]] == self.stop:
                    break
            written.append(said)
        ids = Ragged.of([said[1:] for said in written], torch.int32)
        pairs = torch.tensor([pair for said in written for pair in pairwise(said)]).view(-1, 2)
        columns = {
            **_columns(ids, Role.POLICY),
            "tokens.log_prob": Ragged(chance[pairs[:, 0], pairs[:, 1]].float(), ids.offsets),
            "text": [self.letters(said[1:]) for said in written],
            "end": [int(self._end(said[1:])) for said in written],
            "cost.tokens": ids.lengths.double(),
        }
        return Proposals(parent=rows, columns=columns)

    def log_prob(self, forest: Forest, rows: Tensor) -> Tensor:
        """Log-probability of every token of the given rows, 0 where the policy did not choose it; differentiable."""
        index, before = _before(forest, rows)
        chance = self.table.log_softmax(1)[before, forest["tokens.id"].long()[index]]
        return torch.where(forest["tokens.role"][index] == int(Role.POLICY), chance, 0)

    def directions(self, forest: Forest, rows: Tensor) -> Tensor:
        """Gradient of the log-probability of each row by the lines of the table that were read, summed over letters."""
        index, before = _before(forest, rows)
        chosen = torch.nn.functional.one_hot(forest["tokens.id"].long()[index], len(self.vocabulary))
        pull = (chosen - self.table.detach().softmax(1)[before]) * (forest["tokens.role"][index] == int(Role.POLICY))[
            :, None
        ]
        offsets = gather_index(cast("Tensor", forest.token_offsets), rows)[1]
        return pull.new_zeros(len(rows), pull.shape[1]).index_add(0, Ragged(index, offsets).row, pull)

    def greedy(self) -> TabularPolicy:
        """The same policy, of the same weights, that always takes the likeliest letter."""
        other = copy(self)
        other.samples = False
        return other

    # ---- the learner protocol ----

    @property
    def tokens_at_once(self) -> int:
        """Tokens whose graph fits in memory together."""
        return 1 << 20

    def trainable(self) -> Mapping[str, Tensor]:
        """The table."""
        return {"table": self.table}

    def advance(self) -> None:
        """Count one update."""
        self.version += 1

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], version: int) -> None:
        """Load the table and the number of updates it has seen."""
        if set(tensors) != {"table"} or tensors["table"].shape != self.table.shape:
            raise ResumeError(f"The weights are {sorted(tensors)}, expected 'table' of its own shape.")
        self.table.copy_(tensors["table"])
        self.version = version

    # ---- letters and what can be said ----

    def ids(self, text: str) -> list[int]:
        """Token ids of a text."""
        return [self._ids[letter] for letter in text]

    def letters(self, ids: Sequence[int]) -> str:
        """Text of token ids."""
        return "".join(self.vocabulary[place] for place in ids)

    def _end(self, ids: Sequence[int]) -> End:
        return End.OPEN if self.stop is None or self.vocabulary[ids[-1]] == self.stop else End.TOKEN_LIMIT

    def answers(self, before: str) -> list[Answer]:
        """Everything the policy can say in one step after the letter `before`.

        Args:
            before: the last letter of the context.

        Returns:
            Every answer of positive probability, with its log-probability (differentiable).
        """
        chance = self.table.log_softmax(1)
        done: list[Answer] = []
        growing = [Answer(text="", log_prob=chance.new_zeros(()), end=End.OPEN)]
        while growing:
            said = growing.pop()
            row = chance[self._ids[said.text[-1:] or before]]
            for letter in reversed(self.vocabulary):
                if row[self._ids[letter]] == -torch.inf:
                    continue
                text, log_prob = said.text + letter, said.log_prob + row[self._ids[letter]]
                longer = Answer(text=text, log_prob=log_prob, end=self._end(self.ids(text)))
                (done if len(text) == self.length or letter == self.stop else growing).append(longer)
        return done


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One thing that can happen: its letters, its log-probability in nats, and how it ends."""

    text: str
    log_prob: Tensor
    end: End


def trajectories(policy: TabularPolicy, environment: Environment, task: Task) -> list[Answer]:
    """Everything that can happen in a task of a deterministic environment, with exact probabilities.

    Args:
        policy: what acts.
        environment: what answers; it must not use its key.
        task: where to start.

    Returns:
        Every trajectory: the letters of all turns joined, its log-probability (differentiable), its end. Probabilities
        sum to 1.
    """
    start = environment.reset(task, 0)
    open_ends: list[tuple[Answer, Any, str]] = [
        (Answer(text="", log_prob=policy.table.new_zeros(()), end=End.OPEN), start.state, start.observation.text or "")
    ]
    done: list[Answer] = []
    while open_ends:
        so_far, state, seen = open_ends.pop()
        for answer in policy.answers(seen[-1]):
            whole = Answer(text=so_far.text + answer.text, log_prob=so_far.log_prob + answer.log_prob, end=answer.end)
            if answer.end != End.OPEN:
                done.append(whole)
                continue
            reply = environment.step(state, Action(text=answer.text), 0)
            shown = seen + answer.text + ("" if reply.observation is None else reply.observation.text or "")
            if reply.end != End.OPEN:
                done.append(Answer(text=whole.text, log_prob=whole.log_prob, end=reply.end))
            else:
                open_ends.append((whole, reply.state, shown))
    return done


def expected_payoff(policy: TabularPolicy, environment: Environment, task: Task) -> Float[Tensor, ""]:
    """Expectation of the payoff of a task, exact and differentiable.

        E = sum over trajectories of p(trajectory) payoff(trajectory)

    Args:
        policy: what acts.
        environment: what answers.
        task: a task of `letter_task` without failing payoffs.

    Returns:
        A scalar in reward units; its gradient with respect to `policy.table` is the true policy gradient.
    """
    pays: Mapping[str, float] = task.record["payoff"]
    happening = trajectories(policy, environment, task)
    return torch.stack([one.log_prob.exp() * pays.get(one.text, 0.0) for one in happening]).sum()


def _columns(ids: Ragged, role: Role) -> dict[str, Given]:
    size = len(ids.values)
    return {
        "tokens.id": ids,
        "tokens.role": Ragged(torch.full((size,), int(role), dtype=torch.int8), ids.offsets),
        "tokens.train": Ragged(torch.full((size,), role == Role.POLICY), ids.offsets),
    }


def _before(forest: Forest, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Places of the tokens of the given rows, and the letter before each on its path."""
    offsets = cast("Tensor", forest.token_offsets)
    index, fresh = gather_index(offsets, rows)
    above = torch.where(forest.parent >= 0, _last_token(forest)[forest.parent.clamp(min=0)], 0)
    first = index == offsets[:-1][rows][Ragged(index, fresh).row]
    return index, torch.where(
        first, above[forest.token_row[index]], forest["tokens.id"].long()[(index - 1).clamp(min=0)]
    )


def _last_token(forest: Forest) -> Tensor:
    """Last token at or above each row."""
    offsets = cast("Tensor", forest.token_offsets)
    holder = nearest(forest.parent, offsets.diff() > 0)
    return torch.where(holder >= 0, forest["tokens.id"].long()[offsets[1:][holder.clamp(min=0)] - 1], 0)
