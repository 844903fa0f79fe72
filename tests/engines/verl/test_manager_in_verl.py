"""Examples against verl's own schema; rewards and managers loaded by verl's own means."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from verl import DataProto
from verl.trainer.ppo.core_algos import get_adv_estimator_fn, get_policy_loss_fn
from verl.trainer.ppo.reward import get_custom_reward_fn, load_reward_manager
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.reward_score import default_compute_score

from milepost.engines.verl.rewards import load as reward_of
from milepost.policies.decoding import Decoding
from milepost.policies.loading import load
from tests.engines.verl.configurations import EXAMPLES, composed

pytestmark = pytest.mark.trainers
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.yaml") if path.stem != "loops")


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_a_configuration_of_verls(name):
    config = composed(name)
    plain = composed(name, "~hydra") if "hydra" in config else config
    assert callable(get_adv_estimator_fn(plain.algorithm.adv_estimator))
    assert callable(get_policy_loss_fn(plain.actor_rollout_ref.actor.policy_loss.loss_mode))
    assert omega_conf_to_dataclass(plain.algorithm).adv_estimator == plain.algorithm.adv_estimator
    rollout = omega_conf_to_dataclass(plain.actor_rollout_ref.rollout)
    assert rollout.calculate_log_probs
    reward = get_custom_reward_fn(plain)
    loops = plain.actor_rollout_ref.rollout.agent
    verls = "gsm8k" in plain.data.train_files and default_compute_score("openai/gsm8k", "#### 18", "18") == 1
    assert (reward is None) == bool(loops.agent_loop_config_path or verls)  # a loop brings its rewards, verl its own
    if reward is not None:
        assert reward_of(plain.reward.custom_reward_function.reward_kwargs.reward).when == "leaf"
    if loops.agent_loop_config_path:
        known = {one["name"] for one in OmegaConf.load(EXAMPLES.parents[1] / loops.agent_loop_config_path)}
        assert loops.default_agent_loop in known


def test_an_example_has_no_key_that_verl_does_not_know():
    whole = OmegaConf.to_container(bare())
    for name in NAMES:
        own = OmegaConf.to_container(OmegaConf.load(EXAMPLES / f"{name}.yaml"))
        for path in paths({k: v for k, v in own.items() if k not in ("defaults", "hydra")}):
            if "reward_kwargs" in path or path[:2] == ("data", "milepost"):  # verl passes on whatever is there
                continue
            at = whole
            for step in path[:-1]:
                at = at[step]
            assert path[-1] in at, f"{name}: {'.'.join(path)}"


def bare():
    """verl's configuration without ours."""
    from importlib.resources import files

    from hydra import compose, initialize_config_dir

    with initialize_config_dir(config_dir=str(files("verl.trainer") / "config"), version_base=None):
        return compose(config_name="ppo_trainer")


def paths(found, above=()):
    """Dotted paths of the leaves of a configuration."""
    for key, value in found.items():
        yield from paths(value, (*above, key)) if isinstance(value, dict) else [(*above, key)]


def test_the_manager_is_loaded_and_scores():
    overrides = [
        "reward.reward_manager.source=importlib",
        "reward.reward_manager.name=RewardManager",
        "reward.reward_manager.module.path=pkg://milepost.engines.verl.manager",
    ]
    tokenizer = load("embedded", decoding=Decoding()).tokenizer
    manager = load_reward_manager(composed("grpo", *overrides), tokenizer)
    answer = torch.tensor([tokenizer.encode("<answer>42</answer>", add_special_tokens=False)])
    data = DataProto.from_dict(
        {"prompts": answer, "responses": answer, "attention_mask": torch.ones(1, 2 * answer.shape[1])},
        {
            "data_source": np.array(["sums"], dtype=object),
            "reward_model": np.array([{"ground_truth": "42"}], dtype=object),
            "extra_info": np.array([{"question": "6 * 7?"}], dtype=object),
        },
    )
    found = asyncio.run(manager.run_single(data))
    assert found == {"reward_score": 1.0, "reward_extra_info": {"ok": 1, "reason": ""}}
