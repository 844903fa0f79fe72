"""The command with the real engine: a tiny untrained character model and a user's own reward in ten lines."""

import json
import string
import sys
import types
from pathlib import Path

import pytest
import tokenizers
import torch
import transformers

from milepost.cli import main

MINE = '''def reward(prompts, completions, **columns):
    """Digits are good, "7" cannot be judged, and "9" is a nuisance."""
    found = []
    for text in completions:
        if "9" in text:
            raise ValueError("a nine turned up")
        found.append(None if "7" in text else sum(map(str.isdigit, text)) / max(len(text), 1))
    return found
'''
SMALL = (
    "--tasks-per-step", "3", "--held-out", "4", "--train", "8", "--max-tokens", "6", "--steps", "2",
    "--settings.width", "4", "--max-invalid", "1",
)  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder that transformers can load: 10k weights, characters as tokens."""
    folder = tmp_path_factory.mktemp("model")
    words = ["<pad>", "<eos>", *string.printable]
    raw = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>")
    )
    raw.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    raw.decoder = tokenizers.decoders.Fuse()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="<eos>", unk_token="<pad>"
    ).save_pretrained(folder)
    with torch.random.fork_rng():
        made = transformers.LlamaForCausalLM(
            transformers.LlamaConfig(
                vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                num_key_value_heads=2, max_position_embeddings=512, eos_token_id=1, pad_token_id=0,
            )
        )  # fmt: skip
    draws = torch.Generator().manual_seed(1)
    for weight in made.parameters():
        weight.data.normal_(0.0, 0.3, generator=draws)
    made.save_pretrained(folder)
    return folder


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(MINE)

    def run(*argv):
        code = main([str(word) for word in argv])
        captured = capsys.readouterr()
        return types.SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return run


def test_own_reward_with_its_failures_shown_as_data(call, model):
    words = ("run", "grpo", "--reward", "mine.py:reward", "--model", model, *SMALL)
    done = call(*words, "--out", "r", "--json")
    assert done.code == 0, done.err
    found = [json.loads(line) for line in done.out.splitlines()]
    reasons = {row["example"]: row for row in found[-1]["failed"]}
    assert {(row["reward"], row["code"]) for row in reasons.values()} == {("reward", "reward_error")}
    assert {"ValueError: a nine turned up", "the function returned None"} <= set(reasons), reasons
    assert any(one["numbers"].get("reward/reward_failed", 0) > 0 for one in found if one["event"] == "update")
    assert "reward_error" in Path("r/report.html").read_text()
    assert call("check", "r").code == 0
    assert "a nine turned up" in call("show", "r").out
    assert json.loads(call("score", "r", "--reward", "mine.py:reward", "--out", "again", "--json").out)["forests"]
    kept = call("run", *words[1:], "--out", "s", "--no-report")
    assert "failed rewards" in kept.out
    for name in ("metrics.jsonl", "evaluation.jsonl", "run.toml"):
        assert Path("r", name).read_bytes() == Path("s", name).read_bytes()


def test_compare_with_the_real_engine(call, model):
    done = call(
        "compare", "grpo", "grpo", "--repeats", "2", "--model", model, *SMALL, "--out", "c", "--json"
    )  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(done.out.splitlines()[-1])
    assert found["differences"][0]["difference"]["estimate"] == 0
    assert found["verdict"] == "undecided"
    assert {"success", "pass@2", "pass@4", "distinct", "entropy"} <= {one["metric"] for one in found["differences"]}
    assert Path("c/comparison.html").is_file()


def test_a_reward_file_that_does_not_exist(call, model):
    sys.modules.pop("mine", None)
    done = call("run", "grpo", "--reward", "nine.py:reward", "--model", model, *SMALL, "--out", "r")
    assert done.code == 2
    assert "nine.py" in done.err
