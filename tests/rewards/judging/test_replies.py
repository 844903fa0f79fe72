"""Every end of a reply that is no whole answer has its reason, and none is a number."""

import pytest

from milepost.columns import REASONS
from milepost.errors import FormatError
from milepost.part import ChatReply
from milepost.rewards.judging.judge import Cost, Judgement
from milepost.rewards.judging.replies import both, read, unusable_reason

CODES = {
    "length": "truncated",
    "refused": "reward_error",
    "timeout": "reward_timeout",
    "error": "reward_error",
    "absent": "not_run",
}


@pytest.mark.parametrize("end", CODES)
def test_reasons(end):
    reply = ChatReply(end=end, text="<verdict>1</verdict>", detail="because", calls=2, tokens=5, seconds=0.5)
    found = read(reply, lambda text: 1.0)
    assert found.answer is None, "a verdict in a reply that is not whole is none"
    code, _, told = found.unusable.partition(": ")
    assert code == CODES[end]
    assert code in REASONS
    assert "because" in told
    assert found.cost == Cost(calls=2, tokens=5, seconds=0.5), "what failed cost too"
    assert unusable_reason(ChatReply(end="stop")) is None


def test_a_whole_reply_that_cannot_be_read():
    def parse(text):
        raise FormatError("it says " + text)

    found = read(ChatReply(end="stop", text="perhaps"), parse)
    assert (found.answer, found.explanation) == (None, "perhaps")
    assert "it says perhaps" in found.unusable


def test_both():
    one, two = Judgement(answer=1.0, cost=Cost(calls=1)), Judgement(answer=3.0, cost=Cost(calls=2))
    lost = Judgement(answer=None, unusable="truncated", cost=Cost(calls=4))
    assert both(one, two, max).answer == 3.0
    assert both(one, two, max).cost.calls == 3
    assert both(one, lost, max).unusable == both(lost, one, max).unusable == "truncated"

    def refuse(first, second):
        raise FormatError("they differ")

    assert both(one, two, refuse).unusable == "reward_error: they differ"
