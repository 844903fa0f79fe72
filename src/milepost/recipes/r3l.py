"""R3L: look back at what failed, retry from where it went wrong, learn what differs, amplify what worked."""

from milepost.credit.tree.pivot import Amplified, AmplifiedCapped, PivotCredit, WithoutAdvice
from milepost.objectives.likelihood import Likelihood
from milepost.recipe import Card, Train
from milepost.rewards.combine import Scored
from milepost.rewards.outcome import Outcome
from milepost.sampling.branching.reflection import ByReward
from milepost.sampling.branching.retry import Retry
from milepost.sampling.choice import Uniform

CARD = Card(
    title="R3L: reflect-then-retry with pivotal credit and positive amplification",
    paper="shiweijiezero/R3L",
    year=2026,
    domains=("agent", "text"),
    summary="For agents whose attempts mostly fail: half the budget resumes failures with advice from their pivot.",
    parts={
        "sampler": "width base trajectories, at most one retry each: the first k steps are kept, advice is inserted",
        "rewards": "the verifier's verdict",
        "credit": "reward less the mean over base and retries; 1 for full success, else 3 A if A >= 0; none before k",
        "view": "retries without the advice, and once more with it where it brought full success",
        "objective": "weighted log-likelihood / 2, no ratio, no clip, no KL",
    },
    claims={
        "under the pair's mean the mask of the prefix changes nothing": "tests/recipes/test_r3l.py::"
        "test_the_mask_is_a_no_op_under_the_pair_baseline",
        "under the group's mean it deletes a real signal": "tests/recipes/test_r3l.py::"
        "test_under_the_group_baseline_the_mask_deletes_a_real_signal",
        "exactly the first k steps lose their credit": "tests/credit/tree/test_pivot.py::"
        "test_exactly_the_shared_steps_lose_their_credit",
        "positive credit outweighs negative by gain / (1 - p), or 1 / (1 - p)": "tests/credit/tree/test_pivot.py::"
        "test_positive_credit_dominates",
        "without retries and gain it is REINFORCE with the group's mean": "tests/recipes/test_r3l.py::"
        "test_without_retries_and_gain_it_is_reinforce",
        "a retry costs what follows its pivot": "tests/sampling/branching/test_retry.py::"
        "test_a_retry_costs_what_follows_the_pivot",
        "an invalid reflection leaves plain group training": "tests/sampling/branching/test_retry.py::"
        "test_without_a_valid_verdict_the_base_is_kept_alone",
    },
    departs=(
        "reflections follow a rule (branching.reflection.Asked asks a model), and are not trained themselves",
        "the advice stands in the policy's own turn, not as a message of the system",
        "one rule for base and retry; in the authors' code only a base ends at its first invalid action",
        "mean group baseline without a standard deviation, as in figure and code; no replay queue",
        "masks of the retry alone are not built: both share the masked rows",
    ),
    advice=(
        "The advice is not corrected for: retries are trained as if they had been sampled without it.",
        "capped=True is the authors' code: rewards of 0 and 1 never see the gain. capped=False is what is published.",
        "An earlier pivot is safer than a later one; a wrong pivot halves the success of retries.",
        "masked=False keeps the signal about good prefixes that the mask deletes in groups larger than a pair.",
    ),
    bibtex="@misc{shi2026r3l, title={R3L: Reflect-then-Retry Reinforcement Learning with Language-Guided Exploration, "
    "Pivotal Credit, and Positive Amplification}, author={Shi, Weijie and others}, year={2026}}",
)


def build(
    *,
    width: int = 4,  # base trajectories per task; each may be retried once
    gain: float = 3.0,  # of positive credit
    capped: bool = True,  # full success has credit 1, as in the authors' code; False: the gain, as published
    masked: bool = True,  # no credit on what base and retry share
    imitate: bool = True,  # also learn to follow advice that brought full success
) -> Train:
    """Build the job; `capped=False` is the amplification as published."""
    rewards, weights = (Outcome(),), (1.0,)
    return Train(
        choice=Uniform(),
        sampler=Retry(reflector=ByReward(scorer=Scored(rewards=rewards, weights=weights)), width=width),
        rewards=rewards,
        weights=weights,
        credit=PivotCredit(rule=AmplifiedCapped(gain=gain) if capped else Amplified(gain=gain), masked=masked),
        objective=Likelihood(scale=0.5),
        view=WithoutAdvice(imitate=imitate),
    )
