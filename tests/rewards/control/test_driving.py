"""CaRL's reward on paths: it adds up, it is bounded, it never pays to crash, and its rival pays for standing still."""

import itertools

import pytest
import torch

from milepost import segments
from milepost.forest import Forest
from milepost.rewards.control.driving import (
    Completed,
    Infraction,
    NearCollision,
    OffCentre,
    Progress,
    Shaped,
    Speeding,
    completion,
    furthest,
    held,
    lasting,
    speeding,
)

CHAIN = torch.arange(-1, 9)


def drive(travelled, *, collision=None, lateral=None, speed=None, crashed=None, parent=None):
    """An episode from facts of every row below the root."""
    size = len(travelled)
    rows = [-1, *range(size)] if parent is None else parent

    def fact(given, usual):
        return [None, *([usual] * size if given is None else map(float, given))]

    return Forest.of(
        rows,
        {
            "extra.travelled_m": fact(travelled, 0.0),
            "extra.collision_s": fact(collision, 100.0),
            "extra.lateral_m": fact(lateral, 0.0),
            "extra.speed_m_s": fact(speed, 20.0),
            "extra.crashed": fact(crashed, 0.0),
            "extra.off_road": fact(None, 0.0),
        },
    )


def rewards(forest, part=None):
    return (part or Progress())(forest, torch.arange(len(forest))).values.double()


def total(forest, part=None):
    """Return of each leaf."""
    return segments.path_sum(rewards(forest, part), forest.parent)[forest.leaves()]


def test_without_infractions_the_return_is_the_completion():
    """Backing up earns nothing and is not paid twice."""
    forest = drive([100.0, 250.0, 200.0, 240.0, 600.0])
    assert rewards(forest).tolist() == pytest.approx([0, 10, 15, 0, 0, 35])
    assert float(total(forest)) == pytest.approx(60, abs=1e-5)
    assert Completed()(forest, forest.leaves()).values.tolist() == pytest.approx([0.6])


def test_a_sticky_factor_halves_what_follows():
    """RC_k + 0.5 (RC_T - RC_k) from step k on."""
    forest = drive([100.0, 200.0, 300.0, 400.0], collision=[100.0, 100.0, 0.5, 100.0])
    assert float(total(forest)) == pytest.approx(20 + 0.5 * 20, abs=1e-5)
    brief = Progress(factors=(NearCollision(steps=0),))
    assert float(total(forest, brief)) == pytest.approx(20 + 5 + 10, abs=1e-5)


def test_the_route_ends_at_100_and_a_crash_costs_the_hint():
    assert float(total(drive([900.0, 1500.0, 2000.0]))) == pytest.approx(100)
    crash = drive([100.0, 150.0], crashed=[0.0, 1.0])
    assert float(total(crash)) == pytest.approx(14)
    assert Infraction()(crash, crash.leaves()).values.tolist() == [1.0]
    assert float(total(drive([0.0], crashed=[1.0]))) == -1


def test_a_crash_never_earns_more_than_going_on():
    """Dominance over 60 random episodes, hint included; every return in [-1, 100]."""
    stream = torch.Generator().manual_seed(1)
    for _ in range(60):
        steps = (60 * torch.rand(12, generator=stream)).cumsum(0).tolist()
        near = torch.where(torch.rand(12, generator=stream) < 0.1, 0.4, 50.0).tolist()
        off = (torch.rand(12, generator=stream)).tolist()
        whole = float(total(drive(steps, collision=near, lateral=off)))
        cut = drive(steps[:7], collision=near[:7], lateral=off[:7], crashed=[0.0] * 6 + [1.0])
        assert -1 <= float(total(cut)) <= whole - 1 + 1e-5
        assert whole <= 100 + 1e-4


def test_returns_order_episodes_as_completion_times_a_constant_factor():
    slow, fast = drive([10.0, 20.0, 30.0]), drive([10.0, 40.0, 60.0], speed=[31.0] * 3)
    factor = 1 - 1 / 2.23
    assert float(total(fast)) == pytest.approx(6 * factor, abs=1e-5)
    assert (float(total(fast)) > float(total(slow))) == (6 * factor > 3)


def test_the_order_of_factors_does_not_matter():
    forest = drive(
        [100.0, 200.0, 300.0, 500.0, 600.0], collision=[0.1] + [9.0] * 4, lateral=[1.0] * 5, speed=[31.0] * 5
    )
    found = [
        rewards(forest, Progress(factors=order))
        for order in itertools.permutations((Speeding(), NearCollision(), OffCentre()))
    ]
    assert all(torch.allclose(found[0], other) for other in found)
    every = [factor(forest) for factor in (Speeding(), NearCollision(), OffCentre())]
    assert all(bool(((value >= 0) & (value <= 1)).all()) for value in every)


