"""DenseGRPO: every denoising step is credited with what it gained, and explores as much as it can learn from."""

from milepost.credit.group import Normalised
from milepost.credit.tree.steps import SameTurn, Steps
from milepost.evaluation.images import DataGap, Diversity
from milepost.objectives.clipped import Clipped
from milepost.objectives.combined.exact_kl import ExactKL
from milepost.policies.flow.noise import FlowNoise, Grid, StepNoise
from milepost.policies.flow.process import Process
from milepost.recipe import Card, Train
from milepost.rewards.images.reward import Gain, ImageScore
from milepost.rewards.images.scorers import ClassLogProb, NearData
from milepost.sampling.choice import Uniform
from milepost.sampling.independent import Independent

CARD = Card(
    title="DenseGRPO: from sparse to dense reward for flow models",
    paper="arXiv:2601.20218",
    year=2026,
    domains=("flow",),
    summary="Credits every denoising step with the rise in the score of the image that would follow without noise.",
    parts={
        "process": "the stochastic sampler of Flow-GRPO; levels: a noise level for every step, from the calibration",
        "rewards": "gain of a step: R(completion of the latent after it) - R(completion of the one before)",
        "credit": "(gain - mean) / (standard deviation + 1e-4) over the images of a class at the same step",
        "objective": "that of Flow-GRPO",
    },
    claims={
        "gains add up to the score of the image": "tests/rewards/images/test_reward.py::"
        "test_gains_add_up_to_the_score_of_the_image",
        "no noise, no gain": "tests/rewards/images/test_reward.py::test_steps_without_noise_gain_nothing",
        "with noise at one step only it is Flow-GRPO at that step": "tests/recipes/test_densegrpo.py::"
        "test_with_noise_at_one_step_it_is_flow_grpo_there",
        "the gain is nearer to the true advantage of a step than the final score": "tests/recipes/test_densegrpo.py::"
        "test_gains_follow_the_true_advantage",
        "rounds of calibration, by hand, lower too much noise to the balance and too little to the bound": "tests/"
        "recipes/test_densegrpo.py::test_calibration_balances_gains_and_losses",
        "it learns from fewer images, and pays more model calls for each": "tests/recipes/test_densegrpo.py::"
        "test_learns_from_fewer_images_at_more_calls",
    },
    departs=(
        "one round of calibration, noise.rebalanced, is all there is: no loop, no balance measured on a model",
        "what departs in flow-grpo departs here too; credit by gains to go is not built",
    ),
    advice=(
        "With 10 steps an image costs 65 model calls instead of 10: compare it per model call, not per update.",
        "A sharper signal finds the weaknesses of a reward sooner: watch the success and the data gap.",
    ),
    bibtex="@misc{deng2026densegrpo, title={DenseGRPO: From Sparse to Dense Reward for Flow Matching Model Alignment}, "
    "author={Deng, Haoyou and Yan, Keyu and Mao, Chaojie and Wang, Xiang and Liu, Yu and Gao, Changxin and Sang, "
    "Nong}, year={2026}, eprint={2601.20218}, archivePrefix={arXiv}}",
)


def build(
    *,
    width: int = 24,  # images per class
    denoising_steps: int = 10,  # from noise to an image; --steps counts updates
    noise: float = 0.7,  # a of Flow-GRPO's noise
    levels: tuple[float, ...] = (),  # noise level of every step, in place of a; for digits-ddpm at most 1
    clip: float = 1e-4,  # for log-probabilities that are means over pixels
    kl: float = 0.0,  # weight of the penalty towards the first policy
) -> Train:
    """Build the job."""
    surrogate = Clipped(low=clip, high=clip)
    chosen = StepNoise(levels=levels) if levels else FlowNoise(scale=noise)
    return Train(
        choice=Uniform(),
        sampler=Independent(width=width),
        rewards=(
            Gain(scorer=ClassLogProb()),
            ImageScore(scorer=ClassLogProb(), name="class"),
            ImageScore(scorer=NearData(), name="near_data"),
        ),
        weights=(1.0, 0.0, 0.0),
        measures=(Diversity(), DataGap()),
        credit=Steps(rule=Normalised(eps=1e-4), among=SameTurn()),
        objective=ExactKL(objective=surrogate, coefficient=kl) if kl else surrogate,
        process=Process(grid=Grid(steps=denoising_steps), noise=chosen, completed=True),
    )
