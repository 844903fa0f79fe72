"""Scores of pictures where the policy draws latents: they are decoded first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
