"""A flow or diffusion model as a policy: a step of the forest is a denoising step.

The children of a root, which holds the condition, are draws of the noise; every further row holds the latent and the
time arrived at, with mean, standard deviation and log-probability of the transition. The state before is the parent's,
so a trajectory can be branched at any step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from milepost import keys as key_streams
from milepost.errors import SettingError
from milepost.forest import Forest, Given
from milepost.part import Observation, Policy, Proposals
from milepost.policies import weights
from milepost.policies.flow import kernel as gaussian
from milepost.policies.flow.guidance import Guide, Leaving, Steered
from milepost.policies.flow.kernel import FlowKernel, Kernel
from milepost.policies.flow.process import Process, guided

NOTHING = -1
"""Condition of the unconditional model."""
_SAME_TIME = 1e-6


class Network(Protocol):
    """What predicts velocity or noise."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one latent."""
        ...

    def __call__(self, latent: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Prediction at (n, *shape), (n,) and class numbers (n,), of which -1 is no condition."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Its weights."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Against:
    """Steps beside a reference, one value per row, differentiable."""

    log_prob: Tensor
    """Of what is stored, in nats; 0 at rows without a density."""
    divergence: Tensor
    """KL(policy || reference) of the distribution of the step, in nats."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Departure:
    """Steps that leave some rows: their moments, and what it cost to know them."""

    mean: Tensor
    """Of the kernel that is drawn from, guidance included."""
    bare: Tensor
    """Of the same without guidance."""
    std: Float[Tensor, " n"]
    after: Float[Tensor, " n"]
    calls: float
    """Of the network, for each row."""
    asked: Tensor
    """Rows at which guidance asked for the gradient of its reward."""


@dataclass(kw_only=True, eq=False)
class Denoiser:
    """A velocity or noise-prediction network that acts by denoising. Implements `part.Learner` and `part.Greedy`.

    The noise of a step comes from the step's key, so a trajectory depends on its condition, its draw and the weights
    only. Latents are float32 throughout: what is stored is what was sampled. Deterministic steps, and the draw of the
    first noise, which no weight has a say in, are marked `stochastic` false and have no log-probability.
    """

    network: Network
    kernel: Kernel = field(default_factory=FlowKernel)
    """What the network predicts, and on which path from noise to data."""
    process: Process = field(default_factory=Process)
    version: int = 0
    rows_at_once: int = 1 << 31
    """Steps whose graph fits in memory together."""
    guide: Guide | None = None
    """What steers the steps that are drawn: `shift` is by how much, and each gradient counts as a reward call."""

    # ---- the policy protocol ----

    def encode(self, observations: Sequence[Observation], *, start: bool) -> Mapping[str, Given]:
        """The condition of each root, as `observation`; nothing is seen on the way."""
        if not start:
            raise SettingError("A denoiser was shown something after a step, expected an environment that is silent.")
        return {"observation": torch.tensor([int(one.array) for one in observations])}

    @torch.no_grad()
    def propose(self, forest: Forest, rows: Tensor, keys: Tensor) -> Proposals:
        """Take one denoising step from every row, or draw the first noise at roots."""
        drawn = torch.from_numpy(key_streams.normal(keys.tolist(), self.network.shape)).float()
        begins = forest.parent[rows] < 0
        latent, mean, std = drawn.clone(), torch.zeros_like(drawn), torch.ones(len(rows))
        after, calls = torch.ones(len(rows)), torch.zeros(len(rows), dtype=torch.float64)
        condition, bare, asked = self._condition(forest, rows), torch.zeros_like(drawn), torch.zeros_like(calls)
        further = (~begins).nonzero().squeeze(1)
        if len(further):
            before, which = rows[further].unique(return_inverse=True)  # siblings share one call
            left = self._leave(forest, before)
            mean[further], bare[further] = left.mean[which], left.bare[which]
            std[further], after[further] = left.std[which], left.after[which]
            latent[further] = gaussian.sample(mean[further], std[further], drawn[further])
            eldest = further.new_full((len(before),), len(rows)).scatter_reduce(0, which, further, "amin")
            calls[eldest], asked[eldest] = left.calls, left.asked.double()
        felt = bare if self.guide is not None and self.guide.density == "bare" else mean
        columns = {**self._columns(latent, felt, std, after, ~begins), "mean": mean}
        if self.guide is not None:
            columns |= {"shift": mean - bare, "cost.reward_calls": asked}
        if self.process.foreseen:
            columns["estimate"], arriving = self._foreseen(latent, after, condition)
            calls += arriving
        if self.process.completed:
            columns["completion"] = self.complete(latent, after, condition)
            calls += self.calls_per_step * (after[:, None] > self.process.grid()[None, 1:] + _SAME_TIME).sum(1)
        return Proposals(parent=rows, columns={**columns, "cost.model_calls": calls})

    def _leave(self, forest: Forest, before: Tensor) -> Departure:
        """The steps that leave the given rows."""
        now = forest["time"][before]
        place = self._place(now)
        then = self.process.grid()[place + 1]
        std = self.kernel.std(now, then, self.process.levels(self.version)[place])
        output, calls = self._departing(forest, before)
        leaving = Leaving(
            latent=forest["latent"][before],
            output=output,
            condition=self._condition(forest, before),
            time=now,
            after=then,
            std=std,
            place=place,
        )
        bare = self.kernel.mean(leaving.latent, output, now, then, std)
        found = Steered(mean=bare, asked=now < 0) if self.guide is None else self.guide(self.kernel, leaving)
        return Departure(mean=found.mean, bare=bare, std=std, after=then, calls=calls, asked=found.asked)

    def _columns(self, latent: Tensor, mean: Tensor, std: Tensor, after: Tensor, own: Tensor) -> dict[str, Given]:
        chosen = gaussian.stochastic(std) & own
        density = torch.zeros(len(std))
        if bool(chosen.any()):
            density[chosen] = gaussian.log_prob(
                latent[chosen], mean[chosen], std[chosen], reduction=self.process.reduction
            )
        known = zip(density.tolist(), chosen.tolist(), strict=True)
        return {
            "latent": latent,
            "time": after,
            "mean": mean,
            "std": std,
            "stochastic": chosen,
            "log_prob": [value if fine else None for value, fine in known],
            "action": after,
        }

    def log_prob(self, forest: Forest, rows: Tensor) -> Tensor:
        """Log-probability of the latents stored in `rows` under the kernel that drew them, differentiable.

        Its standard deviation is the stored one; 0 at rows without a density.
        """
        place = self._dense(forest, rows)
        if len(place) == 0:
            return torch.zeros(len(rows))
        return self._density(forest, rows, place, self._felt(forest, rows[place], self.means(forest, rows[place])))

    def _felt(self, forest: Forest, rows: Tensor, mean: Tensor) -> Tensor:
        """Mean under which steps are trained: with the stored shift where guidance is part of the policy."""
        shifted = self.guide is not None and self.guide.density == "guided"
        return mean + forest["shift"][rows] if shifted else mean

    def _dense(self, forest: Forest, rows: Tensor) -> Tensor:
        """Places among `rows` of those that have a density."""
        return (forest["stochastic"] & forest.valid("stochastic"))[rows].nonzero().squeeze(1)

    def _density(self, forest: Forest, rows: Tensor, place: Tensor, mean: Tensor) -> Tensor:
        asked = rows[place]
        value = gaussian.log_prob(forest["latent"][asked], mean, forest["std"][asked], reduction=self.process.reduction)
        return torch.zeros(len(rows)).index_copy(0, place, value)

    def against(self, forest: Forest, rows: Tensor, reference: Policy | None) -> Against:
        """Log-probability of rows, and the exact divergence of the bare kernels from a reference's.

        Args:
            forest: steps of a denoiser.
            rows: row numbers.
            reference: a denoiser of the same kernel; None: the kernels that drew the rows, guidance included.

        Returns:
            One value each per row, 0 at rows without a density; the divergence is divided by the number of elements
            where log-probabilities are means over them.

        Raises:
            SettingError: the reference is no denoiser.
        """
        if reference is not None and not isinstance(reference, Denoiser):
            raise SettingError(f"The reference is {type(reference).__name__}, expected a Denoiser like the policy.")
        place = self._dense(forest, rows)
        nothing = torch.zeros(len(rows))
        if len(place) == 0:
            return Against(log_prob=nothing, divergence=nothing)
        mean = self.means(forest, rows[place])
        with torch.no_grad():
            other = forest["mean"][rows[place]] if reference is None else reference.means(forest, rows[place])
        apart = gaussian.kl(mean, other, forest["std"][rows[place]])
        size = mean[0].numel() if self.process.reduction == "mean" else 1
        felt = self._felt(forest, rows[place], mean)
        return Against(
            log_prob=self._density(forest, rows, place, felt), divergence=nothing.index_copy(0, place, apart / size)
        )

    def means(self, forest: Forest, rows: Tensor) -> Tensor:
        """Mean of the transition into each of the given rows under the present weights, differentiable.

        Args:
            forest: steps of a denoiser.
            rows: rows below a first noise.

        Returns:
            One latent per row.
        """
        before = forest.parent[rows]
        now, after, std = forest["time"][before], forest["time"][rows], forest["std"][rows]
        return self._mean(forest["latent"][before], self._condition(forest, rows), now, after, std)

    def greedy(self) -> Denoiser:
        """The same weights, sampled without noise and without guidance: what is used after training."""
        return replace(self, process=self.process.deterministic(), guide=None)

    @torch.no_grad()
    def complete(self, latent: Tensor, time: Float[Tensor, " n"], condition: Int[Tensor, " n"]) -> Tensor:
        """Finish latents without noise, along the rest of the grid.

        Args:
            latent: (n, *shape).
            time: where each stands; a time of the grid.
            condition: class of each.

        Returns:
            Clean latents; the latent itself where its time is 0.
        """
        grid, latent = self.process.grid(), latent.clone()
        for now, after in pairwise(grid):
            at = (time >= now - _SAME_TIME).nonzero().squeeze(1)
            if len(at):
                start, end = now.expand(len(at)), after.expand(len(at))
                latent[at] = self._mean(latent[at], condition[at], start, end, torch.zeros(len(at)))
        return latent

    # ---- the learner protocol ----

    @property
    def tokens_at_once(self) -> int:
        """Steps whose graph fits in memory together, in place of tokens, of which there are none."""
        return self.rows_at_once

    def trainable(self) -> Mapping[str, Tensor]:
        """Weights of the network that receive gradients."""
        return weights.trainable(self.network)

    def advance(self) -> None:
        """Count one update."""
        self.version += 1

    def restore(self, tensors: Mapping[str, Tensor], version: int) -> None:
        """Load the weights and the number of updates they have seen."""
        weights.restore(self.network, tensors)
        self.version = version

    # ---- one step ----

    @property
    def calls_per_step(self) -> int:
        """Calls of the network that one step takes: two where guidance mixes two conditions."""
        return 1 if self.process.guidance in (0.0, 1.0) else 2

    def _departing(self, forest: Forest, before: Tensor) -> tuple[Tensor, float]:
        """Output of the network at rows that are left, and what each cost: nothing where it was called on arrival."""
        latent, now = forest["latent"][before], forest["time"][before]
        if self.process.foreseen:
            return self.kernel.towards(latent, forest["estimate"][before], now), 0.0
        return self._output(latent, now, self._condition(forest, before)), float(self.calls_per_step)

    def _foreseen(self, latent: Tensor, time: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Clean latents that the network foresees from where it has arrived, and the calls for each."""
        estimate, on = latent.clone(), (time > _SAME_TIME).nonzero().squeeze(1)
        if len(on):
            output = self._output(latent[on], time[on], condition[on])
            estimate[on] = self.kernel.clean(latent[on], output, time[on])
        return estimate, self.calls_per_step * (time > _SAME_TIME).double()

    def _mean(self, latent: Tensor, condition: Tensor, now: Tensor, after: Tensor, std: Tensor) -> Tensor:
        return self.kernel.mean(latent, self._output(latent, now, condition), now, after, std)

    def _output(self, latent: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        weight, nothing = self.process.guidance, torch.full_like(condition, NOTHING)
        if self.calls_per_step == 1:
            return self.network(latent, time, condition if weight else nothing)
        both = self.network(
            latent.repeat(2, *[1] * (latent.dim() - 1)), time.repeat(2), torch.cat((nothing, condition))
        )
        plain, conditioned = both.chunk(2)
        return guided(plain, conditioned, weight)

    def _condition(self, forest: Forest, rows: Tensor) -> Tensor:
        return forest["observation"][forest.root_of()[rows]]

    def _place(self, time: Tensor) -> Tensor:
        """Number of the grid's time at which each row stands."""
        apart = (self.process.grid()[None, :-1] - time[:, None]).abs()
        nearest = apart.min(1)
        if bool((nearest.values > _SAME_TIME).any()):
            stray = float(time[nearest.values.argmax()])
            raise SettingError(
                f"A latent stands at time {stray:.4g}, which is not a time of the grid at which one of its "
                f"{len(self.process.grid()) - 1} steps begins: continue it with the grid it was made with."
            )
        return nearest.indices
