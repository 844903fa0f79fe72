"""SubSearch's formulas: by hand, their bounds, and the traps of the published ones by name."""

import itertools

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from milepost import keys
from milepost.rewards.subqueries import formulas

KEY = keys.root(8)


def units(*rows):
    found = torch.tensor(rows, dtype=torch.float64)
    return found / found.norm(dim=1, keepdim=True)


def drawn(count, size, seed):
    noise = torch.from_numpy(keys.normal([keys.fold(KEY, seed)], (count, size))[0])
    return noise / noise.norm(dim=1, keepdim=True)


def test_answerability_by_hand():
    queries = units((1.0, 0.0), (0.0, 1.0))
    documents = [units((1.0, 0.0), (0.0, 1.0)), units((0.6, 0.8))]
    assert float(formulas.answerability(queries, documents)) == pytest.approx((0.5 + 0.8) / 2)
    assert float(formulas.answerability(queries, documents[:1])) == pytest.approx(0.5), "the common beginning counts"
    assert float(formulas.answerability(queries, [torch.zeros(0, 2), documents[1]])) == pytest.approx(0.4)
    assert float(formulas.answerability(torch.zeros(0, 2), [])) == 0.0
    many = units(*[(1.0, 0.0)] * 3, *[(0.0, 1.0)] * 9)
    assert float(formulas.answerability(queries[:1], [many])) == 1.0, "the first 3 documents count"


def test_opposite_texts_count_as_unrelated():
    assert float(formulas.cosine(units((1.0, 0.0)), units((-1.0, 0.0)))) == 0.0


def test_rephrasing_by_hand():
    found = formulas.rephrasing(torch.tensor([0.85, 1.0, 0.7, 0.0, 0.775, 0.925], dtype=torch.float64))
    assert found.tolist() == pytest.approx([1.0, 0.0, 0.0, 0.0, 0.5, 0.5])
    line = formulas.rephrasing(torch.linspace(0.7, 0.85, 16, dtype=torch.float64))
    assert torch.allclose(line.diff(), line.diff()[0].expand(15)), "linear in between"


def test_decomposition_by_hand():
    """A question halfway between two parts at a right angle: coverage 1, each part at 45 degrees from it."""
    question = units((1.0, 1.0))[0]
    parts = units((1.0, 0.0), (0.0, 1.0))
    assert float(formulas.decomposition(question, parts)) == pytest.approx(0.5 + 0.5 * 0.5**0.5)
    assert float(formulas.decomposition(question, parts[:0])) == 0.0
    assert float(formulas.decomposition(question, parts[:1])) == pytest.approx(1 - (0.85 - 0.5**0.5) / 0.15)
    more = torch.cat((parts, units((1.0, 0.5), (-1.0, 0.0))))
    assert torch.equal(formulas.decomposition(question, more), formulas.decomposition(question, more[:3]))


def test_order_of_the_parts_does_not_matter():
    question, parts = drawn(1, 6, 1)[0], drawn(3, 6, 2)
    whole = formulas.decomposition(question, parts)
    assert torch.allclose(whole, formulas.decomposition(question, parts.flip(0)))


def test_copies_score_nothing():
    """Trap: as published, two copies of the question give coverage 1 and parts 0, so 0.5, where one gives 0."""
    question = units((1.0, 2.0))[0]
    assert float(formulas.decomposition(question, torch.stack([question, question]))) == pytest.approx(0.5)
    assert float(formulas.decomposition(question, question[None])) == pytest.approx(0.0)
    asked = "Which is older?"
    assert formulas.distinct(asked, [asked, " which is OLDER? ", "", "a", "A"]) == ("a",)
    assert formulas.distinct(asked, [asked, asked]) == ()


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 5), beta=st.floats(0, 1), outcome=st.sampled_from([0.0, 1.0]))
def test_bounds(seed, count, beta, outcome):
    question, parts = drawn(1, 4, seed)[0], drawn(count, 4, seed + 1)
    documents = [drawn(place, 4, seed + 2 + place) for place in range(count)]
    for score in (formulas.answerability(parts, documents), formulas.decomposition(question, parts)):
        assert 0 <= float(score) <= 1 + 1e-12
        total = float(formulas.residual(torch.tensor(outcome), score, beta))
        assert 0 <= total <= 1
        assert total == 1.0 if outcome == 1.0 else total <= beta + 1e-12
    assert float(formulas.residual(torch.tensor(outcome), torch.tensor(0.7), 0.0)) == outcome


def test_schedule():
    found = [formulas.smart_beta(step) for step in range(2500)]
    assert found[0] == 0.2
    assert formulas.smart_beta(100) == pytest.approx(0.2 - 0.05 * 0.5**1.5)
    assert formulas.smart_beta(200) == pytest.approx(0.15)
    assert formulas.smart_beta(1200) == pytest.approx(0.085)
    assert found[2200:] == pytest.approx([0.02] * 300)
    assert all(one >= two for one, two in itertools.pairwise(found))
    assert max(abs(one - two) for one, two in itertools.pairwise(found)) < 5e-4, "no jump"


def ladder(right, intermediate, well_formed, gold, *, answered=True):
    combined = float(formulas.residual(torch.tensor(right), torch.tensor(intermediate), 0.2))
    return formulas.published_ladder(combined=combined, answered=answered, well_formed=well_formed, gold_found=gold)


def test_published_ladder_by_hand():
    assert ladder(1.0, 0.0, True, False) == 1.0
    assert ladder(1.0, 0.0, False, True) == 0.8
    assert ladder(0.0, 0.0, True, True, answered=False) == pytest.approx(0.3)
    assert ladder(0.0, 0.0, False, True, answered=False) == 0.0


def test_published_ladder_is_inverted():
    """Trap: searching well and answering wrongly is worth less than not searching, with and without the right form."""
    assert ladder(0.0, 0.0, True, False) == pytest.approx(0.20)
    assert ladder(0.0, 0.6, True, False) == pytest.approx(0.12)
    assert ladder(0.0, 0.0, False, False) == pytest.approx(0.1)
    assert ladder(0.0, 0.6, False, False) == 0.0


@settings(max_examples=200, deadline=None)
@given(
    one=st.tuples(st.sampled_from([0.0, 1.0]), st.floats(0, 1), st.booleans()),
    other=st.tuples(st.sampled_from([0.0, 1.0]), st.floats(0, 1), st.booleans()),
    beta=st.floats(0, 1),
)
def test_the_reward_here_is_monotone(one, other, beta):
    """Better or equal in outcome, intermediate score and form is never worth less; the ladder breaks this."""

    def worth(right, intermediate, well_formed):
        return float(formulas.residual(torch.tensor(right), torch.tensor(intermediate), beta)) + 0.1 * well_formed

    low = tuple(min(a, b) for a, b in zip(one, other, strict=True))
    high = tuple(max(a, b) for a, b in zip(one, other, strict=True))
    assert worth(*high) >= worth(*low) - 1e-6
