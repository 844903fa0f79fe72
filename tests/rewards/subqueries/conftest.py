"""Trajectories of the real search environment."""

import pytest

from milepost.environments.search.environment import Limits, Search
from milepost.forest import Forest
from milepost.part import Action


@pytest.fixture(scope="session")
def environment():
    return Search(train_size=6, hops=(2,), limits=Limits(queries=3))


@pytest.fixture
def play(environment):
    """Takes given actions in the first task, one list per trajectory, and writes the forest that `grow` would."""
    import json

    def played(*trajectories, record=None, version=0):
        task = environment.train()[0]
        known = dict(task.record) | (record or {})
        parent, texts, columns = [-1], ["?"], [{}]
        for actions in trajectories:
            state, above = environment.reset(task, 0).state, 0
            for action in actions:
                went = environment.step(state, Action(text=action), 0)
                parent.append(above)
                texts.append(action)
                columns.append(dict(went.columns))
                state, above = went.state, len(parent) - 1
        names = dict.fromkeys(name for one in columns for name in one)
        held = {name: [one.get(name) for one in columns] for name in names}
        extra = {"record": [json.dumps(known), *[None] * (len(parent) - 1)], "policy_version": [version] * len(parent)}
        return Forest.of(parent, {"text": texts, **held, **extra})

    return played
