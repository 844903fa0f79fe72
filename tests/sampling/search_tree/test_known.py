"""What a search knows: values against the full backup, visits by hand."""

from functools import partial

import torch

from milepost import backup, segments
from milepost.sampling.search_tree.known import begin, below, longer, visited
from milepost.sampling.search_tree.selection import Budget
from tests.sampling.search_tree.words import grown, search

SOFT = partial(segments.group_soft_mean, temperature=1.0)


def test_visits_and_values_by_hand():
    """A root with two leaves, rewards 0 and ln 3: value ln 2; a visit for each, one more for a leaf seen again."""
    parent = torch.tensor([-1, 0, 0])
    known = begin(grown(search()).select(torch.tensor([0])))
    known = known.__class__(
        **{
            **vars(known),
            "value": torch.tensor([0.0, 0.0, 3.0]).double().log1p() * torch.tensor([0.0, 0.0, 0.7924812503605781]),
            "ok": torch.tensor([False, True, True]),
            "visits": torch.ones(3, dtype=torch.int64),
            "depth": torch.tensor([0, 1, 1]),
        }
    )
    once = visited(known, parent, torch.tensor([1, 2]), SOFT)
    assert once.visits.tolist() == [3, 2, 2]
    torch.testing.assert_close(once.value[0], torch.tensor(2.0).double().log())
    assert visited(once, parent, torch.tensor([2]), SOFT).visits.tolist() == [4, 2, 3]


def test_below_finds_children_and_whose_they_are():
    rows, of = below(torch.tensor([-1, -1, 0, 1, 0, 2]), torch.tensor([1, 0]))
    assert rows.tolist() == [2, 3, 4]
    assert of.tolist() == [1, 0, 1]


def replayed(forest):
    """What is known after the rows were told one by one, in the order in which they were grown."""
    after = begin(forest.select(forest.roots()))
    for row in range(len(forest.roots()), len(forest)):
        rows = torch.tensor([row])
        after = longer(after, forest.select(torch.arange(row + 1)), rows)
        if bool(forest["end"][row]):
            after = visited(after, forest.parent[: row + 1], rows, SOFT)
    return after


def test_step_by_step_is_the_full_backup():
    """Values kept along the way equal those of one pass over the finished tree; calls are counted."""
    forest = grown(search(budget=Budget(calls=1e9, descents=30)), roots=2)
    after = replayed(forest)
    leaf = segments.child_count(forest.parent) == 0
    reward = torch.where(leaf, forest["reward.total"].double(), 0)
    zero = torch.zeros_like(reward)
    found = backup.backup(reward, zero + 1, zero, forest.parent, torch.ones_like(leaf), reduce=SOFT)
    torch.testing.assert_close(torch.where(leaf, reward, after.value), torch.where(leaf, reward, found.state))
    assert float(after.calls.sum()) == len(forest) - 2


def test_a_failed_reward_has_no_value():
    forest = grown(search(budget=Budget(calls=1e9, descents=1)))
    nothing = torch.zeros(len(forest), dtype=torch.bool)
    broken = forest.with_columns({"ok.total": nothing}).with_valid("reward.total", nothing)
    assert not bool(replayed(broken).ok.any())
    assert bool(replayed(forest).ok.all())
