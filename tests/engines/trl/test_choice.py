"""A task choice as a sampler: repeats, the generation that is drawn ahead, and continuing after a stop."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from milepost import keys
from milepost.engines.trl.choice import ChosenTasks
from milepost.errors import MilepostError, SettingError
from milepost.forest import Forest
from milepost.part import Task
from milepost.recipes import bleuberi
from milepost.sampling.choice import Uniform
from milepost.sampling.mixture import FromTraining, Mixture, WholePool
from milepost.sampling.variance import VariancePromotion

POOL = [Task(id=f"task:{number}", record={}) for number in range(8)]
LEARNING = Mixture(scorer=VariancePromotion(diversity_weight=0.0), refresher=FromTraining(), weighted_share=1.0)


def sampler(choice=LEARNING, **named):
    return ChosenTasks.of(choice, POOL, **{"tasks": 2, "width": 3, "repeats": 2, "seed": 1, **named})


def answer(chosen: ChosenTasks, generation: int) -> list[str]:
    """Answer the oldest generation, with rewards that depend on task and number, and learn from them."""
    named = chosen.answered()
    columns = {
        "task": [name for task, _ in named for name in (task.id, None, None)],
        "draw": [number for _, number in named for _ in range(3)],
        "reward.total": [v for task, _ in named for v in (None, float(hash_of(task.id, generation)), 0.0)],
        "ok.total": [ok for _ in named for ok in (False, True, True)],
    }
    parent = [above for at in range(len(named)) for above in (-1, 3 * at, 3 * at)]
    chosen.learn(Forest.of(parent, columns))
    return [task.id for task, _ in named]


def hash_of(name: str, number: int) -> int:
    return keys.fold(number, name) % 2


def test_rows_are_repeated_as_trl_wants_them():
    chosen = sampler(Uniform())
    rows = list(chosen)
    assert len(rows) == len(chosen) == 8 // 2 * 2 * 3 * 2
    generations = [rows[at : at + 12] for at in range(0, len(rows), 12)]
    for generation, waiting in zip(generations, chosen.waiting, strict=True):
        assert generation == [position for position in waiting for _ in range(3)] * 2
    assert sorted(itertools.chain(*chosen.waiting)) == list(range(8))


def test_draws_are_counted():
    chosen = sampler(Uniform())
    list(chosen)
    list(chosen)
    found = [chosen.answered() for _ in range(8)]
    assert {number for generation in found[:4] for _, number in generation} == {0}
    assert {number for generation in found[4:] for _, number in generation} == {1}


def run(chosen: ChosenTasks, generations: int, ahead: int, first: int = 0) -> list[list[str]]:
    """Draw `ahead` generations before the one that is answered, as a data loader does."""
    stream = itertools.chain.from_iterable(iter(lambda: list(itertools.islice(iter_forever, 12)), None))
    iter_forever = itertools.chain.from_iterable(iter(chosen) for _ in itertools.count())
    for _ in range(12 * ahead):
        next(stream)
    done = []
    for generation in range(generations):
        for _ in range(12):
            next(stream)
        done.append(answer(chosen, first + generation))
    return done


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_a_resumed_sampler_answers_what_was_drawn_and_then_goes_on(ahead):
    whole = run(sampler(), 6, ahead)
    chosen = sampler()
    before = run(chosen, 3, ahead)
    stopped = sampler()
    stopped.state, stopped.waiting, stopped.drawn = chosen.state, [list(w) for w in chosen.waiting], dict(chosen.drawn)
    stopped.again = len(stopped.waiting)
    assert len(stopped.waiting) >= ahead
    assert before + run(stopped, 3, ahead, first=3) == whole


def test_nothing_drawn():
    with pytest.raises(MilepostError, match="did not draw"):
        sampler().answered()


def test_scoring_rollouts_are_refused_with_the_setting_of_the_recipe():
    with pytest.raises(SettingError, match=r"vas\.build\(refresh_every=0\)"):
        sampler(replace(LEARNING, refresher=WholePool(every=2, width=2)))
    with pytest.raises(SettingError, match=r"bleuberi\.build\(control=True\)") as caught:
        sampler(bleuberi.build(count=2).choice)
    assert "vas" not in str(caught.value)
    assert len(sampler(bleuberi.build(count=2, control=True).choice)) > 0


def test_small_pools_still_give_one_generation():
    assert len(sampler(Uniform(), tasks=16)) == 16 * 3 * 2


def test_positions_are_those_of_the_data_set():
    chosen = ChosenTasks.of(Uniform(), POOL[::-1], tasks=8, width=1, repeats=1, seed=0)
    rows = list(chosen)
    assert [task.id for task, _ in chosen.answered()] == [POOL[::-1][row].id for row in rows]
    assert torch.tensor(rows).unique().tolist() == list(range(8))
