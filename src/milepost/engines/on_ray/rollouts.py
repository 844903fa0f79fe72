"""Rollouts on several actors: a policy whose proposals are made elsewhere.

`sampling.frontier.grow` keeps the forest, asks the environment and numbers the keys; the actors only propose steps.
With as many actors as workers they get the shares that threads would get, so the forest has the bytes of a local one.
An actor that is lost is replaced, gets the weights again, and is asked again: the forest holds what was handed over
only, so no row is lost or there twice.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from milepost import checks
from milepost.errors import MilepostError
from milepost.forest import Forest, Given
from milepost.part import Learner, Observation, Proposals

if TYPE_CHECKING:
    from collections.abc import Generator

_TRIES = 5
"""How often one proposal is asked for before the cluster is given up."""


class Proposer:
    """What an actor runs: a policy made there, with the weights of the policy here."""

    def __init__(self, make: Callable[[], Learner]) -> None:
        self.policy, self.version = make(), -1

    def restore(self, weights: Mapping[str, Tensor], version: int) -> None:
        """Take over weights."""
        self.policy.restore(weights, version)
        self.version = version

    def propose(self, forest: Forest, rows: Tensor, keys: Tensor, version: int) -> Proposals | None:
        """Propose steps; None: it has other weights than these."""
        return self.policy.propose(forest, rows, keys) if version == self.version else None


@dataclass(kw_only=True, eq=False)
class Proposers:
    """A policy whose proposals are made by actors of Ray. Implements what `grow` needs of `part.Policy`."""

    policy: Learner
    """The policy here: its weights count, and it writes down what the environment says."""
    ray: Any
    """The module, connected."""
    make: Callable[[], Learner]
    """Makes such a policy in an actor."""
    lost: int = field(default=0, init=False)
    """Actors that were lost so far."""
    _free: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue[Any], init=False)
    _weights: tuple[int, Any] = field(default=(-1, None), init=False)

    @property
    def version(self) -> int:
        """Number of updates that the policy has seen."""
        return self.policy.version

    def encode(self, observations: Sequence[Observation], *, start: bool) -> Mapping[str, Given]:
        """Columns for what the environment said."""
        return self.policy.encode(observations, start=start)

    def log_prob(self, forest: Forest, rows: Tensor) -> Tensor:
        """Log-probability of what is stored, computed here."""
        return self.policy.log_prob(forest, rows)

    def start(self, actors: int) -> None:
        """Start actors, each with one processor."""
        for _ in range(actors):
            self._free.put(self._actor())

    def stop(self) -> None:
        """End the actors."""
        while not self._free.empty():
            self.ray.kill(self._free.get())

    def share(self) -> None:
        """Make the weights of now those that the actors use."""
        held = {name: value.detach().cpu().clone() for name, value in self.policy.trainable().items()}
        self._weights = (self.policy.version, self.ray.put(held))

    def propose(self, forest: Forest, rows: Tensor, keys: Tensor) -> Proposals:
        """Propose one child of each row, in an actor.

        Raises:
            MilepostError: actors were lost again and again.
        """
        if self._weights[0] != self.policy.version:
            self.share()
        kept = forest.with_ancestors(rows)
        place = torch.searchsorted(kept, rows)
        actor, small = self._free.get(), forest.select(kept)
        try:
            for _ in range(_TRIES):
                try:
                    found = self._asked(actor, small, place, keys)
                except self.ray.exceptions.RayActorError:
                    self.lost += 1
                    actor = self._actor()
                else:
                    return replace(found, parent=rows)
        finally:
            self._free.put(actor)
        raise MilepostError(f"{_TRIES} actors were lost one after the other while they proposed {len(rows)} steps.")

    def _asked(self, actor: Any, forest: Forest, rows: Tensor, keys: Tensor) -> Proposals:
        version, weights = self._weights
        found = self.ray.get(actor.propose.remote(forest, rows, keys, version))
        if found is None:
            self.ray.get(actor.restore.remote(weights, version))
            found = self.ray.get(actor.propose.remote(forest, rows, keys, version))
        return found

    def _actor(self) -> Any:
        return self.ray.remote(num_cpus=1, max_restarts=0)(Proposer).remote(self.make)


@contextmanager
def proposers(ray: Any, policy: Learner, make: Callable[[], Learner], *, actors: int) -> Generator[Proposers]:
    """A policy that proposes on actors, for a while.

    Args:
        ray: the module, connected, see `cluster.cluster`.
        policy: the policy here.
        make: makes such a policy in an actor, whatever its weights, such as `lambda: build.world(settings).policy`.
        actors: how many; pass the same number as `workers` of `sampling.frontier.grow`.

    Yields:
        The policy to grow with.

    Raises:
        SettingError: no actors.
    """
    checks.at_least("actors", actors, 1)
    found = Proposers(policy=policy, ray=ray, make=make)
    found.start(actors)
    try:
        yield found
    finally:
        found.stop()
