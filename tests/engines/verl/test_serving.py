"""Columns of what a server answered; whole trees are grown in test_agent."""

from __future__ import annotations

import asyncio

import torch

from milepost.columns import End
from milepost.engines.verl.serving import Served
from milepost.forest import Forest
from milepost.policies.decoding import Decoding
from milepost.policies.loading import load
from milepost.ragged import Ragged


class Echo:
    """Answers with the last tokens of the prompt."""

    token_ids: tuple
    log_probs: tuple


async def echo(request_id, *, prompt_ids, sampling_params):
    found = Echo()
    found.token_ids = prompt_ids[-2:]
    found.log_probs = [-0.5] * len(found.token_ids)
    return found


def test_answers():
    tokenizer = load("embedded", decoding=Decoding()).tokenizer
    forest = Forest.of([-1, 0], {"tokens.id": Ragged.of([[4, 5, 6], [7]], torch.int32)})

    async def main(tokens):
        loop = asyncio.get_running_loop()
        policy = Served(generate=echo, loop=loop, tokenizer=tokenizer, tokens=tokens)
        rows, keys = torch.tensor([0, 1]), torch.tensor([3, 4])
        return await loop.run_in_executor(None, policy.propose, forest, rows, keys)

    found = asyncio.run(main(8))
    assert [found.columns["tokens.id"][row].tolist() for row in (0, 1)] == [[5, 6], [6, 7]]
    assert found.columns["tokens.train"].values.all()
    assert found.columns["end"].tolist() == [int(End.OPEN)] * 2
    assert asyncio.run(main(2)).columns["end"].tolist() == [int(End.TOKEN_LIMIT)] * 2
