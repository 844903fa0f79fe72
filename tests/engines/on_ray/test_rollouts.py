"""Rollouts on actors: the forest of threads, also when actors are lost, and with the weights of now."""

import pytest

from milepost import keys, storage
from milepost.engines.on_ray.rollouts import Proposer, proposers
from milepost.errors import MilepostError, SettingError
from milepost.sampling.frontier import grow, numbered
from milepost.sampling.independent import Independent
from milepost.testing.worlds import Letters, TabularPolicy
from tests.engines.letter_world import tasks
from tests.engines.on_ray.work import files

pytestmark = pytest.mark.trainers


def policy():
    return TabularPolicy.random("abcd", key=keys.root(7), length=2)


def grown(proposing):
    draws = numbered(tasks(6, 0), {})
    sampler = Independent(width=4)
    return grow(draws, policy=proposing, environment=Letters(), sampler=sampler, key=keys.root(3), workers=2)


def written(forest, folder):
    storage.write(forest, folder)
    return files(folder)


def test_the_bytes_of_threads(ray, tmp_path):
    local = policy()
    with proposers(ray, local, policy, actors=2) as remote:
        assert written(grown(remote), tmp_path / "there") == written(grown(local), tmp_path / "here")

        asked = remote._asked
        killed = []

        def killing(actor, *given):
            if not killed:  # each costs the start of a process
                killed.append(actor)
                ray.kill(actor)
            return asked(actor, *given)

        remote._asked = killing
        assert written(grown(remote), tmp_path / "killed") == files(tmp_path / "here")
        assert remote.lost == 1

        weights = {name: value.detach() + 1.5 * (value > 0) for name, value in local.trainable().items()}
        local.restore(weights, 4)
        remote._asked = asked
        other = written(grown(remote), tmp_path / "later")
        assert other == written(grown(local), tmp_path / "local")
        assert other != files(tmp_path / "here")

        def gone(*given):
            raise ray.exceptions.RayActorError

        remote._asked = gone
        with pytest.raises(MilepostError, match="lost one after the other"):
            grown(remote)


def test_an_actor_with_other_weights_says_so():
    proposer = Proposer(policy)
    assert proposer.propose(None, None, None, 0) is None
    with pytest.raises(SettingError, match="actors"), proposers(None, policy(), policy, actors=0):
        pass
