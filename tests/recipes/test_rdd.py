"""RDD as a recipe: its parts, a stop in the middle, and exploration of the maze against RND and no bonus."""

from pathlib import Path

import pytest

from milepost.engines import local
from milepost.engines.settings import KeepSettings, RunSettings, TaskSettings, UpdateSettings
from milepost.recipes import rdd
from milepost.testing.recipes import check_recipe
from tests.engines.test_local import Stop, digest, quiet, stop_at

TINY = "MiniGrid-Empty-5x5-v0"


def settings(**chosen):
    make = {"observe": "full", "max_steps": 12}
    tasks = TaskSettings(names=(TINY,), train=8, held_out=2, options={TINY: {"layouts": 1, "make": make}})
    update = UpdateSettings(steps=3, tasks_per_step=4, learning_rate=2e-3, minibatches=2, epochs=2)
    return RunSettings(recipe="rdd", tasks=tasks, update=update, keep=KeepSettings(), settings=chosen)


def test_settings_reach_the_parts():
    job = rdd.build(sigma=0.5, discount=0.9)
    assert job.learned.targets.sigma == 0.5
    assert [stream.reward for stream in job.credit.streams] == ["total", "bonus"]
    assert [stream.endless for stream in job.credit.streams] == [False, True]
    assert rdd.build(bonus="rnd").learned.targets.sigma == 0
    assert rdd.build(bonus="none").learned is None
    assert len(rdd.build(bonus="none").credit.streams) == 1


@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_byte(tmp_path):
    """Forests, weights, the bonus's memory and metrics after a stop are those of the uninterrupted run."""
    local.run(settings(), tmp_path / "whole", on_event=quiet)
    with pytest.raises(Stop):
        local.run(settings(), tmp_path / "cut", on_event=stop_at("update", 2))
    local.resume(tmp_path / "cut", on_event=quiet)
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")


def test_the_recipe_keeps_the_common_promises():
    check_recipe("rdd", tests=Path(__file__).parents[1])
