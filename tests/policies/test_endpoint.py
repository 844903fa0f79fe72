"""A model behind a server as a policy: whole episodes, what a failure is, and that it cannot be trained."""

import pytest
import torch

from milepost.columns import End
from milepost.environments.search.environment import Search
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.part import ChatReply, Observation
from milepost.policies.decoding import Decoding
from milepost.policies.endpoint import Endpoint, conversation
from milepost.policies.server import Server
from milepost.rewards import guard
from milepost.rewards.outcome import Outcome
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from tests.chat_servers import completion, free_port, stub_server


class Told:
    """Answers with `act(request)`, and remembers the requests."""

    model = "told"

    def __init__(self, act):
        self.act, self.asked = act, []

    def reply(self, requests):
        self.asked += requests
        found = [self.act(request) for request in requests]
        return [ChatReply(end="stop", text=one, tokens=5) if isinstance(one, str) else one for one in found]


def policy(act, **settings):
    decoding = Decoding(**{"max_tokens": 40, "stop": ("</search>", "</answer>"), **settings})
    return Endpoint(chat=Told(act), decoding=decoding)


def episode(endpoint, *, width=1, count=1):
    environment = Search(train_size=count, hops=(1,))
    draws = [Draw(task=task) for task in environment.train()]
    return grow(draws, policy=endpoint, environment=environment, sampler=Independent(width=width), key=1)


def searcher(request):
    turns = sum(message["role"] == "assistant" for message in request.messages)
    return "Look. <search>capital of Chad</search> and more" if turns == 0 else "<answer>é</answer>"


def test_a_whole_episode():
    endpoint = policy(searcher)
    forest = episode(endpoint)
    assert forest.text("text")[1:] == ["Look. <search>capital of Chad</search>", "<answer>é</answer>"]
    assert forest["end"].tolist() == [End.OPEN, End.OPEN, End.TERMINATED]
    second = endpoint.chat.asked[1].messages
    assert [message["role"] for message in second] == ["system", "user", "assistant", "user"]
    assert "Chad" in second[3]["content"]
    assert second[2]["content"] == "Look. <search>capital of Chad</search>", "what was cut off was not said"
    assert conversation(forest, 2)[-1] == {"role": "assistant", "content": "<answer>é</answer>"}
    assert forest["cost.tokens"].tolist()[1:] == [5, 5]
    assert not bool(forest["tokens.train"].any())


def test_siblings_differ_by_their_seed():
    endpoint = policy(lambda request: f"<answer>{request.seed}</answer>", temperature=0.7)
    forest = episode(endpoint, width=4)
    assert len(set(forest.text("text")[1:])) == 4
    assert {request.temperature for request in endpoint.chat.asked} == {0.7}
    again = episode(policy(lambda request: f"<answer>{request.seed}</answer>"), width=4)
    assert again.text("text") == forest.text("text")


def test_greedy_asks_at_temperature_0():
    endpoint = policy(searcher).greedy()
    episode(endpoint)
    assert {request.temperature for request in endpoint.chat.asked} == {0.0}


def test_log_prob_is_the_servers_or_missing():
    whole = ChatReply(end="stop", text="<answer>x</answer>", log_probs=(-0.5, -1.0))
    forest = episode(policy(lambda _: whole))
    assert float(forest["log_prob"][1]) == -1.5
    silent = episode(policy(lambda _: "<answer>x</answer>"))
    assert silent.valid("log_prob").tolist() == [False, False]
    longer = ChatReply(end="stop", text="<answer>x</answer> then", log_probs=(-0.5, -1.0))
    assert not bool(episode(policy(lambda _: longer)).valid("log_prob").any()), "of another text"


@pytest.mark.parametrize("end", ["timeout", "error", "absent", "refused"])
def test_a_step_that_could_not_be_had_is_never_scored(end):
    """A failed server is no wrong answer: the row ends in error, and the reward is not ok."""
    forest = episode(policy(lambda _: ChatReply(end=end, detail="gone")))
    assert forest["end"].tolist() == [End.OPEN, End.ERROR]
    scored = guard.score(Outcome(), forest)
    assert not bool(scored["ok.outcome"].any())
    assert scored.text("reason.outcome")[1] == "environment_error"


def test_a_reply_that_is_cut_off_ends_at_the_limit_unless_it_was_done():
    cut = ChatReply(end="length", text="<search>capital")
    assert episode(policy(lambda _: cut))["end"].tolist()[-1] == End.TOKEN_LIMIT
    done = ChatReply(end="length", text="<answer>x</answer> an")
    assert episode(policy(lambda _: done))["end"].tolist()[-1] == End.TERMINATED


def test_training_is_refused_with_a_way_out():
    endpoint = policy(searcher)
    forest = episode(endpoint)
    for act in (endpoint.trainable, lambda: endpoint.log_prob(forest, torch.tensor([1]))):
        with pytest.raises(SettingError, match="can only be sampled from"):
            act()
    with pytest.raises(SettingError, match="top_p"):
        policy(searcher, top_p=0.9)


def test_over_the_wire():
    answer = completion("<answer>x</answer>", log_probs=[-0.25, -0.5])
    with stub_server(lambda number, body: answer) as stub:
        chat = Server(base_url=stub.url, name="stub")
        forest = episode(Endpoint(chat=chat, decoding=Decoding(stop=("</answer>",))), count=3)
    assert forest.text("text")[3:] == ["<answer>x</answer>"] * 3
    assert forest["log_prob"][3:].tolist() == [-0.75] * 3
    assert stub.bodies[0]["logprobs"] is True
    dead = Server(base_url=f"http://127.0.0.1:{free_port()}/v1", name="x", retries=0)
    gone = episode(Endpoint(chat=dead, decoding=Decoding()), count=3)
    assert gone["end"].tolist()[3:] == [End.ERROR] * 3


def test_any_text_survives_as_bytes():
    said = "é\u2028 \U0001f600 \x00"
    endpoint = policy(searcher)
    forest = Forest.of([-1], endpoint.encode([Observation(text=said)], start=True))
    assert conversation(forest, 0) == ({"role": "user", "content": said},)
