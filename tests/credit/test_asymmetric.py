"""A-GRAE: what its specification says must hold, its edge cases, and the traps of the published code."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from milepost import keys
from milepost.credit.asymmetric import Asymmetric, Memory, Smoothed, families
from milepost.credit.difficulty import Focused, Unweighted
from milepost.credit.group import Centred, Normalised, normalised
from milepost.credit.sign import Constant, Limited, SignGain
from milepost.errors import ColumnError, SettingError
from milepost.forest import Forest
from milepost.part import StatefulCredit
from milepost.testing.answers import answers_credit, scored, solved

SIZES = (4, 8, 16)
EXACT = Normalised(eps=0.0)


def wins(count: int, size: int) -> list[float]:
    return [1.0] * count + [0.0] * (size - count)


def whole(count: int) -> torch.Tensor:
    return torch.ones(count, dtype=torch.bool)


def whitened(count: int, size: int, *, ddof: int = 0) -> torch.Tensor:
    reward, group = torch.tensor(wins(count, size), dtype=torch.float64), torch.zeros(size, dtype=torch.int64)
    return normalised(reward, group, 1, whole(size), ddof=ddof, eps=0.0)


def batch_with(eighths: int) -> Forest:
    """Groups of eight with a success rate of eighths / 8 together: two mixed, two that are dead or nearly so."""
    near = min(eighths, 8 - eighths, 2)
    return solved([wins(count, 8) for count in (eighths, eighths - near, eighths + near)])


# ---- what must hold 1: the size of the update ----


@pytest.mark.parametrize("size", SIZES)
def test_t2_sum_of_sizes_is_2_g_sqrt_p_1_minus_p(size):
    for count in range(size + 1):
        p = count / size
        assert_close(float(whitened(count, size).abs().sum()), 2 * size * math.sqrt(p * (1 - p)), rtol=1e-12, atol=0)


@pytest.mark.parametrize("size", SIZES)
def test_t2_with_the_sample_deviation_is_smaller_by_sqrt_g_minus_1_over_g(size):
    """The published code takes ddof = 1: 3.46 instead of 4 at four answers and p = 1/2."""
    for count in range(1, size):
        ratio = float(whitened(count, size, ddof=1).abs().sum() / whitened(count, size).abs().sum())
        assert_close(ratio, math.sqrt((size - 1) / size), rtol=1e-12, atol=0)
    assert_close(float(whitened(2, 4, ddof=1).abs().sum()), math.sqrt(12), rtol=1e-12, atol=0)
    assert_close(float(whitened(2, 4).abs().sum()), 4.0, rtol=1e-12, atol=0)


# ---- what must hold 2: sums before and after ----


@pytest.mark.parametrize("rule", [Normalised(), Normalised(ddof=1), Centred()])
@pytest.mark.parametrize("alpha", [1.0, 0.5])
@pytest.mark.parametrize("eighths", range(1, 8))
def test_positive_and_negative_sums_differ_by_exactly_the_gain(rule, alpha, eighths):
    forest = batch_with(eighths)
    omega = Asymmetric().omega(forest)[""]
    assert omega == eighths / 8
    before = Asymmetric(rule=rule, gain=Constant())(forest)
    after = Asymmetric(rule=rule, gain=Limited(alpha=alpha))(forest)
    for root in forest.roots().tolist():
        rows = forest.parent == root
        was, now = before["advantage"][rows].double(), after["advantage"][rows].double()
        if bool((was == 0).all()):
            assert bool((now == 0).all())
            continue
        assert abs(was.sum()) < 1e-6
        assert_close(was[was > 0].sum(), -was[was < 0].sum(), rtol=1e-6, atol=0)
        assert_close(
            now[now > 0].sum() / -now[now < 0].sum(), torch.tensor(min(1.0, omega / alpha)).double(), rtol=1e-6, atol=0
        )
        if omega < alpha:
            assert now.sum() < 0


# ---- what must hold 3: limits of omega ----


# ---- what must hold 5: equal to the bit ----


@pytest.mark.parametrize("eighths", range(9))
def test_without_weight_and_with_alpha_to_0_it_is_grpo_to_the_bit(eighths):
    forest = batch_with(eighths) if eighths else solved([wins(0, 8), wins(1, 8), wins(8, 8)])
    found = Asymmetric(weight=Unweighted(), gain=Limited(alpha=1e-9))(forest)
    assert torch.equal(found["advantage"], Normalised()(forest)["advantage"])


def test_order_of_the_factors_does_not_depend_on_the_rule():
    """With Dr. GRPO the same two factors multiply r - p."""
    forest = batch_with(2)
    plain, ours = Centred()(forest)["advantage"].double(), Asymmetric(rule=Centred())(forest)["advantage"].double()
    rows = forest.parent == 0
    p, omega = 2 / 8, 2 / 8
    factor = omega / 2 / math.sqrt(p) + (1 - omega) / 2 / math.sqrt(1 - p)
    expected = torch.where(plain > 0, plain * factor * omega, plain * factor)[rows]
    assert_close(ours[rows], expected, rtol=1e-6, atol=0)


def test_focused_controls_of_the_paper():
    forest = batch_with(2)
    grpo = Normalised()(forest)["advantage"]
    rows = forest.parent == 0
    hard = Asymmetric(weight=Focused(hard=0.5, easy=0.0), gain=Constant())(forest)["advantage"]
    easy = Asymmetric(weight=Focused(hard=0.0, easy=0.5), gain=Constant())(forest)["advantage"]
    assert_close(hard[rows], 0.5 * grpo[rows] / math.sqrt(1 / 4))
    assert_close(easy[rows], 0.5 * grpo[rows] / math.sqrt(3 / 4))


# ---- the traps of the published code ----


def test_trap_dead_switch():
    """The published trainer anneals its switch away from 2.0 before the first update: `== 2.0` is false, GRPO runs."""
    switch = [2.0 + (step / 100) * (1 - 2.0) for step in range(1, 101)]
    assert 2.0 not in switch
    for eighths in range(1, 8):
        forest = batch_with(eighths)
        assert not torch.equal(Asymmetric()(forest)["advantage"], Normalised()(forest)["advantage"])


def test_trap_omega_is_over_all_trajectories_not_a_mean_of_groups():
    forest = solved([wins(2, 2), wins(0, 8)])
    assert Asymmetric().omega(forest) == {"": 0.2}  # the mean of the groups' means is 0.5


def test_trap_the_deviation_is_the_populations():
    assert Asymmetric().rule == Normalised(ddof=0)


# ---- accuracy and omega ----


def test_rate_and_omega_come_from_the_accuracy_alone():
    right = [wins(1, 4), wins(3, 4)]
    total = [[right[g][i] + (0.1 if i % 2 else 0.0) for i in range(4)] for g in range(2)]
    forest = scored(total, solved=right)
    assert Asymmetric().omega(forest) == {"": 0.5}
    found = Asymmetric(gain=Constant())(forest)["advantage"]
    grpo = Normalised()(forest)["advantage"]
    for root, p in ((0, 1 / 4), (1, 3 / 4)):
        rows = forest.parent == root
        assert_close(found[rows], grpo[rows] * (0.25 / math.sqrt(p) + 0.25 / math.sqrt(1 - p)))


def test_no_rescaling_where_the_rate_is_0_or_1():
    """All answers right, yet their total differs by a format bonus: the credit stays GRPO's."""
    forest = scored([[1.0, 1.1, 1.1, 1.0], [0.0, 0.1, 0.0, 0.0]], solved=[wins(4, 4), wins(0, 4)])
    assert torch.equal(Asymmetric(gain=Constant())(forest)["advantage"], Normalised()(forest)["advantage"])


