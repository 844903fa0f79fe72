"""Times at which a sampler stops, and how much noise each of its steps adds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks
from milepost.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Times from 1 (noise) to 0 (data): evenly spaced, then shifted towards noise.

    t <- s t / (1 + (s - 1) t)

    Source: time shift of arXiv:2403.03206, section 5.3.2.

    Example:
        >>> Grid(steps=2, shift=3.0)().tolist()
        [1.0, 0.75, 0.0]
    """

    steps: int = 10
    shift: float = 1.0
    """s, at least above 0; 1 is even, 3 usual for images, 5 for video."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.at_least("steps", self.steps, 1)
        checks.positive("shift", self.shift)

    def __call__(self) -> Float[Tensor, " t"]:
        """The times, one more than there are steps."""
        even = torch.arange(self.steps, -1, -1, dtype=torch.float32) / self.steps
        return self.shift * even / (1 + (self.shift - 1) * even)


class Times(Protocol):
    """Times at which a sampler stops: from 1 (noise) to 0 (data), falling."""

    def __call__(self) -> Float[Tensor, " t"]:
        """The times, one more than there are steps."""
        ...


@dataclass(frozen=True, kw_only=True)
class GivenTimes:
    """Times that a model's own scheduler has set.

    Example:
        >>> GivenTimes(times=(1.0, 0.75, 0.0))().tolist()
        [1.0, 0.75, 0.0]
    """

    times: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that they fall from 1 to 0."""
        falls = all(now > after for now, after in pairwise(self.times))
        if len(self.times) < 2 or self.times[0] != 1 or self.times[-1] != 0 or not falls:
            raise SettingError(f"times={self.times} are not allowed: expected numbers that fall from 1 to 0.")

    def __call__(self) -> Float[Tensor, " t"]:
        """The times."""
        return torch.tensor(self.times, dtype=torch.float32)


class Noise(Protocol):
    """Noise level of every step of a grid; what a level means is the kernel's."""

    def __call__(self, grid: Float[Tensor, " t"], version: int) -> Float[Tensor, " s"]:
        """One level per step, 0 where the step is deterministic; `version` counts the policy's updates."""
        ...

    def period(self, steps: int) -> int:
        """Updates after which the levels of so many steps come again; 1 if they never change."""
        ...


@dataclass(frozen=True, kw_only=True)
class FlowNoise:
    """Noise of Flow-GRPO: sigma_t = a sqrt(t / (1 - t)); at t = 1 the factor 1 - t is that of the next time.

    Source: Flow-GRPO, arXiv:2505.05470, and its code for t = 1.

    Example:
        >>> [round(level, 3) for level in FlowNoise(scale=0.7)(Grid(steps=2)(), 0).tolist()]
        [0.99, 0.7]
    """

    scale: float = 0.7
    """a."""

    def __post_init__(self) -> None:
        """Check the range."""
        checks.non_negative("scale", self.scale)

    def __call__(self, grid: Tensor, version: int) -> Tensor:  # noqa: ARG002 - the same at every update
        """One level per step."""
        time = grid[:-1]
        left = torch.where(time < 1, 1 - time, 1 - grid[1])
        return self.scale * (time / left).sqrt()

    def period(self, steps: int) -> int:  # noqa: ARG002 - the same at every update
        """The levels never change."""
        return 1


@dataclass(frozen=True, kw_only=True)
class EvenNoise:
    """The same level at every step: DanceGRPO's sigma_t = eta on a flow, DDPM at 1 on a diffusion.

    Source: DanceGRPO, arXiv:2505.07818.

    Example:
        >>> EvenNoise(level=0.25)(Grid(steps=2)(), 0).tolist()
        [0.25, 0.25]
    """

    level: float = 0.3

    def __post_init__(self) -> None:
        """Check the range."""
        checks.non_negative("level", self.level)

    def __call__(self, grid: Tensor, version: int) -> Tensor:  # noqa: ARG002 - the same at every update
        """One level per step."""
        return torch.full((len(grid) - 1,), self.level)

    def period(self, steps: int) -> int:  # noqa: ARG002 - the same at every update
        """The levels never change."""
        return 1


