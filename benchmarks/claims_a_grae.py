"""What A-GRAE does on tasks with several valid answers: countdown puzzles, answered by the embedded model.

Five credit rules start from the same model and see the same tasks at the same cost: GRPO, A-GRAE, A-GRAE with a floor,
W-REINFORCE (positive credit times 0.1) and A-GRAE's weight by difficulty alone. Then held-out puzzles are answered.
Reported are pass@k and the number of different right expressions among k answers, both without bias, and the entropy
per token, as paired differences from GRPO with 95 % intervals over seeds.

    python -m benchmarks.claims_a_grae --seeds 0 1 2 3 4 --steps 60 --out claims_a_grae.json

Expected: entropy and different solutions above GRPO's; pass@1 is not promised.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from milepost import keys
from milepost.credit.asymmetric import Asymmetric
from milepost.credit.audit import audit
from milepost.credit.group import Normalised
from milepost.credit.sign import Constant, Limited, SignGain
from milepost.engines.settings import UpdateSettings
from milepost.engines.update import Updater, optimiser_for
from milepost.environments.reasoning import ReasoningGym
from milepost.evaluation.intervals import mean_interval
from milepost.evaluation.passing import passes
from milepost.forest import Forest
from milepost.objectives.clipped import Clipped
from milepost.part import Credit, Task
from milepost.policies import loading
from milepost.policies.causal_lm import CausalLM
from milepost.policies.decoding import Decoding
from milepost.rewards import combine, guard
from milepost.rewards.answer import parse_answer
from milepost.rewards.outcome import Outcome, Solved
from milepost.rewards.text import Format
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent

COUNTDOWN = {"min_numbers": 3, "max_numbers": 3, "min_value": 1, "max_value": 12, "min_target": 1, "max_target": 40}
RULES: Mapping[str, Credit] = {
    "grpo": Normalised(),
    "a-grae": Asymmetric(accuracy="outcome", limits=(0.0, 1.0)),
    "a-grae, floor 0.5": Asymmetric(accuracy="outcome", limits=(0.0, 1.0), gain=Limited(floor=0.5)),
    "w-reinforce": SignGain(rule=Normalised(), positive=0.1),
    "sample-level": Asymmetric(accuracy="outcome", limits=(0.0, 1.0), gain=Constant()),
}
KS = (1, 4, 16)


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is done."""

    seeds: tuple[int, ...]
    rules: tuple[str, ...]
    steps: int
    tasks: int
    held_out: int
    answers: int
    rate: float
    model: str


def policy_of(size: Size) -> CausalLM:
    """The model before training."""
    return loading.load(size.model, decoding=Decoding(max_tokens=64, stop=("</answer>",)))


def answered(policy: CausalLM, tasks: Sequence[Task], world: ReasoningGym, width: int, key: int) -> Forest:
    """Every task answered `width` times."""
    draws = [Draw(task=task) for task in tasks]
    return grow(draws, policy=policy, environment=world, sampler=Independent(width=width), key=key)


def train(policy: CausalLM, rule: Credit, world: ReasoningGym, size: Size, key: int) -> dict[str, float]:
    """Train in place; the tasks of a step depend on seed and step alone."""
    pool, settings = world.train(), UpdateSettings(learning_rate=size.rate)
    updater = Updater(
        policy=policy,
        objective=Clipped(),
        optimiser=optimiser_for(policy, settings),
        settings=settings,
        reference=None,
    )
    solved = 0.0
    for step in range(size.steps):
        chosen = keys.generator(keys.fold(key, "tasks", step)).choice(len(pool), size.tasks, replace=False)
        forest = answered(policy, [pool[place] for place in chosen], world, 8, keys.fold(key, "grow", step))
        for reward in (Outcome(), Format()):
            forest = guard.score(reward, forest)
        forest = rule(combine.total(forest, ["outcome", "format"], [0.9, 0.1]))
        audit(forest, rule).raise_if_any()
        solved = float((forest["reward.outcome"][forest.leaves()] >= 1).double().mean())
        updater(forest, keys.fold(key, "update", step))
    return {"last_batch_solved": solved}


def measured(policy: CausalLM, world: ReasoningGym, size: Size) -> dict[str, float]:
    """Numbers on held-out tasks; the same tasks and randomness for every rule and seed."""
    with torch.no_grad():
        forest = answered(policy, world.held_out(), world, size.answers, keys.root(1))
    forest = guard.score(Solved(), forest)
    expressions = [parse_answer(text or "").answer for text in forest.text("text")]
    found = {}
    for one in passes(forest, KS, solutions=expressions):
        found |= {f"pass@{one.k}": one.passed.estimate, f"distinct@{one.k}": one.distinct.estimate}
    chosen = forest["tokens.train"] & forest.valid("tokens.log_prob")
    return {**found, "entropy": -float(forest["tokens.log_prob"][chosen].double().mean())}


def measure(size: Size) -> dict[str, object]:
    """Everything, as one JSON record."""
    world = ReasoningGym(
        names=("countdown",), options={"countdown": COUNTDOWN}, train_size=512, held_out_size=size.held_out
    )
    began = time.perf_counter()
    record: dict[str, object] = {"size": vars(size), "before": measured(policy_of(size), world, size)}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in size.rules}
    for seed in size.seeds:
        for name in size.rules:
            policy = policy_of(size)
            last = train(policy, RULES[name], world, size, keys.root(seed))
            runs[name].append({**last, **measured(policy, world, size)})
            print(f"{time.perf_counter() - began:7.0f} s  seed {seed}  {name:17s} {_line(runs[name][-1])}", flush=True)
    record["runs"] = runs
    record["less_grpo"] = {
        name: {metric: _gain(found, runs["grpo"], metric) for metric in found[0]}
        for name, found in runs.items()
        if name != "grpo" and "grpo" in runs
    }
    return record


def _gain(ours: Sequence[Mapping[str, float]], base: Sequence[Mapping[str, float]], metric: str) -> list[float]:
    found = mean_interval([one[metric] - other[metric] for one, other in zip(ours, base, strict=True)])
    return [found.estimate, found.low, found.high]


def _line(found: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in found.items())


def main() -> None:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="embedded", help="a name or folder that milepost loads")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--rules", nargs="+", default=list(RULES), choices=list(RULES))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--tasks", type=int, default=32)
    parser.add_argument("--held-out", type=int, default=64)
    parser.add_argument("--answers", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--out", type=Path, help="file for the JSON record")
    chosen = vars(parser.parse_args())
    out, seeds, rules = chosen.pop("out"), tuple(chosen.pop("seeds")), tuple(chosen.pop("rules"))
    text = json.dumps(measure(Size(seeds=seeds, rules=rules, **chosen)), indent=1)
    print(text)
    if out:
        out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
