"""Our rewards under Stable-Baselines3's PPO: the numbers are those of our own loop, and it learns from them."""

import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from stable_baselines3 import PPO

from milepost.engines.sb3.wrapper import paid, rewarded
from milepost.environments.control.gym import Gymnasium
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.rewards.control.driving import Progress
from milepost.rewards.control.episodes import Payoff, Reached

WORLD = Gymnasium(name="CartPole-v1", train_size=3)


@pytest.mark.filterwarnings("ignore::UserWarning")  # it advises bounds of observations, which nobody knows
def test_gymnasium_accepts_it():
    check_env(rewarded(WORLD, WORLD, {Payoff(): 1.0}), skip_render_check=True)


def test_what_is_paid_is_what_the_reward_says_of_the_path():
    """CaRL's progress, step by step, against the whole episode at once."""
    facts = {"extra.speed_m_s": 20.0, "extra.lateral_m": 0.0, "extra.crashed": 0.0, "extra.off_road": 0.0}
    near = [100.0, 0.5, 100.0, 100.0]
    rows = [{}, *({**facts, "extra.travelled_m": 30.0 * n, "extra.collision_s": near[n - 1]} for n in range(1, 5))]
    names = [*facts, "extra.travelled_m", "extra.collision_s"]
    whole = Forest.of([-1, 0, 1, 2, 3], {name: [row.get(name) for row in rows] for name in names})
    wanted = Progress()(whole, torch.arange(1, 5)).values.tolist()
    assert [paid(rows[: n + 1], {Progress(): 1.0}) for n in range(1, 5)] == pytest.approx(wanted)
    assert paid(rows[:2], {Progress(): 2.0, Progress(hint=-2.0): 0.5}) == pytest.approx(2.5 * wanted[0])


def test_ends_stay_apart_and_tasks_follow_each_other():
    env = rewarded(WORLD, WORLD, {Payoff(): 1.0})
    seen = []
    for _ in range(4):
        _, info = env.reset()
        seen.append(info["task"])
        ended = False
        while not ended:
            _, reward, ended, stopped, info = env.step(0)
            assert reward == 1.0
            assert not stopped
        assert info["extra.success"] == 0.0
    assert seen[0] == seen[3] != seen[1]


def test_its_ppo_trains_on_our_reward():
    """512 steps change its weights, and it acts."""
    env = rewarded(WORLD, WORLD, {Payoff(): 1.0})
    learner = PPO("MlpPolicy", env, n_steps=256, batch_size=64, n_epochs=4, seed=0, device="cpu")
    before = [value.clone() for value in learner.policy.parameters()]
    learner.learn(512)
    assert any(not torch.equal(a, b) for a, b in zip(before, learner.policy.parameters(), strict=True))
    action, _ = learner.predict(np.zeros(4, np.float32), deterministic=True)
    assert action in (0, 1)


def test_whole_trajectories_are_refused():
    with pytest.raises(SettingError, match="a reward of whole trajectories"):
        rewarded(WORLD, WORLD, {Reached(): 1.0})