def test_lanes_may_be_changed_but_not_straddled():
    changed = OffCentre()(drive([1.0] * 8, lateral=[0, 1, 1, 1, 0, 0, 0, 0]))
    assert changed.tolist() == [1.0] * 9
    straddled = OffCentre()(drive([1.0] * 8, lateral=[1, 1, 1, 1, 1, 0, 0, 0]))
    assert straddled.tolist() == [1, 1, 1, 1, 0.5, 0.5, 0.5, 1, 1]


def test_factors_follow_their_branch():
    """A near collision on one branch leaves the other alone."""
    parent = [-1, 0, 1, 1, 2, 3]
    forest = drive([100.0, 200.0, 200.0, 300.0, 300.0], collision=[9, 0.1, 9, 9, 9], parent=parent)
    assert rewards(forest).tolist() == pytest.approx([0, 10, 5, 10, 5, 10])


def test_the_functions_against_their_loops():
    stream = torch.Generator().manual_seed(3)
    value = torch.randn(9, generator=stream)
    parent = CHAIN[:9]
    assert torch.equal(furthest(value, parent), value.cummax(0).values)
    wanted = (100 * value.clamp(0, 1).cummax(0).values).tolist()
    assert completion(value * 10, parent, length=10.0).tolist() == pytest.approx(wanted)
    bad = torch.rand(9, generator=stream) < 0.5
    count, wanted, kept = 0, [], []
    for row in range(9):
        count = max(0, count + 1) if bad[row] else max(0, count - 1)
        wanted.append(count)
        kept.append(bool(bad[max(0, row - 2) : row + 1].any()))
    assert lasting(bad, parent).tolist() == wanted
    assert held(bad, parent, steps=2).tolist() == kept
    assert len(furthest(torch.zeros(0), torch.zeros(0, dtype=torch.int64))) == 0


def test_net_time_starts_anew_from_zero():
    bad = torch.tensor([False, False, False, True, True, False, False, False, True])
    assert lasting(bad, CHAIN[:9]).tolist() == [0, 0, 0, 1, 2, 1, 0, 0, 1]


def test_speeding_by_hand():
    assert speeding(torch.tensor([10.0, 20.0, 21.115, 30.0]), limit=20.0).tolist() == pytest.approx([1, 1, 0.5, 0])


def test_the_weighted_sum_pays_for_standing_still():
    """By hand: (0 + 5 + 4 + 2) / 16 for each of 40 steps at rest; a full route without fault pays 1."""
    rest = drive([0.0] * 40, speed=[0.0] * 40)
    route = drive([25.0 * (step + 1) for step in range(40)], speed=[25.0] * 40)
    assert float(total(rest, Shaped())) - float(rewards(rest, Shaped())[0]) == pytest.approx(11 / 16, abs=1e-5)
    assert float(total(route, Shaped())) - float(rewards(route, Shaped())[0]) == pytest.approx(1, abs=1e-5)
    assert float(total(rest)) == 0


def test_the_route_is_as_long_as_the_environment_says():
    forest = drive([100, 200])
    told = {"extra.route_m": [None, 400.0, 400.0], "extra.route_steps": [None, 20.0, 20.0]}
    brief = forest.with_columns(told)
    assert Completed()(forest, forest.leaves()).values.tolist() == pytest.approx([0.2])
    assert Completed()(brief, brief.leaves()).values.tolist() == pytest.approx([0.5])
    assert rewards(brief).tolist() == pytest.approx([0, 25, 25])
    assert rewards(brief, Shaped())[1:].tolist() == pytest.approx([1 / 20] * 2)  # 5 of the 5 parts of progress
    assert rewards(forest, Shaped())[1:].tolist() == pytest.approx([1 / 40] * 2)
    slow = drive([10, 20]).with_columns(told)
    assert rewards(slow, Shaped())[1:].tolist() == pytest.approx([(5 * 0.5 + 11) / 16 / 20] * 2)


def explained(columns, value):
    """Share of a variance that a linear fit explains."""
    design = torch.stack([torch.ones_like(value), *columns], 1)
    left = value - design @ torch.linalg.lstsq(design, value[:, None]).solution[:, 0]
    return 1 - float(left.square().sum() / (value - value.mean()).square().sum())


def test_a_critic_that_knows_of_the_sticky_penalty_explains_more():
    """The same episodes, two fits of what is still to come: with and without whether progress is halved just now."""
    stream = torch.Generator().manual_seed(0)
    seen: list[list[float]] = []
    for _ in range(200):
        collision = torch.where(torch.rand(40, generator=stream) < 0.02, 0.5, 100.0)
        forest = drive((25.0 * torch.arange(1, 41)).tolist(), collision=collision.tolist())
        paid, near = rewards(forest), NearCollision()
        halved = near(forest) < 1
        to_come = paid.flip(0).cumsum(0).flip(0) - paid
        seen += [[41.0 - row, float(halved[row]), float(to_come[row])] for row in range(1, 41)]
    left, halved, to_come = torch.tensor(seen, dtype=torch.float64).T
    blind, privileged = explained([left, left**2], to_come), explained([left, left**2, halved, halved * left], to_come)
    assert privileged > blind + 0.02
    assert blind > 0.5
