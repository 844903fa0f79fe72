"""VAS: half of each batch is drawn where outcomes vary most, the rest from a shuffled pass over the pool."""

from milepost.credit.group import Normalised
from milepost.objectives.clipped import Clipped
from milepost.objectives.kl import KLPenalty
from milepost.recipe import Card, Train
from milepost.rewards.outcome import Outcome
from milepost.rewards.text import Format
from milepost.sampling.independent import Independent
from milepost.sampling.mixture import FromTraining, Mixture, WholePool
from milepost.sampling.variance import VariancePromotion

CARD = Card(
    title="MMR1 / VAS: variance-aware sampling of tasks",
    paper="arXiv:2509.21268",
    year=2025,
    domains=("text",),
    summary="Draws tasks whose answers get different rewards more often, for pools in which most groups are dead.",
    parts={
        "choice": "floor(lambda B) tasks drawn with probability proportional to variance_weight OVS / 0.25 + "
        "diversity_weight (1 - self-BLEU), where OVS = P (1 - P); the others from a shuffled pass",
        "sampler": "independent answers; each draw of a task is a group of its own",
        "rewards": "0.9 outcome + 0.1 format",
        "credit": "group credit divided by the standard deviation, as in GRPO",
        "objective": "clipped surrogate, and a k3 penalty towards the first policy if kl > 0",
    },
    claims={
        "E[P (1 - P)] = (N - 1) / N p (1 - p)": "tests/sampling/test_variance.py::test_expected_outcome_variance",
        "pi_min Var[R] <= |grad J|^2 <= pi_max Var[R]": "tests/sampling/test_variance.py::"
        "test_gradient_variance_sandwich_on_2000_cases",
        "a group is mixed with probability 1 - p^N - (1 - p)^N": "tests/sampling/test_variance.py::"
        "test_mixed_probability_is_the_share_of_live_groups",
        "draws follow the scores": "tests/sampling/test_mixture.py::test_weighted_half_follows_the_scores",
        "lambda = 0 is the shuffled pass": "tests/sampling/test_mixture.py::test_share_zero_is_uniform_to_the_bit",
        "more mixed groups, larger gradients and better rare classes on digits": "tests/recipes/test_vas.py::"
        "test_more_mixed_groups_more_gradient_better_rare_classes",
        "from scratch on raw pixels it does harm": "tests/recipes/test_vas.py::test_negative_control_from_scratch",
        "scoring passes are on the bill": "tests/recipes/test_vas.py::test_the_bill_names_the_scoring_passes",
    },
    departs=(
        "diversity is 1 - self-BLEU; the reference code adds self-BLEU itself, which rewards similar answers",
        "weights have a floor; the reference code scales by minimum and maximum, so that the worst task is never drawn",
        "the variance is divided by its largest value, so that both weights mean what they say; the paper's is not",
        "the variance is that of the weighted sum of rewards unless `scored` names one; the paper takes the accuracy",
        "refreshed every 28 steps with 8 answers (paper: 35 with 32, in its appendix 56 with 16); kl 0 (paper: 0.01)",
    ),
    advice=(
        "For pools in which a shuffled pass wastes most groups; with all tasks equally hard it can do harm.",
        "A refresh of the whole pool is paid for: on digits 3.6 times the rollouts of a shuffled pass.",
        "refresh_every=0 learns from the training groups at no cost, and did as well on digits.",
        "The credit is whitened: a larger variance gives no larger credit, there are only fewer empty groups.",
        "The paper's own gains are about one point; the diversity term is a heuristic without a guarantee.",
    ),
    bibtex="@misc{leng2025mmr1, title={MMR1: Enhancing Multimodal Reasoning with Variance-Aware Sampling and Open "
    "Resources}, author={Leng, Sicong and others}, year={2025}, eprint={2509.21268}, archivePrefix={arXiv}}",
)


def build(
    *,
    width: int = 8,  # answers per task
    weighted_share: float = 0.5,  # lambda: share of the batch that is drawn by score
    variance_weight: float = 0.8,  # of the outcome variance in the score
    diversity_weight: float = 0.2,  # of 1 - self-BLEU in the score
    refresh_every: int = 28,  # steps between scoring passes; 0 learns from training groups at no cost
    scored: str = "total",  # reward whose variance counts
    kl: float = 0.0,  # weight of the k3 penalty towards the first policy; 0 needs no reference model
) -> Train:
    """Build the job; `refresh_every=0` learns from training groups only, `kl=0` needs no reference model."""
    scorer = VariancePromotion(variance_weight=variance_weight, diversity_weight=diversity_weight, reward=scored)
    refresher = WholePool(every=refresh_every, width=width) if refresh_every else FromTraining()
    return Train(
        choice=Mixture(scorer=scorer, refresher=refresher, weighted_share=weighted_share),
        sampler=Independent(width=width),
        rewards=(Outcome(), Format()),
        weights=(0.9, 0.1),
        credit=Normalised(),
        objective=KLPenalty(objective=Clipped(), coefficient=kl) if kl else Clipped(),
    )
