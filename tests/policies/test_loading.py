"""Models by name or folder: what is refused, what is silent, and adapters that come from a key."""

from __future__ import annotations

import json

import huggingface_hub
import pytest
import torch

from milepost import keys
from milepost.errors import FormatError, SettingError, UnknownName
from milepost.policies import loading
from milepost.policies.decoding import Decoding
from tests.policies.conftest import small_model

DECODING = Decoding(max_tokens=4)


@pytest.fixture
def folder(tmp_path, tokenizer):
    small_model().to(torch.bfloat16).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def test_the_embedded_model_is_small_and_in_float32():
    policy = loading.load("embedded", decoding=DECODING)
    assert policy.model.dtype == torch.float32
    assert 600_000 < sum(value.numel() for value in policy.trainable().values()) < 700_000
    assert sum(file.stat().st_size for file in loading.EMBEDDED.iterdir()) < 1_400_000
    assert {file.suffix for file in loading.EMBEDDED.iterdir()} <= {".json", ".safetensors", ".md"}


def test_a_folder_keeps_its_type(folder):
    assert loading.load(str(folder), decoding=DECODING).model.dtype == torch.bfloat16
    assert loading.of_folder(folder, decoding=DECODING, dtype=torch.float32).model.dtype == torch.float32


def test_an_unknown_name_is_refused():
    with pytest.raises(UnknownName, match=r"'embedded', 'embedded-search', 'smollm2', a folder .* cache\.$"):
        loading.load("gpt-9", decoding=DECODING)


def test_a_hub_model_that_was_fetched_is_found_and_another_is_not(folder, tmp_path_factory, monkeypatch):
    cache = tmp_path_factory.mktemp("hub")
    (cache / "models--owner--small" / "snapshots").mkdir(parents=True)
    (cache / "models--owner--small" / "refs").mkdir()
    (cache / "models--owner--small" / "refs" / "main").write_text("abc")
    folder.rename(cache / "models--owner--small" / "snapshots" / "abc")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    assert loading.load("owner/small", decoding=DECODING).model.dtype == torch.bfloat16
    with pytest.raises(UnknownName, match="hf download owner/large"):
        loading.load("owner/large", decoding=DECODING)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(FormatError, match="cannot be loaded as a language model"):
        loading.load(str(tmp_path), decoding=DECODING)


def test_pickled_weights_are_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(FormatError, match="safetensors"):
        loading.load(str(folder), decoding=DECODING)


def test_code_in_a_folder_is_not_run(folder):
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModelForCausalLM": "mine.Mine"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text("raise SystemExit('code of the folder was run')\n")
    with pytest.raises(FormatError, match="cannot be loaded"):
        loading.load(str(folder), decoding=DECODING)


def test_loading_draws_no_progress_bar(folder, capfd):
    loading.load(str(folder), decoding=DECODING)
    told = capfd.readouterr()
    assert told.out + told.err == ""


def test_adapters_come_from_the_key_and_leave_the_generator_alone(folder):
    state = torch.random.get_rng_state()
    one, same, other = (
        loading.load(str(folder), decoding=DECODING, lora_rank=2, key=keys.fold(0, number)).trainable()
        for number in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    assert all("lora_" in name for name in one)


def test_a_server_is_not_loaded():
    with pytest.raises(SettingError, match="cannot be trained from here"):
        loading.load("http://127.0.0.1:8000/v1#model", decoding=Decoding())


def test_the_memory_of_a_pass_is_the_policys():
    assert loading.load("embedded", decoding=Decoding(), memory_bytes=1000).memory_bytes == 1000
