"""Tools and a user behind one step function: the contract, ends, verdicts, and growth through the frontier."""

import json

import pytest

from milepost import keys
from milepost import state as stored
from milepost.columns import End
from milepost.environments.sandbox.action import spoken, written
from milepost.environments.sandbox.environment import Desk, DeskState
from milepost.environments.sandbox.sandbox import Verdict
from milepost.environments.sandbox.tau2 import Tau2
from milepost.environments.sandbox.users import Asked
from milepost.errors import SettingError
from milepost.part import Action, ChatReply
from milepost.policies.decoding import Decoding
from milepost.policies.endpoint import Endpoint
from milepost.rewards import guard
from milepost.rewards.outcome import Outcome
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.testing import check_environment

DESK = Desk(sandbox=Tau2(domain="retail"), train_size=3, held_out_size=2, turns=12)
TASK = DESK.train()[0]


class Model:
    """Makes the calls of the plan, then says that it is done; a sampled draw says it at once."""

    model = "stub"

    def __init__(self, record, ending="stop"):
        self.plan, self.ending = [written(one["name"], one["arguments"]) for one in record["plan"]], ending

    def reply(self, requests):
        made = [sum(one["role"] == "assistant" for one in request.messages) for request in requests]
        return [
            ChatReply(text=self.plan[step] if step < len(self.plan) else spoken("Done."), end=self.ending)
            for step in made
        ]


def play(*actions, task=TASK, desk=DESK):
    state, found = desk.reset(task, 0).state, []
    for action in actions:
        found.append(desk.step(state, Action(text=action), keys.fold(1, len(found))))
        state = found[-1].state
    return found


def test_it_keeps_the_contract():
    order = TASK.record["plan"][1]
    texts = (written(order["name"], order["arguments"]), spoken("Who are you?"), "Hm.", written("fly", {}))
    check_environment(DESK, [TASK], [Action(text=one) for one in texts])


def test_the_plan_solves_and_the_user_leaves_when_content():
    calls = [written(one["name"], one["arguments"]) for one in TASK.record["plan"]]
    found = play(*calls, spoken("Hello"), spoken("I see"), spoken("Done."))
    last = found[-1]
    assert [one.end for one in found[:-1]] == [End.OPEN] * (len(found) - 1)
    assert (last.end, last.discount, last.observation) == (End.TERMINATED, 0.0, None)
    assert json.loads(last.columns["call"])["answer"] == "solved" == TASK.record["answer"]
    assert [one.columns["extra.failed"] for one in found] == [0.0] * len(found)


def test_what_is_left_out_is_named():
    last = play(spoken("Hello"), spoken("I see"), spoken("Done."))[-1]
    assert json.loads(last.columns["call"])["answer"].startswith("the database differs in orders #W")


def test_a_turn_limit_has_no_answer():
    last = play(*["hm"] * 12)[-1]
    assert (last.end, last.discount) == (End.TURN_LIMIT, 1.0)
    told = json.loads(last.columns["call"])
    assert ("answer" in told, told["fault"], last.columns["result"]) == (
        False,
        "no_action",
        "malformed action: no_action",
    )
    with pytest.raises(SettingError, match="has ended"):
        DESK.step(last.state, Action(text="hm"), 0)


def test_states_are_text_that_can_be_stored():
    state = play(written("cancel_pending_order", {"order_id": "#W5918442", "reason": "no longer needed"}))[-1].state
    assert stored.load(DeskState, stored.dump(state)) == state
    assert "#W5918442" in state.snapshot


def test_what_the_prompt_holds():
    start = DESK.reset(TASK, 0)
    system, user = start.observation.messages
    assert "exchange_delivered_order_items" in system["content"]
    assert "<call>" in system["content"]
    assert user["content"] == start.observation.text == TASK.record["needs"][0]
    assert json.dumps(TASK.record["plan"][-1]["arguments"]) not in str(start.observation)


def test_trajectories_grow_and_the_packages_own_check_is_the_reward():
    policy = Endpoint(chat=Model(TASK.record), decoding=Decoding(stop=DESK.stop))
    forest = grow(
        [Draw(task=TASK), Draw(task=DESK.train()[2])],
        policy=policy,
        environment=DESK,
        sampler=Independent(width=2),
        key=keys.root(1),
    )
    scored = guard.score(Outcome(), forest)
    assert scored["reward.outcome"][scored.leaves()].tolist() == [1.0, 1.0, 0.0, 0.0]


def test_a_user_model_that_fails_ends_in_error_which_no_reward_scores():
    class Silent:
        model = "silent"
        said = 0

        def reply(self, requests):
            self.said += 1
            return [ChatReply(text="Help!", end="stop") if self.said == 1 else ChatReply(end="timeout")] * len(requests)

    desk = Desk(sandbox=Tau2(), user=Asked(chat=Silent()), train_size=1)
    went = desk.step(desk.reset(TASK, 0).state, Action(text=spoken("Yes?")), 0)
    assert (went.end, "no user" in json.loads(went.columns["call"])["fault"]) == (End.ERROR, True)
    mute = Desk(sandbox=Tau2(), user=Asked(chat=Model({"plan": []}, ending="error")), train_size=1)
    with pytest.raises(SettingError, match="says nothing at all"):
        mute.reset(TASK, 0)


def test_what_is_unsafe_is_told():
    class Unsafe(Tau2):
        """A sandbox whose check finds a planted instruction followed."""

        def verdict(self, record, snapshot, said):
            return Verdict(solved=True, safe=False)

    last = play(*[spoken(str(one)) for one in range(5)][:3], desk=Desk(sandbox=Unsafe()))[-1]
    assert (last.columns["extra.safe"], json.loads(last.columns["call"])["safe"]) == (0.0, False)


def test_pools_are_as_large_as_asked_for_as_far_as_there_are():
    desk = Desk(sandbox=Tau2(), train_size=9999, held_out_size=1)
    assert (len(desk.train()), len(desk.held_out())) == (74, 1)
    with pytest.raises(SettingError, match="turns"):
        Desk(sandbox=Tau2(), turns=0)
