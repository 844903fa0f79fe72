"""Sampling speed: many children of a long prompt, against transformers' `generate`.

Ours reads the prompt once and lets all children attend to the same keys and values. `generate` is given the prompt once
per child, or once with `num_return_sequences`; both read it once per child. All sides write exactly the same number of
tokens with the same model, type and temperature, in one process, taking turns.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from milepost import keys
from milepost.errors import MissingExtra
from milepost.policies import loading
from milepost.policies.decoding import Decoding
from milepost.policies.generation import StopRule, Wanted, generate, read_prefixes
from milepost.ragged import Ragged

KEY = keys.root(2026)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One setting: a model, prompts, children of each, tokens of each child."""

    model: str
    prompts: int
    length: int
    children: int
    tokens: int
    repeats: int

    @property
    def written(self) -> int:
        """Tokens written in all."""
        return self.prompts * self.children * self.tokens

    @property
    def name(self) -> str:
        """How the case is shown."""
        many = f"{self.prompts} prompts" if self.prompts > 1 else "a prompt"
        return f"{self.model}: {self.children} children of {many} of {self.length} tokens"


CASES = (
    Case(model="embedded", prompts=1, length=256, children=8, tokens=64, repeats=5),
    Case(model="embedded", prompts=1, length=256, children=32, tokens=64, repeats=5),
    Case(model="embedded", prompts=1, length=512, children=8, tokens=64, repeats=5),
    Case(model="embedded", prompts=1, length=512, children=32, tokens=64, repeats=5),
    Case(model="embedded", prompts=32, length=80, children=8, tokens=48, repeats=3),
    Case(model="smollm2", prompts=1, length=256, children=8, tokens=32, repeats=2),
    Case(model="smollm2", prompts=1, length=512, children=8, tokens=32, repeats=2),
    Case(model="smollm2", prompts=1, length=512, children=32, tokens=32, repeats=1),
)


@dataclass(frozen=True, kw_only=True)
class Turns:
    """A tree of turns: rows at each depth, tokens of the prompt, tokens written and then told in every turn."""

    model: str
    name: str
    counts: tuple[int, ...]
    prompt: int
    written: int
    told: int
    repeats: int


TURNS = tuple(
    Turns(model=model, name=name, counts=counts, prompt=prompt, written=written, told=told, repeats=repeats)
    for model, repeats in (("embedded", 3), ("smollm2", 1))
    for name, counts, prompt, written, told in (
        ("a 4x4 tree of turns", (4, 16), 192, 48, 16),
        ("16 trajectories of 6 turns, forks at every turn", (2, 4, 6, 9, 12, 16), 96, 24, 8),
    )
)


def ours(model: Any, tokenizer: Any, prompts: torch.Tensor, case: Case) -> int:
    """Sample with the shared prefix; returns the number of tokens written."""
    never = torch.zeros(int(model.config.vocab_size), dtype=torch.bool)
    stop = StopRule(tokenizer=tokenizer, special=never, completing=never, strings=(), reach=1)
    child = torch.arange(case.prompts).repeat_interleave(case.children)
    noise = torch.from_numpy(keys.uniform([keys.fold(KEY, row) for row in range(len(child))], case.tokens))
    with torch.no_grad():
        prefix = read_prefixes(model, Ragged.of(list(prompts), torch.int32))
        wanted = Wanted(child=child, noise=noise)
        found = generate(model, prefix, wanted, Decoding(max_tokens=case.tokens), stop)
    return len(found.ids)


def theirs(model: Any, prompts: torch.Tensor, case: Case, *, repeated: bool) -> int:
    """Sample with `generate`; returns the number of tokens written."""
    ids = prompts.repeat_interleave(case.children, 0) if repeated else prompts
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        found = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=case.tokens,
            min_new_tokens=case.tokens,
            num_return_sequences=1 if repeated else case.children,
        )
    return (found.shape[1] - case.length) * found.shape[0]


def turn_by_turn(policy: Any, case: Turns, *, shared: bool) -> int:
    """Grow a tree of turns, all rows of a depth together: with shared prefixes, or by `generate` on repeated ones."""
    drawn = keys.generator(keys.fold(KEY, "turns"))
    above, written = torch.from_numpy(drawn.integers(3, 98, (1, case.prompt))), 0
    for count in case.counts:
        child = torch.arange(count) * len(above) // count
        level = Case(
            model=case.model,
            prompts=len(above),
            length=above.shape[1],
            children=count,
            tokens=case.written,
            repeats=1,
        )
        write = shared_turn if shared else generated_turn
        fresh = write(policy, above, child, level)
        written += fresh.numel()
        told = torch.from_numpy(drawn.integers(3, 98, (count, case.told)))
        above = torch.cat((above[child], fresh, told), 1)
    return written


