"""Users by script, users who leave, and users played by a model."""

from milepost import keys
from milepost.environments.sandbox.users import AGAIN, STOP, THANKS, YES, Asked, Hasty, Scripted, untold
from milepost.part import ChatReply

RECORD = {"needs": ["Cancel it.", "I am Ann.", "By card."], "scenario": {"reason_for_call": "Cancel it."}}


class Model:
    """Answers with given texts, and keeps what it was asked."""

    model = "stub"

    def __init__(self, *replies):
        self.replies, self.asked = list(replies), []

    def reply(self, requests):
        self.asked += requests
        return [self.replies.pop(0) for _ in requests]


def talk(user, *agent, key=0):
    said = [("user", user.reply(RECORD, (), key).text)]
    for words in agent:
        said.append(("assistant", words))
        said.append(("user", user.reply(RECORD, said, key).text))
    return [text for who, text in said if who == "user"]


def test_the_script_says_one_need_a_turn_confirms_and_leaves():
    assert talk(Scripted(), "Who?", "How?", "Shall I?", "Done.") == [*RECORD["needs"], YES, THANKS]
    said = [("user", one) for one in RECORD["needs"]]
    assert Scripted().reply(RECORD, [*said, ("assistant", "Done.")], 0).stops
    assert untold(RECORD, said[:1]) == ("I am Ann.", "By card.")


def test_who_is_asked_the_same_twice_says_so():
    heard = talk(Scripted(), "Who?", "Who?", "Who?")
    assert heard[2:] == [AGAIN.format("I am Ann.")] * 2


def test_a_hasty_user_leaves_before_a_need_at_the_given_rate():
    user = Hasty(user=Scripted(), rate=0.3)
    left = [
        user.reply(RECORD, [("user", "Cancel it."), ("assistant", "Who?")], keys.fold(7, number)).stops
        for number in range(2000)
    ]
    assert abs(sum(left) / 2000 - 0.3) < 5 * (0.3 * 0.7 / 2000) ** 0.5  # five standard errors
    assert not user.reply(RECORD, (), 0).stops
    assert talk(Hasty(user=Scripted(), rate=0.0), "Who?") == talk(Scripted(), "Who?")


def test_a_model_plays_the_user():
    model = Model(
        ChatReply(text="Please cancel it.", end="stop"),
        ChatReply(text=STOP, end="stop"),
        ChatReply(text=f"Bye. {STOP} And", end="stop"),
    )
    user = Asked(chat=model)
    assert user.reply(RECORD, (), 0).text == "Please cancel it."
    assert user.reply(RECORD, [("user", "Please cancel it."), ("assistant", "Done.")], 0).stops
    last = user.reply(RECORD, (), 0)
    assert (last.text, last.stops) == ("Bye.", True)
    roles = [message["role"] for message in model.asked[1].messages]
    assert roles == ["system", "user", "assistant", "user"]
    assert "reason_for_call" in model.asked[0].messages[0]["content"]


def test_without_an_answer_there_is_no_user():
    for reply in (ChatReply(end="timeout", detail="slow"), ChatReply(end="stop", text=" ")):
        found = Asked(chat=Model(reply)).reply(RECORD, (), 0)
        assert (found.text, found.stops, bool(found.failed)) == ("", True, True)
