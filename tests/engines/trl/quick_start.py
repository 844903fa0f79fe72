"""TRL's quick start on the embedded model: the script of docs/how-to/trl.md, with the changed lines as arguments."""

from __future__ import annotations

from datasets import Dataset
from trl import GRPOConfig

from milepost.policies.loading import EMBEDDED

WORDS = ("cat", "dog", "house", "tree", "lamp", "ring", "book", "fish")
QUESTION = "Spell this word backward (example: sun -> nus): {}\n"
WIDTH = 4


def dataset() -> Dataset:
    """Eight tasks with their answers."""
    rows = [{"prompt": QUESTION.format(word), "answer": word[::-1], "verifier": "exact"} for word in WORDS]
    return Dataset.from_list(rows)


def odd(completion_ids, **_columns):
    """A reward that every group differs in: 1 where the sum of the tokens is odd."""
    return [float(sum(ids) % 2) for ids in completion_ids]


def config(out, **settings) -> GRPOConfig:
    """TRL's settings, as small as they go."""
    small = {
        "per_device_train_batch_size": 2 * WIDTH,
        "num_generations": WIDTH,
        "max_completion_length": 8,
        "temperature": 3.0,
        "learning_rate": 1e-3,
        "max_steps": 2,
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
    }
    return GRPOConfig(output_dir=str(out), **{**small, **settings})


def trained(kind, out, *, settings=None, resume=False, reward_funcs=odd, **named):
    """A trainer of the given class after its steps, which remembers what TRL's generation gave it."""

    class Watched(kind):
        """Keeps every generation as the trainer sees it."""

        def _generate_and_score_completions(self, inputs):
            output = super()._generate_and_score_completions(inputs)
            self.outputs.append(dict(output))
            self.inputs.append([dict(one) for one in inputs])
            return output

    trainer = Watched(
        model=str(EMBEDDED),
        reward_funcs=reward_funcs,
        train_dataset=dataset(),
        args=config(out, **(settings or {})),
        **named,
    )
    trainer.outputs, trainer.inputs = [], []
    trainer.train(resume_from_checkpoint=resume)
    return trainer
