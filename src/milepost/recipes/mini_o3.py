"""Mini-o3: trajectories that run into the turn cap carry no gradient: a small cap of training then teaches to go on."""

from milepost.credit.completion import Completed
from milepost.credit.group import Normalised
from milepost.objectives.clipped import Clipped
from milepost.recipe import Card, Train
from milepost.rewards.outcome import Outcome
from milepost.sampling.choice import Uniform
from milepost.sampling.independent import Independent

CARD = Card(
    title="Mini-o3: over-turn masking for multi-turn agents",
    paper="arXiv:2509.07969",
    year=2025,
    domains=("text", "agent"),
    summary="For agents trained under a turn cap smaller than the one they are used with: they learn no early answers.",
    parts={
        "sampler": "independent trajectories of several turns; the environment ends them by its turn cap",
        "rewards": "the outcome, 0 or 1",
        "credit": "M (reward - mean) / (standard deviation + 1e-6) of the group, n - 1; M = 0 beyond a limit",
        "objective": "clipped surrogate with a higher upper clip, divided by what is completed: sum M",
    },
    claims={
        "without exceeded trajectories it is GRPO, to the bit": "tests/credit/test_completion.py::"
        "test_nothing_exceeded_is_grpo_to_the_bit",
        "tokens of exceeded trajectories do not matter; their reward does, in the statistics": "tests/credit/"
        "test_completion.py::test_zero_influence_but_for_the_reward",
        "the loss is divided by what is completed": "tests/credit/test_completion.py::test_the_denominator",
        "no NaN, whatever is exceeded": "tests/credit/test_completion.py::test_no_nan",
        "trained at cap 6, accuracy rises with the cap of the test": "tests/recipes/test_mini_o3.py::"
        "test_masked_training_uses_more_turns",
        "judged at the cap of training, it looks worse": "tests/recipes/test_mini_o3.py::"
        "test_the_trap_of_the_training_cap",
    },
    departs=(
        "text tasks and no images; the paper searches in pictures, with 12 images per trajectory",
        "whether the statistics count exceeded trajectories is a setting; the paper's code counts them",
        "groups are not refilled until they have two completed members; resample_rounds replaces dead groups",
        "no cold start from trajectories written in context",
    ),
    advice=(
        "Report accuracy as a function of the test cap: at the cap of training the masked policy looks worse.",
        "Watch credit/exceed_ratio: where it tends to 1 there is no learning signal.",
        "completed_only learns faster to go on, and is further from the paper.",
    ),
    bibtex="@misc{lai2025minio3, title={Mini-o3: Scaling Up Reasoning Patterns and Interaction Turns for Visual "
    "Search}, author={Lai, Xin and Li, Junyi and Li, Wei and Liu, Tao and Li, Tianjian and Zhao, Hengshuang}, "
    "year={2025}, eprint={2509.07969}, archivePrefix={arXiv}}",
)


def build(
    *,
    width: int = 16,  # trajectories per task
    completed_only: bool = False,  # leave exceeded trajectories out of mean and standard deviation too
    clip_low: float = 0.2,  # the ratio may fall to 1 - clip_low
    clip_high: float = 0.3,  # the ratio may rise to 1 + clip_high
    resample_rounds: int = 0,  # times that dead groups are drawn anew
) -> Train:
    """Build the job; the turn cap is the environment's, such as `--tasks.options.turns`."""
    return Train(
        choice=Uniform(),
        sampler=Independent(width=width),
        rewards=(Outcome(),),
        weights=(1.0,),
        credit=Completed(rule=Normalised(ddof=1), completed_only=completed_only),
        objective=Clipped(low=clip_low, high=clip_high),
        resample_rounds=resample_rounds,
    )
