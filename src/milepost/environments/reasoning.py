"""Reasoning tasks from reasoning-gym's generators, in pools that share neither a seed nor a question."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from itertools import islice
from typing import Any, Literal, cast

import numpy as np

from milepost import checks, optional
from milepost.columns import End
from milepost.environments.reasoning_faults import EXPLOITABLE, REFUSED
from milepost.errors import SettingError, unknown_name
from milepost.part import Action, Observation, Start, Task, Transition

Pool = Literal["demonstration", "train", "held_out"]

FIRST_SEED: Mapping[str, int] = {"demonstration": 0, "train": 1_000_000, "held_out": 2_000_000}
"""Seed of the first item of each pool."""

POOL_SEEDS = 100_000
"""Seeds of a pool. Constant: some generators draw differently when told another size."""

HELD_OUT_ONE_IN = 5
"""One question in this many belongs to the held-out pool."""

INSTRUCTION = (
    "Answer the question. You may think first. "
    "Write the final answer, and nothing else, between <answer> and </answer>."
)

PATIENCE = 2_000
"""Seeds without a new question after which a generator counts as exhausted."""

_PURPOSE = "The reasoning-gym tasks"


def is_held_out(question: str) -> bool:
    """Say to which side of the split a question belongs: a small generator repeats questions under other seeds.

        held out  <=>  BLAKE2b-64(question) mod 5 = 0

    Args:
        question: the question, verbatim.

    Returns:
        True for one question in five; the other four may be trained on.
    """
    digest = hashlib.blake2b(question.encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(digest, "little") % HELD_OUT_ONE_IN == 0


@contextmanager
def _own_random_state(seed: int) -> Generator[None]:
    """Keep a generator that draws from the global streams (pool_matrix seeds numpy's) from seeing or changing them."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - saved here, and put back below
    random.setstate(random.Random(seed).getstate())
    np.random.set_state(np.random.RandomState(seed % 2**32).get_state())  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def generators() -> tuple[str, ...]:
    """Names of all generators, those that are refused included.

    Returns:
        The names, in order.

    Raises:
        MissingExtra: reasoning-gym is not installed.
    """
    known = optional.load("reasoning_gym.factory", extra="lm", purpose=_PURPOSE).DATASETS
    return tuple(sorted(cast("Mapping[str, Any]", known)))


@lru_cache(maxsize=64)
def _dataset(generator: str, options: str, first_seed: int) -> Any:
    """Open a generator; a data set of one seed and one size is the same in every process."""
    package = optional.load("reasoning_gym", extra="lm", purpose=_PURPOSE)
    known = optional.load("reasoning_gym.factory", extra="lm", purpose=_PURPOSE).DATASETS
    if generator not in known:
        raise unknown_name("reasoning-gym task", generator, cast("Mapping[str, Any]", known))
    try:
        with _own_random_state(first_seed):
            return package.create_dataset(generator, seed=first_seed, size=POOL_SEEDS, **json.loads(options))
    except (AssertionError, TypeError, ValueError) as error:
        raise SettingError(
            f"reasoning-gym refuses the options {options} of {generator!r}: {error or type(error).__name__}. "
            f"Its settings are the fields of {known[generator][1].__name__}."
        ) from error


@dataclass(frozen=True, kw_only=True)
class ReasoningGym:
    """Single-turn tasks: the question is asked, one answer ends the trajectory. Implements `part.TaskEnvironment`.

    Example:
        >>> environment = ReasoningGym(names=("spell_backward",), train_size=2)
        >>> [(task.id, task.record["answer"]) for task in environment.train()]
        [('spell_backward:1000000', 'ahsieg'), ('spell_backward:1000001', 'tsilydo')]
    """

    names: tuple[str, ...] = ("chain_sum",)
    """reasoning-gym generators, in equal parts and taking turns."""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Generator name to its own settings, such as {"chain_sum": {"max_terms": 4}}; JSON values."""
    train_size: int = 512
    """Tasks in the training pool, over all generators."""
    held_out_size: int = 128
    """Tasks in the held-out pool, over all generators."""
    instruction: str = INSTRUCTION
    """System message for policies with a chat template; the question itself is never changed."""
    allow_exploitable: bool = False
    """Admit generators that pay for wrong answers, to study reward hacking; see `reasoning_faults.EXPLOITABLE`."""
    stop = ("</answer>",)
    embedded = "embedded"

    def __post_init__(self) -> None:
        """Check the sizes and refuse generators whose tasks or scores cannot be trusted."""
        checks.not_empty("names", self.names)
        checks.at_least("train_size", self.train_size, 0)
        checks.at_least("held_out_size", self.held_out_size, 0)
        if len(set(self.names)) != len(self.names):
            raise SettingError(f"names={self.names!r} repeats a generator: name each one once.")
        for name in self.names:
            if name in REFUSED:
                raise SettingError(
                    f"reasoning-gym's {name!r} cannot be used: {REFUSED[name]}. Choose another generator."
                )
            if name in EXPLOITABLE and not self.allow_exploitable:
                raise SettingError(
                    f"reasoning-gym's {name!r} pays for wrong answers: {EXPLOITABLE[name]}. "
                    "Set allow_exploitable=true only to study reward hacking."
                )
        stray = sorted(set(self.options) - set(self.names))
        if stray:
            raise SettingError(f"options are given for {stray}, which are not among names={list(self.names)}.")
        for name in self.names:
            self._options(name)

    def train(self) -> tuple[Task, ...]:
        """Return the training pool: seeds from 1,000,000 on, no question of the held-out side."""
        return self.pool("train", self.train_size)

    def held_out(self) -> tuple[Task, ...]:
        """Return the evaluation pool: seeds from 2,000,000 on, only questions of the held-out side, each one once."""
        return self.pool("held_out", self.held_out_size)

    def pool(self, pool: Pool, count: int) -> tuple[Task, ...]:
        """Return the first tasks of a pool, the generators taking turns.

        Args:
            pool: which one; "demonstration" (seeds from 0 on) is on the training side of the split.
            count: number of tasks.

        Returns:
            The tasks; a longer pool begins with the shorter one. Held-out questions are distinct, so that an interval
            over them is honest; elsewhere a small generator may ask the same question under two seeds.

        Raises:
            SettingError: a generator has too few questions on this side.
            MissingExtra: reasoning-gym is not installed.
        """
        streams = [self._tasks(name, pool) for name in self.names]
        turns = (count + len(streams) - 1) // len(streams)
        columns = [list(islice(stream, turns)) for stream in streams]
        for name, column in zip(self.names, columns, strict=True):
            if len(column) < turns:
                raise SettingError(
                    f"{name!r} has only {len(column)} {pool} tasks with options {dict(self.options.get(name, {}))}, "
                    f"expected {turns}: ask for fewer, or widen its options."
                )
        return tuple(task for turn in zip(*columns, strict=True) for task in turn)[:count]

    def reset(self, task: Task, key: int) -> Start:  # noqa: ARG002 - nothing here is random
        """Ask the question of the task; the state counts the answers given."""
        question = str(task.record["prompt"])
        messages = ({"role": "system", "content": self.instruction}, {"role": "user", "content": question})
        return Start(observation=Observation(text=question, messages=messages if self.instruction else ()), state=0)

    def step(self, state: int, action: Action, key: int) -> Transition:  # noqa: ARG002
        """Take the answer and end the trajectory.

        Raises:
            SettingError: the task was answered before.
        """
        if state != 0:
            raise SettingError(f"This task takes one answer, but {state} were given: start again with reset.")
        return Transition(observation=None, state=state + 1, end=End.TERMINATED, discount=0.0)

    def _options(self, name: str) -> str:
        try:
            return json.dumps(dict(self.options.get(name, {})), sort_keys=True)
        except TypeError as error:
            raise SettingError(f"options of {name!r} are not JSON values: {error}.") from error

    def _tasks(self, name: str, pool: Pool) -> Iterator[Task]:
        options, first = self._options(name), FIRST_SEED[pool]
        digest = hashlib.blake2b(options.encode(), digest_size=4).hexdigest()
        stem = name if options == "{}" else f"{name}-{digest}"
        data, fixed = _dataset(name, options, first), {"generator": name, "options": json.loads(options)}
        seen, idle = set[str](), 0
        for seed in range(first, first + POOL_SEEDS):
            with _own_random_state(seed):
                item = cast("dict[str, Any]", data[seed - first])
            question = item["question"]
            repeated = pool == "held_out" and question in seen
            idle = 0 if is_held_out(question) == (pool == "held_out") and not repeated else idle + 1
            if idle > PATIENCE:
                return
            if idle == 0:
                seen.add(question)
                yield Task(id=f"{stem}:{seed}", record={**fixed, "seed": seed, **_record(item)}, family=name)


def _record(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "verifier": "reasoning_gym",
        "source": f"reasoning-gym {version('reasoning-gym')}",
        "prompt": item["question"],
        "answer": item["answer"],  # None for boxnet, graph_color and others whose answers are checked by rules
        "metadata": json.loads(json.dumps(item["metadata"])),
    }
