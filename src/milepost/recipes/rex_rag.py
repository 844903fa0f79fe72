"""REX-RAG: wrong answers are taken back and resumed with a doubt, and the batch is corrected for who sampled it."""

from milepost.credit.tree.keep import KeepLikely
from milepost.credit.tree.mixture import TokenMixture, TrajectoryMixture
from milepost.credit.tree.separate import Separate
from milepost.objectives.clipped import Clipped
from milepost.objectives.kl import KLPenalty
from milepost.recipe import Card, Train
from milepost.rewards.combine import Scored
from milepost.rewards.outcome import Outcome
from milepost.sampling.branching.probe import Probe
from milepost.sampling.choice import Uniform

CARD = Card(
    title="REX-RAG: reasoning exploration with policy correction",
    paper="arXiv:2508.08149",
    year=2025,
    domains=("agent", "text"),
    summary="For search agents that end in the same wrong answer: resumes dead ends with an inserted doubt.",
    parts={
        "sampler": "width answers; a wrong one is resumed with probability p, its answer replaced by one of 30 doubts",
        "rewards": "the verifier's verdict; it is asked while sampling, so the method is for training only",
        "credit": "GRPO over originals and kept probes; floor(n * rho) probes with the likeliest doubts are kept",
        "view": "separate trajectories with log q, q = (1 - alpha) pi + alpha mu, for the ratio of the surrogate",
        "objective": "clipped surrogate, and a k3 penalty towards the first policy if kl > 0",
    },
    claims={
        "trajectory weights are exact, the published density is biased": "tests/recipes/test_rex_rag.py::"
        "test_by_enumeration_trajectory_weights_are_exact_and_the_published_density_is_not",
        "exact weights nearly discard probes": "tests/recipes/test_rex_rag.py::test_exact_weights_of_probes_are_tiny",
        "no ratio exceeds 1 / (1 - alpha)": "tests/recipes/test_rex_rag.py::test_no_ratio_exceeds_its_bound",
        "without probes it is GRPO to the bit": "tests/recipes/test_rex_rag.py::test_probability_0_is_grpo_to_the_bit",
        "a pool's probabilities sum to 1": "tests/sampling/branching/test_pool.py::"
        "test_the_product_over_a_text_is_its_share_and_all_shares_sum_to_1",
        "every probe knows where it came from": "tests/sampling/branching/test_probe.py::"
        "test_every_probe_knows_parent_branch_step_and_span",
    },
    departs=(
        "the doubts are milepost's own; the authors' file is not reused",
        "where 1 / (1 - alpha) would pass the clip, originals keep their own probabilities (published: clipped)",
        "no format reward; exact match is the verifier's verdict, part marks included",
        "p = 0.2; the authors' code draws 20 of 101. kl 0 (published: 0.001)",
        "the selection of probes is not corrected for, as published",
    ),
    advice=(
        "correction='token' is a heuristic of bounded bias; 'trajectory' is exact but for an estimated chance.",
        "credit/original_weight is 1 / (1 - alpha): above 1 + clip the published rule would stop good originals.",
        "Probes cost tokens and searches: compare with more plain answers at equal cost before you praise them.",
        "Probe successes lower the credit of original successes: they are in the same group.",
    ),
    bibtex="@misc{jiang2025rexrag, title={REX-RAG: Reasoning Exploration with Policy Correction in Retrieval-Augmented "
    "Generation}, author={Jiang, Wentao and others}, year={2025}, eprint={2508.08149}, archivePrefix={arXiv}}",
)


def build(
    *,
    width: int = 5,  # answers of the policy's own per task
    probability: float = 0.2,  # with which a wrong answer is resumed; 0 is GRPO
    quota: float = 0.08,  # share of probes kept at first; it follows their success
    correction: str = "token",  # "token" as published, "trajectory" exact, "none"
    clip: float = 0.2,  # of the surrogate
    kl: float = 0.0,  # weight of the k3 penalty towards the first policy; 0 needs no reference model
) -> Train:
    """Build the job; `correction` is "token", "trajectory" or "none"."""
    rewards, weights = (Outcome(),), (1.0,)
    views = {"token": TokenMixture(high=clip), "trajectory": TrajectoryMixture(), "none": Separate()}
    clipped = Clipped(low=clip, high=clip)
    return Train(
        choice=Uniform(),
        sampler=Probe(scorer=Scored(rewards=rewards, weights=weights), width=width, probability=probability),
        rewards=rewards,
        weights=weights,
        credit=KeepLikely(start=quota),
        objective=KLPenalty(objective=clipped, coefficient=kl) if kl else clipped,
        view=views[correction],
    )
