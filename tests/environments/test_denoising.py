"""Classes to draw; a trajectory ends at time 0."""

import pytest

from milepost.columns import End
from milepost.environments.denoising import Denoising, Prompts, prompts_of
from milepost.errors import SettingError
from milepost.part import Action


def test_pools_cover_the_classes_and_share_no_task():
    world = Denoising(train_size=10, held_out_size=25)
    train, held_out = world.train(), world.held_out()
    assert [task.record["class"] for task in train] == list(range(10))
    assert [task.record["class"] for task in held_out][20:] == [0, 1, 2, 3, 4]
    assert len({task.id for task in [*train, *held_out]}) == 35


def test_latents_pass_until_time_zero():
    world = Denoising()
    start = world.reset(world.train()[7], 0)
    assert start.observation.array == 7
    going, done = (world.step(start.state, Action(array=time), 0) for time in (0.1, 0.0))
    assert (going.end, going.discount, going.observation) == (End.OPEN, 1.0, None)
    assert (done.end, done.discount) == (End.TERMINATED, 0.0)


@pytest.mark.parametrize("settings", [{"train_size": 0}, {"held_out_size": -1}, {"classes": 0}])
def test_sizes_out_of_range_are_refused(settings):
    with pytest.raises(SettingError):
        Denoising(**settings)


def test_prompts_are_numbered_together_and_kept_ones_are_for_evaluation():
    world = Prompts(prompts=("a red cat", "a dog"), kept=("a blue cat",))
    assert [world.reset(task, 0).observation.array for task in world.train()] == [0, 1]
    assert [world.every[task.record["number"]] for task in world.held_out()] == ["a blue cat"]
    assert world.step(None, Action(array=0.0), 0).end == End.TERMINATED
    again = Prompts(prompts=("a red cat", "a dog"))
    assert [task.record["number"] for task in again.held_out()] == [0, 1]
    assert not {task.id for task in again.train()} & {task.id for task in again.held_out()}


@pytest.mark.parametrize("settings", [{"prompts": ()}, {"prompts": ("a dog",), "kept": ("a dog",)}])
def test_no_prompt_or_the_same_twice_is_refused(settings):
    with pytest.raises(SettingError):
        Prompts(**settings)


def test_prompts_come_again_for_evaluation_with_noise_of_their_own():
    world = Prompts(prompts=("a red cat",), kept=("a dog", "a hen"), held_out_size=5)
    found = world.held_out()
    assert [task.record["number"] for task in found] == [1, 2, 1, 2, 1]
    assert len({task.id for task in (*found, *world.train())}) == 6
    assert found[0].id == Prompts(prompts=("a red cat",), kept=("a dog", "a hen")).held_out()[0].id
    assert list(Prompts(prompts=("a dog",), held_out_size=0).held_out()) == []


def test_a_file_holds_a_prompt_on_each_line(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("# animals\n a red cat \n\na dog\n", encoding="utf-8")
    assert prompts_of(path) == ("a red cat", "a dog")
    path.write_text("# none\n", encoding="utf-8")
    with pytest.raises(SettingError, match="holds no prompt"):
        prompts_of(path)
    with pytest.raises(SettingError, match="cannot be read"):
        prompts_of(tmp_path / "nowhere.txt")
