"""Trees as outputs of a session: dense numbers, every token trained once, and recipes that cannot run there."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import pytest
import torch

from milepost import keys
from milepost.columns import End
from milepost.engines.trl.samples import TASK
from milepost.engines.verl.agent import Growing, lines_of, task_in, tree_loop
from milepost.engines.verl.serving import Served
from milepost.environments.search.environment import Limits, Search
from milepost.errors import SettingError, UnknownName
from milepost.part import Observation
from milepost.policies.decoding import Decoding
from milepost.policies.loading import load
from milepost.recipes import a_grae, flow_grpo, g2rl, grpo, mini_o3, oprl, r3l, slate, sport, subsearch
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent


@dataclass(frozen=True)
class Answer:
    """What a server of verl's brings."""

    token_ids: list[int]
    log_probs: list[float] | None


class Server:
    """verl's server manager over the small model in this process."""

    def __init__(self, name: str = "embedded-search", *, log_probs: bool = True) -> None:
        self.policy, self.log_probs, self.asked = load(name, decoding=Decoding(max_tokens=48)), log_probs, []

    async def generate(self, request_id, *, prompt_ids, sampling_params):
        self.asked.append((request_id, sampling_params))
        model = self.policy.model
        noise = torch.Generator().manual_seed(sampling_params["seed"])
        ids, logged = torch.tensor([prompt_ids]), []
        with torch.no_grad():
            for _ in range(sampling_params["max_tokens"]):
                spread = model(ids).logits[0, -1].log_softmax(-1)
                token = int(torch.multinomial(spread.exp(), 1, generator=noise))
                ids = torch.cat((ids, torch.tensor([[token]])), 1)
                logged.append(float(spread[token]))
                said = self.policy.tokenizer.decode(ids[0, len(prompt_ids) :])
                if any(one in said for one in sampling_params.get("stop", [])):
                    break
        return Answer(ids[0, len(prompt_ids) :].tolist(), logged if self.log_probs else None)


def environment():
    return Search(train_size=4, hops=(1, 2), limits=Limits(turns=2))


def grown(growing, server, task):
    """What a session grows, from inside an event loop."""

    async def main():
        loop = asyncio.get_running_loop()
        stop = list(growing.environment.stop)
        policy = Served(
            generate=server.generate, loop=loop, tokenizer=server.policy.tokenizer, sampling={"stop": stop}, tokens=40
        )
        return await loop.run_in_executor(None, growing, task, policy, keys.root(5))

    return asyncio.run(main())


@pytest.fixture(scope="module")
def tree():
    world = environment()
    growing = Growing(job=slate.build(width=3), environment=world, tokens=40, seed=0)
    return grown(growing, Server(), world.train()[0])


def test_slate_grows_from_a_server(tree):
    assert len(tree.roots()) == 1
    assert len(tree.leaves()) in (3, 5)
    assert (tree["end"][tree.leaves()] != int(End.OPEN)).all()


def test_every_token_is_trained_in_one_line_with_the_credit_of_its_step(tree):
    lines = lines_of(tree)
    assert len(lines) == len(tree.leaves())
    trained = 0
    seen = set()
    for line in lines:
        assert len(line.response_ids) == len(line.response_mask) == len(line.token_rewards)
        assert line.prompt_ids == tree.ragged("tokens.id")[0].tolist()
        place = 0
        for row in line.rows:
            train = tree.ragged("tokens.train")[row]
            told = line.token_rewards[place : place + len(train)]
            if row in seen or not bool(tree.valid("advantage")[row]):
                assert not any(told)
            else:
                assert told == [float(tree["advantage"][row]) * float(one) for one in train]
            seen.add(row)
            place += len(train)
        trained += sum(line.response_mask)
    counted = tree.valid("advantage")[tree.token_row] & tree["tokens.train"]
    assert trained == int(counted.sum())


