"""SLATE: k candidates at every step, judged before one of them is executed; credit is inside each group."""

from milepost.credit.tree.steps import Steps
from milepost.environments.search.action import parse_action
from milepost.environments.search.collection import collection
from milepost.objectives.clipped import Clipped
from milepost.objectives.kl import KLPenalty
from milepost.objectives.normalise import StepMean
from milepost.policies.named_chat import chat
from milepost.recipe import Card, Train
from milepost.rewards.combine import Scored
from milepost.rewards.judging.early_stop import EarlyStop
from milepost.rewards.judging.gold import gold_judge
from milepost.rewards.judging.model import model_judge
from milepost.rewards.judging.search_steps import judged_steps
from milepost.rewards.outcome import Outcome
from milepost.sampling.branching.choosing import HighestReward, SoftmaxByAdvantage
from milepost.sampling.branching.step_level import StepLevel
from milepost.sampling.choice import Uniform

CARD = Card(
    title="SLATE: truncated step-level sampling with judged steps",
    paper="algoprog/SLATE",
    year=2026,
    domains=("agent",),
    summary="Trains search agents step by step: candidates from one prefix are judged, one is executed.",
    parts={
        "sampler": "k candidates at every step; one is executed, with probability softmax(A / eta)",
        "rewards": "thought + query + answer, each judged in {-1, 0, 1}, + lambda (B - t) / B for an answer at step t",
        "credit": "(reward - mean) / (standard deviation + 1e-6) of the k candidates",
        "objective": "clipped surrogate: mean over a candidate's own tokens, over k, over steps, over questions",
    },
    claims={
        "T steps: T times less variance of centred credit": "tests/recipes/test_slate.py::test_variance_ratio",
        "against reward-to-go less is gained": "tests/recipes/test_slate.py::test_the_fair_baseline",
        "after whitening nothing is seen of it": "tests/recipes/test_slate.py::test_whitening_trap",
        "unbiased for independent steps": "tests/recipes/test_slate.py::test_unbiased_when_steps_add_up",
        "blind to what comes later": "tests/recipes/test_slate.py::test_myopia",
        "one prefix, one execution per step": "tests/recipes/test_slate.py::test_candidates_share_a_prefix",
        "one step is GRPO": "tests/recipes/test_slate.py::test_one_step_is_grpo",
        "look-ups are learnt in fewer updates": "tests/recipes/test_slate.py::test_look_ups_are_learnt_sooner",
        "a judge that fails invents no reward": "tests/recipes/test_slate.py::test_a_judge_killed_in_the_middle",
    },
    departs=(
        "the judge is a rule over gold documents unless one is named; the paper's is a model of 27B",
        "no answer is forced at the end of the budget; t counts from 1 (code: 0), ddof is 0 (code: 1)",
        "without a usable verdict a candidate is left out (code: 0); all k are trained on (code: the winner alone)",
    ),
    advice=(
        "Immediate rewards are myopic; TreeValues is not. A model judge is asked for 2 k T steps: keep its `replies`.",
    ),
    bibtex="@misc{slate2026, title={SLATE: Step-Level Advantage estimation for Truncated Exploration}, author={{The "
    "authors of algoprog/SLATE}}, year={2026}, howpublished={github.com/algoprog/SLATE}}",
)


def build(
    *,
    width: int = 5,  # candidates at every step
    eta: float = 0.7,  # temperature of the choice among them; 0 takes the best
    budget: int = 4,  # steps allowed, for the early-stop bonus; let turns be as many
    early: float = 0.1,  # weight of the early-stop bonus
    judge: str = "rules",  # "rules", "http://host:port/v1#model", or a model here such as "smollm2"
    replies: str = "",  # file that keeps the judge's replies; "" keeps none
    kl: float = 0.0,  # weight of the k3 penalty towards the first policy; 0 needs no reference model
) -> Train:
    """Build the job; `judge` is "rules", a server's address with the model behind a #, or a model here."""
    judging = gold_judge(collection) if judge == "rules" else model_judge(chat(judge), replies)
    rewards = (*judged_steps(judging, parse_action), EarlyStop(parse=parse_action, budget=budget), Outcome())
    scorer = Scored(rewards=rewards, weights=(1.0, 1.0, 1.0, early, 0.0))
    selector = SoftmaxByAdvantage(temperature=eta) if eta > 0 else HighestReward()
    clipped = Clipped(normalise=StepMean())
    return Train(
        choice=Uniform(),
        sampler=StepLevel(width=width, scorer=scorer, selector=selector),
        rewards=rewards,
        weights=scorer.weights,
        credit=Steps(),
        objective=KLPenalty(objective=clipped, coefficient=kl, normalise=clipped.normalise) if kl else clipped,
    )
