"""Scores of pictures where the policy draws latents: they are decoded first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from milepost.rewards.images.scorers import Scorer


@dataclass(frozen=True, kw_only=True, eq=False)
class Decoded:
    """A scorer of pictures as a scorer of latents. Implements `scorers.Scorer`.

    Example:
        >>> import torch
        >>> from milepost.rewards.images.scorers import Compressibility
        >>> flat = Decoded(decode=lambda latent: latent.mean((1, 2, 3), keepdim=True)[:, 0], scorer=Compressibility())
        >>> flat(torch.zeros(1, 4, 8, 8), torch.zeros(1, dtype=torch.int64)).shape
        torch.Size([1])
    """

    decode: Callable[[Tensor], Tensor]
    """Latents to pictures in [-1, 1], such as `policies.flow.pipelines.adapter.Decoder`."""
    scorer: Scorer

    @property
    def range(self) -> tuple[float, float]:
        """That of the scorer."""
        return self.scorer.range

    @property
    def differentiable(self) -> bool:
        """Whether the scorer is; a decoder is taken to be."""
        return self.scorer.differentiable

    def __call__(self, image: Tensor, label: Tensor) -> Tensor:
        """One score per latent."""
        return self.scorer(self.decode(image), label)


def coloured(image: Float[Tensor, "n h w"]) -> Float[Tensor, "n 3 h w"]:
    """Images of shades as pictures of colours: three equal channels.

        colour[c, y, x] = image[y, x] for c = 0, 1, 2

    Args:
        image: shades in [-1, 1], such as the digits.

    Returns:
        Pictures in [-1, 1].

    Example:
        >>> import torch
        >>> coloured(torch.zeros(2, 8, 8)).shape
        torch.Size([2, 3, 8, 8])
    """
    return image[:, None].repeat(1, 3, 1, 1)
