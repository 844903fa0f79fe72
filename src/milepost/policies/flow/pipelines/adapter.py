"""From a pipeline of diffusers to a policy, and from its latents to pictures.

    pipe = StableDiffusion3Pipeline.from_pretrained("<folder>", torch_dtype=torch.bfloat16).to("cuda")
    policy = adapter.denoiser(pipe, world.every, process=Process(guidance=4.5))

The pipeline gives the network, the prompts' embeddings and the times; noise, log-probabilities and branching are ours.
diffusers has schedulers that add noise, but none that says how likely the noise was.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from milepost.errors import SettingError
from milepost.policies.flow.denoiser import Denoiser
from milepost.policies.flow.noise import GivenTimes
from milepost.policies.flow.pipelines.conditions import Conditions
from milepost.policies.flow.pipelines.networks import Flux, PipelineNetwork, StableDiffusion3, Transformer
from milepost.policies.flow.process import Process

ARCHITECTURES: Mapping[str, Transformer] = {
    "SD3Transformer2DModel": StableDiffusion3(),
    "FluxTransformer2DModel": Flux(),
}
"""By the class of the pipeline's transformer."""
SCHEDULER = "FlowMatchEulerDiscreteScheduler"
_PROMPTS_AT_ONCE = 8


def denoiser(
    pipe: Any,
    prompts: Sequence[str] | Conditions,
    *,
    process: Process | None = None,
    size: tuple[int, int] | None = None,
    architecture: Transformer | None = None,
    rows_at_once: int = 8,
) -> Denoiser:
    """Make a policy of a pipeline. What it trains are the weights of the transformer that require gradients.

    Args:
        pipe: a pipeline of diffusers whose scheduler is a FlowMatchEulerDiscreteScheduler and whose transformer is that
            of Stable Diffusion 3 or of Flux, on its device and in its type.
        prompts: what can be asked for, in the order of the environment's numbers, or their embeddings; the pipeline's
            text encoders are not needed afterwards.
        process: noise, guidance and number of steps; the times are those of the pipeline's scheduler.
        size: height and width of the latents; default: the transformer's own.
        architecture: other settings of a known architecture, such as `Flux(distilled=1.0)`, or one of your own.
        rows_at_once: latents that fit in memory together, with their graphs.

    Returns:
        The policy.

    Raises:
        SettingError: another scheduler or transformer, or odd sizes.
    """
    _check_scheduler(pipe)
    known = architecture or _architecture(pipe)
    chosen = process or Process()
    shape = _shape(pipe, size, known)
    table = prompts if isinstance(prompts, Conditions) else encoded(pipe, prompts, known)
    steps = len(chosen.grid()) - 1
    pipe.transformer.eval()
    return Denoiser(
        network=PipelineNetwork(
            transformer=pipe.transformer,
            architecture=known,
            conditions=table,
            shape=shape,
            rows_at_once=rows_at_once,
        ),
        process=replace(chosen, grid=times(pipe, steps, shape, known)),
        rows_at_once=rows_at_once,
    )


def _check_scheduler(pipe: Any) -> None:
    name = type(pipe.scheduler).__name__
    if name != SCHEDULER:
        raise SettingError(
            f"The pipeline's scheduler is {name}, expected {SCHEDULER}: its model predicts the velocity of a rectified "
            "flow. For a model that predicts noise write a network and take policies.flow.kernel.DiffusionKernel."
        )


def _architecture(pipe: Any) -> Transformer:
    name = type(pipe.transformer).__name__
    if name not in ARCHITECTURES:
        raise SettingError(
            f"The pipeline's transformer is {name}, expected one of {', '.join(ARCHITECTURES)}. Pass architecture=..., "
            "an object with the methods of pipelines.networks.Transformer."
        )
    return ARCHITECTURES[name]


