"""The agent loop inside verl: its worker's postprocessing and its trainer's computation of advantages, on CPU.

What lies between them is verl's TransferQueue, which starts a cluster; here a dictionary keeps the rows.
"""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
import torch
import transfer_queue as tq
from transfer_queue import KVBatchMeta
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopWorker, DictConfigWrap
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from milepost.engines.trl.samples import TASK
from milepost.engines.verl.agent import output_class, tree_loop
from tests.engines.verl.configurations import composed
from tests.engines.verl.test_agent import Server, environment

pytestmark = pytest.mark.trainers


class Rows:
    """Rows by key, with the functions of the queue that verl calls."""

    def __init__(self) -> None:
        self.rows: dict[str, dict] = {}

    def kv_batch_put(self, *, keys, partition_id, fields, tags=None):
        for place, key in enumerate(keys):
            self.rows.setdefault(key, {}).update({name: value[place] for name, value in fields.items()})
        return KVBatchMeta(partition_id=partition_id, keys=keys, tags=[{}] * len(keys), fields=None)

    async def async_kv_batch_put(self, **given):
        return self.kv_batch_put(**given)

    def kv_batch_get(self, *, keys, partition_id, select_fields):
        held = [{name: self.rows[key][name] for name in select_fields if name in self.rows[key]} for key in keys]
        return list_of_dict_to_tensordict(
            [{n: getattr(v, "data", v) if n == "uid" else v for n, v in h.items()} for h in held]
        )


@pytest.fixture
def rows(monkeypatch):
    found = Rows()
    for name in ("kv_batch_put", "kv_batch_get", "async_kv_batch_put"):
        monkeypatch.setattr(tq, name, getattr(found, name))
    return found


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


def test_credit_of_the_tree_is_what_verl_trains_with(rows):
    worker = SimpleNamespace(processor=None, reward_loop_worker_handles=None)
    for name in ("_compute_score", "_compute_multi_modal_inputs", "_compute_position_ids"):
        setattr(worker, name, getattr(AgentLoopWorker, name).__get__(worker))

    async def no_teacher(*given, **named):
        return None

    worker._compute_teacher_logprobs = no_teacher
    real = AgentLoopWorkerTQ.__ray_metadata__.modified_class
    keys, wanted, masks = [], [], []
    for row, outputs in sessions(2):
        asyncio.run(real._agent_loop_postprocess(worker, outputs, False, uid=row["uid"], session_id=0, global_steps=3))
        for number, output in enumerate(outputs):
            keys.append(f"{row['uid']}_0_{number}")
            masks.append(torch.tensor(output.response_mask))
            wanted.append(torch.tensor(output.token_rewards) * masks[-1])
    assert len(keys) >= 6
    assert max(float(one.abs().max()) for one in wanted) > 0
    for key in keys:  # which verl's actor computes between the two
        rows.rows[key]["old_log_probs"] = rows.rows[key]["rollout_log_probs"]
    batch = KVBatchMeta(partition_id="train", keys=keys, tags=[{}] * len(keys), fields=None)
    PPOTrainer._compute_advantage(SimpleNamespace(config=composed("slate")), batch, {})
    for key, credit, mask in zip(keys, wanted, masks, strict=True):
        assert (rows.rows[key]["advantages"].float() - credit).abs().max() < 1e-6
        assert torch.equal(rows.rows[key]["response_mask"].long(), mask)


def test_our_estimators_run_where_verls_trainer_calls_them(rows):
    """Dense rewards of two prompts of three rows each."""
    rewards = torch.tensor([[0, 0.25, 0, 1], [0, 0, 0, 0], [0, 0.5, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0.0]])
    mask = torch.tensor([[1, 1, 0, 1], [1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]])
    keys = [f"p{row // 3}_{row % 3}_0" for row in range(6)]
    for row, (key, size) in enumerate(zip(keys, (4, 4, 2, 1, 4, 2), strict=True)):
        own = {"rm_scores": rewards[row, :size], "response_mask": mask[row, :size], "uid": key.split("_")[0]}
        rows.rows[key] = own
    config = composed("grpo")
    config.algorithm.adv_estimator = "milepost_rloo"
    batch = KVBatchMeta(partition_id="train", keys=keys, tags=[{}] * 6, fields=None)
    PPOTrainer._compute_advantage(SimpleNamespace(config=config), batch, {})
    total = rewards.sum(1).view(2, 3)
    wanted = (total - (total.sum(1, keepdim=True) - total) / 2).view(6, 1) * mask
    for key, expected in zip(keys, wanted, strict=True):
        found = rows.rows[key]["advantages"]
        assert (found - expected[: len(found)]).abs().max() < 1e-6


def test_an_output_holds_a_number_for_each_token():
    given = {"prompt_ids": [1], "response_ids": [2, 3], "response_mask": [1, 1], "metrics": AgentLoopMetrics()}
    found = output_class()(**given, token_rewards=[0.25, -1.0], reward_score=1.0).as_dict()
    assert found["rm_scores"].tolist() == [0.25, -1.0]
    assert "token_rewards" not in found
