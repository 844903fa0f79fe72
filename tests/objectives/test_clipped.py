"""The clipped surrogate: hand examples, the formulas of TRL and verl, gradients, limits, masks and shared steps."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from milepost import keys
from milepost.credit.group import Centred, LeaveOneOut
from milepost.errors import ColumnError, SettingError, ShapeError
from milepost.forest import Forest
from milepost.objectives.clipped import Clipped, DualClipped, clip_marks, clipped_surrogate
from milepost.objectives.normalise import FixedLength, SequenceMean, TokenMean
from milepost.objectives.sequence_ratio import SequenceClipped
from milepost.objectives.weights import Weighted
from milepost.ragged import Ragged

OBJECTIVES = (
    Clipped(),
    Clipped(low=0.1, high=0.3, normalise=SequenceMean()),
    Clipped(normalise=FixedLength(length=16)),
    DualClipped(bound=1.5),
    SequenceClipped(low=0.05, high=0.1),
    Weighted(cap=1.2),
)
IDS = [f"{type(one).__name__}-{index}" for index, one in enumerate(OBJECTIVES)]


def loss_of(objective, forest: Forest, log_prob: torch.Tensor) -> torch.Tensor:
    return objective(forest, log_prob).loss


# ---- hand examples ----


@pytest.mark.parametrize(
    ("r", "credit", "expected"),
    [(1.5, 1.0, 1.2), (0.5, 1.0, 0.5), (1.1, 2.0, 2.2), (1.5, -1.0, -1.5), (0.5, -1.0, -0.8), (0.9, -2.0, -1.8)],
)
def test_surrogate_by_hand(r, credit, expected):
    found = clipped_surrogate(torch.tensor([r]).double().log(), torch.tensor([credit]).double(), low=0.2, high=0.2)
    assert_close(found, torch.tensor([expected]).double())


def test_asymmetric_and_dual_clip_by_hand():
    log_r = torch.tensor([1.26, 5.0]).double().log()
    assert_close(
        clipped_surrogate(log_r, torch.ones(2).double(), low=0.2, high=0.28), torch.tensor([1.26, 1.28]).double()
    )
    bad = -torch.ones(2).double()
    assert_close(clipped_surrogate(log_r, bad, low=0.2, high=0.28, bound=3.0), torch.tensor([-1.26, -3.0]).double())


def test_surrogate_is_the_minimum_that_ppo_writes():
    log_r, credit = (torch.from_numpy(keys.normal([seed], (2000,))[0]) for seed in (1, 2))
    r = log_r.exp()
    oracle = torch.minimum(r * credit, r.clamp(0.8, 1.28) * credit)
    assert_close(clipped_surrogate(log_r, credit, low=0.2, high=0.28), oracle, rtol=1e-12, atol=1e-12)
    dual = torch.where(credit < 0, torch.maximum(oracle, 3 * credit), oracle)
    assert_close(clipped_surrogate(log_r, credit, low=0.2, high=0.28, bound=3.0), dual, rtol=1e-12, atol=1e-12)


def test_a_clipped_ratio_that_overflows_has_no_gradient():
    log_r = torch.tensor([800.0, -800.0], requires_grad=True)
    clipped_surrogate(log_r, torch.tensor([1.0, -1.0]), low=0.2, high=0.2).sum().backward()
    assert log_r.grad.tolist() == [0.0, 0.0]


def test_clip_marks_count_only_held_back_units():
    log_r = torch.tensor([1.5, 1.5, 0.5, 0.5, 1.0]).log()
    marks = clip_marks(log_r, torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0]), low=0.2, high=0.2)
    assert marks.above.tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert marks.below.tolist() == [0.0, 0.0, 0.0, 1.0, 0.0]


# ---- the formulas of others ----


def trl_loss(case, padded, kind: str, *, length: int = 16) -> torch.Tensor:
    """TRL's GRPOTrainer: per-token loss, then one of its three normalisations."""
    forest = case.forest
    mask = padded(forest, forest["tokens.train"].double())
    now, old = padded(forest, case.now), padded(forest, forest["tokens.log_prob"].double())
    advantages = forest["advantage"].double()[forest.parent >= 0][:, None]
    coef_1 = torch.exp(now - old)
    coef_2 = torch.clamp(coef_1, 1 - 0.2, 1 + 0.28)
    per_token_loss = -torch.min(coef_1 * advantages, coef_2 * advantages)
    if kind == "grpo":
        return ((per_token_loss * mask).sum(-1) / mask.sum(-1).clamp(min=1.0)).mean()
    if kind == "bnpo":
        return (per_token_loss * mask).sum() / mask.sum().clamp(min=1.0)
    return (per_token_loss * mask).sum() / (per_token_loss.size(0) * length)


