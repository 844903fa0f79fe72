"""A-GRAE: group credit that holds successes back while the policy is weak, and moves from easy to hard tasks."""

from milepost.credit.asymmetric import Asymmetric, Smoothed
from milepost.credit.sign import Limited
from milepost.objectives.clipped import Clipped
from milepost.objectives.kl import KLPenalty
from milepost.recipe import Card, Train
from milepost.rewards.outcome import Outcome
from milepost.rewards.text import Format
from milepost.sampling.choice import Uniform
from milepost.sampling.independent import Independent

CARD = Card(
    title="A-GRAE: asymmetric group relative advantage estimation",
    paper="arXiv:2602.05548",
    year=2026,
    domains=("text",),
    summary="For GRPO runs that raise pass@1 but lose pass@k, or overfit easy tasks: keeps the entropy higher.",
    parts={
        "choice": "a shuffled pass over the pool",
        "sampler": "independent answers",
        "rewards": "0.9 outcome + 0.1 format; p and omega come from the outcome alone",
        "credit": "GRPO's times omega / (2 sqrt p) + (1 - omega) / (2 sqrt(1 - p)), then positive credit times "
        "min(1, omega / alpha); p = success rate of the group, omega that of the batch (section 4)",
        "objective": "clipped surrogate, k3 penalty if kl > 0",
    },
    claims={
        "the size of a group's update is 2 G sqrt(p (1 - p))": "tests/credit/test_asymmetric.py::"
        "test_t2_sum_of_sizes_is_2_g_sqrt_p_1_minus_p",
        "positive and negative sums differ by exactly the gain": "tests/credit/test_asymmetric.py::"
        "test_positive_and_negative_sums_differ_by_exactly_the_gain",
        "the size is G sqrt(1 - p) at omega = 1 and G sqrt p at omega = 0": "tests/credit/test_difficulty.py::"
        "test_sums_of_sizes_at_the_ends_of_omega",
        "with both factors off it is GRPO to the bit": "tests/credit/test_asymmetric.py::"
        "test_without_weight_and_with_alpha_to_0_it_is_grpo_to_the_bit",
        "suppressed successes raise every logit that was not sampled": "tests/credit/test_sign_answer_space.py::"
        "test_t1_gradient_of_the_logits",
        "but not every probability": "tests/credit/test_sign_answer_space.py::test_t1_caveat_for_probabilities",
        "entropy is higher than GRPO's on digits, pass@1 is not": "tests/recipes/test_a_grae.py::"
        "test_pilot_entropy_rises_and_accuracy_does_not",
        "from scratch it fails": "tests/recipes/test_a_grae.py::test_negative_control_from_scratch",
    },
    departs=(
        "the population's standard deviation, as printed; the authors' code takes the sample's",
        "1/2/sqrt(1 - p) for easy tasks, as printed; the authors' code has 1/2/(1 - sqrt p), 7.7 for 1.41 at p = 7/8",
        "omega is the mean over all answers of the batch, dead groups included, one per task family",
        "rewards that are not 0 or 1 are allowed; p and omega are then mean accuracies",
        "keep > 0 smooths omega over batches, floor > 0 bounds the gain from below; both are off by default",
    ),
    advice=(
        "Start from a policy that solves some tasks: credit/omega_low counts families below 0.1, which hardly learn.",
        "alpha=0.5 where training collapses. Expect diversity, not accuracy.",
        "The argument about answers that were not sampled holds for a table of answers, not for shared parameters.",
        "The authors' snapshot never turns its switch on and so runs GRPO: it cannot confirm the published gains.",
    ),
    bibtex="@misc{yu2026unveiling, title={Unveiling Implicit Advantage Symmetry: Why GRPO Struggles with Exploration "
    "and Difficulty Adaptation}, author={Yu, Zhiqi and Chen, Zhangquan and Liu, Mengting and Zhang, Heye and Qu, "
    "Liangqiong}, year={2026}, eprint={2602.05548}, archivePrefix={arXiv}}",
)


def build(
    *,
    width: int = 8,  # answers per task
    alpha: float = 1.0,  # batch success from which positive credit is whole, in (0, 1]
    floor: float = 0.0,  # smallest gain of positive credit
    keep: float = 0.0,  # share of the old omega that a new batch keeps
    accuracy: str = "outcome",  # reward in [0, 1] that says whether an answer is right
    kl: float = 0.0,  # weight of the k3 penalty towards the first policy; 0 needs no reference model
) -> Train:
    """Build the job; `accuracy` names the reward, between 0 and 1, that says whether an answer is right."""
    credit = Asymmetric(accuracy=accuracy, limits=(0.0, 1.0), gain=Limited(alpha=alpha, floor=floor))
    return Train(
        choice=Uniform(),
        sampler=Independent(width=width),
        rewards=(Outcome(), Format()),
        weights=(0.9, 0.1),
        credit=Smoothed(credit=credit, keep=keep) if keep else credit,
        objective=KLPenalty(objective=Clipped(), coefficient=kl) if kl else Clipped(),
    )
