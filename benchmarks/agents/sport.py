"""SPORT on the embedded search model: pairs of siblings, learned by TRL's own DPO trainer, against behaviour cloning.

    python -m benchmarks.agents.sport [--rounds 3] [--tasks 48] [--seeds 3] [--accuracy 1.0] [--steps] [--dev]

Runs in the second environment, which holds TRL. The model began as a behaviour clone of a scripted searcher with
mistakes. As SPORT has it, sampling and preference tuning take turns: each round draws siblings from the model as it is
by then on tasks that are new, a judge ranks them after they were executed, and TRL's trainer learns the pairs, against
the clone as reference. `--accuracy` is the share of verdicts that are right; the others name any sibling. With
`--steps` a second model is taught the chosen steps of its own siblings by TRL's SFT trainer: cloning of what was judged
best, with as many environment steps. All are compared on the same held-out questions with the same keys. `--dev`
compares on questions of the training pool that no round draws, for choosing settings. Prints Markdown for
docs/evidence.md.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import tempfile
import time
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import torch

from milepost import keys
from milepost.columns import End
from milepost.curation.pairs.rows import before, preference_rows
from milepost.engines.evaluate import success_by_task
from milepost.environments.search.collection import collection
from milepost.environments.search.environment import Search
from milepost.evaluation.intervals import paired_bootstrap
from milepost.forest import Forest
from milepost.policies import loading
from milepost.policies.decoding import Decoding
from milepost.recipes import sport
from milepost.rewards import guard
from milepost.rewards.combine import Scored
from milepost.rewards.judging.judge import Judgement
from milepost.rewards.judging.known_steps import known_steps_judge
from milepost.rewards.judging.siblings import BestOfSiblings, Tried
from milepost.rewards.outcome import Solved
from milepost.sampling.branching.siblings import Siblings
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent

SAMPLES, DEV, AT_ONCE = 4, 480, 8
"""Answers per question of a comparison; questions of the training pool that no round draws; rows in one pass."""
TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
"""The chat template in which the embedded model has seen its prompts all along: plain lines."""


class Noisy:
    """The judge of known steps, which is right with a chance, and else names any sibling."""

    def __init__(self, accuracy: float, seed: int) -> None:
        """Give the share of right verdicts."""
        self.identity = f"known steps, right in {accuracy:.0%}"
        self.accuracy, self.asked, self.key = accuracy, 0, keys.fold(keys.root(seed), "noise")

    def rank(self, cases: Sequence[Any]) -> list[Any]:
        """Rank siblings; the last of a verdict that is wrong share a rank."""
        found: list[Any] = list(known_steps_judge(collection).rank(cases))
        for place, (case, one) in enumerate(zip(cases, found, strict=True)):
            count, self.asked = len(case.candidates), self.asked + 1
            drawn = keys.uniform([keys.fold(self.key, self.asked)], 2)[0]
            wrong = (1 - self.accuracy) / (1 - 1 / count)
            if one.answer is not None and drawn[0] < wrong:
                best = int(drawn[1] * count)
                found[place] = Judgement(answer=tuple(1.0 if n == best else 2.5 for n in range(count)))
        return found


class Learner:
    """A copy of the clone that is taught round by round."""

    def __init__(self, options: argparse.Namespace, seed: int, side: str) -> None:
        """Begin with the clone."""
        self.options, self.seed, self.side = options, seed, side
        first = DEV + seed * options.rounds * options.tasks
        self.world = Search(train_size=first + options.rounds * options.tasks, held_out_size=options.held_out)
        self.tasks = self.world.train()[first:]
        self.policy = loading.load("embedded-search", decoding=Decoding(max_tokens=72, stop=self.world.stop))
        self.reference = copy.deepcopy(self.policy.model)
        self.tokenizer = copy.deepcopy(self.policy.tokenizer)
        self.tokenizer.chat_template = TEMPLATE
        self.judge = Noisy(options.accuracy, seed)

    def success(self) -> list[float]:
        """Success on each question, a mean over draws."""
        asked = self.world.train()[:DEV][: self.options.held_out] if self.options.dev else self.world.held_out()
        self.policy.model.eval()
        forest = grow(
            [Draw(task=task) for task in asked],
            policy=self.policy,
            environment=self.world,
            sampler=Independent(width=SAMPLES),
            key=keys.root(1000 + self.seed),
        )
        return success_by_task(guard.score(Solved(), forest, forest.leaves()))[1].tolist()

    def round(self, number: int) -> dict[str, Any]:
        """Sample siblings with the model as it is, and learn from them."""
        reward = BestOfSiblings(judge=self.judge, view=Tried())
        job = sport.build(width=self.options.width, similar=self.options.similar)
        tasks = self.tasks[number * self.options.tasks :][: self.options.tasks]
        self.policy.model.eval()
        forest = grow(
            [Draw(task=task) for task in tasks],
            policy=self.policy,
            environment=self.world,
            sampler=Siblings(width=self.options.width, scorer=Scored(rewards=(reward,), weights=(1.0,))),
            key=keys.fold(keys.root(self.seed), "round", number),
        )
        forest = job.credit(forest)
        rows = list(preference_rows(forest)) if self.side == "pairs" else _chosen(forest)
        told = self.learn([{key: one[key] for key in one if key != "task"} for one in rows])
        self.policy.version += 1
        return {"rows": len(rows), "environment steps": len(forest) - len(forest.roots()), **told}

    def learn(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """One pass of TRL's DPO or SFT trainer over rows."""
        import datasets
        import trl

        with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()):
            shared: dict[str, Any] = {
                "output_dir": out, "per_device_train_batch_size": AT_ONCE, "max_length": 512,
                "gradient_accumulation_steps": max(self.options.batch // AT_ONCE, 1),
                "learning_rate": self.options.rate, "num_train_epochs": 1, "report_to": [], "use_cpu": True,
                "bf16": False, "save_strategy": "no", "logging_steps": 1, "disable_tqdm": True, "seed": self.seed,
                "gradient_checkpointing": False, "lr_scheduler_type": "constant",
            }  # fmt: skip
            kept = {"train_dataset": datasets.Dataset.from_list(rows), "processing_class": self.tokenizer}
            if self.side == "pairs":
                trainer: Any = trl.DPOTrainer(
                    model=self.policy.model,
                    ref_model=self.reference,
                    args=trl.DPOConfig(beta=self.options.beta, **shared),
                    **kept,
                )
            else:
                trainer = trl.SFTTrainer(model=self.policy.model, args=trl.SFTConfig(**shared), **kept)
            trainer.train()
        losses = [one["loss"] for one in trainer.state.log_history if "loss" in one]
        return {"updates": len(losses), "first loss": losses[0], "last loss": losses[-1]}


def _chosen(forest: Forest) -> list[dict[str, Any]]:
    """The chosen step wherever siblings differed."""
    texts = forest.text("text")
    return [
        {"prompt": before(forest, row), "completion": [{"role": "assistant", "content": texts[row] or ""}]}
        for row in ((forest["advantage"] > 0) & (forest["end"] != int(End.PRUNED))).nonzero().flatten().tolist()
    ]


def main() -> None:
    """Sample, train and compare, seed by seed."""
    parser = argparse.ArgumentParser(description="SPORT's pairs in TRL's DPO trainer, against behaviour cloning.")
    for name, kind, default in (
        ("rounds", int, 3), ("tasks", int, 48), ("held-out", int, 96), ("seeds", int, 3), ("accuracy", float, 1.0),
        ("width", int, 5), ("similar", float, 1.0), ("batch", int, 64), ("rate", float, 2e-4), ("beta", float, 0.1),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=kind, default=default)
    parser.add_argument("--steps", action="store_true")
    parser.add_argument("--dev", action="store_true")
    options = parser.parse_args()
    silence()
    began = time.perf_counter()
    sides = ("pairs", "steps") if options.steps else ("pairs",)
    results: dict[str, list[float]] = {name: [] for name in ("clone", *sides)}
    for seed in range(options.seeds):
        for side in sides:
            learner = Learner(options, seed, side)
            if side == "pairs":
                results["clone"] += learner.success()
            for number in range(options.rounds):
                print(json.dumps({"seed": seed, "side": side, "round": number, **learner.round(number)}), flush=True)
            results[side] += (found := learner.success())
            print(json.dumps({"seed": seed, "side": side, "success": sum(found) / len(found)}), flush=True)
        means = {name: sum(one) / len(one) for name, one in results.items()}
        by_task = {name: torch.tensor(one).view(seed + 1, -1).mean(0) for name, one in results.items()}
        print(json.dumps({"seeds": seed + 1, **means}), flush=True)
        for name in results:
            if name != "pairs":
                gap = paired_bootstrap(by_task["pairs"], by_task[name], key=0)
                print(row(options, name, means, gap, seed + 1, time.perf_counter() - began), flush=True)


def row(options: argparse.Namespace, name: str, means: dict[str, float], gap: Any, seeds: int, seconds: float) -> str:
    """A row of a table."""
    versions = ", ".join(f"{one} {metadata.version(one)}" for one in ("trl", "torch", "transformers"))
    what = f"judge right in {options.accuracy:.0%}, {options.rounds} rounds of {options.tasks} tasks x {options.width}"
    return (
        f"| SPORT's pairs in TRL's DPO trainer against {name}: {what}, {seeds} seeds, {options.held_out} "
        f"questions x {SAMPLES} | {means['pairs']:.1%} against {means[name]:.1%}, {gap.estimate * 100:+.1f} points "
        f"[{gap.low * 100:+.1f}, {gap.high * 100:+.1f}] | {seconds:.0f} s | {versions} |"
    )


def silence() -> None:
    """Keep bars and notes of the trainer out of what is printed."""
    import datasets
    import transformers

    datasets.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


if __name__ == "__main__":
    main()
