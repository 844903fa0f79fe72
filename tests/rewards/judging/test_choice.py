"""Verdict words compared by probability."""

import math

import pytest

from milepost.errors import FormatError, SettingError
from milepost.part import ChatReply
from milepost.rewards.judging.choice import ChoiceJudge, shares


def test_shares():
    assert shares([math.log(0.2), math.log(0.6)]) == pytest.approx((0.25, 0.75))
    assert shares([-1000.0, -1000.0]) == (0.5, 0.5)
    assert shares([0.0, -math.inf]) == (1.0, 0.0)
    for wrong in ([], [-math.inf], [math.nan]):
        with pytest.raises(FormatError):
            shares(wrong)


def chances(*values):
    return ChatReply(end="stop", choices=tuple(math.log(one) for one in values))


def test_score_is_the_expected_number(scripted, case):
    chat = scripted(lambda request: chances(0.1, 0.1, 0.2))
    (found,) = ChoiceJudge(chat=chat).score([case(step="x")])
    assert found.answer == pytest.approx(0.25)
    assert chat.asked[0].choices == ("-1", "0", "1")
    assert "First explain" not in chat.asked[0].messages[-1]["content"]


def test_a_preference_for_a_place_is_a_tie(scripted, case):
    (found,) = ChoiceJudge(chat=scripted(lambda request: chances(0.9, 0.1))).pairwise([case("x", "y")])
    assert found.answer == pytest.approx(0.5)


def test_rank_by_all_pairs(scripted, case):
    def act(request):
        text = request.messages[-1]["content"]
        first, second = text.index('A": "') + 5, text.index('B": "') + 5
        return chances(0.8, 0.2) if text[first] < text[second] else chances(0.2, 0.8)

    judge = ChoiceJudge(chat=scripted(act))
    assert judge.pairwise([case("a", "b")])[0].answer == pytest.approx(0.8)
    (found,) = judge.rank([case("b", "c", "a")])
    assert found.answer == (2.0, 3.0, 1.0)
    assert found.cost.calls == 6


def test_a_model_that_does_not_say_is_unusable(scripted, case):
    judge = ChoiceJudge(chat=scripted(lambda request: ChatReply(end="stop", text="A")))
    for found in (judge.score([case(step="x")]), judge.pairwise([case("x", "y")]), judge.rank([case("x", "y", "z")])):
        assert found[0].answer is None
        assert "does not say" in found[0].unusable
    gone = ChoiceJudge(chat=scripted(lambda request: ChatReply(end="error", detail="gone")))
    assert gone.score([case(step="x")])[0].unusable == "reward_error: gone"


def test_it_writes_nothing(scripted, case):
    with pytest.raises(SettingError, match="ModelJudge"):
        ChoiceJudge(chat=scripted(lambda request: "")).complete([case()])
