"""Sampling speed: many children of a long prompt, against transformers' `generate`.

Ours reads the prompt once and lets all children attend to the same keys and values. `generate` is given the prompt once
per child, or once with `num_return_sequences`; both read it once per child. All sides write exactly the same number of
tokens with the same model, type and temperature, in one process, taking turns.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
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


def run(cases: tuple[Case, ...] = CASES) -> list[dict[str, Any]]:
    """Measure all cases whose model is installed; a missing one is named on standard error."""
    rows: list[dict[str, Any]] = []
    for case in cases:
        try:
            rows.extend(measured(case))
        except MissingExtra as error:
            sys.stderr.write(f"left out: {case.name}: {error}\n")
    return rows


def main() -> None:
    """Print the rows as JSON."""
    sys.stdout.write(json.dumps(run(), indent=1) + "\n")


if __name__ == "__main__":
    main()
