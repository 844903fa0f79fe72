"""The scripted searcher: right without mistakes, wrong in known ways and at known rates with them."""

import math

import pytest

from milepost.columns import End
from milepost.environments.search.environment import Search
from milepost.environments.search.searcher import MISTAKES, Searcher
from milepost.errors import SettingError

WORLD = Search(train_size=600)
TASKS = WORLD.train()


def test_without_mistakes_every_task_is_solved_by_its_plan():
    for task in TASKS[:90]:
        done = Searcher(mistakes={}).demonstrate(WORLD, task, key=1)
        assert (done.answer, done.end, done.mistakes) == (task.record["answer"], End.TERMINATED, ())
        assert [step.action for step in done.steps[:-1]] == [f"<search>{q}</search>" for q in task.record["plan"]]


def test_the_same_key_gives_the_same_demonstration():
    careless = Searcher()
    done = [careless.demonstrate(WORLD, TASKS[5], key=key) for key in (1, 1, 2, 3, 4, 5)]
    assert done[0] == done[1]
    assert len({str(one.steps) for one in done}) > 1


@pytest.mark.parametrize("kind", sorted(MISTAKES))
@pytest.mark.statistical
def test_each_kind_is_made_alone_and_at_its_rate(kind):
    rate, made, chances = 0.3, 0, 0
    for task in TASKS:
        done = Searcher(mistakes={kind: rate}).demonstrate(WORLD, task, key=7)
        assert set(done.mistakes) <= {kind}
        for place, step in enumerate(done.steps):
            made += step.mistake == kind
            chances += possible(kind, task, done.steps, place)
    assert abs(made - rate * chances) < 5 * math.sqrt(chances * rate * (1 - rate)), (made, chances)


def possible(kind, task, steps, place) -> bool:
    """Whether the searcher had a choice at a step, told from outside."""
    plan = task.record["plan"]
    done = [
        step.action[8:-9] for step in steps[:place] if step.mistake in (None, "repeated") and "<search>" in step.action
    ]
    right = len(dict.fromkeys(query for query in done if query in plan))
    before = steps[place - 1] if place else None
    if before is not None and before.mistake == "confused" and "<answer>" in steps[place].action:
        return False
    finished = right == len(plan)
    if kind == "malformed":
        return True
    if kind == "misread":
        return finished and "\n" in (before.observation or "")
    if kind in ("early", "repeated"):
        return not finished and right > 0
    return not finished and " of " in plan[right]


def test_mistakes_are_what_they_are_called():
    seen = {}
    for task in TASKS:
        done = Searcher().demonstrate(WORLD, task, key=3)
        for place, step in enumerate(done.steps):
            if step.mistake is not None:
                seen.setdefault(step.mistake, []).append((task, done, place, step))
    assert set(seen) == set(MISTAKES)
    for task, done, place, step in [entry for group in seen.values() for entry in group]:
        if step.mistake in ("early", "misread"):
            assert step.action.startswith("<answer>")
            assert place == len(done.steps) - 1
        if step.mistake == "repeated":
            assert step.action in [earlier.action for earlier in done.steps[:place]]
        if step.mistake == "malformed":
            assert step.observation is None or step.observation == "malformed action: mismatched"
        if step.mistake == "vague":
            assert not any(step.action[8:-9] == query for query in task.record["plan"])


def test_some_are_solved_and_some_are_not():
    solved = [Searcher().demonstrate(WORLD, task, key=9).answer == task.record["answer"] for task in TASKS]
    assert 0.3 < sum(solved) / len(solved) < 0.7


def test_unknown_kinds_and_rates_are_told():
    with pytest.raises(SettingError, match="mistake='lazy'"):
        Searcher(mistakes={"lazy": 0.1})
    with pytest.raises(SettingError, match="rate of 'early'"):
        Searcher(mistakes={"early": 1.5})