def test_omega_counts_dead_groups_and_leaves_out_failures():
    assert Asymmetric().omega(solved([wins(0, 4), wins(4, 4), wins(4, 4)])) == {"": 2 / 3}
    assert Asymmetric().omega(solved([[1.0, None, None, 0.0]])) == {"": 0.5}
    assert Asymmetric().omega(solved([[None, None]])) == {}


def test_one_omega_per_family():
    forest = solved([wins(1, 4), wins(3, 4)], families=("sums", "counting"))
    assert Asymmetric().omega(forest) == {"sums": 0.25, "counting": 0.75}
    found, alone = Asymmetric()(forest), Asymmetric()(solved([wins(1, 4)]))
    assert torch.equal(found["advantage"][forest.parent == 0], alone["advantage"][1:])
    assert families(forest).names == ("counting", "sums")


def test_accuracy_that_is_not_binary_is_refused_unless_its_range_is_declared():
    forest = scored([[0.0, 0.5, 1.0, 0.5]], solved=[[-1.0, 0.0, 1.0, 0.0]])
    with pytest.raises(ColumnError, match=r"reward\.solved of -1\.0, expected 0 or 1.*limits=\(low, high\)"):
        Asymmetric()(forest)
    with pytest.raises(ColumnError, match=r"expected a number in \[0\.0, 1\.0\]"):
        Asymmetric(limits=(0.0, 1.0))(forest)
    assert Asymmetric(limits=(-1.0, 1.0)).omega(forest) == {"": 0.5}
    found = Asymmetric(limits=(-1.0, 1.0), gain=Constant())(forest)["advantage"]
    assert_close(found, Normalised()(forest)["advantage"] * math.sqrt(0.5))  # p = omega = 1/2
    with pytest.raises(SettingError, match="limits"):
        Asymmetric(limits=(1.0, 0.0))