@pytest.mark.parametrize(
    "job", [grpo.build(width=2), subsearch.build(width=2), mini_o3.build(width=2), r3l.build(width=2)]
)
def test_recipes_of_examples_grow_from_a_server(job):
    """Every token that is trained is trained in one line, with the credit of its step."""
    found = grown(Growing(job=job, environment=environment(), tokens=16, seed=0), Server(), environment().train()[0])
    counted = found.valid("advantage")[found.token_row] & found["tokens.train"]
    lines = lines_of(found)
    assert len(lines) >= 2
    assert sum(sum(line.response_mask) for line in lines) == int(counted.sum())
    credit = (found["advantage"][found.token_row] * counted).sum()
    assert sum(sum(line.token_rewards) for line in lines) == pytest.approx(float(credit), abs=1e-4)
    for line in lines:
        assert not any(one for one, own in zip(line.token_rewards, line.response_mask, strict=True) if not own)


def test_without_a_rule_a_line_holds_rewards(tree):
    bare = tree.without("advantage")
    for line, leaf in zip(lines_of(bare), tree.leaves().tolist(), strict=True):
        ok = bool(tree["ok.total"][leaf])
        assert (line.total is not None) == ok
        assert not ok or line.token_rewards[-1] == pytest.approx(line.total) or 0 in line.response_mask[-1:]


def test_the_server_and_the_policy_say_the_same():
    server, world = Server(), environment()
    growing = Growing(job=slate.build(width=2), environment=world, tokens=40, seed=0)
    found = grown(growing, server, world.train()[1])
    again = server.policy.log_prob(found, torch.arange(len(found))).detach()
    mine = found["tokens.train"]
    assert (again - found["tokens.log_prob"])[mine].abs().max() < 1e-4
    assert len({name for name, _ in server.asked}) == len(server.asked)


def test_what_a_server_must_bring():
    world = environment()
    growing = Growing(job=slate.build(width=2), environment=world, tokens=8, seed=0)
    with pytest.raises(SettingError, match="calculate_log_probs"):
        grown(growing, Server(log_probs=False), world.train()[0])

    async def alone():
        policy = Served(generate=None, loop=asyncio.get_running_loop(), tokenizer=Server().policy.tokenizer)
        with pytest.raises(SettingError, match="while sampling only"):
            policy.log_prob(None, None)
        return policy.encode([Observation(text="x")], start=True)

    assert asyncio.run(alone())["tokens.id"].lengths.tolist() == [3]


@pytest.mark.parametrize(
    ("job", "why"),
    [
        (a_grae.build(keep=0.5), "earlier batches"),
        (oprl.build(), "learns a reward"),
        (g2rl.build(), "features"),
        (flow_grpo.build(), "denoises"),
        (sport.build(), "in pairs"),
    ],
)
def test_what_a_session_cannot_do(job, why):
    with pytest.raises(SettingError, match=why):
        Growing(job=job, environment=environment(), tokens=8, seed=0)


def test_a_misspelt_setting_is_told_with_the_known_ones():
    with pytest.raises(UnknownName, match=r"setting of recipe 'slate' 'widht'\. Did you mean 'width'\?"):
        tree_loop(recipe="slate", settings={"widht": 3})


def test_tasks():
    task = environment().train()[0]
    told = json.dumps({"id": task.id, "record": dict(task.record), "family": task.family})
    assert task_in({"extra_info": {TASK: told}}) == task
    other = task_in({"raw_prompt": [{"role": "user", "content": "1 + 1?"}], "reward_model": {"ground_truth": "2"}})
    assert other.record == {"prompt": "1 + 1?", "answer": "2"}


def test_a_policy_of_servers_is_sampled_as_any_other():
    server, world = Server(), environment()

    async def main():
        loop = asyncio.get_running_loop()
        policy = Served(generate=server.generate, loop=loop, tokenizer=server.policy.tokenizer, tokens=6)
        draws = [Draw(task=task) for task in world.train()[:2]]
        work = lambda: grow(draws, policy=policy, environment=world, sampler=Independent(width=2), key=1)  # noqa: E731
        return await loop.run_in_executor(None, work)

    first, second = asyncio.run(main()), asyncio.run(main())
    assert torch.equal(first["tokens.id"], second["tokens.id"])
