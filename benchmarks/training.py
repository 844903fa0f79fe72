"""Tree training against dense training: the same trajectories, once as a tree and once as a padded line for each.

One pass forward and back over the log-probabilities of all written tokens, with the shape of SmolLM2-135M, random
weights, float32, all weights trained. Dense is as fast as dense can be: no padding mask, so that torch's causal
attention is used, and logits only in the columns in which something was written. Peak memory is the rise of the
process's resident set over what it was before. Time is that of one thread on the processor, so that what else runs
counts little. The rows named "tokens" are the ratio that a method without any cost of its own would reach.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from milepost import keys
from milepost.columns import Role
from milepost.forest import Forest
from milepost.policies.decoding import chosen_log_prob
from milepost.policies.tree.choice import DepthFirst, Machine, Packed, TreeTraining
from milepost.policies.tree.separate import separate
from milepost.policies.tree.training import Trees
from milepost.ragged import Ragged

KEY = keys.root(2026)
SMOLLM2_135M: dict[str, Any] = {
    "vocab_size": 49_152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A tree: parents of the rows, tokens of the prompt, of what the policy writes in a row, and of what it is told."""

    name: str
    parent: tuple[int, ...]
    prompt: int
    written: int
    told: int = 0

    def forest(self) -> Forest:
        """Random tokens."""
        ids: list[list[int]] = []
        roles: list[list[int]] = []
        for row, above in enumerate(self.parent):
            own = [int(Role.POLICY)] * self.written + [int(Role.OBSERVATION)] * self.told
            roles.append([int(Role.PROMPT)] * self.prompt if above < 0 else own)
            ids.append(keys.generator(keys.fold(KEY, row)).integers(3, 49_000, len(roles[-1])).tolist())
        columns = {"tokens.id": Ragged.of(ids, torch.int32), "tokens.role": Ragged.of(roles, torch.int8)}
        return Forest.of(self.parent, columns)


def widening(counts: Sequence[int]) -> tuple[int, ...]:
    """Parents of a tree with the given number of rows at each depth, spread evenly over the rows above."""
    parent, above = [-1], [0]
    for count in counts:
        parent += [above[place * len(above) // count] for place in range(count)]
        above = list(range(len(parent) - count, len(parent)))
    return tuple(parent)


CASES = (
    Case(name="8 answers to a 512-token prompt", parent=widening([8]), prompt=512, written=64),
    Case(name="a 4x4 tree of turns", parent=widening([4, 16]), prompt=192, written=48, told=16),
    Case(
        name="16 trajectories of 6 turns, forks at every turn",
        parent=widening([2, 4, 6, 9, 12, 16]),
        prompt=96,
        written=24,
        told=8,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Processor seconds of the fastest run, and bytes of the smallest peak."""

    seconds: float
    peak: float


def resident(field: str) -> float:
    """Bytes of the process that are in memory: `VmRSS` now, `VmHWM` at most."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def measured(work: Callable[[], object]) -> Cost:
    """Time and memory of one run; memory freed earlier is given back first."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak is counted from here
    before, started = resident("VmRSS"), time.process_time()
    work()
    return Cost(seconds=time.process_time() - started, peak=resident("VmHWM") - before)


def model_of(shape: dict[str, Any]) -> Any:
    """A random Llama."""
    config = transformers.LlamaConfig(**shape)
    with torch.random.fork_rng(devices=[]):
        return transformers.LlamaForCausalLM(config).eval()


def sides(model: Any, forest: Forest) -> dict[str, Callable[[], object]]:
    """The same work in each way: log-probabilities of everything written, and the gradient of their mean."""
    rows = torch.arange(len(forest))

    def tree(training: TreeTraining) -> Trees:
        machine = Machine.of(model, 2**40)
        return Trees.of(model, forest, rows, temperature=1.0, machine=machine, training=training)

    def dense() -> None:
        layout = tree(Packed()).layout
        read = separate(model, layout, torch.arange(len(layout.strands)), 1.0)
        chosen_log_prob(read.logits, layout.targets.token[read.target], temperature=1.0).mean().neg().backward()

    def shared(training: TreeTraining) -> None:
        asked = tree(training)
        asked.log_prob().sum().div(-len(asked.layout.targets.token)).backward()

    return {
        "dense": dense,
        "packed": lambda: shared(Packed()),
        "depth first": lambda: shared(DepthFirst()),
    }


def run(cases: Sequence[Case] = CASES, repeats: int = 1, shape: dict[str, Any] = SMOLLM2_135M) -> list[dict[str, Any]]:
    """Measure all cases, the ways taking turns.

    Returns:
        Three rows per case and way: tokens, seconds and peak memory, ours against dense.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model, rows = model_of(shape), list[dict[str, Any]]()
    for work in sides(model, Case(name="warm", parent=(-1, 0, 0), prompt=32, written=8).forest()).values():
        work()
    for case in cases:
        rows += compared(model, case, repeats)
    torch.set_num_threads(threads)
    return rows


def compared(model: Any, case: Case, repeats: int) -> list[dict[str, Any]]:
    """Rows of one case, the ways taking turns."""
    forest, best = case.forest(), dict[str, Cost]()
    ways = sides(model, forest)
    for _ in range(repeats):
        for name, work in ways.items():
            model.zero_grad(set_to_none=False)
            found, so_far = measured(work), best.get(name)
            if so_far is not None:
                found = Cost(seconds=min(found.seconds, so_far.seconds), peak=min(found.peak, so_far.peak))
            best[name] = found
    rows, machine = torch.arange(len(forest)), Machine.of(model, 2**40)
    numbers = Trees.of(model, forest, rows, temperature=1.0, machine=machine, training=Packed()).numbers()
    return table(case.name, best, numbers)


def table(case: str, best: dict[str, Cost], numbers: dict[str, float]) -> list[dict[str, Any]]:
    """Rows of one case; a ratio above 1 is better than dense."""

    def row(name: str, ours: float, peer: float, unit: str) -> dict[str, Any]:
        return {"name": f"{case}: {name}", "ours": ours, "peer": peer, "unit": unit, "ratio": peer / ours}

    dense = best.pop("dense")
    rows = [row("tokens", numbers["update/unique_tokens"], numbers["update/repeated_tokens"], "tokens")]
    for way, cost in best.items():
        rows.append(row(f"{way}, time", cost.seconds, dense.seconds, "s"))
        rows.append(row(f"{way}, peak memory", cost.peak / 2**20, dense.peak / 2**20, "MiB"))
    return rows


def main() -> None:
    """Print the rows as JSON."""
    sys.stdout.write(json.dumps(run(), indent=1) + "\n")


if __name__ == "__main__":
    main()