def verl_loss(case, padded, kind: str, *, length: int = 16) -> torch.Tensor:
    """verl's compute_policy_loss with its clip_ratio_c, then agg_loss."""
    forest = case.forest
    mask = padded(forest, forest["tokens.train"].double())
    now, old = padded(forest, case.now), padded(forest, forest["tokens.log_prob"].double())
    advantages = forest["advantage"].double()[forest.parent >= 0][:, None] * torch.ones_like(now)
    ratio = torch.exp(now - old)
    clip1 = torch.maximum(-advantages * ratio, -advantages * torch.clamp(ratio, 1 - 0.2, 1 + 0.28))
    losses = torch.where(advantages < 0, torch.min(-advantages * 1.5, clip1), clip1)
    if kind == "token-mean":
        return (losses * mask).sum() / mask.sum()
    sums = (losses * mask).sum(-1)
    return (sums / mask.sum(-1)).mean() if kind == "seq-mean-token-mean" else sums.sum() / (length * len(sums))


@pytest.mark.parametrize(
    ("trl", "verl", "normalise"),
    [
        ("grpo", "seq-mean-token-mean", SequenceMean()),
        ("bnpo", "token-mean", TokenMean()),
        ("dr_grpo", "seq-mean-token-sum-norm", FixedLength(length=16)),
    ],
)
def test_equal_to_trl_and_verl(flat, padded, trl, verl, normalise):
    ours = loss_of(Clipped(low=0.2, high=0.28, normalise=normalise), flat.forest, flat.now)
    assert_close(ours, trl_loss(flat, padded, trl), rtol=1e-12, atol=1e-14)
    dual = loss_of(DualClipped(low=0.2, high=0.28, bound=1.5, normalise=normalise), flat.forest, flat.now)
    assert_close(dual, verl_loss(flat, padded, verl), rtol=1e-12, atol=1e-14)


# ---- gradients ----


@pytest.mark.parametrize("objective", OBJECTIVES[:-1], ids=IDS[:-1])
@pytest.mark.parametrize("shape", ["flat", "tree"])
def test_gradient_by_finite_differences(request, slope, objective, shape):
    case = request.getfixturevalue(shape)
    at = case.now.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss_of(objective, case.forest, at), at)
    assert_close(found, slope(lambda x: loss_of(objective, case.forest, x), case.now), rtol=1e-6, atol=1e-8)
    assert bool((found != 0).any())


