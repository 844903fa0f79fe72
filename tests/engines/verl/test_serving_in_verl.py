"""The agent loop inside verl: its worker's postprocessing, its TransferQueue on a cluster of Ray, and its trainer's
computation of advantages, on CPU.
"""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
import torch
from transfer_queue import KVBatchMeta
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopWorker, DictConfigWrap
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from milepost.engines.trl.samples import TASK
from milepost.engines.verl.agent import output_class, tree_loop
from milepost.engines.verl.replay import TOTAL
from tests.engines.verl.configurations import composed
from tests.engines.verl.test_agent import Server, environment

pytestmark = [pytest.mark.trainers, pytest.mark.timeout(900)]  # a cluster takes minutes to start on a busy machine


def sessions(count):
    """Outputs of several trees, and the rows of the data set that they answer."""

    async def main():
        config, server, found = composed("slate"), Server(), []
        agent = tree_loop(
            name="slate",
            recipe="slate",
            environment="search",
            settings={"width": 3},
            options={"search": {"turns": 2}},
            tokens=40,
            trainer_config=DictConfigWrap(config),
            server_manager=server,
            tokenizer=server.policy.tokenizer,
            processor=None,
            dataset_cls=None,
            data_config=DictConfigWrap(config.data),
        )
        for number, task in enumerate(environment().train()[:count]):
            told = json.dumps({"id": task.id, "record": dict(task.record), "family": task.family})
            row = {"extra_info": {TASK: told}, "global_steps": 3, "session_id": 0, "uid": f"prompt{number}"}
            found.append((row, await agent.run({"temperature": 1.0, "top_p": 1.0}, **row)))
        return found

    return asyncio.run(main())


def held(queue, keys, *fields):
    """What the queue holds, row by row."""
    found = queue.kv_batch_get(keys=keys, partition_id="train", select_fields=list(fields))
    return [{name: found[name][place] for name in fields} for place in range(len(keys))]


def test_credit_of_the_tree_is_what_verl_trains_with(queue):
    worker = SimpleNamespace(processor=None, reward_loop_worker_handles=None)
    for name in ("_compute_score", "_compute_multi_modal_inputs", "_compute_position_ids"):
        setattr(worker, name, getattr(AgentLoopWorker, name).__get__(worker))

    async def no_teacher(*given, **named):
        return None

    worker._compute_teacher_logprobs = no_teacher
    real = AgentLoopWorkerTQ.__ray_metadata__.modified_class
    keys, wanted, masks, totals = [], [], [], []
    for row, outputs in sessions(2):
        totals += [output.extra_fields["reward_extra_info"]["total"] for output in outputs]
        asyncio.run(real._agent_loop_postprocess(worker, outputs, False, uid=row["uid"], session_id=0, global_steps=3))
        for number, output in enumerate(outputs):
            keys.append(f"{row['uid']}_0_{number}")
            masks.append(torch.tensor(output.response_mask))
            wanted.append(torch.tensor(output.token_rewards) * masks[-1])
    assert len(keys) >= 6
    assert max(float(one.abs().max()) for one in wanted) > 0
    kept = [getattr(row["extra_fields"], "data", row["extra_fields"]) for row in held(queue, keys, "extra_fields")]
    assert [one[TOTAL] for one in kept] == totals  # verl writes the last one over all others beside it
    logged = [{"old_log_probs": row["rollout_log_probs"]} for row in held(queue, keys, "rollout_log_probs")]
    # verl's actor computes these between the two
    queue.kv_batch_put(keys=keys, partition_id="train", fields=list_of_dict_to_tensordict(logged))
    batch = KVBatchMeta(partition_id="train", keys=keys, tags=[{}] * len(keys), fields=None)
    PPOTrainer._compute_advantage(SimpleNamespace(config=composed("slate")), batch, {})
    found = held(queue, keys, "advantages", "response_mask")
    for row, credit, mask in zip(found, wanted, masks, strict=True):
        assert (row["advantages"].float() - credit).abs().max() < 1e-6
        assert torch.equal(row["response_mask"].long(), mask)


def test_our_estimators_run_where_verls_trainer_calls_them(queue):
    """Dense rewards of two prompts of three rows each."""
    rewards = torch.tensor([[0, 0.25, 0, 1], [0, 0, 0, 0], [0, 0.5, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0.0]])
    mask = torch.tensor([[1, 1, 0, 1], [1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]])
    keys = [f"p{row // 3}_{row % 3}_0" for row in range(6)]
    own = [
        {"rm_scores": rewards[row, :size], "response_mask": mask[row, :size], "uid": key.split("_")[0]}
        for row, (key, size) in enumerate(zip(keys, (4, 4, 2, 1, 4, 2), strict=True))
    ]
    queue.kv_batch_put(keys=keys, partition_id="train", fields=list_of_dict_to_tensordict(own), tags=[{}] * 6)
    config = composed("grpo")
    config.algorithm.adv_estimator = "milepost_rloo"
    batch = KVBatchMeta(partition_id="train", keys=keys, tags=[{}] * 6, fields=None)
    PPOTrainer._compute_advantage(SimpleNamespace(config=config), batch, {})
    total = rewards.sum(1).view(2, 3)
    wanted = (total - (total.sum(1, keepdim=True) - total) / 2).view(6, 1) * mask
    for row, expected in zip(held(queue, keys, "advantages"), wanted, strict=True):
        found = row["advantages"]
        assert (found - expected[: len(found)]).abs().max() < 1e-6


def test_an_output_holds_a_number_for_each_token():
    given = {"prompt_ids": [1], "response_ids": [2, 3], "response_mask": [1, 1], "metrics": AgentLoopMetrics()}
    found = output_class()(**given, token_rewards=[0.25, -1.0], reward_score=1.0).as_dict()
    assert found["rm_scores"].tolist() == [0.25, -1.0]
    assert "token_rewards" not in found
