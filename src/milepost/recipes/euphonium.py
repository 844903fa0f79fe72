"""Euphonium: the gradient of a reward of noisy latents steers the sampler, credits its steps, and is distilled."""

from typing import Literal

from milepost.credit.group import Normalised
from milepost.credit.tree.steps import SameTurn, Steps
from milepost.evaluation.images import DataGap, Diversity
from milepost.objectives.clipped import Clipped
from milepost.objectives.combined.added import WithCredit
from milepost.objectives.combined.exact_kl import TowardsSampler
from milepost.policies.flow.guidance import Langevin, Tilted
from milepost.policies.flow.noise import FlowNoise, Grid
from milepost.policies.flow.process import Process
from milepost.recipe import Card, Train
from milepost.rewards.images.noisy import NoisyClass, ProcessScore
from milepost.rewards.images.reward import ImageScore
from milepost.rewards.images.scorers import ClassLogProb
from milepost.sampling.choice import Uniform
from milepost.sampling.independent import Independent

CARD = Card(
    title="Euphonium: process-reward-gradient guided rollouts for flow models",
    paper="github.com/zerzerzerz/Euphonium",
    year=2026,
    domains=("flow",),
    summary="Steers denoising by the gradient of a reward of noisy latents and distils what that finds into the model.",
    parts={
        "guide": "mean' = mean + std^2 / (2 beta) grad r(x, t, c); exact: also inside the velocity, by t / (1 - t)",
        "rewards": "outcome: ln p(class | image); process: r = ln p(class | noisy latent, time) after each step",
        "credit": "outcome: of the group, the same at every step; process: of the group at the same step",
        "objective": "clipped surrogate for each credit, losses added, without the guidance in the log-probabilities; "
        "distil > 0: + distil KL(bare kernel || guided kernel)",
    },
    claims={
        "without a gradient it is Flow-GRPO": "tests/policies/flow/test_guidance.py::test_no_gradient_is_unguided",
        "at a fixed time the law is tilted": "tests/policies/flow/test_guidance.py::test_langevin_at_fixed_time",
        "along the path it is, but too little": "tests/policies/flow/test_guidance.py::test_published_undertilts",
        "the exact coefficient gives the law, with any noise": "tests/policies/flow/test_guidance.py::test_exact_law",
        "credit alone does not distil a constant guidance": "tests/recipes/test_euphonium.py::test_zero_sum",
        "distilled, the bare sampler keeps most of the gain": "tests/recipes/test_euphonium.py::test_distilled",
    },
    departs=(
        "the process reward is a classifier of noisy digits, trained on the spot; the paper's network is not public",
        "it is read after the step (before: as released); distillation is the exact divergence: its form is not public",
        "every noisy step of every image is guided and trained; the released run guides the last 4 of 16, trains 60 %",
    ),
    advice=(
        "The gradient is paid once per step: compare it per second and per reward call, not per model call alone.",
        "Guided samples need no training and stay near the data: look at them first. Without distil it learns little.",
    ),
    bibtex="@misc{euphonium2026, title={Euphonium}, year={2026}, howpublished={github.com/zerzerzerz/Euphonium}}",
)


def build(
    *,
    width: int = 24,  # images per class
    noise: float = 0.7,  # a of Flow-GRPO's noise
    beta: float = 0.5,  # nats of reward that are worth a factor e
    exact: bool = False,  # the coefficient of the tilted law; it needs --beta 1, or the law is another
    process: float = 1.0,  # weight of the loss on the process credit; that on the outcome credit has 1
    distil: float = 10.0,  # weight of the divergence from the guided sampler
    taken: Literal[
        "after", "before", "gain"
    ] = "after",  # where the process reward is read: after the step, before it, or its gain
) -> Train:
    """Build the job."""
    credit = Steps(rule=Normalised(eps=1e-8), reward="process", among=SameTurn())
    both = WithCredit(objective=Clipped(low=1e-4, high=1e-4), credit=credit, second_weight=process)
    return Train(
        choice=Uniform(),
        sampler=Independent(width=width),
        rewards=(ImageScore(scorer=ClassLogProb(), name="class"), ProcessScore(taken=taken)),
        weights=(1.0, 0.0),
        measures=(Diversity(), DataGap()),
        credit=Normalised(eps=1e-8),
        objective=TowardsSampler(objective=both, coefficient=distil) if distil else both,
        process=Process(grid=Grid(steps=10), noise=FlowNoise(scale=noise)),
        guide=(Tilted if exact else Langevin)(value=NoisyClass(), beta=beta),
    )
