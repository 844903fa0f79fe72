"""Synthetic run folders, written with the package's own storage: reports can be tested without training."""

import json
import math
from pathlib import Path

import torch

from milepost import keys, storage
from milepost.columns import End, Role
from milepost.credit.group import Normalised
from milepost.forest import Forest
from milepost.ragged import Ragged

QUESTIONS = (
    "What is 3 + 4?",
    "What is 12 - 5?",
    "Sort: 4 1 3",
    "What is 6 + 9?",
    "Reverse: abc",
    "Count the a in banana",
)


def answers(step: int, steps: int, groups: int = 8, width: int = 8, seed: int = 0, fail: float = 0.04) -> Forest:
    """A flat batch of answers whose success rises with the step."""
    stream = keys.generator(keys.fold(keys.root(seed), "synthetic", step))
    skill = 0.12 + 0.6 * (step / max(steps, 1))
    parent, texts, prompts, tokens, rewards, formats, ok, ends = [], [], [], [], [], [], [], []
    for group in range(groups):
        parent.append(-1)
        prompts.append(QUESTIONS[group % len(QUESTIONS)])
    for group in range(groups):
        ease = min(0.98, max(0.0, skill + stream.normal(0, 0.25)))
        for _ in range(width):
            right = stream.random() < ease
            tidy = right or stream.random() < 0.5 + 0.4 * step / max(steps, 1)
            guess = 7 if right else int(stream.integers(0, 20))
            body = f"{guess} so <answer>{guess}</answer>" if tidy else f"{guess} {guess} <answer"
            parent.append(group)
            texts.append(body)
            tokens.append([-float(stream.exponential(0.4)) for _ in body])
            rewards.append(float(right))
            formats.append(float(tidy))
            ok.append(stream.random() >= fail)
            ends.append(int(End.TERMINATED if tidy else End.TOKEN_LIMIT))
    return flat(parent, prompts, texts, tokens, rewards, formats, ok, ends, step=step)


def flat(parent, prompts, texts, tokens, rewards, formats, ok, ends, *, step=0) -> Forest:
    roots, n = len(prompts), len(parent)
    blank = [None] * roots
    prompt_tokens = [[0.0] * len(text) for text in prompts]
    total = [r + 0.2 * f for r, f in zip(rewards, formats, strict=True)]
    failures = (["reward_timeout: took longer than 2 s", "reward_error: ZeroDivisionError: division by zero"] * n)[
        : len(ok)
    ]
    reasons = [None if good else why for good, why in zip(ok, failures, strict=True)]
    forest = Forest.of(
        parent,
        {
            "task": [f"chain_sum:{1000000 + i}" for i in range(roots)] + [None] * (n - roots),
            "record": [json.dumps({"prompt": text}) for text in prompts] + [None] * (n - roots),
            "label.family": [("sums", "sorting", "words")[i % 3] for i in range(roots)] + [None] * (n - roots),
            "origin": [4] * roots + [0] * (n - roots),
            "end": [0] * roots + ends,
            "text": [*prompts, *texts],
            "policy_version": [step] * n,
            "reward.outcome": [*blank, *rewards],
            "ok.outcome": [*[False] * roots, *ok],
            "reason.outcome": [*blank, *reasons],
            "reward.format": [*blank, *formats],
            "ok.format": [False] * roots + [True] * (n - roots),
            "reward.solved": [*blank, *rewards],
            "ok.solved": [*[False] * roots, *ok],
            "reward.total": [*blank, *total],
            "ok.total": [*[False] * roots, *ok],
            "reason.total": [*blank, *reasons],
            "cost.tokens": [None] * roots + [float(len(t)) for t in tokens],
            "cost.model_calls": [None] * roots + [1.0] * (n - roots),
            "cost.reward_calls": [None] * roots + [2.0] * (n - roots),
            "tokens.log_prob": Ragged.of([*prompt_tokens, *tokens], torch.float32),
        },
    )
    role = [Role.PROMPT] * sum(map(len, prompts)) + [Role.POLICY] * sum(map(len, tokens))
    forest = forest.with_columns({"tokens.role": torch.tensor(role, dtype=torch.int8)})
    return Normalised()(forest)