def test_missing_accuracy_says_which_column():
    with pytest.raises(ColumnError, match=r"needs column 'reward\.right'"):
        Asymmetric(accuracy="right")(solved([wins(1, 2)]))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_failed_rewards_count_nowhere(share):
    draws, values = keys.uniform([3], 160)[0], keys.uniform([4], 160)[0] < 0.4
    groups = [[None if draws[i] < share else float(values[i]) for i in range(g * 8, g * 8 + 8)] for g in range(20)]
    found = Asymmetric()(solved(groups))
    without = Asymmetric()(solved([[v for v in group if v is not None] for group in groups]))
    assert found["advantage"][found.valid("advantage")].tolist() == answers_credit(without)


def test_an_answer_without_accuracy_counts_nowhere():
    """The accuracy may be watched with weight 0: its failure then leaves the total ok."""
    total, right = [[1.0, 0.0, 0.5, 0.0]], [[1.0, 0.0, None, 0.0]]
    found, without = Asymmetric()(scored(total, solved=right)), Asymmetric()(solved([[1.0, 0.0, 0.0]]))
    assert found["advantage"][found.valid("advantage")].tolist() == answers_credit(without)
    assert found.valid("advantage").tolist() == [False, True, True, False, True]


def test_an_answer_without_total_does_not_enter_omega_or_the_rate():
    total, right = [[1.0, 0.0, None, None]], [[1.0, 0.0, 1.0, 1.0]]
    assert Asymmetric().omega(scored(total, solved=right)) == {"": 0.5}
    #       0            the right leaf 5 has no total: row 2 is worth what row 4 and 6 say
    #   1       2
    #   3     4 5 6
    value, ok = [None] * 3 + [0.0, 1.0, None, 0.0], [False] * 3 + [True, True, False, True]
    why = [None] * 5 + ["reward_error", None]
    columns = {"reward.total": value, "ok.total": ok, "reason.total": why}
    known = {"reward.solved": [None] * 3 + [0.0, 1.0, 1.0, 0.0], "ok.solved": [False] * 3 + [True] * 4}
    found = Asymmetric(gain=Constant())(Forest.of([-1, 0, 0, 1, 2, 2, 2], {**columns, **known}))["advantage"]
    p, omega = 0.25, 1 / 3
    assert_close(
        found[2], torch.tensor(omega / 2 / math.sqrt(p) + (1 - omega) / 2 / math.sqrt(1 - p)), rtol=1e-5, atol=0
    )