@pytest.mark.parametrize("objective", OBJECTIVES, ids=IDS)
def test_ratio_1_gives_the_plain_policy_gradient(flat, objective):
    stored = flat.forest["tokens.log_prob"].double()
    at = stored.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss_of(objective, flat.forest, at), at)
    mask, row = flat.forest["tokens.train"], flat.forest.token_row
    count = torch.bincount(row[mask], minlength=8)[row]
    normalise = getattr(
        objective, "normalise", SequenceMean()
    )  # each token's share in the mean over its answer is 1 / T
    divide = {TokenMean(): mask.sum(), SequenceMean(): count * 6, FixedLength(length=16): torch.tensor(96)}[normalise]
    expected = torch.where(mask, -flat.forest["advantage"].double()[row] / divide, 0)
    assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_without_a_clip_it_is_the_importance_weighted_policy_gradient(flat):
    at = flat.now.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss_of(Clipped(low=1.0, high=1e9), flat.forest, at), at)
    (weighted,) = torch.autograd.grad(loss_of(Weighted(cap=1e9), flat.forest, at), at)
    mask = flat.forest["tokens.train"]
    ratio = (flat.now - flat.forest["tokens.log_prob"].double()).exp()
    expected = torch.where(mask, -ratio * flat.forest["advantage"].double()[flat.forest.token_row] / mask.sum(), 0)
    assert_close(found, expected, rtol=1e-12, atol=1e-14)
    assert_close(weighted, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.statistical
@pytest.mark.parametrize(("rule", "factor"), [(LeaveOneOut(), 1.0), (Centred(), 3 / 4)])
def test_gradient_of_a_bandit_is_unbiased(rule, factor):
    """Three arms under a softmax policy, sampled by another: over 20,000 groups the mean gradient is the true one."""
    groups, size = 20_000, 4
    reward, logits = torch.tensor([1.0, 0.0, 0.4]).double(), torch.tensor([0.2, -0.3, 0.1]).double()
    policy, sampler = logits.softmax(0), (logits * 0.5).softmax(0)
    draws = torch.from_numpy(keys.uniform([17], groups * size)[0])
    arm = torch.bucketize(draws, sampler.cumsum(0)[:-1])
    parent = torch.cat((torch.full((groups,), -1), torch.arange(groups).repeat_interleave(size)))
    blank = torch.zeros(groups)
    forest = Forest.of(
        parent,
        {
            "reward.total": torch.cat((blank, reward[arm].float())),
            "ok.total": torch.cat((blank.bool(), torch.ones(len(arm), dtype=torch.bool))),
            "log_prob": torch.cat((blank, sampler.log()[arm].float())),
        },
    )
    forest = rule(forest.with_valid("log_prob", parent >= 0))
    now = torch.cat((blank.double(), policy.log()[arm])).requires_grad_()
    (found,) = torch.autograd.grad(loss_of(Clipped(low=1.0, high=1e9), forest, now), now)
    score = torch.eye(3, dtype=torch.float64)[arm] - policy  # d log pi(arm) / d logits
    per_group = -(found[groups:, None] * score).view(groups, size, 3).sum(1) * groups
    truth = factor * torch.stack([policy[a] * (reward[a] - reward @ policy) for a in range(3)])
    error = per_group.std(0) / math.sqrt(groups)
    assert bool(((per_group.mean(0) - truth).abs() < 5 * error).all())
    assert bool((error < truth.abs() / 20).all())  # the test could tell a wrong factor


# ---- masks ----


@pytest.mark.parametrize("objective", OBJECTIVES, ids=IDS)
@pytest.mark.parametrize("shape", ["flat", "tree"])
def test_dropped_rows_are_masked_rows(request, objective, shape):
    """TRL 7068: a denominator computed before the mask changed. Marking rows as missing equals leaving them out."""
    case = request.getfixturevalue(shape)
    forest, leaves = case.forest, case.forest.leaves()
    gone = leaves[torch.arange(len(leaves)) % 3 == 0]
    valid = forest.valid("advantage").index_fill(0, gone, False)
    kept = torch.ones(len(forest), dtype=torch.bool).index_fill(0, gone, False)
    fewer = forest.select(kept.nonzero().squeeze(1))
    masked = objective(forest.with_valid("advantage", valid), case.now)
    dropped = objective(fewer, case.now[kept[forest.token_row]])
    assert_close(masked.loss, dropped.loss, rtol=1e-12, atol=1e-14)
    assert masked.metrics == pytest.approx(dropped.metrics, rel=1e-12)
    assert abs(float(masked.loss - loss_of(objective, forest, case.now))) > 1e-4


@pytest.mark.parametrize("objective", OBJECTIVES, ids=IDS)
def test_untrained_tokens_and_tokens_without_log_prob_touch_nothing(flat, objective):
    forest = flat.forest
    unknown = torch.arange(len(flat.now)) % 7 == 3
    hole = forest.with_valid("tokens.log_prob", ~unknown)
    untrained = forest.with_columns({"tokens.train": forest["tokens.train"] & ~unknown})
    silent = ~(forest["tokens.train"] & ~unknown)
    noisy = torch.where(silent, torch.nan, flat.now).requires_grad_()
    one, two = objective(hole, noisy), objective(untrained, flat.now)
    assert_close(one.loss.detach(), two.loss, rtol=1e-12, atol=1e-14)
    assert one.metrics == pytest.approx(two.metrics)
    (found,) = torch.autograd.grad(one.loss, noisy)
    assert bool((found[silent] == 0).all())
    assert bool(found.isfinite().all())


@pytest.mark.parametrize("objective", OBJECTIVES, ids=IDS)
def test_a_trajectory_without_trained_tokens_does_not_count(flat, objective):
    """Marked as missing or masked token by token: the loss is divided by the other five answers."""
    own = flat.forest.token_row == 4
    masked = flat.forest.with_columns({"tokens.train": flat.forest["tokens.train"] & ~own})
    missing = flat.forest.with_valid("advantage", flat.forest.valid("advantage") & (torch.arange(8) != 4))
    one, two = objective(masked, flat.now), objective(missing, flat.now)
    assert_close(one.loss, two.loss, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=IDS)
def test_a_batch_that_trains_nothing_has_loss_0_and_no_gradient(flat, objective):
    empty = flat.forest.with_valid("advantage", torch.zeros(8, dtype=torch.bool))
    at = flat.now.clone().requires_grad_()
    found = objective(empty, at)
    assert float(found.loss.detach()) == 0.0
    assert found.metrics["objective/trained_units"] == 0.0
    (gradient,) = torch.autograd.grad(found.loss, at)
    assert bool((gradient == 0).all())
    assert found.metrics.keys() == objective(flat.forest, at).metrics.keys()


# ---- shared steps ----


def separate(case) -> tuple[Forest, torch.Tensor]:
    """The same trajectories without sharing: one chain of copies per leaf."""
    forest, paths = case.forest, case.forest.paths()
    first = paths.offsets[:-1][paths.row]
    place = torch.arange(len(paths.values))
    parent = torch.where(place == first, -1, place - 1)
    line = forest.ragged("tokens.id").select(paths.values)
    index = torch.cat(
        [torch.arange(forest.token_offsets[r], forest.token_offsets[r + 1]) for r in paths.values.tolist()]
    )
    columns = {name: Ragged(forest[name][index], line.offsets) for name in forest.names if name.startswith("tokens.")}
    copy = Forest.of(parent, {**columns, "advantage": forest["advantage"][paths.values]})
    return copy.with_valid("advantage", forest.valid("advantage")[paths.values]), case.now[index]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=IDS)
