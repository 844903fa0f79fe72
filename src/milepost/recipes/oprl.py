"""OPRL (iStar): a process reward learned from preferences between trajectories, beside the policy that it credits."""

from milepost.credit.group import LeaveOneOut, Normalised
from milepost.credit.tree.two_level import TwoLevel
from milepost.objectives.pairs import TrajectoryPreference
from milepost.objectives.step_ratio import StepClipped
from milepost.recipe import Card, Train
from milepost.rewards.learned.implicit import Implicit
from milepost.rewards.outcome import Outcome
from milepost.sampling.choice import Uniform
from milepost.sampling.independent import Independent

CARD = Card(
    title="OPRL / iStar: online process reward learning",
    paper="Tongyi-ConvAI/Qwen-Character (CharacterRL-iStar)",
    year=2025,
    domains=("agent", "text"),
    summary="For agents with one reward per episode: scores every step without labels and without more rollouts.",
    parts={
        "sampler": "independent episodes",
        "learned": "r = beta (log phi - log pi_old) per step; phi starts as the policy and learns by DPO between every "
        "success and every failure of a task, before the batch is scored",
        "credit": "A_E + alpha A_S: episodes by outcome, and steps by r over all steps of a task, each whitened",
        "objective": "clipped surrogate with one ratio per step, no KL",
    },
    claims={
        "E_old[exp(r / beta)] = 1 in every state": "tests/recipes/test_oprl.py::"
        "test_the_exponential_reward_has_mean_1_in_every_state",
        "hence raw rewards are negative on average": "tests/recipes/test_oprl.py::"
        "test_raw_rewards_are_minus_beta_times_a_divergence",
        "at phi = pi_old r = 0, the loss is ln 2, its gradient not 0": "tests/recipes/test_oprl.py::test_at_the_start",
        "its slope in a score is at most 1": "tests/objectives/test_pairs.py::test_the_slope_is_bounded",
        "r is the difference of values where only actions decide": "tests/recipes/test_oprl.py::"
        "test_shaping_holds_on_a_deterministic_tree",
        "and is not where chance does": "tests/recipes/test_oprl.py::test_shaping_fails_where_chance_decides",
        "alpha = 0 is group credit to the bit": "tests/credit/tree/test_two_level.py::"
        "test_weight_0_is_the_credit_of_the_episodes_to_the_bit",
        "r finds the key steps, outcomes do not": "tests/recipes/test_oprl.py::test_the_reward_finds_the_key_steps",
        "a task without a failure does not change phi": "tests/recipes/test_oprl.py::test_without_a_failure",
        "a stopped run goes on": "tests/engines/beside/test_learned.py::test_a_stopped_run_goes_on_to_the_byte",
    },
    departs=(
        "scores are sums over steps, as published; reference=True divides by the number of steps as the code does",
        "the code's baseline over first steps only, and rewards one update stale, are not reproduced",
        "phi learns with Adam at 1e-6 from the policy's start, in full precision; invalid actions have no penalty",
        "leave_one_out=True is the default of the authors' scripts, without a division by the standard deviation",
    ),
    advice=(
        "Give plain GRPO its best learning rate before you praise the speed-up: most of a naive one is step size.",
        "It trains a second model of the same size. The units of cost do not count that.",
        "Tasks with equal outcomes are told apart by A_S alone; gate=True leaves them out.",
        "Never add r to an outcome reward: its mean is not 0.",
    ),
    bibtex="@misc{liu2025oprl, title={Agentic Reinforcement Learning with Implicit Step Rewards}, author={Liu, "
    "Xiaoqian and others}, year={2025}, eprint={2509.19199}, archivePrefix={arXiv}}",
)


def build(
    *,
    width: int = 8,  # episodes per task
    alpha: float = 1.0,  # weight of the credit of steps; 0 is group credit
    beta: float = 0.05,  # of the implicit reward, per nat
    rate: float = 1e-6,  # learning rate of the reward's own weights
    leave_one_out: bool = False,  # credit without division by the standard deviation
    gate: bool = False,  # no credit for tasks with equal outcomes
    reference: bool = False,  # scores of trajectories divided by their steps, as in the authors' code
) -> Train:
    """Build the job; `alpha=0` is group credit."""
    rule = LeaveOneOut() if leave_one_out else Normalised()
    preference = TrajectoryPreference(beta=beta, step_mean=reference)
    return Train(
        choice=Uniform(),
        sampler=Independent(width=width),
        rewards=(Outcome(),),
        weights=(1.0,),
        learned=Implicit(objective=preference, beta=beta, learning_rate=rate),
        credit=TwoLevel(step_reward="implicit", episode=rule, step=rule, weight=alpha, gate=gate),
        objective=StepClipped(),
    )
