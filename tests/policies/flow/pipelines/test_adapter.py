"""Pipelines of the real classes as policies: the same images, the kernel's log-probabilities, training."""

import peft
import pytest
import torch

from milepost import keys
from milepost.engines.settings import UpdateSettings
from milepost.engines.update import Updater, optimiser_for
from milepost.environments.denoising import Prompts
from milepost.errors import SettingError
from milepost.objectives.clipped import Clipped
from milepost.objectives.combined.exact_kl import ExactKL
from milepost.policies.flow import kernel
from milepost.policies.flow.denoiser import Denoiser
from milepost.policies.flow.noise import EvenNoise, FlowNoise, Grid
from milepost.policies.flow.pipelines import adapter
from milepost.policies.flow.pipelines.networks import Flux, StableDiffusion3, packed
from milepost.policies.flow.process import Process
from milepost.recipes import flow_grpo
from milepost.rewards import guard
from milepost.rewards.combine import total
from milepost.rewards.images.reward import ImageScore
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.testing import pipelines

KEY, STEPS = keys.root(8), 4
WORLD = Prompts(prompts=("a red cat", "a dog"))


def policy(pipe, **settings):
    known = Flux(tokens=8) if "Flux" in type(pipe).__name__ else StableDiffusion3(tokens=8)
    process = Process(**{"grid": Grid(steps=STEPS), "noise": FlowNoise(scale=0.4), **settings})
    return adapter.denoiser(pipe, WORLD.every, process=process, architecture=known)


def grown(one, *, width=3, key=KEY):
    draws = [Draw(task=task) for task in WORLD.train()]
    return grow(draws, policy=one, environment=WORLD, sampler=Independent(width=width), key=key, workers=1)


def test_without_noise_the_image_is_the_pipelines_own(pipe):
    """The whole path, times and shifts included, to the bit: what the pipeline makes of the same first noise."""
    one = policy(pipe)
    noise, asked = torch.from_numpy(keys.normal([1, 2], one.network.shape)).float(), torch.tensor([0, 1])
    own = one.complete(noise, torch.ones(2), asked)
    told = one.network.conditions.of(asked)
    is_flux = "Flux" in type(pipe).__name__
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        prompt_embeds=told.tokens,
        pooled_prompt_embeds=told.pooled,
        latents=packed(noise) if is_flux else noise,
        num_inference_steps=STEPS,
        height=16,
        width=16,
        output_type="latent",
        guidance_scale=3.5 if is_flux else 1.0,
    ).images
    assert torch.equal(packed(own) if is_flux else own, theirs)


def test_guidance_is_the_pipelines_own(stable_diffusion):
    one = policy(stable_diffusion, guidance=4.0)
    noise, table = torch.from_numpy(keys.normal([3], one.network.shape)).float(), one.network.conditions
    stable_diffusion.set_progress_bar_config(disable=True)
    theirs = stable_diffusion(
        prompt_embeds=table.tokens[:1],
        pooled_prompt_embeds=table.pooled[:1],
        negative_prompt_embeds=table.tokens[2:],
        negative_pooled_prompt_embeds=table.pooled[2:],
        latents=noise,
        num_inference_steps=STEPS,
        height=16,
        width=16,
        output_type="latent",
        guidance_scale=4.0,
    ).images
    torch.testing.assert_close(one.complete(noise, torch.ones(1), torch.tensor([0])), theirs, atol=1e-5, rtol=1e-5)


def test_a_step_without_noise_is_the_schedulers(pipe):
    one = policy(pipe)
    scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config)
    begin = [1 - place / STEPS for place in range(STEPS)] if "Flux" in type(pipe).__name__ else None
    mu = {"mu": adapter._shift(scheduler.config, 16)} if scheduler.config.use_dynamic_shifting else {}
    scheduler.set_timesteps(**({"sigmas": begin} if begin else {"num_inference_steps": STEPS}), **mu)
    latent = torch.from_numpy(keys.normal([4], one.network.shape)).float()
    velocity = torch.from_numpy(keys.normal([5], one.network.shape)).float()
    now, after = (one.process.grid()[place : place + 1] for place in (1, 2))
    scheduler.set_begin_index(1)
    theirs = scheduler.step(velocity, scheduler.timesteps[1], latent).prev_sample
    torch.testing.assert_close(one.kernel.mean(latent, velocity, now, after, torch.zeros(1)), theirs)


def test_log_probabilities_are_those_of_the_kernel(pipe):
    """Recomputed in another batch, and by torch's own normal distribution: 1e-5."""
    one = policy(pipe)
    forest = grown(one)
    has = forest.valid("log_prob").nonzero().flatten()
    assert len(has) == 6 * (STEPS - 1)
    again = torch.cat([one.log_prob(forest, has[:7]), one.log_prob(forest, has[7:])])
    torch.testing.assert_close(again.detach(), forest["log_prob"][has], atol=1e-5, rtol=0)
    normal = torch.distributions.Normal(forest["mean"][has], kernel.across(forest["std"][has], forest["mean"][has]))
    truth = normal.log_prob(forest["latent"][has]).flatten(1).mean(1)
    torch.testing.assert_close(forest["log_prob"][has], truth, atol=1e-5, rtol=0)


class First:
    """Mean of the first channel of the latent: something that a policy can learn in a few steps."""

    range, differentiable = (-10.0, 10.0), True

    def __call__(self, image, label):
        return image[:, 0].mean((1, 2))


