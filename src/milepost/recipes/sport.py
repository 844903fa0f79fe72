"""SPORT: siblings at every step, executed and judged; the best goes on and is preferred to the others."""

from milepost.credit.tree.preferred import Preferred
from milepost.curation.pairs.likeness import word_likeness
from milepost.environments.search.collection import collection
from milepost.objectives.siblings import SiblingPreference
from milepost.policies.named_chat import chat
from milepost.recipe import Card, Train
from milepost.rewards.combine import Scored
from milepost.rewards.judging.known_steps import known_steps_judge
from milepost.rewards.judging.model import model_judge
from milepost.rewards.judging.siblings import BestOfSiblings, Tried
from milepost.rewards.outcome import Outcome
from milepost.sampling.branching.siblings import Siblings
from milepost.sampling.choice import Uniform

CARD = Card(
    title="SPORT: step-wise preference tuning by self-exploration",
    paper="arXiv:2504.21561",
    year=2025,
    domains=("agent",),
    summary="For tool agents without expert traces: siblings of every step are tried, judged, and learned as pairs.",
    parts={
        "sampler": "n candidates at every step, all executed in the state before it; the best goes on, greedily",
        "rewards": "1 for the candidate that the judge ranks first, having seen what came back of each; outcome logged",
        "credit": "1 for the best, -1 for others unlike it (BLEU over words < 0.3) or with an error (the first 2)",
        "objective": "-log sigmoid(beta [log pi / pi_ref (best) - log pi / pi_ref (other)]), mean over pairs",
    },
    claims={
        "m steps with n siblings give m (n - 1) pairs": "tests/recipes/test_sport.py::test_the_counting_identity",
        "siblings do not see each other": "tests/recipes/test_sport.py::test_siblings_share_no_interpreter",
        "a judge that fails gives no preference": "tests/recipes/test_sport.py::test_judge_failures_are_no_preferences",
        "chosen is never rejected, with errors too": "tests/recipes/test_sport.py::test_chosen_is_never_rejected",
        "at the reference the loss is ln 2, its gradient DPO's": "tests/objectives/test_siblings.py::"
        "test_at_the_reference_the_loss_is_ln_2_and_the_gradient_is_that_of_dpo",
        "likeness of letters drops healthy pairs, of words not": "tests/curation/pairs/test_likeness.py::"
        "test_character_level_bleu_would_drop_healthy_pairs",
        "success rises with the verifier's accuracy, from no gain": "tests/recipes/test_sport.py::"
        "test_success_rises_with_the_accuracy_of_the_verifier",
        "steps teach more than whole trajectories": "tests/recipes/test_sport.py::test_steps_beat_trajectories",
        "TRL's DPOTrainer takes the pairs and starts at ln 2": "tests/engines/trl/test_trainer_pairs.py::"
        "test_dpo_starts_at_ln_2",
    },
    departs=(
        "the judge is a rule over what the task's record says unless one is named; the paper's is a model of 7B",
        "an unusable verdict leaves the step without pairs (code: candidate 0 is preferred); it is not asked again",
        "one temperature for all candidates (code: 0.7, then 1.2); the turn limit ends errors, not a count of them",
        "likeness is counted over words; the code's letters would drop most pairs",
        "pairs are learned as they are sampled, against the first policy; no tasks are synthesised",
    ),
    advice=(
        "Needs an environment that can be branched. A judge of chance accuracy 1 / n teaches nothing: measure yours.",
        "curation.pairs.rows writes the pairs for TRL's DPO, reward-model and KTO trainers.",
        "Tune little, then sample anew: many small updates on pairs of one pass made a model forget how to write.",
        "The search is greedy: a step that looks best may lead nowhere. OPRL and R3L look at outcomes.",
    ),
    bibtex="@misc{li2025sport, title={Iterative Tool Usage Exploration for Multimodal Agents via Step-wise Preference "
    "Tuning}, author={Li, Pengxiang and others}, year={2025}, eprint={2504.21561}, archivePrefix={arXiv}}",
)


def build(
    *,
    width: int = 5,  # candidates at every step
    judge: str = "rules",  # "rules", "http://host:port/v1#model", or a model here such as "smollm2"
    replies: str = "",  # file that keeps the judge's replies; "" keeps none
    similar: float = 0.3,  # likeness to the best from which a candidate teaches nothing
    beta: float = 0.1,  # of the preference, per nat
) -> Train:
    """Build the job; `judge` is "rules", a server's address with the model behind a #, or a model here."""
    judging = known_steps_judge(collection) if judge == "rules" else model_judge(chat(judge), replies)
    rewards, weights = (BestOfSiblings(judge=judging, view=Tried()), Outcome()), (1.0, 0.0)
    return Train(
        choice=Uniform(),
        sampler=Siblings(width=width, scorer=Scored(rewards=rewards, weights=weights)),
        rewards=rewards,
        weights=weights,
        credit=Preferred(similarity=word_likeness, similar=similar),
        objective=SiblingPreference(beta=beta),
    )
