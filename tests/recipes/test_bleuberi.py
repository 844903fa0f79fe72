"""BLEUBERI: the pick, its bill, and learning from references, by whole runs in a world of letters."""

import json
from pathlib import Path

import pytest
import torch

from milepost import recipe, storage
from milepost.engines import build, local
from milepost.engines.settings import RunSettings, UpdateSettings
from milepost.part import Task
from milepost.recipes import bleuberi
from milepost.rewards.bleu import BleuGuarded, BleuPublished
from milepost.testing.recipes import check_recipe
from milepost.testing.worlds import Letters, TabularPolicy

LETTERS = "ac "
EASY, HARD = "a a a a", "c c c c"
STEPS = 20


def tasks():
    """Eight tasks, told apart by their references; the policy begins with a liking for a."""
    references = {f"letters:{number}": EASY if number % 2 else HARD for number in range(8)}
    return [
        Task(id=name, record={"prompt": "a", "references": [text], "answer": text}, family="letters")
        for name, text in references.items()
    ]


def world(settings):
    """Parts of a run with the recipe's own choice, reward, credit and objective."""
    table = torch.tensor([[0.0, -3.0, 3.0], [-3.0, 0.0, 3.0], [3.0, 0.0, -3.0]], dtype=torch.float64)
    return build.World(
        job=recipe.builder(settings.recipe)(**settings.settings),
        environment=Letters(),
        train=tasks(),
        held_out=tasks(),
        policy=TabularPolicy(vocabulary=LETTERS, table=table, length=7),
        reference=None,
    )


def start(folder, **settings):
    """Run the recipe in the world of letters, and return its folder."""
    update = UpdateSettings(steps=STEPS, tasks_per_step=4, learning_rate=0.4)
    chosen = RunSettings(
        recipe="bleuberi", seed=1, settings={"count": 4, "inside_answer": False, **settings}, update=update
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "world", world)
        local.run(chosen, folder, on_event=lambda _: None)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of one run."""
    return start(tmp_path_factory.mktemp("bleuberi") / "run")


def metrics(folder: Path):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def trained_on(folder: Path):
    forests = [storage.read(path) for path in sorted((folder / "forests").iterdir())]
    return {name for forest in forests for name in forest.text("task") if name}


def test_bill_of_the_pick(run):
    """One greedy answer for each of the 8 tasks, once; then 20 steps of 4 tasks with 8 answers."""
    steps = metrics(run)
    assert {one["choice/scoring_rollouts"] for one in steps} == {8.0}
    assert steps[-1]["choice/rollouts"] == 8 + STEPS * 4 * 8
    assert steps[-1]["cost/reward_calls"] == 8 + STEPS * 4 * 8, "what was rolled out for the pick is paid for too"


def test_only_the_hardest_are_trained_on(run):
    assert trained_on(run) == {f"letters:{number}" for number in (0, 2, 4, 6)}
    assert metrics(run)[0]["choice/picked"] == 4


def test_learns_the_references(run):
    steps = metrics(run)
    first, last = (sum(one["reward/bleu_mean"] for one in part) / 5 for part in (steps[:5], steps[-5:]))
    assert first < 0.4
    assert last > first + 0.4


def test_the_control_picks_at_random_and_pays_nothing(tmp_path):
    folder = start(tmp_path / "run", control=True)
    assert metrics(folder)[-1]["choice/scoring_rollouts"] == 0
    assert len(trained_on(folder)) == 4
    assert trained_on(folder) != {f"letters:{number}" for number in (0, 2, 4, 6)}


def test_variants_of_the_reward():
    (guarded,), (published,) = bleuberi.build().rewards, bleuberi.build(guarded=False, inside_answer=False).rewards
    assert guarded == BleuGuarded(inside_answer=True)
    assert published == BleuPublished(inside_answer=False)
    assert bleuberi.build(kl=0.1).objective.needs_reference
    assert not bleuberi.build().objective.needs_reference


@pytest.mark.filterwarnings("ignore:5000 tasks were to be picked")
def test_the_recipe_keeps_the_common_promises():
    check_recipe("bleuberi", tests=Path(__file__).parents[1])
