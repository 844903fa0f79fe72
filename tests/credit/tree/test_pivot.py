"""Pivots: what is masked, what is amplified, what is dropped, and how a retry is trained without its advice."""

from __future__ import annotations

import pytest
import torch

from milepost.columns import Role
from milepost.credit.audit import audit
from milepost.credit.by_root import ByRoot
from milepost.credit.group import Centred
from milepost.credit.tree.pivot import (
    Amplified,
    AmplifiedCapped,
    PivotCredit,
    WithoutAdvice,
    amplify,
    amplify_capped,
    repeats,
    shared_prefix,
)
from milepost.errors import SettingError
from milepost.testing import check_part
from milepost.testing.forests import batch, difference
from tests.credit.tree.conftest import leaves_of, retried


@pytest.mark.parametrize("rule", [Centred(), AmplifiedCapped(), Amplified()])
def test_contract(rule):
    plain = batch(groups=((0.0, 0.5, 0.5, 0.0), (0.25,), (None, 0.5, 0.0, None), (None, None), (0.0, 0.0), (None, 0.5)))
    check_part(PivotCredit(rule=rule), forest=plain)


@pytest.mark.parametrize("pivot", [0, 1, 2])
def test_exactly_the_shared_steps_lose_their_credit(pivot):
    """The first k steps of the base are those of the retry: the same rows; nothing else is masked."""
    forest = retried(base=(0.0, 0.5), retry=(1.0, None), pivot=pivot)
    hidden = shared_prefix(forest)
    assert hidden.nonzero().squeeze(1).tolist() == list(range(1, pivot + 1))
    credited = PivotCredit(rule=Centred())(forest)
    lost = ~credited.valid("advantage")
    assert torch.equal(lost, hidden | (forest.parent < 0))
    assert bool((credited["advantage"][hidden] == 0).all())
    role = forest["tokens.role"]
    assert not bool(forest["tokens.train"][(role != int(Role.POLICY))].any()), "observations and advice are not trained"


def test_unmasked_it_is_group_credit_over_base_and_retries():
    forest = retried(base=(0.0, 0.5), retry=(1.0, 0.25), pivot=1)
    assert difference(PivotCredit(rule=Centred(), masked=False)(forest), ByRoot(rule=Centred())(forest)) is None


def test_a_retry_that_repeats_its_base_does_not_count():
    texts = ["", "a", "b", "c", "", "b", "c"]
    forest = retried(base=(0.0,), retry=(0.0,), texts=texts)
    assert repeats(forest).nonzero().squeeze(1).tolist() == [6]
    assert PivotCredit(rule=Centred()).counted(forest).ok.tolist() == [True, False]
    assert not bool(PivotCredit(rule=Centred())(forest).valid("advantage")[5:].any())
    other = retried(base=(0.0,), retry=(1.0,), texts=[*texts[:6], "d"])
    assert not bool(repeats(other).any())


def test_hand_examples_of_both_amplifications():
    credit, reward = torch.tensor([0.5, 0.25, 0.0, -0.5]), torch.tensor([1.0, 0.75, 0.5, 0.0])
    assert amplify_capped(credit, reward, gain=3.0, full=1.0).tolist() == [1.0, 0.75, 0.0, -0.5]
    assert amplify(credit, reward, gain=3.0, full=1.0).tolist() == [3.0, 0.75, 0.0, -0.5]


def test_a_group_of_nothing_but_successes_is_imitated():
    forest = retried(base=(1.0, 1.0), retry=(None, None))
    assert PivotCredit(rule=AmplifiedCapped())(forest)["advantage"][1:].tolist() == [1.0] * 6
    assert PivotCredit(rule=Centred())(forest)["advantage"][1:].tolist() == [0.0] * 6


@pytest.mark.parametrize("wins", [1, 3, 5, 7])
@pytest.mark.parametrize(("rule", "factor"), [(Amplified(gain=3.0), 3.0), (AmplifiedCapped(gain=3.0), 1.0)])
def test_positive_credit_dominates(wins, rule, factor):
    """Rewards 0 and 1 with success rate p: positive over negative credit is gain / (1 - p), capped 1 / (1 - p)."""
    size = 8
    forest = batch(groups=((1.0,) * wins + (0.0,) * (size - wins),))
    credit = PivotCredit(rule=rule)(forest)["advantage"][forest.leaves()].double()
    rate = wins / size
    ratio = float(credit.clamp(min=0).sum() / -credit.clamp(max=0).sum())
    assert ratio == pytest.approx(factor / (1 - rate))
    assert ratio >= 1


def test_capped_the_gain_never_meets_rewards_of_0_and_1():
    forest = batch(groups=((1.0, 0.0, 0.0, 1.0),))
    one, other = (PivotCredit(rule=AmplifiedCapped(gain=gain))(forest)["advantage"] for gain in (1.0, 7.0))
    assert torch.equal(one, other)


def test_the_checker_holds():
    for rule in (PivotCredit(), PivotCredit(rule=Amplified()), PivotCredit(rule=Centred(), masked=False)):
        found = audit(rule(retried(base=(0.0, 0.5), retry=(1.0, 0.25))), rule)
        assert found.clean, str(found)
        assert "recomputed" in found.checked
    wrong = PivotCredit()(retried())
    wrong = wrong.with_columns({"advantage": wrong["advantage"] + 0.1}).with_valid(
        "advantage", wrong.valid("advantage")
    )
    assert audit(wrong, PivotCredit()).named("recomputed")


# ---- the training view ----


def view(forest, *, imitate=False):
    return WithoutAdvice(imitate=imitate)(PivotCredit(rule=Centred())(forest))


def test_the_advice_is_gone_and_the_actions_are_the_same():
    forest = retried(base=(0.0,), retry=(0.5,))
    found = view(forest)
    assert int(Role.INSERTED) not in found["tokens.role"].tolist()
    _, (leaf,) = leaves_of(forest)
    own = forest.path(int(leaf))
    kept = own[forest["origin"][own] != 1]
    moved = found.path(int((found["key"] == forest["key"][leaf]).nonzero()))
    assert found["key"][moved].tolist() == forest["key"][kept].tolist()
    assert found["advantage"][moved].tolist() == PivotCredit(rule=Centred())(forest)["advantage"][kept].tolist()


def test_advice_that_worked_is_learned_to_be_followed():
    forest = retried(base=(0.0, 0.0), retry=(1.0, 0.5))
    found = view(forest, imitate=True)
    assert len(found.roots()) == 2, "one more tree: the retry that reached full reward"
    extra = found.subtree(int(found.roots()[1]))
    advice = extra[found["tokens.role"][found.token_offsets[extra]] == int(Role.INSERTED)]
    assert len(advice) == 1
    after = extra[extra > advice[0]]
    assert found["advantage"][after].tolist() == [1.0, 1.0]
    assert not bool(found.valid("advantage")[extra[extra <= advice[0]]].any())


def test_a_success_of_the_base_needs_no_imitation():
    assert len(view(retried(base=(1.0,), retry=(1.0,)), imitate=True).roots()) == 1


def test_a_forest_without_retries_is_trained_as_it_is():
    forest = Centred()(batch())
    assert WithoutAdvice()(forest) is forest


def test_settings():
    for part in (Amplified, AmplifiedCapped):
        with pytest.raises(SettingError):
            part(gain=-1.0)