def test_a_shared_step_counts_once_for_each_trajectory(tree, objective):
    forest, now = separate(tree)
    ours, theirs = objective(tree.forest, tree.now), objective(forest, now)
    assert_close(ours.loss, theirs.loss, rtol=1e-12, atol=1e-14)
    for name in ours.metrics.keys() - {"objective/trained_units"}:
        assert ours.metrics[name] == pytest.approx(theirs.metrics[name], rel=1e-12), name


def test_gradient_of_a_shared_step_is_the_sum_over_its_copies(tree):
    forest, now = separate(tree)
    at, copies = tree.now.clone().requires_grad_(), now.clone().requires_grad_()
    (ours,) = torch.autograd.grad(loss_of(Clipped(), tree.forest, at), at)
    (theirs,) = torch.autograd.grad(loss_of(Clipped(), forest, copies), copies)
    paths = tree.forest.paths()
    index = torch.cat(
        [torch.arange(tree.forest.token_offsets[r], tree.forest.token_offsets[r + 1]) for r in paths.values.tolist()]
    )
    assert_close(ours, torch.zeros_like(ours).index_add(0, index, theirs), rtol=1e-12, atol=1e-14)


# ---- steps without tokens ----


def test_steps_without_tokens_have_one_ratio_each():
    columns = {
        "log_prob": [None, -1.0, -2.0, -1.0],
        "advantage": [None, 1.0, -1.0, 2.0],
        "stochastic": [False, True, True, False],
    }
    forest = Forest.of([-1, 0, 0, 1], columns)
    now = torch.tensor([9.0, -0.9, -2.1, 5.0])
    expected = -(math.exp(0.1) - math.exp(-0.1)) / 2  # row 3 has no density
    assert_close(loss_of(Clipped(), forest, now), torch.tensor(expected))
    everywhere = forest.with_valid("log_prob", torch.ones(4, dtype=torch.bool))
    everywhere = everywhere.with_valid("advantage", torch.ones(4, dtype=torch.bool)).without("stochastic")
    assert Clipped()(everywhere, now).metrics["objective/trained_units"] == 3.0  # nobody chose the root


# ---- errors ----


def test_errors_say_what_is_missing(flat):
    with pytest.raises(ColumnError, match=r"needs column 'advantage'.*Apply a credit rule"):
        Clipped()(flat.forest.without("advantage"), flat.now)
    with pytest.raises(ColumnError, match=r"needs column 'tokens\.log_prob'"):
        Clipped()(flat.forest.without("tokens.log_prob"), flat.now)
    with pytest.raises(ShapeError, match=r"log_prob has shape \(3,\), expected \(31,\)"):
        Clipped()(flat.forest, flat.now[:3])
    for make in (
        lambda: Clipped(low=0.0),
        lambda: Clipped(low=1.5),
        lambda: Clipped(high=0.0),
        lambda: DualClipped(bound=1.0),
        lambda: SequenceClipped(high=-1.0),
        lambda: Weighted(cap=0.0),
        lambda: FixedLength(length=0),
    ):
        with pytest.raises(SettingError):
            make()
