"""G2RL: among right answers, those that pull the policy in a new direction earn more."""

from milepost.credit.novelty import AsDescribed, AsPrinted, Novel
from milepost.objectives.kl import KLPenalty
from milepost.objectives.on_paths import ClippedOnPaths
from milepost.recipe import Card, Train
from milepost.rewards.outcome import Outcome
from milepost.rewards.text import Format
from milepost.sampling.choice import Uniform
from milepost.sampling.independent import Independent

CARD = Card(
    title="G2RL: exploration by novelty of gradient directions",
    paper="arXiv:2512.15687",
    year=2025,
    domains=("text", "agent"),
    summary="For GRPO runs whose right answers are copies of each other: answers that pull another way earn more.",
    parts={
        "choice": "a shuffled pass over the pool",
        "sampler": "independent trajectories; those of one task are a group",
        "rewards": "0.9 outcome + 0.1 format, mapped to [-1, 1]",
        "credit": "nu_i = 1 - sum_j w_ij cos(Phi_i, Phi_j)^2, w_ij ~ exp(r_j), Phi the mean over the answer of "
        "W[token] - E_p W; reward r (1 + weight (2 nubar - 1)), nubar = nu scaled to [0, 1] in its group; then GRPO's",
        "objective": "clipped surrogate with the credit of each trajectory, k3 penalty if kl > 0",
    },
    claims={
        "Phi is T d log p / d h, h the last hidden state": "tests/policies/tree/test_training_directions.py::"
        "test_directions_are_gradients_by_the_last_hidden_state",
        "novelty is 0 for copies, 1 for orthogonal directions": "tests/credit/test_novelty.py::test_ends_of_the_scale",
        "weight 0 is GRPO to the bit": "tests/recipes/test_g2rl.py::test_weight_zero_is_grpo",
        "the one different right answer gets more than 1/7 of the credit": "tests/recipes/test_g2rl.py::"
        "test_six_copies_and_one_other",
        "the printed formula does the opposite of its description for wrong answers": "tests/credit/test_novelty.py::"
        "test_printed_formula_reverses_the_order_of_wrong_answers",
        "a longer answer is not newer": "tests/recipes/test_g2rl.py::test_length_alone_is_not_new",
        "Phi is a proxy: its cosines rank like those of whole gradients, they do not equal them": "tests/recipes/"
        "test_g2rl.py::test_directions_rank_like_whole_gradients",
        "more distinct right answers than GRPO on tasks with several": "tests/recipes/test_g2rl.py::"
        "test_finds_more_right_answers_than_grpo",
        "an entropy bonus finds as many there": "tests/recipes/test_g2rl.py::test_an_entropy_bonus_finds_as_many_here",
    },
    departs=(
        "the printed formula contradicts its description for wrong answers; ours is the description, printed=True not",
        "weight 0.5 and the scaling of nu inside the group are ours: the paper gives neither",
        "groups whose answers are all right or all wrong get no credit, as in GRPO; equal_too=True trains on novelty",
        "an opposing direction is as redundant as a parallel one, because the cosine is squared; signed=True is not",
    ),
    advice=(
        "It costs one more pass over the batch, without a gradient.",
        "For tasks with several right ways; where one answer is right it can only move credit between its wordings.",
        "The paper has single runs without intervals.",
    ),
    bibtex="@misc{g2rl2025, title={Can LLMs Guide Their Own Exploration? Gradient-Guided Reinforcement Learning for "
    "LLM Reasoning}, author={Liang, Zhenwen and Lu, Sidi and Yu, Wenhao and Panaganti, Kishan and Zhou, Yujun and Mi, "
    "Haitao and Yu, Dong}, year={2025}, eprint={2512.15687}, archivePrefix={arXiv}}",
)


def build(
    *,
    width: int = 16,  # trajectories per task
    weight: float = 0.5,  # lambda: how far novelty moves a reward
    printed: bool = False,  # the paper's formula instead of its description
    signed: bool = False,  # an opposing direction is new
    equal_too: bool = False,  # train groups of equal rewards on novelty alone
    kl: float = 0.001,  # weight of the k3 penalty towards the first policy; 0 needs no reference model
) -> Train:
    """Build the job; `weight=0` is GRPO."""
    shaping = AsPrinted(weight=weight) if printed else AsDescribed(weight=weight)
    surrogate = ClippedOnPaths()
    return Train(
        choice=Uniform(),
        sampler=Independent(width=width),
        rewards=(Outcome(), Format()),
        weights=(0.9, 0.1),
        credit=Novel(shaping=shaping, signed=signed, equal_too=equal_too),
        objective=KLPenalty(objective=surrogate, coefficient=kl) if kl else surrogate,
    )
