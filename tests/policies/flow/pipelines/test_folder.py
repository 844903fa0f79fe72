"""Pipelines from folders: the same numbers as before they were saved, and a clear word where a folder is another."""

import pytest
import torch

from milepost import keys
from milepost.errors import FormatError
from milepost.policies.flow.pipelines import folder


def weights(pipe):
    return dict(pipe.transformer.named_parameters())


def test_a_saved_pipeline_is_loaded_as_it_was(pipe, tmp_path):
    pipe.save_pretrained(tmp_path)
    found = folder.load(tmp_path)
    assert type(found) is type(pipe)
    for name, value in weights(pipe).items():
        assert torch.equal(weights(found)[name], value)
    assert all(value.requires_grad for value in weights(found).values())


def test_adapters_are_all_that_is_trained_and_come_from_the_key(stable_diffusion, tmp_path):
    stable_diffusion.save_pretrained(tmp_path)
    state = torch.random.get_rng_state()
    one, same, other = (folder.load(tmp_path, lora_rank=2, key=keys.root(seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    trained = {name for name, value in weights(one).items() if value.requires_grad}
    assert trained
    assert all("lora" in name for name in trained)
    assert all(torch.equal(weights(one)[name], weights(same)[name]) for name in trained)
    assert any(not torch.equal(weights(one)[name], weights(other)[name]) for name in trained)


def test_another_folder_is_refused_in_words(tmp_path):
    with pytest.raises(FormatError, match=r"is no folder.*download"):
        folder.load(tmp_path / "nowhere")
    with pytest.raises(FormatError, match=r"no model_index\.json \(it holds nothing\)"):
        folder.kind(tmp_path)
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FormatError, match=r"holds config\.json.*name the folder above"):
        folder.kind(tmp_path)
    index = tmp_path / "model_index.json"
    for text, says in (
        ('{"_class_name": "StableDiffusionPipeline"}', "holds a StableDiffusionPipeline; expected"),
        ("{", "damaged index"),
        ("[]", "damaged index"),
    ):
        index.write_text(text, encoding="utf-8")
        with pytest.raises(FormatError, match=says):
            folder.kind(tmp_path)
    index.write_text('{"_class_name": "FluxPipeline"}', encoding="utf-8")
    with pytest.raises(FormatError, match="cannot be loaded as a FluxPipeline"):
        folder.load(tmp_path)
