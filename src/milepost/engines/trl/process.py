"""A process reward model: a classifier of tokens at the ends of steps, trained with transformers' Trainer.

TRL removed its own trainer of these. The rows are `bridges.trl_sets.step_labels`; what was trained is a reward of
steps, `rewards.learned.process.ProcessReward`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from milepost import optional
from milepost.errors import SettingError

_PURPOSE = "A process reward model"


def process_reward_trainer(
    model: str | Any,
    rows: Sequence[Mapping[str, Sequence[int]]],
    *,
    tokenizer: Any,
    args: Any,
    held_out: Sequence[Mapping[str, Sequence[int]]] | None = None,
) -> Any:
    """A trainer of a classifier of step ends.

    Args:
        model: folder of a language model, whose head is replaced by a new one of two classes; or a model that
            classifies tokens already.
        rows: "input_ids" and "labels" of 0, 1, and -100 where there is no class.
        tokenizer: of the model.
        args: transformers' `TrainingArguments`.
        held_out: rows for `evaluate`, which reports "accuracy" and "share_of_good".

    Returns:
        transformers' `Trainer`; `save_model` writes what `ProcessReward` reads.

    Raises:
        SettingError: there is nothing to learn, or only one class.
        MissingExtra: transformers is not installed.
    """
    classes = {label for row in rows for label in row["labels"] if label >= 0}
    if classes != {0, 1}:
        raise SettingError(
            f"The rows hold the classes {sorted(classes)}, expected 0 and 1: choose another threshold, or add "
            "trajectories with worse and with better steps."
        )
    transformers = optional.load("transformers", extra="lm", purpose=_PURPOSE)
    if isinstance(model, str):
        model = transformers.AutoModelForTokenClassification.from_pretrained(
            model, num_labels=2, local_files_only=True, use_safetensors=True
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return transformers.Trainer(
        model=model,
        args=args,
        train_dataset=[dict(row) for row in rows],
        eval_dataset=None if held_out is None else [dict(row) for row in held_out],
        data_collator=transformers.DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
        compute_metrics=accuracy,
    )


def accuracy(predicted: Any) -> dict[str, float]:
    """Share of the step ends that are classified rightly, and what saying "good" every time would reach.

    Args:
        predicted: transformers' `EvalPrediction`: logits (rows, tokens, 2) and labels (rows, tokens).

    Returns:
        "accuracy" and "share_of_good", each in [0, 1].
    """
    labels = np.asarray(predicted.label_ids)
    found = np.asarray(predicted.predictions).argmax(-1)
    counted = labels >= 0
    if not counted.any():
        return {"accuracy": 0.0, "share_of_good": 0.0}
    return {
        "accuracy": float((found == labels)[counted].mean()),
        "share_of_good": float(labels[counted].mean()),
    }
