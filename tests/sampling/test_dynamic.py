"""Dynamic sampling: which groups are dead, what is kept, and when drawing stops."""

import pytest
import torch

from milepost import keys
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.sampling.dynamic import DynamicSampling, part_dead
from milepost.sampling.variance import mixed_probability

KEY = keys.root(11)


def tasks_of(forest):
    return [name for name in forest.text("task") if name is not None] if len(forest) else []


def test_parts_by_exact_equality(scored):
    forest = scored(
        [
            ("mixed", 0, [1.0, 0.0, 1.0]),
            ("solved", 0, [1.0, 1.0, 1.0]),
            ("failed", 0, [0.0, 0.0, 0.0]),
            ("close", 0, [0.1 + 1e-7, 0.1, 0.1]),
            ("lone", 0, [1.0, None, None]),
            ("broken", 0, [None, None, None]),
            ("empty", 0, []),
        ]
    )
    parted = part_dead(forest, reward="total")
    assert tasks_of(parted.live) == ["mixed", "close"]
    assert tasks_of(parted.dead) == ["solved", "failed", "lone", "broken", "empty"]
    assert (parted.live_groups, parted.dead_groups) == (2, 5)
    assert len(parted.live) + len(parted.dead) == len(forest)
    expected = torch.tensor([1.0, 0.0, 1.0, 0.1 + 1e-7, 0.1, 0.1])
    assert torch.equal(parted.live["reward.total"][parted.live.leaves()], expected)


def test_whole_trees_stay_together():
    forest = Forest.of(
        [-1, -1, 0, 1, 2, 2, 3, 3],
        {
            "task": ["live", "dead"] + [None] * 6,
            "reward.total": [0.0, 0.0, 5.0, 6.0, 1.0, 0.0, 1.0, 1.0],
            "ok.total": [False, False, True, True, True, True, True, True],
        },
    )
    parted = part_dead(forest, reward="total")
    assert parted.live.parent.tolist() == [-1, 0, 1, 1]
    assert parted.dead["reward.total"].tolist() == [0.0, 6.0, 1.0, 1.0]


def test_no_rounds_keeps_dead_groups(scored):
    rule = DynamicSampling()
    state = rule.begin(2)
    assert rule.ask(state) == 2
    state = rule.tell(state, scored([("a", 0, [1.0, 1.0]), ("b", 0, [1.0, 0.0])]))
    assert rule.ask(state) == 0
    assert tasks_of(state.kept) == ["a", "b"]
    assert (state.kept_groups, state.dropped_groups) == (2, 0)


def test_replacements_are_drawn_until_the_batch_is_full(scored):
    rule = DynamicSampling(rounds=3)
    state = rule.begin(3)
    state = rule.tell(state, scored([("a", 0, [1.0, 0.0]), ("b", 0, [1.0, 1.0]), ("c", 0, [0.0, 0.0])]))
    assert rule.ask(state) == 2
    state = rule.tell(state, scored([("b", 1, [1.0, 0.0]), ("d", 0, [1.0, 1.0])]))
    assert rule.ask(state) == 1
    state = rule.tell(state, scored([("e", 0, [0.0, 1.0])]))
    assert rule.ask(state) == 0
    assert tasks_of(state.kept) == ["a", "b", "e"]
    assert tasks_of(state.dropped) == ["b", "c", "d"]
    assert (state.kept_groups, state.dropped_groups, state.asked) == (3, 3, 3)


def test_rounds_are_an_upper_bound_and_dead_groups_are_never_put_back(scored):
    rule = DynamicSampling(rounds=2)
    state, asked = rule.begin(2), []
    while count := rule.ask(state):
        asked.append(count)
        state = rule.tell(state, scored([(f"{len(asked)}-{n}", 0, [1.0, 1.0]) for n in range(count)]))
    assert asked == [2, 2, 2], "the first draw and two rounds of replacements"
    assert len(state.kept) == 0
    assert state.kept_groups == 0
    assert len(tasks_of(state.dropped)) == 6, "what was dropped is still there to be paid for"


@pytest.mark.statistical
def test_expected_share_of_live_groups_and_cost(scored):
    """Tasks at 10% with 8 answers: 1 - 0.9^8 - 0.1^8 = 57% are live, so a batch of 64 needs 64 / 0.57 groups. 5 SE."""
    rule, numbers = DynamicSampling(rounds=40), keys.generator(KEY)
    drawn, wanted = 0, 64
    for batch in range(25):
        state = rule.begin(wanted)
        while count := rule.ask(state):
            passed = (numbers.random((count, 8)) < 0.1).astype(float)
            state = rule.tell(state, scored([(f"{batch}-{drawn + n}", 0, list(p)) for n, p in enumerate(passed)]))
            drawn += count
        assert state.kept_groups == wanted
    live = float(mixed_probability(torch.tensor([0.1]).double(), 8))
    assert live == pytest.approx(0.5695, abs=1e-4)
    error = (live * (1 - live) / drawn) ** 0.5
    assert abs(25 * wanted / drawn - live) < 5 * error


def test_another_reward_may_decide(scored):
    forest = scored([("a", 0, [1.0, 0.0])], reward="accuracy")
    assert part_dead(forest, reward="accuracy").live_groups == 1
    with pytest.raises(KeyError, match=r"reward\.total"):
        part_dead(forest, reward="total")


def test_settings_are_checked():
    with pytest.raises(SettingError, match="rounds"):
        DynamicSampling(rounds=-1)
