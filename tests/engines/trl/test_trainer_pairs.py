"""Pairs of siblings in TRL's own trainers: DPO begins at ln 2 and learns the order; the others take their rows too."""

from __future__ import annotations

import json
import math

import pytest

pytestmark = pytest.mark.trainers

QUESTIONS = ("What is the capital of Chad?", "What is the currency of Peru?")
TURN = (
    "<search>capital</search>",
    "Capital of Chad: N'Djamena",
    "<answer>N'Djamena</answer>",
    "<answer>Franc</answer>",
)


def forest():
    """Two tasks: a search that is preferred to a guess, then an answer to another."""
    from milepost.columns import End
    from milepost.forest import Forest

    search, found, right, wrong = TURN
    parent = [-1, -1] + [above for root in (0, 1) for above in (root, root, 2 + 4 * root, 2 + 4 * root)]
    none = [None, None]
    return Forest.of(
        parent,
        {
            "task": [*QUESTIONS, *[None] * 8],
            "record": [*(json.dumps({"prompt": one}) for one in QUESTIONS), *[None] * 8],
            "text": [*none, *[search, wrong, right, wrong] * 2],
            "result": [*none, *[found, None, None, None] * 2],
            "end": [0, 0, *[0, int(End.PRUNED), int(End.TERMINATED), int(End.PRUNED)] * 2],
            "advantage": [0.0, 0.0, *[1.0, -1.0, 1.0, -1.0] * 2],
        },
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from tests.chat_servers import embedded_with_template

    return str(embedded_with_template(tmp_path_factory.mktemp("model") / "embedded"))


def settings(out):
    return {
        "output_dir": str(out), "per_device_train_batch_size": 4, "max_length": 256, "learning_rate": 1e-3,
        "max_steps": 6, "report_to": [], "use_cpu": True, "bf16": False, "save_strategy": "no", "logging_steps": 1,
        "disable_tqdm": True,
    }  # fmt: skip


def test_dpo_starts_at_ln_2(model, tmp_path):
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    from milepost.curation.pairs.rows import preference_rows

    rows = Dataset.from_list(list(preference_rows(forest())))
    assert len(rows) == 4
    trainer = DPOTrainer(model=model, args=DPOConfig(beta=0.1, **settings(tmp_path)), train_dataset=rows)
    trainer.train()
    losses = [one["loss"] for one in trainer.state.log_history if "loss" in one]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-3)
    assert losses[-1] < losses[0] - 0.02
    ranked = [one["rewards/accuracies"] for one in trainer.state.log_history if "rewards/accuracies" in one]
    assert ranked[-1] == 1.0


def test_sft_takes_whole_conversations(model, tmp_path):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from milepost.curation.pairs.rows import conversation_rows

    rows = Dataset.from_list(list(conversation_rows(forest())))
    assert len(rows) == 2
    trainer = SFTTrainer(model=model, args=SFTConfig(**settings(tmp_path)), train_dataset=rows)
    trainer.train()
    losses = [one["loss"] for one in trainer.state.log_history if "loss" in one]
    assert losses[-1] < losses[0]


def test_the_rows_of_kto_and_of_reward_models_have_the_shapes_that_trl_expects(model):
    from transformers import AutoTokenizer
    from trl.data_utils import apply_chat_template, is_conversational

    from milepost.curation.pairs.rows import reward_rows, unpaired_rows

    tokenizer = AutoTokenizer.from_pretrained(model)
    (judged, *_), (pair, *_) = list(unpaired_rows(forest())), list(reward_rows(forest()))
    assert is_conversational(judged)
    assert is_conversational(pair)
    found = apply_chat_template(dict(judged), tokenizer)
    assert found["completion"].startswith(TURN[0])
    assert isinstance(found["label"], bool)
    found = apply_chat_template(dict(pair), tokenizer)
    assert found["chosen"].partition(TURN[0])[0] == found["rejected"].partition(TURN[3])[0]


def losses(trainer):
    trainer.train()
    found = [one["loss"] for one in trainer.state.log_history if "loss" in one]
    assert len(found) == 6
    return found


def written_and_read(rows, folder):
    """Rows as a file that any program reads, back through a forest."""
    from milepost import storage
    from milepost.bridges import formats
    from milepost.traces.forests import forest_of, traces_of

    (folder / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    storage.write(forest_of(formats.read(folder / "rows.jsonl")), folder / "forest")
    formats.write(traces_of(storage.read(folder / "forest")), folder / "back.jsonl", "trl")
    return [json.loads(line) for line in (folder / "back.jsonl").read_text().splitlines()]


def test_kto_trains_on_judged_steps(model, tmp_path):
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    from milepost.curation.pairs.rows import unpaired_rows

    rows = list(unpaired_rows(forest()))
    assert [one["label"] for one in rows] == [True, False] * 4
    assert written_and_read(rows, tmp_path) == rows
    arguments = KTOConfig(beta=0.1, **settings(tmp_path))
    found = losses(KTOTrainer(model=model, args=arguments, train_dataset=Dataset.from_list(rows)))
    assert found[0] == pytest.approx(0.5, abs=1e-3)  # 1 - sigmoid(0): nothing is gained over the reference yet
    assert found[-1] < found[0] - 0.02


def test_a_reward_model_trains_on_conversations(model, tmp_path):
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    from milepost.curation.pairs.rows import reward_rows

    rows = list(reward_rows(forest()))
    assert len(rows) == 4
    assert written_and_read(rows, tmp_path) == rows
    trainer = RewardTrainer(model=model, args=RewardConfig(**settings(tmp_path)), train_dataset=Dataset.from_list(rows))
    found = losses(trainer)
    assert found[-1] < found[0]
    ranked = [one["accuracy"] for one in trainer.state.log_history if "accuracy" in one]
    assert ranked[-1] == 1.0
