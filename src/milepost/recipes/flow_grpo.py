"""Flow-GRPO: group credit for flow models. The baseline that every recipe for images is compared with."""

from milepost.credit.group import Normalised
from milepost.evaluation.images import DataGap, Diversity
from milepost.objectives.clipped import Clipped
from milepost.objectives.combined.exact_kl import ExactKL
from milepost.policies.flow.noise import EvenNoise, FlowNoise, Grid, Window
from milepost.policies.flow.process import Process
from milepost.recipe import Card, Train
from milepost.rewards.images.reward import ImageScore
from milepost.rewards.images.scorers import ClassLogProb, NearData
from milepost.sampling.choice import Uniform
from milepost.sampling.independent import Independent

CARD = Card(
    title="Flow-GRPO: online reinforcement learning of flow models",
    paper="arXiv:2505.05470",
    year=2025,
    domains=("flow",),
    summary="Turns the deterministic sampler of a flow model into a stochastic one of the same law, so that its steps "
    "have log-probabilities and any score of the finished image can train it.",
    parts={
        "process": "x' = x - [v + s^2 / (2t) (x + (1 - t) v)] D + s sqrt(D) e, s = a sqrt(t / (1 - t)); constant > 0: "
        "s = constant, as in DanceGRPO; window > 0: noise in a sliding window only, as in MixGRPO",
        "sampler": "independent images of a class, each from noise of its own; those of one class are a group",
        "rewards": "ln p(class | image) of a classifier; the distance to the data is watched",
        "credit": "(reward - mean) / (standard deviation + 1e-4) of the group, the same at every step",
        "objective": "clipped surrogate per step on the mean of the log-probabilities over pixels",
    },
    claims={
        "the noise keeps the law of the data": "tests/policies/flow/test_kernel.py::test_noise_keeps_the_marginals",
        "without the score correction it does not, however many steps": "tests/policies/flow/test_kernel.py::"
        "test_without_the_score_the_law_is_another",
        "without noise it is Euler's step, bit for bit": "tests/policies/flow/test_kernel.py::"
        "test_no_noise_is_the_ode_step",
        "the ratio is 1 before the first update": "tests/policies/flow/test_denoiser.py::"
        "test_log_prob_is_that_of_the_kernel_really_used",
        "it learns, and a classifier that it never sees agrees": "tests/recipes/test_flow_grpo.py::test_learns_digits",
    },
    departs=(
        "the last step has no noise: its result is the estimate of the clean image, as in DanceGRPO; it is not trained",
        "no KL penalty unless kl > 0; the divergence then is exact, a mean over pixels, with the length of the step",
        "the standard deviation of the group; its code takes the whole batch's by default",
        "credit is not clipped to 5: with 24 images of a group it cannot exceed 4.8",
        "all weights of a small model at a constant rate, Adam without weight decay; the paper trains adapters",
    ),
    advice=(
        "Look at success, diversity and data gap beside the reward: the second classifier sees no training.",
        "A large a with few steps is refused: a step would add more noise than it can take back.",
    ),
    bibtex="@misc{liu2025flowgrpo, title={Flow-GRPO: Training Flow Matching Models via Online RL}, author={Liu, Jie "
    "and Liu, Gongye and Liang, Jiajun and Li, Yangguang and Liu, Jiaheng and Wang, Xintao and Wan, Pengfei and Zhang, "
    "Di and Ouyang, Wanli}, year={2025}, eprint={2505.05470}, archivePrefix={arXiv}}",
)


def build(
    *,
    width: int = 24,  # images per class
    denoising_steps: int = 10,  # from noise to an image; --steps counts updates
    noise: float = 0.7,  # a
    constant: float = 0.0,  # DanceGRPO's noise in place of a, 0.3 there; for digits-ddpm at most 1
    window: int = 0,  # steps with noise, in a window that slides (MixGRPO); 0: all but the last
    clip: float = 1e-4,  # for log-probabilities that are means over pixels
    kl: float = 0.0,  # weight of the penalty towards the first policy
) -> Train:
    """Build the job."""
    chosen = EvenNoise(level=constant) if constant else FlowNoise(scale=noise)
    levels = Window(inner=chosen, size=window) if window else chosen
    surrogate = Clipped(low=clip, high=clip)
    return Train(
        choice=Uniform(),
        sampler=Independent(width=width),
        rewards=(ImageScore(scorer=ClassLogProb(), name="class"), ImageScore(scorer=NearData(), name="near_data")),
        weights=(1.0, 0.0),
        measures=(Diversity(), DataGap()),
        credit=Normalised(eps=1e-4),
        objective=ExactKL(objective=surrogate, coefficient=kl) if kl else surrogate,
        process=Process(grid=Grid(steps=denoising_steps), noise=levels),
    )