def test_lone_answer_and_empty_batch():
    assert answers_credit(Asymmetric()(solved([[1.0]]))) == [0.0]
    empty = Forest.of(
        [],
        {
            f"{kind}.{n}": torch.zeros(0, dtype=t)
            for n in ("total", "solved")
            for kind, t in (("reward", torch.float32), ("ok", torch.bool))
        },
    )
    assert len(Asymmetric()(empty)["advantage"]) == 0


def test_branching_groups_use_their_own_rate():
    tree = [-1, 0, 0, 1, 1, 2, 2]
    value, ok = [None] * 3 + [1.0, 0.0, 1.0, 1.0], [False] * 3 + [True] * 4
    columns = {"reward.total": value, "ok.total": ok, "reward.solved": value, "ok.solved": ok, "discount": [0.9] * 7}
    forest = Forest.of(tree, columns)
    ours, base = Asymmetric(gain=Constant())(forest)["advantage"], Normalised()(forest)["advantage"]
    assert_close(
        ours[1] / base[1], torch.tensor(0.375 / math.sqrt(0.75) + 0.125 / math.sqrt(0.25))
    )  # p = (1/2 + 1) / 2
    assert_close(ours[3] / base[3], torch.tensor(0.5 / math.sqrt(0.5)))
    assert ours[5] == ours[6] == 0


# ---- the gain ----


def test_warning_metric_below_a_tenth():
    weak, strong = solved([wins(1, 8), wins(0, 8)]), solved([wins(1, 8), wins(3, 8)])
    assert Asymmetric().metrics(weak) == {
        "credit/omega": 1 / 16,
        "credit/positive_gain": 1 / 16,
        "credit/omega_low": 1.0,
    }
    assert Asymmetric().metrics(strong)["credit/omega_low"] == 0.0
    floored = Asymmetric(gain=Limited(floor=0.3))
    assert floored.metrics(weak)["credit/positive_gain"] == 0.3
    before, after = Asymmetric()(weak), floored(weak)
    up = before["advantage"] > 0
    assert_close(after["advantage"][up], before["advantage"][up] * (0.3 * 16))


def test_settings_are_checked():
    for make in (
        lambda: Limited(alpha=0.0),
        lambda: Limited(alpha=1.5),
        lambda: Limited(floor=-0.1),
        lambda: Constant(positive=-1.0),
        lambda: Focused(hard=0.0, easy=0.0),
        lambda: SignGain(positive=-1.0),
        lambda: Smoothed(keep=1.0),
    ):
        with pytest.raises(SettingError):
            make()


# ---- memory ----


def test_smoothed_follows_the_batches():
    rule = Smoothed(keep=0.75)
    assert isinstance(rule, StatefulCredit)
    assert not isinstance(Asymmetric(), StatefulCredit)
    first, second = solved([wins(1, 4)], families=("a",)), solved([wins(3, 4), wins(1, 2)], families=("a", "b"))
    credited, state = rule.apply(first, rule.init())
    assert state == Memory(omega={"a": 0.25})
    assert torch.equal(credited["advantage"], Asymmetric()(first)["advantage"])
    credited, state = rule.apply(second, state)
    assert state == Memory(omega={"a": 0.75 * 0.25 + 0.25 * 0.75, "b": 0.5})
    assert torch.equal(credited["advantage"], Asymmetric().of(second, state.omega)["advantage"])
    assert rule.metrics(second, state)["credit/omega"] == (0.375 + 0.5) / 2


def test_smoothed_keeps_the_omega_of_an_empty_batch():
    rule = Smoothed()
    _, state = rule.apply(solved([[None, None]]), Memory(omega={"": 0.4}))
    assert state == Memory(omega={"": 0.4})


def test_smoothed_without_memory_is_asymmetric():
    forest = batch_with(3)
    found, _ = Smoothed(keep=0.0).apply(forest, Memory(omega={"": 0.9}))
    assert torch.equal(found["advantage"], Asymmetric()(forest)["advantage"])
