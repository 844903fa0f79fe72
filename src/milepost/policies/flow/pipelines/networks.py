"""The transformers of Stable Diffusion 3 and of Flux as networks that predict a velocity.

Both predict noise - data at a time that the scheduler calls sigma: the kernel of a rectified flow fits as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from milepost import checks
from milepost.policies.flow.pipelines.conditions import Conditions

_SCALE = 1000
"""Time 1 in the units in which the transformers are told it."""


class Transformer(Protocol):
    """What an architecture needs to be told at a time, and how its latents are laid out."""

    @property
    def patch(self) -> int:
        """Pixels of a latent along the side of one token."""
        ...

    def channels(self, transformer: Any) -> int:
        """Channels of a latent."""
        ...

    def encode(self, pipe: Any, prompts: Sequence[str]) -> Conditions:
        """Embeddings of prompts by the pipeline's text encoders, one row each."""
        ...

    def predict(self, transformer: Any, latent: Tensor, time: Tensor, told: Conditions) -> Tensor:
        """Velocity at latents on the transformer's device and in its type; time is float32."""
        ...

    def begin(self, steps: int) -> tuple[float, ...] | None:
        """Times that the pipeline gives its scheduler before the shift; None: the scheduler's own."""
        ...


@dataclass(frozen=True, kw_only=True)
class StableDiffusion3:
    """The architecture of Stable Diffusion 3 and 3.5.

    Example:
        >>> StableDiffusion3().begin(2) is None
        True
    """

    patch: int = 2
    tokens: int = 256
    """Longest prompt, in tokens of the T5 encoder."""

    def channels(self, transformer: Any) -> int:
        """Those that the transformer reads."""
        return transformer.config.in_channels

    def encode(self, pipe: Any, prompts: Sequence[str]) -> Conditions:
        """Embeddings of prompts by the pipeline's three text encoders, as far as it has them."""
        asked = list(prompts)
        tokens, _, pooled, _ = pipe.encode_prompt(
            prompt=asked,
            prompt_2=asked,
            prompt_3=asked,
            do_classifier_free_guidance=False,
            max_sequence_length=self.tokens,
        )
        return Conditions(tokens=tokens, pooled=pooled)

    def predict(self, transformer: Any, latent: Tensor, time: Tensor, told: Conditions) -> Tensor:
        """Velocity."""
        return transformer(
            hidden_states=latent,
            timestep=time * _SCALE,
            encoder_hidden_states=told.tokens,
            pooled_projections=told.pooled,
            return_dict=False,
        )[0]

    def begin(self, steps: int) -> tuple[float, ...] | None:  # noqa: ARG002 - the scheduler spaces its own times
        """The scheduler's own times."""
        return None


