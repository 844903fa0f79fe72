"""Frame strips in the report of a run of control, and a note where an episode cannot be repeated."""

import dataclasses
import re

import numpy as np
import pytest

from milepost.engines import local
from milepost.report import filming, page
from milepost.report.stored import run, steps
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


def test_only_runs_of_control_have_a_world():
    assert filming.Studio.of({"tasks": {"names": ["search"]}}).world is None
    assert filming.Studio.of({}).strip(None, steps.Steps(parent=np.array([-1, 0])), 0) == ()
    assert filming.Studio.of({"tasks": {"names": ["highway"]}}).world.name == "highway-fast-v0"
    assert "wheels" in filming.Studio.of({"tasks": {"names": ["maze"], "options": {"maze": {"wheels": 3}}}}).note
