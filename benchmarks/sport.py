"""SPORT on the embedded search model: its pairs, learned by TRL's own DPO trainer, against behaviour cloning.

    python -m benchmarks.sport --trainers PYTHON [--out DIR] [--tasks 128] [--seeds 3] [--accuracy 0.8]
        [--similar 0.3] [--steps 16] [--rate 3e-5]

Pairs are sampled and models are judged here; `PYTHON` is the interpreter of the second environment, which holds TRL and
trains. The model began as a behaviour clone of a scripted searcher with mistakes. Three sides are compared on the same
held-out questions: that clone; the clone taught further with the chosen steps of the same forests (TRL's SFT trainer);
and the clone taught with their pairs (TRL's DPO trainer). So both have seen the same environment steps. Prints lines of
Markdown for docs/evidence.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

WIDTH, SAMPLES = 4, 4
TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
"""The chat template in which the embedded model has seen its prompts all along: plain lines."""


# ---- sampling and judging, here ----


def noisy(accuracy: float) -> Any:
    """The judge of known steps, which is right with a chance, and else names any sibling."""
    from milepost import keys
    from milepost.environments.search.collection import collection
    from milepost.rewards.judging.judge import Judgement
    from milepost.rewards.judging.known_steps import known_steps_judge

    class Noisy:
        identity = f"known steps, right in {accuracy:.0%}"
        asked = 0

        def rank(self, cases: Sequence[Any]) -> list[Any]:
            found = list(known_steps_judge(collection).rank(cases))
            for place, (case, one) in enumerate(zip(cases, found, strict=True)):
                count, self.asked = len(case.candidates), self.asked + 1
                drawn = keys.uniform([keys.fold(7, "noise", self.asked)], 2)[0]
                wrong = (1 - accuracy) / (1 - 1 / count)
                if one.answer is not None and drawn[0] < wrong:
                    best = int(drawn[1] * count)
                    found[place] = Judgement(answer=tuple(1.0 if n == best else 2.5 for n in range(count)))
            return found

    return Noisy()


def pairs(options: argparse.Namespace, seed: int, folder: Path) -> dict[str, Any]:
    """Sample one forest of siblings, and write its pairs and its chosen steps."""
    from milepost import keys
    from milepost.columns import End
    from milepost.curation.pairs.rows import before, preference_rows
    from milepost.environments.search.environment import Search
    from milepost.policies import loading
    from milepost.policies.decoding import Decoding
    from milepost.recipes import sport
    from milepost.rewards.combine import Scored
    from milepost.rewards.judging.siblings import BestOfSiblings, Tried
    from milepost.sampling.branching.siblings import Siblings
    from milepost.sampling.frontier import Draw, grow

    world = Search(train_size=options.tasks * (seed + 1), held_out_size=0)
    policy = loading.load("embedded-search", decoding=Decoding(max_tokens=72, stop=world.stop))
    reward = BestOfSiblings(judge=noisy(options.accuracy), view=Tried())
    sampler = Siblings(width=WIDTH, scorer=Scored(rewards=(reward,), weights=(1.0,)))
    forest = grow(
        [Draw(task=task) for task in world.train()[-options.tasks :]],
        policy=policy,
        environment=world,
        sampler=sampler,
        key=keys.root(seed),
    )
    forest = sport.build(width=WIDTH, similar=options.similar).credit(forest)
    rows = list(preference_rows(forest))
    texts, end = forest.text("text"), forest["end"].tolist()
    went_on = [row for row in range(len(forest)) if forest.parent[row] >= 0 and end[row] != int(End.PRUNED)]
    steps = [
        {"prompt": before(forest, row), "completion": [{"role": "assistant", "content": texts[row] or ""}]}
        for row in went_on
    ]
    for name, found in (("pairs", rows), ("steps", steps)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in found), encoding="utf-8")
    spent = len(forest) - len(forest.roots())
    return {"pairs": len(rows), "chosen steps": len(steps), "environment steps": spent}


def judged(folder: Path | None, held_out: int, key: int) -> list[float]:
    """Success on each held-out question, a mean over draws."""
    import torch

    from milepost import keys
    from milepost.engines.evaluate import success_by_task
    from milepost.environments.search.environment import Search
    from milepost.policies import loading
    from milepost.policies.decoding import Decoding
    from milepost.rewards import guard
    from milepost.rewards.outcome import Solved
    from milepost.sampling.frontier import Draw, grow
    from milepost.sampling.independent import Independent

    world, decoding = Search(train_size=0, held_out_size=held_out), Decoding(max_tokens=72, stop=Search.stop)
    policy = (
        loading.load("embedded-search", decoding=decoding)
        if folder is None
        else loading.of_folder(folder, decoding=decoding, dtype=torch.float32)
    )
    forest = grow(
        [Draw(task=task) for task in world.held_out()],
        policy=policy,
        environment=world,
        sampler=Independent(width=SAMPLES),
        key=keys.root(1000 + key),
    )
    return success_by_task(guard.score(Solved(), forest, forest.leaves()))[1].tolist()


# ---- training, in the other environment ----


def train(rows: Path, start: Path, out: Path, options: argparse.Namespace) -> None:
    """Train with TRL: pairs with its DPO trainer, steps with its SFT trainer."""
    import datasets
    import trl

    from milepost.policies.loading import EMBEDDED

    found = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    shared = {
        "output_dir": str(out), "per_device_train_batch_size": 8, "max_length": 512, "learning_rate": options.rate,
        "max_steps": options.steps, "report_to": [], "use_cpu": True, "bf16": False, "save_strategy": "no",
        "logging_steps": 5, "logging_first_step": True, "disable_tqdm": True, "seed": options.seed,
        "gradient_checkpointing": False, "lr_scheduler_type": "constant",
    }  # fmt: skip
    data = datasets.Dataset.from_list([{key: one[key] for key in one if key != "task"} for one in found])
    if "chosen" in found[0]:
        trainer = trl.DPOTrainer(model=str(start), args=trl.DPOConfig(beta=options.beta, **shared), train_dataset=data)
    else:
        trainer = trl.SFTTrainer(model=str(start), args=trl.SFTConfig(**shared), train_dataset=data)
    trainer.train()
    trainer.save_model(str(out))
    # without the chat template: with one, prompts would be written with a system message that the model never saw
    for file in (*out.glob("tokenizer*"), *out.glob("chat_template*")):
        file.unlink()
    for file in (EMBEDDED.parent / "embedded_search").glob("tokenizer*"):
        shutil.copy(file, out)
    losses = [one["loss"] for one in trainer.state.log_history if "loss" in one]
    print(json.dumps({"first loss": losses[0], "last loss": losses[-1]}))


def taught(options: argparse.Namespace, rows: Path, start: Path, out: Path, seed: int) -> dict[str, float]:
    """Run `train` in the other environment."""
    command = [
        options.trainers,
        "-m",
        "benchmarks.sport",
        "--train",
        str(rows),
        "--start",
        str(start),
        "--out",
        str(out),
    ]
    flags = ["--steps", options.steps, "--rate", options.rate, "--beta", options.beta, "--seed", seed]
    done = subprocess.run([*command, *map(str, flags)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return json.loads([line for line in done.stdout.splitlines() if line.startswith("{")][-1])


# ---- the whole ----


def starting(out: Path) -> Path:
    """The embedded model in a folder of its own, with its chat template."""
    from milepost.policies.loading import EMBEDDED

    folder = out / "start"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(EMBEDDED.parent / "embedded_search", folder)
    settings = folder / "tokenizer_config.json"
    told = {**json.loads(settings.read_text(encoding="utf-8")), "chat_template": TEMPLATE}
    settings.write_text(json.dumps(told), encoding="utf-8")
    return folder


def main() -> None:
    """Sample, train and judge, seed by seed."""
    parser = argparse.ArgumentParser(description="SPORT's pairs in TRL's DPO trainer, against behaviour cloning.")
    for name, kind, default in (
        ("trainers", str, ""), ("out", Path, Path("runs/sport")), ("tasks", int, 128), ("held-out", int, 96),
        ("seeds", int, 3), ("accuracy", float, 0.8), ("similar", float, 0.3), ("steps", int, 16), ("rate", float, 3e-5),
        ("beta", float, 0.1),
        ("seed", int, 0), ("train", Path, None), ("start", Path, None),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=kind, default=default)
    options = parser.parse_args()
    if options.train is not None:
        train(options.train, options.start, options.out, options)
        return
    import torch

    from milepost.evaluation.intervals import paired_bootstrap

    began, results = time.perf_counter(), {"clone": [], "steps": [], "pairs": []}
    options.out.mkdir(parents=True, exist_ok=True)
    start = starting(options.out)
    for seed in range(options.seeds):
        folder = options.out / f"seed-{seed}"
        folder.mkdir(exist_ok=True)
        print(json.dumps({"seed": seed, **pairs(options, seed, folder)}), flush=True)
        results["clone"] += judged(None, options.held_out, seed)
        for name in ("pairs", "steps"):
            told = taught(options, folder / f"{name}.jsonl", start, folder / name, seed)
            found = judged(folder / name, options.held_out, seed)
            results[name] += found
            print(json.dumps({"seed": seed, "side": name, **told, "success": sum(found) / len(found)}), flush=True)
    means = {name: sum(one) / len(one) for name, one in results.items()}
    print(json.dumps(means))
    by_task = {name: torch.tensor(one).view(options.seeds, -1).mean(0) for name, one in results.items()}
    for name in ("clone", "steps"):
        gap = paired_bootstrap(by_task["pairs"], by_task[name], key=0)
        versions = ", ".join(f"{one} {metadata.version(one)}" for one in ("torch", "transformers"))
        what = f"likeness below {options.similar:g}, {options.seeds} seeds, {options.held_out} questions x {SAMPLES}"
        print(
            f"| SPORT's pairs in TRL's DPO trainer against {name}, {what} "
            f"| {means['pairs']:.1%} against {means[name]:.1%}, "
            f"{gap.estimate * 100:+.1f} points [{gap.low * 100:+.1f}, {gap.high * 100:+.1f}] | "
            f"{time.perf_counter() - began:.0f} s | {versions} |"
        )


if __name__ == "__main__":
    main()
