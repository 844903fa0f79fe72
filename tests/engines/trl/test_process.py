"""A process reward model learns on CPU which steps are good, and scores the steps of other trajectories."""

import numpy as np
import pytest
import torch
from transformers import EvalPrediction, TrainingArguments

from milepost import keys
from milepost.bridges.trl_sets import step_labels
from milepost.columns import End
from milepost.engines.trl.process import accuracy, process_reward_trainer
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.policies.decoding import Decoding
from milepost.policies.loading import EMBEDDED, load
from milepost.ragged import Ragged
from milepost.rewards import guard
from milepost.rewards.learned.process import ProcessReward

TOKENIZER = load("embedded", decoding=Decoding()).tokenizer
GOOD, BAD = "abc ", "xyz "


def chains(count, key):
    """Trajectories of three steps, each of which is good or bad by its text alone."""
    draw = keys.generator(keys.fold(keys.root(5), "process", key))
    good = draw.integers(0, 2, (count, 3)).astype(bool)
    parent, text, value = [], [], []
    for row in good.tolist():
        above = -1
        for step in [None, *row]:
            parent.append(above)
            above = len(parent) - 1
            text.append("?" if step is None else GOOD if step else BAD)
            value.append(None if step is None else float(step))
    ids = Ragged.of([TOKENIZER.encode(one, add_special_tokens=False) for one in text], torch.int32)
    mine = torch.tensor([one is not None for one in value])
    return Forest.of(parent, {
        "text": text, "tokens.id": ids, "tokens.train": Ragged(mine.repeat_interleave(ids.lengths), ids.offsets),
        "reward.total": value, "ok.total": mine, "end": [int(End.TERMINATED)] * len(parent),
    })  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("process")
    args = TrainingArguments(
        output_dir=str(out), max_steps=30, per_device_train_batch_size=16, learning_rate=3e-3, report_to=[],
        use_cpu=True, save_strategy="no", disable_tqdm=True, seed=1, label_names=["labels"],
    )  # fmt: skip
    learn, held_out = (step_labels(chains(64, key), least=0.5) for key in (1, 2))
    trainer = process_reward_trainer(str(EMBEDDED), learn, tokenizer=TOKENIZER, args=args, held_out=held_out)
    trainer.train()
    found = trainer.evaluate()
    trainer.save_model(str(out / "model"))
    return found, out / "model"


def test_it_learns_which_steps_are_good(trained):
    found, _ = trained
    assert found["eval_accuracy"] > 0.95 > found["eval_share_of_good"]


def test_it_is_a_reward_of_steps(trained):
    forest = chains(8, 3)
    scored = guard.score(ProcessReward(folder=str(trained[1])), forest.without("reward.total", "ok.total"))
    steps = forest.parent >= 0
    assert (scored["ok.process"] == steps).all()
    said = scored["reward.process"][steps] > 0.5
    assert (said == (forest["reward.total"][steps] > 0.5)).float().mean() > 0.9
    shorter = forest.select(forest.with_ancestors((forest.depth() == 1).nonzero().squeeze(1)))
    again = guard.score(ProcessReward(folder=str(trained[1])), shorter.without("reward.total", "ok.total"))
    first = forest.depth() == 1
    assert torch.allclose(scored["reward.process"][first], again["reward.process"][shorter.depth() == 1], atol=1e-5)


def test_one_class_is_refused():
    rows = step_labels(chains(4, 4), least=-1.0)
    with pytest.raises(SettingError, match=r"hold the classes \[1\]"):
        process_reward_trainer(str(EMBEDDED), rows, tokenizer=TOKENIZER, args=None)


def test_accuracy():
    logits = np.array([[[0, 1], [1, 0], [0, 1]]])
    found = accuracy(EvalPrediction(predictions=logits, label_ids=np.array([[1, 1, -100]])))
    assert found == {"accuracy": 0.5, "share_of_good": 1.0}
    assert accuracy(EvalPrediction(predictions=logits, label_ids=np.full((1, 3), -100)))["accuracy"] == 0.0
