"""GRPO: answers to one task are judged against each other. The baseline that every other recipe is compared with."""

from milepost.credit.group import Centred, Normalised
from milepost.objectives.clipped import Clipped
from milepost.objectives.kl import KLPenalty
from milepost.objectives.normalise import SequenceMean, TokenMean
from milepost.recipe import Card, Train
from milepost.rewards.outcome import Outcome
from milepost.rewards.text import Format
from milepost.sampling.choice import Uniform
from milepost.sampling.independent import Independent

CARD = Card(
    title="GRPO: group relative policy optimisation",
    paper="arXiv:2402.03300",
    year=2024,
    domains=("text", "agent"),
    summary="Trains on tasks with a verifier and without a value network: the answers to a task are compared.",
    parts={
        "choice": "a shuffled pass over the pool",
        "sampler": "independent answers; those to one task are a group (section 4.1)",
        "rewards": "0.9 outcome + 0.1 format",
        "credit": "(reward - mean) / (standard deviation + 1e-6) of the group (section 4.1.2); std=False: Dr. GRPO",
        "objective": "clipped surrogate on stored log-probabilities (eq. 3), k3 penalty if kl > 0 (eq. 4)",
    },
    claims={
        "each group's credit sums to 0": "tests/credit/test_group.py::test_every_group_sums_to_zero",
        "equal rewards give exactly 0": "tests/credit/test_group.py::test_constant_group_is_exactly_zero",
        "failed rewards count nowhere": "tests/credit/test_group.py::test_failed_rewards_count_nowhere",
        "the credit equals TRL's and verl's": "tests/credit/test_group.py::"
        "test_normalised_equals_the_statements_of_trl_and_of_verl",
        "the loss equals TRL's and verl's": "tests/objectives/test_clipped.py::test_equal_to_trl_and_verl",
        "the gradient is unbiased but for the factor 1 - 1/n of a mean that holds oneself": "tests/objectives/"
        "test_clipped.py::test_gradient_of_a_bandit_is_unbiased",
        "it learns": "tests/recipes/test_grpo.py::test_learns_the_payoff",
    },
    departs=(
        "no KL penalty unless kl > 0, as in most later work; the paper has 0.04",
        "every token weighs the same, as in DAPO, TRL and verl; sequence_mean=True averages per answer first, eq. 3",
        "the population's standard deviation; TRL and verl take the sample's (ddof=1), the paper does not say",
        "one optimiser step per batch unless the run asks for more minibatches",
    ),
    advice=(
        "Needs tasks that are sometimes solved: a group whose answers all fail or all succeed teaches nothing.",
        "resample_rounds replaces such groups (DAPO) at the cost of more answers; clip_high=0.28 is DAPO's clip.",
        "The division by the standard deviation gives tasks near 0 and near 1 more weight; std=False does not.",
    ),
    bibtex="@misc{shao2024deepseekmath, title={DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open "
    "Language Models}, author={Shao, Zhihong and Wang, Peiyi and Zhu, Qihao and Xu, Runxin and Song, Junxiao and Bi, "
    "Xiao and Zhang, Haowei and Zhang, Mingchuan and Li, Y. K. and Wu, Y. and Guo, Daya}, year={2024}, "
    "eprint={2402.03300}, archivePrefix={arXiv}}",
)


def build(
    *,
    width: int = 8,  # answers per task
    std: bool = True,  # divide the credit by the standard deviation; off is Dr. GRPO
    clip_low: float = 0.2,  # the ratio may fall to 1 - clip_low
    clip_high: float = 0.2,  # the ratio may rise to 1 + clip_high
    sequence_mean: bool = False,  # mean over the tokens of an answer first, then over answers; else over all tokens
    kl: float = 0.0,  # weight of the k3 penalty towards the first policy; 0 needs no reference model
    resample_rounds: int = 0,  # times that dead groups are drawn anew (DAPO)
) -> Train:
    """Build the job; `std=False` is Dr. GRPO's credit, `kl=0` needs no reference model."""
    normalise = SequenceMean() if sequence_mean else TokenMean()
    surrogate = Clipped(low=clip_low, high=clip_high, normalise=normalise)
    return Train(
        choice=Uniform(),
        sampler=Independent(width=width),
        rewards=(Outcome(), Format()),
        weights=(0.9, 0.1),
        credit=Normalised() if std else Centred(),
        objective=KLPenalty(objective=surrogate, coefficient=kl, normalise=normalise) if kl else surrogate,
        resample_rounds=resample_rounds,
    )
