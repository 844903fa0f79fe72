"""Frame strips in the report of a run of control, and a note where an episode cannot be repeated."""

import dataclasses
import re

import numpy as np
import pytest

from milepost import keys, storage
from milepost.engines import local
from milepost.environments.control.gym import Gymnasium
from milepost.policies.actor import loading
from milepost.report import filming, page
from milepost.report.stored import run, steps
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from tests.engines.test_local import quiet
from tests.recipes.test_rdd import settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("filmed") / "run"
    chosen = settings()
    local.run(dataclasses.replace(chosen, update=dataclasses.replace(chosen.update, steps=1)), place, on_event=quiet)
    return place


def test_a_run_of_control_shows_its_episodes(folder):
    text = page.render(folder)
    strips = text.count('<div class="film">')
    assert strips >= 3  # sample trees, and a held-out task before and after
    assert text.count('<img class="frame"') == strips * filming.MOST_FRAMES
    assert "No pictures of episodes" not in text
    assert 'class="maths"' not in text  # credit of a critic is no arithmetic among siblings
    assert text == page.render(folder)
    first = text[text.index('<div class="film">') :]
    told = re.findall(r"<span>(.*?)</span>", first[: first.index("</div>")])
    assert told[0] == "step 0"
    assert told[1].startswith("value ")
    assert any(line.startswith("bonus ") for line in told)


def test_values_and_bonuses_are_those_of_the_step(folder):
    found = run.read(folder)
    kept = found.forests[-1]
    own = steps.read(kept.folder)
    root = own.roots[0]
    strip = filming.Studio.of(found.settings).strip(kept.folder, own, root)
    leaf = own.leaves_below(root)[0]
    assert strip[-1].told[:3] == (
        f"step {len(own.path(leaf)) - 1}",
        f"value {own.number('value', leaf):.2f}".replace("-", "\u2212"),
        f"bonus {own.number('reward.bonus', leaf):.2f}",
    )


def test_another_episode_is_not_shown(folder):
    found = run.read(folder)
    kept = found.forests[-1]
    own = steps.read(kept.folder)
    spoilt = dataclasses.replace(own, numbers={**own.numbers, "action": np.zeros(len(own))})
    studio = filming.Studio.of(found.settings)
    assert studio.strip(kept.folder, spoilt, own.roots[0]) == ()
    assert "shows something else" in studio.note
    bare = dataclasses.replace(own, numbers={name: own.numbers[name] for name in own.numbers if name != "key"})
    studio = filming.Studio.of(found.settings)
    assert studio.strip(kept.folder, bare, own.roots[0]) == ()
    assert "lacks" in studio.note


def test_what_is_drawn_on_the_way_is_drawn_again(tmp_path):
    """On slippery ice every step is drawn from its key."""
    options = {"FrozenLake-v1": {"make": {"is_slippery": True}}}
    world = Gymnasium(name="FrozenLake-v1", options=options["FrozenLake-v1"]["make"], train_size=4)
    actor = loading.load(world, streams=1, key=keys.root(0))
    draws = [Draw(task=task) for task in world.train()]
    forest = grow(draws, policy=actor, environment=world, sampler=Independent(width=1), key=keys.root(1))
    storage.write(forest, tmp_path / "kept")
    own = steps.read(tmp_path / "kept")
    studio = filming.Studio.of({"tasks": {"names": ["FrozenLake-v1"], "options": options}})
    strips = [studio.strip(tmp_path / "kept", own, root) for root in own.roots]
    assert studio.note == ""
    assert min(map(len, strips)) > 1
    assert sum(len(own.path(own.leaves_below(root)[0])) for root in own.roots) > 16  # long enough to slip


def test_only_runs_of_control_have_a_world():
    assert filming.Studio.of({"tasks": {"names": ["search"]}}).world is None
    assert filming.Studio.of({}).strip(None, steps.Steps(parent=np.array([-1, 0])), 0) == ()
    assert filming.Studio.of({"tasks": {"names": ["highway"]}}).world.name == "highway-fast-v0"
    assert "wheels" in filming.Studio.of({"tasks": {"names": ["maze"], "options": {"maze": {"wheels": 3}}}}).note
