"""Over-turn masking: what exceeded a limit has no influence, but for its reward in the statistics."""

import pytest
import torch

from milepost.columns import End
from milepost.credit.by_root import ByRoot
from milepost.credit.completion import LIMITS, Completed, exceeded
from milepost.credit.group import Centred, Normalised
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.objectives.clipped import Clipped
from milepost.objectives.normalise import SequenceMean, TokenMean
from milepost.ragged import Ragged
from milepost.testing.parts import check_part

DONE, OVER = int(End.TERMINATED), int(End.TURN_LIMIT)


def batch(rewards, ends, *, shift=0.0):
    """One task; trajectory i has i + 1 tokens. `shift` changes the stored log-probabilities of exceeded ones."""
    size = len(rewards)
    lengths = [i + 1 for i in range(size)]
    stored = [[-0.1 * (i + 1) + (shift if ends[i] == OVER else 0.0)] * n for i, n in enumerate(lengths)]
    columns = {
        "reward.total": [None, *rewards],
        "ok.total": [False, *(one is not None for one in rewards)],
        "end": [0, *ends],
        "tokens.train": Ragged.of([[], *([True] * n for n in lengths)], torch.bool),
        "tokens.log_prob": Ragged.of([[], *stored], torch.float32),
    }
    return Forest.of([-1] + [0] * size, columns)


def loss_of(forest, rule, normalise=None, *, ratio=0.05):
    """Loss and gradient on a policy a little away from the one that sampled."""
    log_prob = (forest["tokens.log_prob"].double() + ratio).requires_grad_()
    loss = Clipped(high=0.3, normalise=normalise or TokenMean())(rule(forest), log_prob).loss
    return float(loss.detach()), torch.autograd.grad(loss, log_prob, allow_unused=True)[0]


def test_hand_example():
    found = Completed(rule=Centred())(batch([1.0, 0.0, 0.0], [DONE, DONE, OVER]))
    assert found["advantage"][1:].tolist() == pytest.approx([2 / 3, -1 / 3, 0.0])
    assert found.valid("advantage").tolist() == [False, True, True, False]
    found = Completed(rule=Centred(), completed_only=True)(batch([1.0, 0.0, 0.0], [DONE, DONE, OVER]))
    assert found["advantage"][1:3].tolist() == [0.5, -0.5]


@pytest.mark.parametrize("completed_only", [False, True])
def test_nothing_exceeded_is_grpo_to_the_bit(completed_only):
    forest = batch([1.0, 0.0, 0.0, 1.0, None], [DONE] * 4 + [int(End.VOID)])
    rule = Completed(completed_only=completed_only)
    plain = Normalised(ddof=1)
    assert torch.equal(rule(forest)["advantage"], plain(forest)["advantage"])
    ours, theirs = loss_of(forest, rule), loss_of(forest, plain)
    assert ours[0] == theirs[0]
    assert torch.equal(ours[1], theirs[1])


def test_zero_influence_but_for_the_reward():
    """Log-probabilities of an exceeded trajectory never matter; its reward does where the statistics count it."""
    ends = [DONE, DONE, OVER, DONE]
    one, shifted = (batch([1.0, 0.0, 0.0, 1.0], ends, shift=s) for s in (0.0, -3.0))
    rewarded = batch([1.0, 0.0, 1.0, 1.0], ends)
    mine = one["tokens.log_prob"] == shifted["tokens.log_prob"]
    for rule, counts in ((Completed(), True), (Completed(completed_only=True), False)):
        loss, gradient = loss_of(one, rule)
        again, other = loss_of(shifted, rule)
        assert loss == again
        assert torch.equal(gradient[mine], other[mine])
        assert not bool(gradient[~mine].any() or other[~mine].any())
        assert (loss_of(rewarded, rule)[0] != loss) is counts


@pytest.mark.parametrize("normalise", [TokenMean(), SequenceMean()])
def test_the_denominator(normalise):
    """More exceeded trajectories change nothing when the statistics leave them out; zeroed credit shrinks the loss."""
    rule = Completed(completed_only=True)
    few = batch([1.0, 0.0, 0.0], [DONE, DONE, OVER])
    many = batch([1.0, 0.0, 0.0, 0.0, 0.0], [DONE, DONE, OVER, OVER, OVER])
    assert loss_of(few, rule, normalise)[0] == pytest.approx(loss_of(many, rule, normalise)[0], rel=1e-12)

    def zeroed(forest):
        credited = rule(forest)
        filled = credited["advantage"].where(credited.valid("advantage"), 0)
        return credited.with_columns({"advantage": filled}).with_valid("advantage", torch.arange(len(forest)) > 0)

    wrong = [loss_of(forest, zeroed, SequenceMean())[0] for forest in (few, many)]
    right = loss_of(few, rule, SequenceMean())[0]
    assert wrong == pytest.approx([right * 2 / 3, right * 2 / 5], rel=1e-12), "the common wrong implementation"


@pytest.mark.parametrize("completed_only", [False, True])
@pytest.mark.parametrize(
    ("rewards", "ends"),
    [
        ([0.0, 0.0], [OVER, OVER]),
        ([1.0], [DONE]),
        ([1.0, 0.0], [DONE, OVER]),
        ([None, None], [DONE, OVER]),
        ([1.0], [OVER]),
    ],
)
def test_no_nan(completed_only, rewards, ends):
    loss, gradient = loss_of(batch(rewards, ends), Completed(completed_only=completed_only))
    assert loss == loss
    assert gradient is None or bool(torch.isfinite(gradient).all())
    if all(end == OVER for end in ends):
        assert loss == 0
        assert gradient is None or not bool(gradient.any())


def test_metrics():
    rule = Completed()
    found = rule.metrics(batch([1.0, 0.0, 0.0, 0.0], [DONE, DONE, OVER, OVER]), None)
    assert found == {
        "credit/exceed_ratio": 0.5,
        "credit/completed_per_group": 2.0,
        "credit/groups_without_gradient": 0.0,
    }
    two = Forest.concatenate([batch([1.0, 0.0], [DONE, DONE]), batch([0.0, 0.0], [DONE, OVER])])
    assert rule.metrics(two, None)["credit/completed_per_group"] == 1.5
    assert rule.metrics(batch([0.0, 0.0], [OVER, OVER]), None)["credit/groups_without_gradient"] == 1.0
    assert (
        rule.metrics(Forest.of([], {"reward.total": [], "ok.total": [], "end": []}), None)["credit/exceed_ratio"] == 0
    )


def test_limits():
    ends = torch.tensor([int(one) for one in End], dtype=torch.int8)
    assert {End(int(one)) for one in ends[exceeded(ends, LIMITS)]} == set(LIMITS)
    forest = batch([1.0, 0.0], [DONE, int(End.VOID)])
    assert Completed()(forest).valid("advantage").tolist() == [False, True, True], "void is not masked by default"
    assert not Completed(limits=(End.VOID,))(forest).valid("advantage")[2]
    with pytest.raises(SettingError, match="limits"):
        Completed(limits=())


def test_the_common_promises():
    check_part(Completed())
    check_part(Completed(rule=Centred(), completed_only=True))
    assert torch.equal(
        Completed(rule=Centred())(forest := batch([1.0, 0.0], [DONE, DONE]))["advantage"],
        ByRoot(rule=Centred())(forest)["advantage"],
    )