def shared_turn(policy: Any, above: torch.Tensor, child: torch.Tensor, level: Case) -> torch.Tensor:
    """One turn of every child, prefixes read once."""
    never = torch.zeros(int(policy.model.config.vocab_size), dtype=torch.bool)
    stop = StopRule(tokenizer=policy.tokenizer, special=never, completing=never, strings=(), reach=1)
    noise = torch.from_numpy(keys.uniform([keys.fold(KEY, row) for row in range(len(child))], level.tokens))
    with torch.no_grad():
        prefix = read_prefixes(policy.model, Ragged.of(list(above), torch.int32))
        wanted = Wanted(child=child, noise=noise)
        found = generate(policy.model, prefix, wanted, Decoding(max_tokens=level.tokens), stop)
    return found.ids.long().view(len(child), level.tokens)


def generated_turn(policy: Any, above: torch.Tensor, child: torch.Tensor, level: Case) -> torch.Tensor:
    """One turn of every child by `generate`, its path read once for each."""
    ids = above[child]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        found = policy.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            top_k=0,
            max_new_tokens=level.tokens,
            min_new_tokens=level.tokens,
        )
    return found[:, ids.shape[1] :]


def measured_turns(case: Turns) -> Iterator[dict[str, Any]]:
    """One row: tokens per second of both sides, which write the same number of tokens."""
    policy, plain = (loading.load(case.model, decoding=Decoding()) for _ in range(2))
    fastest = {True: float("inf"), False: float("inf")}
    total = sum(case.counts) * case.written
    for number in range(case.repeats + 1):
        for shared, side in ((True, policy), (False, plain)):
            started = time.perf_counter()
            if turn_by_turn(side, case, shared=shared) != total:
                raise AssertionError(f"{case.name}: expected {total} tokens")
            if number or case.repeats == 1:
                fastest[shared] = min(fastest[shared], time.perf_counter() - started)
    ours, theirs = total / fastest[True], total / fastest[False]
    name = f"{case.model}: {case.name}, against generate on repeated paths"
    yield {"name": name, "ours": ours, "peer": theirs, "unit": "tokens/s", "ratio": ours / theirs}


def best(side: Callable[[], int], case: Case) -> float:
    """Tokens per second of the fastest run."""
    fastest = float("inf")
    for _ in range(case.repeats):
        started = time.perf_counter()
        written = side()
        fastest = min(fastest, time.perf_counter() - started)
        if written != case.written:
            raise AssertionError(f"{case.name}: {written} tokens written, expected {case.written}")
    return case.written / fastest


def measured(case: Case) -> Iterator[dict[str, Any]]:
    """One row against each way of calling `generate`."""
    policy = loading.load(case.model, decoding=Decoding())
    plain = loading.load(case.model, decoding=Decoding()).model  # a model of its own: ours changes the attention
    drawn = keys.generator(keys.fold(KEY, case.model)).integers(3, 98, (case.prompts, case.length))
    prompts = torch.from_numpy(drawn)
    warm = Case(model=case.model, prompts=1, length=case.length, children=2, tokens=2, repeats=1)
    ours(policy.model, policy.tokenizer, prompts[:1], warm)
    theirs(plain, prompts[:1], warm, repeated=True)
    speed = best(lambda: ours(policy.model, policy.tokenizer, prompts, case), case)
    for label, repeated in (("generate on repeated prompts", True), ("generate, num_return_sequences", False)):
        peer = best(lambda repeated=repeated: theirs(plain, prompts, case, repeated=repeated), case)
        yield {
            "name": f"{case.name}, against {label}",
            "ours": speed,
            "peer": peer,
            "unit": "tokens/s",
            "ratio": speed / peer,
        }


def run(cases: Sequence[Case | Turns] = (*CASES, *TURNS)) -> list[dict[str, Any]]:
    """Measure all cases whose model is installed; a missing one is named on standard error."""
    rows: list[dict[str, Any]] = []
    for case in cases:
        try:
            rows.extend(measured(case) if isinstance(case, Case) else measured_turns(case))
        except MissingExtra as error:
            sys.stderr.write(f"left out: {case.name}: {error}\n")
    return rows


def main() -> None:
    """Print the rows as JSON."""
    sys.stdout.write(json.dumps(run(), indent=1) + "\n")


if __name__ == "__main__":
    main()
