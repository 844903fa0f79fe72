"""A task choice inside verl: its configuration, its data loader, its worker, its queue and its trainer's own methods.

Only what needs a model on a GPU is left out: a session answers with one token, and its reward depends on the task.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf, open_dict
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput, AgentLoopWorker
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from milepost.engines.verl.replay import Telling
from milepost.engines.verl.tasks import POSITION
from milepost.policies.decoding import Decoding
from milepost.policies.loading import load
from tests.engines.verl.configurations import composed

pytestmark = [pytest.mark.trainers, pytest.mark.timeout(900)]  # a cluster takes minutes to start on a busy machine
TASKS, BATCH = 8, 4
VAS = {"width": 4, "refresh_every": 0, "weighted_share": 1.0, "diversity_weight": 0.0}


class Sessions(AgentLoopWorkerTQ.__ray_metadata__.modified_class):
    """A worker of verl without servers: odd tasks are answered rightly half of the time, even ones never."""

    def __init__(self, config):
        self.config, self.background_tasks, self.asked = config, set(), []
        self.processor = self.reward_loop_worker_handles = None

    async def _compute_teacher_logprobs(self, *given, **named):
        return None

    async def _run_agent_loop(self, sampling_params, *, trajectory, session_id, trace, **row):
        number = row["extra_info"]["index"]
        self.asked.append((row["uid"], number, sampling_params["temperature"]))
        output = AgentLoopOutput(
            prompt_ids=[1],
            response_ids=[3 + session_id],
            response_mask=[1],
            reward_score=float(number % 2 * (session_id % 2)),
            metrics=AgentLoopMetrics(),
            extra_fields={"reward_extra_info": {}},
        )
        row.pop("agent_name", None)
        named = {**row, "session_id": session_id, "global_steps": trajectory["step"]}
        await self._agent_loop_postprocess(output, trajectory["validate"], **named)

    def generate_sequences(self, batch):
        async def all_of_them():
            await AgentLoopWorkerTQ.__ray_metadata__.modified_class.generate_sequences(self, batch)
            await asyncio.gather(*self.background_tasks)

        asyncio.run(all_of_them())


assert issubclass(Sessions, AgentLoopWorker)


def trainer(folder, settings, mode="sync"):
    """verl's trainer with its data loader and its buffer, before it starts workers."""
    for name in ("train", "val"):
        rows = [
            {"prompt": [{"role": "user", "content": f"task {n}"}], "data_source": "sums", "extra_info": {"index": n}}
            for n in range(TASKS)
        ]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
    config = composed("vas")
    own = {"train_files": str(folder / "train.parquet"), "val_files": str(folder / "val.parquet")}
    with open_dict(config):
        config.data.update(own | {"train_batch_size": BATCH, "filter_overlong_prompts": False})
        config.data.milepost.settings = settings
        config.actor_rollout_ref.rollout.n = 4
        config.trainer.v1.trainer_mode = mode
        config.data.cache_dir = str(folder / "cache")
    found = object.__new__(PPOTrainerSync)
    found.config, found.trainer_mode, found.global_steps = config, mode, 1
    found.parameter_sync_step = 1
    found.tokenizer, found.processor = load("embedded", decoding=Decoding()).tokenizer, None
    found.replay_buffer = found._build_replay_buffer()
    found._init_dataloader()
    found.agent_loop_manager = Sessions(config)
    return found


def step(found, queue):
    """What the trainer's step does before it computes log-probabilities."""
    found._add_batch_to_generate()
    batch, metrics = found.replay_buffer.sample(global_steps=found.global_steps, partition_id="train", batch_size=BATCH)
    fields = queue.kv_batch_get(keys=batch.keys, partition_id="train", select_fields=[POSITION])
    queue.kv_clear(keys=batch.keys, partition_id="train")
    found.global_steps += 1
    return sorted(getattr(one, "data", one) for one in fields[POSITION]), metrics


@pytest.fixture(scope="module")
def learned(started, tmp_path_factory):
    """A run of steps; what was trained at each, and the trainer."""
    folder = tmp_path_factory.mktemp("verl")
    found = trainer(folder, VAS)
    return SimpleNamespace(trainer=found, steps=[step(found, started) for _ in range(12)], folder=folder)


def test_the_choice_learns_what_verl_rolled_out(learned):
    steps = [positions for positions, _ in learned.steps]
    assert all(len(positions) == BATCH * 4 for positions in steps)
    late = np.array(steps[6:]).ravel()
    assert (late % 2 == 1).mean() > 0.8
    numbers = learned.steps[-1][1]
    assert numbers["training/milepost/scored_only"] == 0
    assert numbers["training/milepost/choice/rollouts"] == 12 * BATCH * 4
    chooser = learned.trainer.train_dataset.chooser
    known = chooser.state.known
    assert (chooser.state.score[known] > 0).tolist() == [bool(n % 2) for n in known.nonzero().squeeze(1).tolist()]


def test_the_buffer_is_verls_own(learned):
    buffer = learned.trainer.replay_buffer
    assert isinstance(buffer, Telling)
    assert type(buffer.buffer) is ReplayBuffer
    assert buffer.train_batch_size == BATCH
    assert buffer.refill_fn == learned.trainer._add_prompts_to_generate
    other = object.__new__(PPOTrainerSync)
    other.config = OmegaConf.create(OmegaConf.to_container(learned.trainer.config))
    other.trainer_mode = other.config.trainer.v1.trainer_mode = "separate_async"
    assert type(other._build_replay_buffer().buffer) is ReplayBufferAsync


def test_validation_is_left_alone(learned):
    batch = next(iter(learned.trainer.val_dataloader))
    assert POSITION not in batch
    assert sorted(row["index"] for row in batch["extra_info"]) == list(range(TASKS))


def test_verls_own_checkpoint_holds_the_choice(learned, queue):
    again = trainer(learned.folder, VAS)
    again.train_dataloader.load_state_dict(learned.trainer.train_dataloader.state_dict())
    again.global_steps = learned.trainer.global_steps
    for _ in range(3):
        wanted, _ = step(learned.trainer, queue)
        assert step(again, queue)[0] == wanted


def test_tasks_are_scored_first_and_not_trained_on(queue, tmp_path):
    found = trainer(tmp_path, VAS | {"width": 3, "refresh_every": 4})
    positions, numbers = step(found, queue)
    asked = found.agent_loop_manager.asked
    assert numbers["training/milepost/scored_only"] == TASKS * 3
    scored = [number for _, number, _ in asked[: TASKS * 3]]
    assert sorted(scored) == sorted([*range(TASKS)] * 3)
    assert len(asked) == TASKS * 3 + BATCH * 4
    assert {position % 2 for position in positions} == {1}
    assert not (queue.kv_list() or {}).get("train")


def test_the_pick_is_greedy(queue, tmp_path):
    with_pick = {"recipe": "bleuberi", "settings": {"count": 2}}
    found = trainer(tmp_path, VAS)
    with open_dict(found.config):
        found.config.data.milepost = with_pick
    found._init_dataloader()
    positions, numbers = step(found, queue)
    asked = found.agent_loop_manager.asked
    assert numbers["training/milepost/scored_only"] == TASKS
    assert {temperature for _, _, temperature in asked[:TASKS]} == {0}
    assert {temperature for _, _, temperature in asked[TASKS:]} == {1.0}
    assert len(set(positions)) == 2