def tree(seed: int = 0, depth: int = 4, width: int = 3, turns: int = 2) -> Forest:
    """One branching tree of an agent that calls a tool, with chains between its branchings."""
    stream = keys.generator(keys.fold(keys.root(seed), "tree"))
    parent, level = [-1], [0]
    frontier = [0]
    for _ in range(depth):
        following = []
        for row in frontier:
            below = int(stream.integers(1, width + 1)) if row else width
            for _ in range(below):
                at = row
                for _ in range(int(stream.integers(1, turns + 1))):
                    parent.append(at)
                    level.append(level[at] + 1)
                    at = len(parent) - 1
                following.append(at)
        frontier = following[:10]
    n = len(parent)
    leaf = [row not in parent for row in range(n)]
    forest = Forest.of(
        parent,
        {
            "task": ["search:17"] + [None] * (n - 1),
            "text": ["Who designed the bridge that replaced the Tay Bridge?"]
            + [
                f"Step {level[row]}: look at the {('history', 'engineer', 'river', 'date')[row % 4]} first."
                for row in range(1, n)
            ],
            "call": [None] + [json.dumps({"tool": "search", "query": f"tay bridge {row}"}) for row in range(1, n)],
            "result": [None] + [f"{row} results. The second bridge opened in 1887." for row in range(1, n)],
            "origin": [4] + [int(row % 7 == 0) for row in range(1, n)],
            "end": [int(End.TERMINATED) if is_leaf else 0 for is_leaf in leaf],
            "log_prob": [None] + [-float(stream.exponential(2.0)) for _ in range(1, n)],
            "reward.total": [float(stream.random() < 0.5) if is_leaf else None for is_leaf in leaf],
            "ok.total": leaf,
            "cost.model_calls": [None] + [1.0] * (n - 1),
        },
    )
    return Normalised()(forest)


def run(
    folder: Path, *, steps: int = 12, groups: int = 8, width: int = 8, seed: int = 0, keep_all: bool = True
) -> Path:
    """A run folder as the local engine writes it."""
    folder.mkdir(parents=True)
    spent = {"tokens": 0.0, "model_calls": 0.0, "reward_calls": 0.0}
    settings = {
        "recipe": "grpo",
        "seed": seed,
        "update": {"steps": steps, "learning_rate": 3e-4},
        "policy": {"model": "embedded"},
    }
    (folder / "manifest.json").write_text(
        json.dumps(
            {
                "format": "milepost-run",
                "schema": 1,
                "recipe": "grpo",
                "seed": seed,
                "steps": steps,
                "settings": settings,
                "fingerprints": {"code": "00ff", "data": "11aa"},
                "versions": {"python": "3.11.2", "milepost": "0.1.0"},
            }
        )
    )
    (folder / "run.toml").write_text(
        f'recipe = "grpo"\nseed = {seed}\n[update]\nsteps = {steps}\n[policy]\nmodel = "embedded"\n'
    )
    with (folder / "metrics.jsonl").open("w") as metrics, (folder / "timings.jsonl").open("w") as timings:
        for step in range(1, steps + 1):
            forest = answers(step - 1, steps, groups, width, seed)
            if keep_all or step in (1, steps):
                storage.write(forest, folder / "forests" / f"step-{step:06d}")
            leaves = forest.leaves()
            record = {"step": step}
            for name in ("outcome", "format", "total"):
                ok = forest[f"ok.{name}"][leaves]
                record[f"reward/{name}_mean"] = float(forest[f"reward.{name}"][leaves][ok].mean())
                record[f"reward/{name}_failed"] = 1 - float(ok.double().mean())
            spread = forest["advantage"].abs()
            dead = sum(float(spread[(forest.parent == root)].sum()) == 0 for root in forest.roots().tolist())
            record |= {
                "credit/dead_groups": dead / groups,
                "objective/kl": 0.002 * step + 0.001 * math.sin(step),
                "objective/clip_fraction": 0.1 * math.exp(-step / 9),
                "update/gradient_norm": 1 + 0.4 * math.sin(step / 2),
            }
            for unit in spent:
                spent[unit] += float(forest[f"cost.{unit}"].where(forest.valid(f"cost.{unit}"), 0).sum())
                record[f"cost/{unit}"] = spent[unit]
            metrics.write(json.dumps(record) + "\n")
            timings.write(json.dumps({"step": step, "grow": 0.9 + 0.01 * step, "credit": 0.02, "update": 0.6}) + "\n")
    evaluate(folder, steps, seed)
    return folder


def evaluate(folder: Path, steps: int, seed: int) -> None:
    with (folder / "evaluation.jsonl").open("w") as file:
        for step in (0, steps // 2, steps):
            forest = answers(step, steps, groups=36, width=4, seed=seed + 100, fail=0.0).without("advantage")
            storage.write(forest, folder / "evaluation" / f"step-{step:06d}")
            right = forest["reward.solved"][forest.leaves()].view(36, 4).mean(1)
            mean, half = float(right.mean()), 1.96 * float(right.std()) / 6
            families = {name: float(right[index::3].mean()) for index, name in enumerate(("sums", "sorting", "words"))}
            file.write(
                json.dumps(
                    {
                        "step": step,
                        "success": mean,
                        "low": mean - half,
                        "high": mean + half,
                        "tasks": 36,
                        "samples": 4,
                        "by_family": families,
                        "rewards": {"outcome": mean, "format": 0.7},
                    }
                )
                + "\n"
            )
