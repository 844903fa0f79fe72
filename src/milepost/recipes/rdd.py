"""RDD: a bonus for new observations that falls like a visit count, as its targets are drawn anew at every visit."""

from typing import Literal

from milepost.credit.returns import Advantages, Stream
from milepost.credit.transitions import Transitions
from milepost.objectives.actor_critic import ActorCritic
from milepost.objectives.clipped import Clipped
from milepost.recipe import Card, Train
from milepost.rewards.bonus.distillation import Distilled, Predictor, Unit
from milepost.rewards.bonus.targets import Drawn
from milepost.rewards.control.episodes import Payoff, Reached
from milepost.sampling.choice import Uniform
from milepost.sampling.independent import Independent

CARD = Card(
    title="RDD: random distribution distillation",
    paper="Random distribution distillation (RDD), 2025; the network of RND, arXiv:1810.12894",
    year=2025,
    domains=("control",),
    summary="For agents with rare rewards: pays for new observations, and pays less for each further visit, as a count "
    "would, with one extra network.",
    parts={
        "learned": "b(s') = |f(s') - mu(s')|^2 / d; f learns c = mu(s) + sigma eps, eps ~ N(0, 1) anew at every visit; "
        "scored before it learns, in units of the spread of discounted bonuses along time",
        "credit": "2 A(payoff, discount 0.999) + A(bonus, discount 0.99, endless), lambda 0.95, a value for each",
        "objective": "PPO: clip 0.1, entropy 0.001, value weight 0.5, in shuffled steps",
    },
    claims={
        "n times the statistic has mean 1 and the claimed variance": "tests/rewards/bonus/test_counting.py::"
        "test_n_times_the_statistic_has_mean_1_and_the_claimed_variance",
        "the bonus falls like a count, that of RND does not": "tests/rewards/bonus/test_distillation.py::"
        "test_the_bonus_falls_like_a_count_and_that_of_rnd_does_not",
        "sigma = 0 is RND to the bit": "tests/rewards/bonus/test_distillation.py::"
        "test_without_noise_it_is_random_network_distillation_to_the_bit",
        "rarer states have larger bonuses": "tests/rewards/bonus/test_distillation.py::"
        "test_the_rarer_of_two_states_of_a_chain_has_the_larger_bonus",
        "a constant step has a floor": "tests/rewards/bonus/test_counting.py::test_a_constant_step_has_a_floor",
        "sums run along time": "tests/rewards/bonus/test_normalising.py::"
        "test_sums_run_along_time_and_not_over_episodes",
    },
    departs=(
        "whole episodes from the start; where one terminates, the bonus goes on with the value of the start",
        "the unit of bonuses is that of each batch: over 40 updates the first bonuses would drown the others",
        "learning rates are 2e-3 and 3e-3, for minutes in place of days; actor and critic share nothing",
    ),
    advice=(
        "bonus=rnd and bonus=none are the baselines: compare at equal environment steps.",
        "With a constant learning rate the bonus never falls below sigma^2 a / (2 - a).",
    ),
    bibtex="@misc{rdd2025, title={Random Distribution Distillation}, year={2025}}",
)


def build(
    *,
    width: int = 1,  # episodes per start
    bonus: Literal["rdd", "rnd", "none"] = "rdd",
    sigma: float = 1.0,  # of the targets, in output units
    weight: float = 1.0,  # of the bonus's advantage; the payoff's has 2
    discount: float = 0.99,  # of the bonus
    rate: float = 3e-3,  # learning rate of the predictor
    entropy: float = 1e-3,
) -> Train:
    """Build the job."""
    targets = {"rdd": Drawn(sigma=sigma), "rnd": Drawn(sigma=0.0), "none": None}[bonus]
    predictor, unit = Predictor(learning_rate=rate, batch=32), Unit(discount=discount, keep=0.0)
    payoffs = Stream(reward="total", discount=0.999, weight=2.0)
    bonuses = Stream(reward="bonus", discount=discount, weight=weight, endless=True)
    return Train(
        choice=Uniform(),
        sampler=Independent(width=width),
        rewards=(Payoff(largest=1.0), Reached(name="reached")),
        weights=(1.0, 0.0),
        learned=Distilled(targets=targets, predictor=predictor, unit=unit) if targets else None,
        credit=Advantages(streams=(payoffs, bonuses) if targets else (payoffs,)),
        objective=ActorCritic(objective=Clipped(low=0.1, high=0.1), entropy=entropy),
        view=Transitions(),
    )
