"""Trajectories of a point that moves by its action: s' = s + a / 2, reward -s'^2."""

import numpy as np

from milepost import keys
from milepost.environments.offline.worlds import Episode, World, forest_of

POINT = World(name="point", environment="none", limit=10, low=(-1.0,), high=(1.0,))


KEY = keys.root(1)


def trajectories(count, *, steps=10, key=KEY, action=None):
    """A forest of `count` trajectories; `action` maps a state and a draw to an action."""
    stream, found = keys.generator(key), []
    for _ in range(count):
        states, actions = [stream.normal(size=1)], []
        for _ in range(steps):
            draw = stream.uniform(-1, 1, 1)
            actions.append(draw if action is None else action(states[-1], draw))
            states.append(states[-1] + actions[-1] / 2)
        seen = np.stack(states)
        found.append(
            Episode(observations=seen, actions=np.stack(actions), rewards=-(seen[1:, 0] ** 2), terminated=False)
        )
    return forest_of(POINT, found)
