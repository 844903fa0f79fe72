"""A model in this process as something that answers: the same as the policy itself, whatever is asked beside it."""

import math

import pytest
import torch

from milepost.columns import Role
from milepost.forest import Forest
from milepost.part import ChatRequest, Observation
from milepost.policies.causal_lm import CausalLM
from milepost.policies.decoding import Decoding
from milepost.policies.loading import load
from milepost.policies.local_chat import LocalChat
from milepost.ragged import Ragged


@pytest.fixture
def chat(model, tokenizer):
    return LocalChat(policy=CausalLM(model=model, tokenizer=tokenizer, decoding=Decoding()), name="small")


def ask(text, **settings):
    return ChatRequest(messages=({"role": "user", "content": text},), **{"max_tokens": 8, **settings})


def test_order_and_company_do_not_matter(chat):
    asked = [ask("a"), ask("bc", max_tokens=3), ask("d", temperature=1.0), ask("a", choices=("x", "yz"))]
    together = chat.reply(asked)
    alone = [chat.reply([one])[0] for one in asked]
    assert [one.text for one in together] == [one.text for one in alone]
    assert together[3].choices == pytest.approx(alone[3].choices, abs=1e-5)
    assert [one.text for one in chat.reply(asked[::-1])] == [one.text for one in together[::-1]]


def test_randomness_comes_from_what_is_asked(chat):
    one, same, other = chat.reply([ask("a", temperature=1.0, seed=seed) for seed in (1, 1, 2)])
    assert one.text == same.text
    assert one.text != other.text
    cold, again = chat.reply([ask("a", seed=1), ask("a", seed=2)])
    assert cold.text == again.text, "at temperature 0 nothing is drawn"


def test_it_answers_as_the_embedded_model_does():
    policy = load("embedded", decoding=Decoding(max_tokens=64, stop=("</answer>",)))
    (reply,) = LocalChat(policy=policy, name="embedded").reply([ask("2 + 3 =", max_tokens=64)])
    forest = Forest.of([-1], policy.encode([Observation(text="2 + 3 =")], start=True))
    said = policy.greedy().propose(forest, torch.tensor([0]), torch.tensor([0]))
    assert (reply.text, reply.end) == (said.columns["text"][0], "stop")
    assert reply.tokens == int(forest.token_offsets[-1]) + len(reply.log_probs)


def test_a_reply_that_is_cut_off_says_so(chat):
    (reply,) = chat.reply([ask("a", max_tokens=1)])
    assert (reply.end, len(reply.log_probs)) == ("length", 1)


def test_choices_have_the_log_probability_of_their_tokens(chat):
    """The same number as the policy gives for a step of these tokens at temperature 1."""
    (reply,) = chat.reply([ask("a", choices=("x", "yz", "x"), temperature=0.3)])
    policy = chat.policy
    roots = Forest.of([-1], policy.encode([Observation(messages=ask("a").messages)], start=True))
    ids = policy.tokenizer.encode("yz", add_special_tokens=False)
    role = torch.full((len(ids),), int(Role.POLICY), dtype=torch.int8)
    step = Ragged.of([ids], torch.int32)
    forest = roots.append([0], {"tokens.id": step, "tokens.role": Ragged(role, step.offsets)})
    assert reply.choices[1] == pytest.approx(float(policy.log_prob(forest, torch.tensor([1])).detach().sum()), abs=1e-4)
    assert reply.choices[0] == pytest.approx(reply.choices[2], abs=1e-6)
    assert all(math.isfinite(one) and one < 0 for one in reply.choices)


def test_every_first_token_together_has_probability_one(chat):
    letters = [chat.policy.tokenizer.decode([place]) for place in range(5, 95)]
    kept = [one for one in letters if len(chat.policy.tokenizer.encode(one, add_special_tokens=False)) == 1]
    (reply,) = chat.reply([ask("a", choices=tuple(dict.fromkeys(kept)))])
    assert 0.5 < sum(math.exp(one) for one in reply.choices) <= 1 + 1e-5


def test_the_name_tells_updates_apart(chat):
    before = chat.model
    chat.policy.advance()
    assert (before, chat.model) == ("small#0", "small#1")
