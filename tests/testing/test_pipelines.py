"""Tiny pipelines: of the real classes, the same each time, leaving global randomness as it was."""

import torch
from diffusers import FluxPipeline, StableDiffusion3Pipeline
from transformers import CLIPModel

from milepost.testing import pipelines


def test_pipelines_are_of_the_real_classes_and_draw():
    for make, kind in ((pipelines.stable_diffusion_3, StableDiffusion3Pipeline), (pipelines.flux, FluxPipeline)):
        pipe = make()
        assert isinstance(pipe, kind)
        pipe.set_progress_bar_config(disable=True)
        shown = pipe("a red cat", num_inference_steps=2, height=16, width=16, output_type="pt", max_sequence_length=8)
        assert shown.images.shape == (1, 3, 16, 16)


def test_a_key_decides_the_weights_and_nothing_else_is_touched():
    state = torch.random.get_rng_state()
    first, again, other = (pipelines.clip(key) for key in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert isinstance(first, CLIPModel)
    assert torch.equal(first.visual_projection.weight, again.visual_projection.weight)
    assert not torch.equal(first.visual_projection.weight, other.visual_projection.weight)


def test_letters_are_tokens():
    found = pipelines.letters()("a cat", padding="max_length", max_length=8)
    assert len(found["input_ids"]) == 8
    assert found["input_ids"][0] == 0
