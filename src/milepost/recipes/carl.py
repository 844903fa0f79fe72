"""CaRL: route completion as the one reward of a driver; soft infractions are factors on it, hard ones its end."""

from typing import Literal

from milepost.credit.returns import Advantages, Stream
from milepost.credit.transitions import Transitions
from milepost.objectives.actor_critic import ActorCritic
from milepost.objectives.clipped import Clipped
from milepost.recipe import Card, Train
from milepost.rewards.control.driving import Completed, Infraction, Progress, Shaped
from milepost.rewards.control.episodes import Payoff
from milepost.sampling.choice import Uniform
from milepost.sampling.independent import Independent

CARD = Card(
    title="CaRL: scalable planning policies with simple rewards",
    paper="arXiv:2504.17838",
    year=2025,
    domains=("control",),
    summary="For those who train drivers: rewards nothing but progress along the route, so that standing still is "
    "worth nothing.",
    parts={
        "rewards": "r = p (RC' - RC) + h: gain in route completion in percent, times soft factors (speed, near "
        "collision, off the lane's middle), and h = -1 where a crash or the edge of the road ends the episode",
        "credit": "generalised advantages, lambda 0.95, discount 0.99; a time limit bootstraps, an end does not",
        "objective": "PPO: clip 0.1, entropy 0.01, value weight 0.5, in shuffled steps",
    },
    claims={
        "without infractions the return is the completion": "tests/rewards/control/test_driving.py::"
        "test_without_infractions_the_return_is_the_completion",
        "a sticky factor halves what follows": "tests/rewards/control/test_driving.py::"
        "test_a_sticky_factor_halves_what_follows",
        "a crash never earns more than going on": "tests/rewards/control/test_driving.py::"
        "test_a_crash_never_earns_more_than_going_on",
        "returns order episodes as completion does": "tests/rewards/control/test_driving.py::"
        "test_returns_order_episodes_as_completion_times_a_constant_factor",
        "highway-env's own reward ranks parking first, route completion last": "tests/recipes/test_carl.py::"
        "test_the_shaped_reward_ranks_parking_first_and_completion_ranks_it_last",
        "the best policy of a shaped sum brakes for ever, that of completion never": "tests/recipes/test_carl.py::"
        "test_the_best_policy_of_a_shaped_sum_brakes_for_ever_and_that_of_completion_never",
        "the weighted sum pays for standing still": "tests/rewards/control/test_driving.py::"
        "test_the_weighted_sum_pays_for_standing_still",
    },
    departs=(
        "highway-env in place of CARLA: one decision a second, seven speeds and two lane changes, ten other cars",
        "three soft factors: speed above 30 m/s, time to a collision below 0.9 s, 0.5 m off the middle for over 3 s",
        "standing still is not ended early: for the rest of its 40 s it earns nothing",
        "the critic sees what the actor sees; a finished route ends the episode with value 0",
        "the learning rate is constant, and the value loss is not clipped",
    ),
    advice=(
        "Report completion and an infraction table, not the return alone.",
        "reward=shaped or simulator is the rival: compare completion, which both watch.",
    ),
    bibtex="@misc{jaeger2025carl, title={CaRL: Learning Scalable Planning Policies with Simple Rewards}, "
    "author={Jaeger, Bernhard and Dauner, Daniel and others}, year={2025}, eprint={2504.17838}, archivePrefix={arXiv}}",
)


def build(
    *,
    width: int = 1,  # episodes per start
    reward: Literal["carl", "shaped", "simulator"] = "carl",
    discount: float = 0.99,
    trace_decay: float = 0.95,  # lambda of the advantages
    clip: float = 0.1,  # of the ratio
    entropy: float = 0.01,
) -> Train:
    """Build the job; all rewards watch completion and infractions."""
    chosen = {"carl": Progress(), "shaped": Shaped(), "simulator": Payoff()}[reward]
    return Train(
        choice=Uniform(),
        sampler=Independent(width=width),
        rewards=(chosen, Completed(), Infraction()),
        weights=(1.0, 0.0, 0.0),
        credit=Advantages(streams=(Stream(discount=discount),), trace_decay=trace_decay),
        objective=ActorCritic(objective=Clipped(low=clip, high=clip), entropy=entropy),
        view=Transitions(),
    )