def _shape(pipe: Any, size: tuple[int, int] | None, known: Transformer) -> tuple[int, ...]:
    height, width = size or ((pipe.default_sample_size,) * 2)
    if height % known.patch or width % known.patch:
        raise SettingError(f"size={(height, width)} is not allowed: expected multiples of {known.patch}.")
    return (known.channels(pipe.transformer), height, width)


@torch.no_grad()
def encoded(pipe: Any, prompts: Sequence[str], architecture: Transformer) -> Conditions:
    """Embed prompts, and the empty prompt after them.

    Args:
        pipe: with its text encoders.
        prompts: what can be asked for.
        architecture: says what the encoders are asked.

    Returns:
        The table, on the CPU.
    """
    every = [*prompts, ""]
    found = [
        architecture.encode(pipe, every[place : place + _PROMPTS_AT_ONCE])
        for place in range(0, len(every), _PROMPTS_AT_ONCE)
    ]
    return Conditions(
        tokens=torch.cat([one.tokens.cpu() for one in found]), pooled=torch.cat([one.pooled.cpu() for one in found])
    )


def times(pipe: Any, steps: int, shape: tuple[int, ...], architecture: Transformer) -> GivenTimes:
    """Times at which the pipeline's scheduler stops, its shifts included.

    Args:
        pipe: with its scheduler, which is left as it is.
        steps: how many.
        shape: of a latent; schedulers may shift by the number of tokens.
        architecture: says what the pipeline gives its scheduler.

    Returns:
        The times from 1 to 0.

    Raises:
        SettingError: the scheduler does not begin at pure noise.
    """
    scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config)
    begin = architecture.begin(steps)
    given: dict[str, Any] = {"num_inference_steps": steps} if begin is None else {"sigmas": list(begin)}
    if scheduler.config.use_dynamic_shifting:
        given["mu"] = _shift(scheduler.config, shape[1] * shape[2] // architecture.patch**2)
    scheduler.set_timesteps(**given)
    found = [float(one) for one in scheduler.sigmas]
    if abs(found[0] - 1) > 1e-5 or found[-1] != 0:
        raise SettingError(
            f"The scheduler goes from time {found[0]:.4g} to {found[-1]:.4g}, expected from 1 (noise) to 0 (data)."
        )
    return GivenTimes(times=(1.0, *found[1:]))


def _shift(settings: Any, tokens: int) -> float:
    """The scheduler's mu: linear in the number of tokens, between its two given values."""
    low, high = settings.get("base_image_seq_len", 256), settings.get("max_image_seq_len", 4096)
    first, last = settings.get("base_shift", 0.5), settings.get("max_shift", 1.15)
    return first + (last - first) * (tokens - low) / (high - low)


def reference(policy: Denoiser) -> Denoiser:
    """The policy that training began with, for penalties: without the adapters if there are any, else a copy.

    Args:
        policy: of `denoiser`, before the first update.

    Returns:
        A policy that later updates do not change; with adapters it shares the frozen weights.

    Raises:
        SettingError: the policy is not of a pipeline.
    """
    network = policy.network
    if not isinstance(network, PipelineNetwork):
        raise SettingError(f"The policy's network is {type(network).__name__}, expected that of a pipeline.")
    if getattr(network.transformer, "peft_config", None):
        return replace(policy, network=replace(network, adapters=False))
    return replace(policy, network=replace(network, transformer=copy.deepcopy(network.transformer)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Decoder:
    """Latents to pictures, by the pipeline's autoencoder. Differentiable in the latents.

    What a scorer of pictures is given first, see `rewards.images.pictures.Decoded`.
    """

    vae: Any
    rows_at_once: int = 4

    def __call__(self, latent: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 y x"]:
        """Pictures in [-1, 1], float32 on the latents' device."""
        settings = self.vae.config
        moved = latent / settings.scaling_factor + (settings.shift_factor or 0.0)
        shown = [
            self.vae.decode(piece.to(self.vae.device, self.vae.dtype), return_dict=False)[0].to(latent)
            for piece in moved.split(self.rows_at_once)
        ]
        return torch.cat(shown).clamp(-1, 1)
