"""Running scales: exact over batches, and along time, not over episodes."""

import pytest
import torch

from milepost.rewards.bonus.normalising import Running, aged, discounted_along, joined, whitened

ROWS = torch.randn(60, 3, generator=torch.Generator().manual_seed(1)).double() * 4 + 7


def test_pieces_give_what_the_whole_gives():
    whole = joined(Running.nothing(3), ROWS)
    parts = Running.nothing(3)
    for piece in (ROWS[:1], ROWS[1:30], ROWS[30:30], ROWS[30:]):
        parts = joined(parts, piece)
    for name in ("count", "mean", "square"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name))
    torch.testing.assert_close(whole.std(), ROWS.std(0, correction=0))


def test_what_is_aged_weighs_less_and_looks_the_same():
    old = joined(Running.nothing(1), torch.tensor([[0.0], [2.0]]))
    assert aged(old, 0.5).std().tolist() == [1.0]
    both = joined(aged(old, 0.0), torch.tensor([[10.0], [14.0]]))
    assert (both.mean.tolist(), both.std().tolist()) == ([12.0], [2.0])


def test_whitening():
    running = joined(Running.nothing(2), torch.tensor([[0.0, 5.0], [4.0, 5.0]]))
    assert whitened(running, torch.tensor([[4.0, 5.5], [100.0, 0.0]]), limit=5.0).tolist() == [[1.0, 0.5], [5.0, -5.0]]
    assert whitened(Running.nothing(1), torch.tensor([[3.0]]), limit=5.0).tolist() == [[3.0]]


def test_sums_run_along_time_and_not_over_episodes():
    """Two interleaved episodes of constant reward 1 and 10; a filter over rows in storage order would mix them."""
    parent = torch.tensor([-1, -1, 0, 1, 2, 3])
    reward = torch.tensor([0.0, 0.0, 1.0, 10.0, 1.0, 10.0])
    assert discounted_along(reward, parent, discount=0.5).tolist() == [0, 0, 1, 10, 1.5, 15]


@pytest.mark.parametrize("discount", [0.0, 0.9, 1.0])
def test_a_long_episode_against_the_slow_loop(discount):
    reward = torch.randn(200, generator=torch.Generator().manual_seed(2)).double()
    wanted, total = [], 0.0
    for value in reward.tolist():
        total = value + discount * total
        wanted.append(total)
    found = discounted_along(reward, torch.arange(-1, 199), discount=discount)
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))