def first_channel(one):
    """Of the latents that 16 fixed first noises become without further noise."""
    noise = torch.from_numpy(keys.normal(list(range(16)), one.network.shape)).float()
    return float(First()(one.complete(noise, torch.ones(16), torch.arange(16) % 2), None).mean())


@pytest.mark.parametrize("make", [pipelines.stable_diffusion_3, pipelines.flux])
def test_flow_grpo_trains_a_pipeline(make, record_property):
    """Four updates of Flow-GRPO raise what is rewarded; the ratio before the first is 1."""
    pipe = make()
    one, job = policy(pipe, noise=EvenNoise(level=0.6)), flow_grpo.build(clip=0.2)
    reward, settings = ImageScore(scorer=First(), name="first"), UpdateSettings(learning_rate=1e-2)
    updater = Updater(
        policy=one, objective=job.objective, optimiser=optimiser_for(one, settings), settings=settings, reference=None
    )
    before, numbers = first_channel(one), []
    for step in range(4):
        forest = grown(one, width=6, key=keys.fold(KEY, step))
        forest = total(guard.score(reward, forest, forest.leaves()), ["first"], [1.0])
        numbers.append(updater(job.credit(forest), KEY))
    record_property("first channel", (before, first_channel(one)))
    assert numbers[0]["objective/ratio_mean"] == pytest.approx(1, abs=1e-5)
    assert first_channel(one) > before + 0.05
    assert one.version == 4


@pytest.mark.parametrize("objective", [Clipped(), ExactKL(objective=Clipped(), coefficient=0.5)])
def test_in_pieces_the_gradient_is_that_of_the_whole(stable_diffusion, objective):
    one = policy(stable_diffusion)
    forest, found = grown(one).with_columns({"advantage": torch.linspace(-1, 1, 32)}), {}
    other = policy(pipelines.stable_diffusion_3(key=1))
    for size in (1 << 31, 5):
        one.rows_at_once = size
        settings = UpdateSettings(learning_rate=1e-30)
        updater = Updater(
            policy=one, objective=objective, optimiser=optimiser_for(one, settings), settings=settings, reference=other
        )
        numbers = updater._step(forest)
        found[size] = {name: value.grad.clone() for name, value in one.trainable().items() if value.grad is not None}
        assert numbers.get("objective/kl", 1.0) > 0
    assert found[5].keys() == found[1 << 31].keys()
    for name, slope in found[5].items():
        torch.testing.assert_close(slope, found[1 << 31][name], atol=1e-6, rtol=1e-3)


def test_only_adapters_are_trained_and_the_reference_is_without_them():
    pipe = pipelines.stable_diffusion_3()
    pipe.transformer.requires_grad_(requires_grad=False)
    pipe.transformer.add_adapter(peft.LoraConfig(r=2, target_modules=["to_q", "to_v"]))
    one = policy(pipe, noise=EvenNoise(level=0.6))
    first = adapter.reference(one)
    assert one.trainable()
    assert all("lora" in name for name in one.trainable())
    forest = grown(one)
    every = torch.arange(len(forest))
    torch.testing.assert_close(first.log_prob(forest, every), one.log_prob(forest, every))
    with torch.no_grad():
        for value in one.trainable().values():
            value.add_(0.5)
    assert not torch.allclose(first.log_prob(forest, every), one.log_prob(forest, every), atol=1e-4)
    has = forest.valid("log_prob")
    torch.testing.assert_close(first.log_prob(forest, every)[has], forest["log_prob"][has], atol=1e-5, rtol=0)


def test_without_adapters_the_reference_is_a_copy():
    pipe = pipelines.flux()
    one = policy(pipe)
    first, forest = adapter.reference(one), grown(one, width=1)
    with torch.no_grad():
        for value in one.trainable().values():
            value.add_(0.1)
    has = forest.valid("log_prob").nonzero().flatten()
    torch.testing.assert_close(first.log_prob(forest, has), forest["log_prob"][has], atol=1e-5, rtol=0)


def test_pictures_come_from_the_autoencoder(stable_diffusion):
    vae = stable_diffusion.vae
    latent = torch.from_numpy(keys.normal([6, 7, 8], (4, 8, 8))).float()
    with torch.no_grad():
        truth = vae.decode(latent / 1.5 + 0.06).sample.clamp(-1, 1)
        found = adapter.Decoder(vae=vae, rows_at_once=2)(latent)
    assert found.shape == (3, 3, 16, 16)
    torch.testing.assert_close(found, truth)


def test_what_is_no_pipeline_of_this_kind_is_refused(stable_diffusion):
    with pytest.raises(SettingError, match="multiples of 2"):
        adapter.denoiser(stable_diffusion, WORLD.every, size=(8, 7))
    with pytest.raises(SettingError, match="expected that of a pipeline"):
        adapter.reference(Denoiser(network=torch.nn.Identity()))

    class DDIMScheduler:
        pass

    class Odd:
        scheduler, transformer = DDIMScheduler(), stable_diffusion.transformer

    with pytest.raises(SettingError, match="DDIMScheduler"):
        adapter.denoiser(Odd(), WORLD.every)
    Odd.scheduler, Odd.transformer = stable_diffusion.scheduler, DDIMScheduler()
    with pytest.raises(SettingError, match="architecture="):
        adapter.denoiser(Odd(), WORLD.every)
