"""The transformers as networks: layout of tokens, pieces, adapters."""

import peft
import torch

from milepost.policies.flow.pipelines import adapter
from milepost.policies.flow.pipelines.networks import Flux, PipelineNetwork, StableDiffusion3, packed, places, unpacked
from milepost.testing import pipelines

PROMPTS = ("a red cat", "a dog")


def network(pipe, **settings):
    known = Flux(tokens=8) if "Flux" in type(pipe).__name__ else StableDiffusion3(tokens=8)
    table = adapter.encoded(pipe, PROMPTS, known)
    fixed = {"transformer": pipe.transformer, "architecture": known, "conditions": table, "shape": (4, 8, 8)}
    return PipelineNetwork(**{**fixed, **settings})


def latents(count):
    return torch.linspace(-1, 1, count * 4 * 8 * 8).view(count, 4, 8, 8)


def test_packing_is_that_of_diffusers_and_is_undone(flux):
    latent = latents(2)
    found = packed(latent)
    assert torch.equal(found, flux._pack_latents(latent, 2, 4, 8, 8))
    assert torch.equal(unpacked(found, 8, 8), latent)
    assert torch.equal(places(4, 4), flux._prepare_latent_image_ids(1, 4, 4, torch.device("cpu"), torch.float32))


def test_pieces_say_what_the_whole_says(pipe):
    time, condition = torch.tensor([1.0, 0.6, 0.6, 0.1, 0.9]), torch.tensor([0, 1, -1, 0, 1])
    whole, cut = network(pipe, rows_at_once=5), network(pipe, rows_at_once=2)
    with torch.no_grad():
        torch.testing.assert_close(cut(latents(5), time, condition), whole(latents(5), time, condition))


def test_prompt_and_time_matter(pipe):
    same = latents(1).repeat(3, 1, 1, 1)
    with torch.no_grad():
        found = network(pipe)(same, torch.tensor([0.5, 0.5, 0.4]), torch.tensor([0, 1, 0]))
    assert not torch.allclose(found[0], found[1], atol=1e-5)
    assert not torch.allclose(found[0], found[2], atol=1e-5)


def test_a_lower_precision_comes_back_in_float32():
    pipe = pipelines.stable_diffusion_3()
    pipe.transformer.to(torch.bfloat16)
    with torch.no_grad():
        found = network(pipe)(latents(1), torch.tensor([0.5]), torch.tensor([0]))
    assert found.dtype == torch.float32


def test_adapters_can_be_left_out():
    pipe = pipelines.stable_diffusion_3()
    bare = network(pipe)
    given = (latents(1), torch.tensor([0.5]), torch.tensor([0]))
    with torch.no_grad():
        before = bare(*given)
        pipe.transformer.add_adapter(peft.LoraConfig(r=2, target_modules=["to_q"], init_lora_weights=False))
        assert not torch.allclose(bare(*given), before, atol=1e-6)
        torch.testing.assert_close(network(pipe, adapters=False)(*given), before)
        assert not torch.allclose(bare(*given), before, atol=1e-6)  # they are on again