@dataclass(frozen=True, kw_only=True)
class StepNoise:
    """A level of its own for every step, such as a calibration finds.

    Example:
        >>> StepNoise(levels=(0.5, 0.25))(Grid(steps=2)(), 0).tolist()
        [0.5, 0.25]
    """

    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.not_empty("levels", self.levels)
        for level in self.levels:
            checks.non_negative("levels", level)

    def __call__(self, grid: Tensor, version: int) -> Tensor:  # noqa: ARG002 - the same at every update
        """One level per step."""
        if len(self.levels) != len(grid) - 1:
            raise SettingError(f"levels has {len(self.levels)} entries for {len(grid) - 1} steps: give one for each.")
        return torch.tensor(self.levels)

    def period(self, steps: int) -> int:  # noqa: ARG002 - the same at every update
        """The levels never change."""
        return 1


@dataclass(frozen=True, kw_only=True)
class Window:
    """Noise inside a window of consecutive steps that slides with the updates, none elsewhere.

    Source: MixGRPO, arXiv:2507.21802.

    Example:
        >>> Window(inner=EvenNoise(level=1.0), size=1, every=2)(Grid(steps=3)(), 2).tolist()
        [0.0, 1.0, 0.0]
    """

    inner: Noise = field(default_factory=FlowNoise)
    size: int = 4
    """Steps with noise."""
    every: int = 25
    """Updates after which the window moves by one step; at the end it begins again."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.at_least("size", self.size, 1)
        checks.at_least("every", self.every, 1)

    def __call__(self, grid: Tensor, version: int) -> Tensor:
        """One level per step."""
        first = (version // self.every) % self._places(len(grid) - 1)
        step = torch.arange(len(grid) - 1)
        return torch.where((step >= first) & (step < first + self.size), self.inner(grid, version), 0)

    def period(self, steps: int) -> int:
        """Updates until the window is back, and what is inside as well."""
        return math.lcm(self._places(steps) * self.every, self.inner.period(steps))

    def _places(self, steps: int) -> int:
        return max(steps - self.size, 1)  # the last step never has noise, see `process.Process`


@dataclass(frozen=True, kw_only=True)
class DepthNoise:
    """More noise the deeper in a window: the k-th of its d steps with noise has g(k) times the level.

        g(k) = 1 + growth k / d,   the level at most sqrt(t / D), D the length of the step

    Up to that bound the noise of a flow's step takes back at most half of the latent, see `kernel.flow_mean`.

    Source: Dynamic-TreeRPO, arXiv:2509.23352; the linear form and the bound are ours.   Limits: growth = 0 is `inner`.

    Example:
        >>> DepthNoise(inner=EvenNoise(level=0.5), growth=1.0)(Grid(steps=2)(), 0).tolist()
        [0.75, 1.0]
    """

    inner: Noise = field(default_factory=Window)
    growth: float = 0.5
    """beta, at least 0."""

    def __post_init__(self) -> None:
        """Check the range."""
        checks.non_negative("growth", self.growth)

    def __call__(self, grid: Tensor, version: int) -> Tensor:
        """One level per step."""
        level = self.inner(grid, version)
        noisy = level > 0
        depth = noisy.cumsum(0) / noisy.sum().clamp(min=1)
        bound = (grid[:-1] / (grid[:-1] - grid[1:])).sqrt()
        return torch.where(noisy, (level * (1 + self.growth * depth)).minimum(bound.maximum(level)), 0)

    def period(self, steps: int) -> int:
        """That of the inner noise."""
        return self.inner.period(steps)


def rebalanced(
    level: Float[Tensor, " s"],
    gain: Float[Tensor, "s n"],
    *,
    tolerance: float,
    change: float = 0.01,
    highest: Float[Tensor, " s"] | None = None,
) -> Float[Tensor, " s"]:
    """Noise levels after one round of calibration: more noise where gains and losses balance, less where they do not.

        level + change   if |#(gain > 0) - #(gain < 0)| < tolerance
        level - change   else;   kept in [0.05, highest]

    Args:
        level: noise level of every step, above 0.
        gain: what each of n sampled steps gained in reward, by step; zeros count for neither side.
        tolerance: largest difference of the counts that is still a balance; the paper has 2.
        change: what a level changes by.
        highest: largest levels; default: twice the given ones.

    Returns:
        The next levels; sample again and repeat.

    Source: DenseGRPO, arXiv:2601.20218, section 3.3. The bounds are ours.
    """
    difference = ((gain > 0).sum(1) - (gain < 0).sum(1)).abs()
    moved = torch.where(difference < tolerance, level + change, level - change)
    return moved.clamp(min=0.05).minimum(2 * level if highest is None else highest)