@dataclass(frozen=True, kw_only=True)
class Flux:
    """The architecture of Flux: two by two pixels of a latent are one token.

    Example:
        >>> Flux().begin(2)
        (1.0, 0.5)
    """

    patch: int = 2
    tokens: int = 512
    """Longest prompt, in tokens of the T5 encoder."""
    distilled: float = 3.5
    """Guidance that models distilled for it are told; others ignore it."""

    def channels(self, transformer: Any) -> int:
        """A quarter of those that the transformer reads: a token holds two by two pixels."""
        return transformer.config.in_channels // 4

    def encode(self, pipe: Any, prompts: Sequence[str]) -> Conditions:
        """Embeddings of prompts by the pipeline's two text encoders."""
        asked = list(prompts)
        tokens, pooled, _ = pipe.encode_prompt(prompt=asked, prompt_2=asked, max_sequence_length=self.tokens)
        return Conditions(tokens=tokens, pooled=pooled)

    def predict(self, transformer: Any, latent: Tensor, time: Tensor, told: Conditions) -> Tensor:
        """Velocity."""
        height, width = latent.shape[-2:]
        guidance = time.new_full((len(time),), self.distilled) if transformer.config.guidance_embeds else None
        found = transformer(
            hidden_states=packed(latent),
            timestep=(time * _SCALE).to(latent.dtype) / _SCALE,
            guidance=guidance,
            pooled_projections=told.pooled,
            encoder_hidden_states=told.tokens,
            txt_ids=latent.new_zeros(told.tokens.shape[1], 3),
            img_ids=places(height // 2, width // 2).to(latent),
            return_dict=False,
        )[0]
        return unpacked(found, height, width)

    def begin(self, steps: int) -> tuple[float, ...] | None:
        """Even times from 1."""
        return tuple(1 - place / steps for place in range(steps))


def packed(latent: Float[Tensor, "n c h w"]) -> Float[Tensor, "n t d"]:
    """Latents as tokens: each holds the channels of two by two pixels, channel first.

    Args:
        latent: of even height and width.

    Returns:
        (n, h w / 4, 4 c).
    """
    rows, channels, height, width = latent.shape
    cut = latent.reshape(rows, channels, height // 2, 2, width // 2, 2)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(rows, height * width // 4, channels * 4)


def unpacked(tokens: Float[Tensor, "n t d"], height: int, width: int) -> Float[Tensor, "n c h w"]:
    """Latents from their tokens: undoes `packed`.

    Args:
        tokens: as `packed` returns them.
        height: of the latents.
        width: likewise.

    Returns:
        (n, c, height, width).
    """
    rows, _, size = tokens.shape
    cut = tokens.reshape(rows, height // 2, width // 2, size // 4, 2, 2)
    return cut.permute(0, 3, 1, 4, 2, 5).reshape(rows, size // 4, height, width)


def places(height: int, width: int) -> Float[Tensor, "t 3"]:
    """Where the tokens of an image stand.

    Args:
        height: tokens from top to bottom.
        width: tokens from left to right.

    Returns:
        One row (0, line, column) per token, line by line.
    """
    down, right = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack((torch.zeros_like(down), down, right), 2).reshape(-1, 3).float()


@dataclass(kw_only=True, eq=False)
class PipelineNetwork:
    """A pipeline's transformer and the prompts that it knows. Implements `policies.flow.denoiser.Network`.

    Latents come and go in float32 on the CPU, whatever the transformer computes in and on. Where no gradient is wanted,
    `rows_at_once` latents are computed at a time.
    """

    transformer: Any
    architecture: Transformer
    conditions: Conditions
    shape: tuple[int, ...]
    """Channels, height and width of one latent."""
    rows_at_once: int = 8
    adapters: bool = True
    """Whether adapters on the transformer take part; without them it is the model that training began with."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        checks.at_least("rows_at_once", self.rows_at_once, 1)

    def __call__(self, latent: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Velocity at (n, *shape), (n,) and numbers of prompts (n,), of which -1 is the empty prompt."""
        size = len(latent) if torch.is_grad_enabled() else self.rows_at_once
        with nullcontext() if self.adapters else without_adapters(self.transformer):
            return _piecewise(self._predict, (latent, time, condition), max(size, 1))

    def _predict(self, latent: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        device, dtype = self.transformer.device, self.transformer.dtype
        told = self.conditions.of(condition.to(self.conditions.tokens.device)).to(device, dtype)
        found = self.architecture.predict(self.transformer, latent.to(device, dtype), time.to(device), told)
        return found.to(latent)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Weights of the transformer."""
        return self.transformer.named_parameters()


def _piecewise(call: Callable[..., Tensor], given: tuple[Tensor, ...], size: int) -> Tensor:
    return torch.cat([call(*piece) for piece in zip(*(one.split(size) for one in given), strict=True)])


@contextmanager
def without_adapters(transformer: Any) -> Generator[None]:
    """Switch the adapters of a model of diffusers off for a while.

    Args:
        transformer: with adapters, as its `add_adapter` puts them on.

    Returns:
        A context in which it computes without them.
    """
    transformer.disable_adapters()
    try:
        yield
    finally:
        transformer.enable_adapters()
