"""Make the second embedded language model: the first one, taught to search by imitating a scripted searcher.

It begins with the weights of `src/milepost/policies/embedded/` and learns from demonstrations over invented countries
and over the demonstration pool of the real ones, the last of them with planted mistakes, so that reinforcement learning
has something to mend. It writes `src/milepost/policies/embedded_search/` (tokenizer, configuration, weights in
bfloat16, 1.3 MB). One thread and one key, so the same machine and versions give the same bytes; it takes about 8
minutes of one processor core and no network.

    python scripts/make_embedded_search.py [--out FOLDER] [--steps N]
"""
# ruff: noqa: INP001, T201 - a script: it is run, not imported, and it prints

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from invented_countries import invented
from make_embedded import BOS, CARELESS_FROM, MATRIX_RATE, OTHER_RATE, OUT, PAD, encode, pace, write
from torch import Tensor
from torch.nn import functional

from milepost import keys
from milepost.environments.search.environment import Limits, Search
from milepost.environments.search.searcher import MISTAKES, Demonstration, Searcher
from milepost.part import Task
from milepost.policies import loading
from milepost.policies.decoding import Decoding

SEARCH_OUT = OUT.parent / "embedded_search"
ROOT = keys.fold(keys.root(0), "embedded search model")
BATCH, BATCHES_SORTED = 40, 8
LIMITS = Limits(turns=6, results=2)
WORLDS, REAL = 60, 0.3
"""Number of invented worlds, and the share of demonstrations about the real one."""
SEEN_WEIGHT = 0.25
"""Weight of what the environment shows, which teaches to read, beside that of what the searcher writes."""
LONGEST = 640
"""Characters of a demonstration; longer ones are left out."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """Token ids, and the weight of each in the loss."""

    ids: list[int]
    weight: list[float]


def example_of(demonstration: Demonstration) -> Example:
    """A demonstration as the policy sees it: prompt, action, observation, action, ..."""
    ids = [BOS, *encode(str(demonstration.task.record["prompt"]) + "\n")]
    weight = [0.0] * len(ids)
    for step in demonstration.steps:
        action = encode(step.action)
        shown = [] if step.observation is None else encode(f"\n{step.observation}\n")
        ids += action + shown
        weight += [1.0] * len(action) + [SEEN_WEIGHT] * len(shown)
    return Example(ids=ids, weight=weight)


@dataclass(kw_only=True)
class Stream:
    """An endless stream of batches of similar length."""

    worlds: list[tuple[Search, tuple[Task, ...]]]
    seen: int = 0
    ready: list[list[Example]] = field(default_factory=list)

    @staticmethod
    def open() -> Stream:
        """Make the invented worlds; the real one comes first."""
        real = Search(limits=LIMITS)
        worlds = [(real, real.pool("demonstration", 3 * 1200))]
        for number in range(WORLDS):
            world = Search(limits=LIMITS, corpus=invented(keys.fold(ROOT, "world", number)))
            worlds.append((world, world.pool("train", 3 * 60) + world.pool("demonstration", 3 * 60)))
        return Stream(worlds=worlds)

    def next(self, searcher: Searcher) -> list[Example]:
        """Return the next batch."""
        if not self.ready:
            made = sorted(
                (self._example(searcher) for _ in range(BATCH * BATCHES_SORTED)), key=lambda one: len(one.ids)
            )
            groups = [made[first : first + BATCH] for first in range(0, len(made), BATCH)]
            order = keys.generator(keys.fold(ROOT, "order", self.seen)).permutation(len(groups))
            self.ready = [groups[place] for place in order]
        return self.ready.pop()

    def _example(self, searcher: Searcher) -> Example:
        while True:
            key = keys.fold(ROOT, "demonstration", self.seen)
            draw, self.seen = keys.generator(key), self.seen + 1
            place = 0 if draw.random() < REAL else int(draw.integers(1, len(self.worlds)))
            environment, tasks = self.worlds[place]
            made = example_of(searcher.demonstrate(environment, tasks[int(draw.integers(len(tasks)))], key))
            if len(made.ids) <= LONGEST:
                return made


def loss_of(model: Any, examples: list[Example]) -> Tensor:
    """Mean negative log-likelihood of what the searcher wrote, and of what it saw with a smaller weight."""
    width = max(len(one.ids) for one in examples)
    ids = torch.full((len(examples), width), PAD)
    weight = torch.zeros(len(examples), width)
    for row, one in enumerate(examples):
        ids[row, : len(one.ids)] = torch.tensor(one.ids)
        weight[row, : len(one.ids)] = torch.tensor(one.weight)
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1].flatten(0, 1)
    each = functional.cross_entropy(logits, ids[:, 1:].flatten(), reduction="none")
    return (each * weight[:, 1:].flatten()).sum() / weight[:, 1:].sum()


def train(model: Any, steps: int) -> None:
    """Teach the skill, then its mistakes: Muon on matrices, AdamW on the rest, the rate falls to 0."""
    named = dict(model.named_parameters())
    matrices = [value for name, value in named.items() if value.dim() == 2 and "embed" not in name]
    others = [value for name, value in named.items() if value.dim() < 2 or "embed" in name]
    optimisers = (
        (torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=0.0), MATRIX_RATE),
        (torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.0), OTHER_RATE),
    )
    stream, started = Stream.open(), time.process_time()
    careful, careless = Searcher(mistakes={}), Searcher(mistakes=MISTAKES)
    for step in range(steps):
        searcher = careless if step >= CARELESS_FROM * steps else careful
        loss = loss_of(model, stream.next(searcher))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser, rate in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate * pace(step, steps)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        if (step + 1) % 20 == 0 or step + 1 == steps:
            print(
                f"step {step + 1}  processor {time.process_time() - started:.0f} s  loss {loss.item():.3f}", flush=True
            )


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description="Make the embedded language model that searches.")
    parser.add_argument("--out", type=Path, default=SEARCH_OUT)
    parser.add_argument("--steps", type=int, default=320)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    model = loading.of_folder(OUT, decoding=Decoding(), dtype=torch.float32).model
    train(model, chosen.steps)
    write(model, chosen.out)


if __name__ == "__main__":
    main()
