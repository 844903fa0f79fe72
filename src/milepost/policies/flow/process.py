"""How a flow or diffusion model is sampled: times, noise, guidance. What a noise level means, its kernel says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks
from milepost.errors import SettingError
from milepost.policies.flow.kernel import Kernel, Reduction
from milepost.policies.flow.noise import EvenNoise, FlowNoise, Grid, Noise, Times


@dataclass(frozen=True, kw_only=True)
class Process:
    """Settings of a denoising sampler. Recipes give it to the engine, which gives it to the policy.

    The last step is always deterministic: its result is the model's estimate of the clean sample, as in DanceGRPO, and
    it is not trained, as in Flow-GRPO.

    Example:
        >>> Process(grid=Grid(steps=2), noise=EvenNoise(level=0.5)).levels(0).tolist()
        [0.5, 0.0]
    """

    grid: Times = field(default_factory=Grid)
    noise: Noise = field(default_factory=FlowNoise)
    guidance: float = 1.0
    """Weight of the condition, see `guided`; other than 1 it costs two calls of the model per step."""
    reduction: Reduction = "mean"
    """How log-probabilities of elements become one number."""
    completed: bool = False
    """Whether the deterministic completion of every latent is stored beside it; it costs a call for each step left."""
    foreseen: bool = False
    """Whether the clean latent that the network foresees is stored beside every latent. The network is then called once
    for a latent, when it is reached, and not again for any of its children, however late they come."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.non_negative("guidance", self.guidance)
        checks.one_of("reduction", self.reduction, ("mean", "sum"))

    def levels(self, version: int) -> Float[Tensor, " s"]:
        """Noise level of every step, 0 at the last."""
        levels = self.noise(self.grid(), version)
        return torch.cat((levels[:-1], levels.new_zeros(1)))

    def forking(self, forks: tuple[int, ...]) -> tuple[int, ...]:
        """The numbers of steps after which a tree branches, if the step after each of them has noise.

        Args:
            forks: numbers of steps, the draw of the first noise counted.

        Returns:
            `forks`.

        Raises:
            SettingError: after one of them nothing is left to choose: all its children would be equal.
        """
        noisy = [place + 1 for place, level in enumerate(self.levels(0).tolist()) if level > 0]
        stray = [fork for fork in forks if fork not in noisy]
        if stray:
            raise SettingError(
                f"forks={forks} are not allowed: after {stray} of {len(self.grid()) - 1} denoising steps no noise "
                f"follows, so all children would be equal. Expected some of {noisy}, the draw of the first noise "
                "counted as a step; or take more denoising steps."
            )
        return forks

    def check(self, kernel: Kernel, updates: int = 0) -> None:
        """Raise what sampling with a kernel would raise, before there is a model to sample.

        Args:
            kernel: of the model.
            updates: as far as the noise is looked at; it may depend on how many the policy has seen.

        Raises:
            SettingError: a step has more noise than the kernel has room for.
        """
        grid, none = self.grid(), torch.zeros(len(self.grid()) - 1, 1)
        versions = min(updates + 1, self.noise.period(len(grid) - 1))
        for levels in torch.stack([self.levels(version) for version in range(versions)]).unique(dim=0):
            kernel.mean(none, none, grid[:-1], grid[1:], kernel.std(grid[:-1], grid[1:], levels))

    def deterministic(self) -> Process:
        """The same times without noise, completions and foresight: what is used after training."""
        return replace(self, noise=EvenNoise(level=0.0), completed=False, foreseen=False)


def guided(plain: Tensor, conditioned: Tensor, weight: float) -> Tensor:
    """Output of classifier-free guidance.

        plain + weight (conditioned - plain)

    Args:
        plain: output without the condition.
        conditioned: output with it.
        weight: 1 is the conditional model, 0 the unconditional one, more exaggerates the condition.

    Returns:
        Like `plain`.

    Source: Ho and Salimans, arXiv:2207.12598, eq. 6, in the parametrisation of diffusers.
    """
    return plain + weight * (conditioned - plain)
