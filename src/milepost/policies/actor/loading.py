"""A fresh actor for a control environment."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from milepost import checks, keys
from milepost.policies.actor.actor import Actor
from milepost.policies.actor.heads import Beta, Gaussian, Head, Numbered
from milepost.policies.actor.network import ActorNetwork

SURVEY = 256
"""Steps of random actions from which the scale of the observations is taken."""
WIDTH = 64


class Choices(Protocol):
    """What can be done in an environment."""

    @property
    def count(self) -> int:
        """Number of actions; 0 where they are vectors."""
        ...

    @property
    def low(self) -> tuple[float, ...]:
        """Lower bounds of vectors."""
        ...

    @property
    def high(self) -> tuple[float, ...]:
        """Upper bounds of vectors."""
        ...


class Surveyed(Protocol):
    """An environment with numbers, as much of it as an actor must know."""

    @property
    def size(self) -> int:
        """Numbers in an observation."""
        ...

    @property
    def actions(self) -> Choices:
        """What can be done."""
        ...

    def survey(self, steps: int, key: int) -> NDArray[np.float32]:
        """Observations of random actions."""
        ...


def load(
    environment: Surveyed,
    *,
    streams: int = 1,
    width: int = WIDTH,
    law: Literal["gaussian", "beta"] = "gaussian",
    key: int,
) -> Actor:
    """Make an actor that knows nothing but the scale of what it will see.

    Args:
        environment: what it will act in; it is surveyed with a fixed key, so that the scale is the same each time.
        streams: values that its critic gives, one per stream of rewards; 0 makes an actor without a critic.
        width: of its hidden layers.
        law: distribution of vectors of actions.
        key: decides the first weights.

    Returns:
        The actor.
    """
    checks.at_least("streams", streams, 0)
    checks.at_least("width", width, 1)
    actions = environment.actions
    head: Head = Numbered(count=actions.count) if actions.count else _vectors(actions, law)
    network = ActorNetwork((environment.size, head.outputs, streams), width=width, key=key)
    network.scaled_by(environment.survey(SURVEY, keys.root(0)))
    return Actor(network=network, head=head)


def _vectors(actions: Choices, law: str) -> Head:
    return (Beta if law == "beta" else Gaussian)(low=actions.low, high=actions.high)
