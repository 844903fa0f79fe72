"""BLEUBERI: BLEU against reference answers as the reward, on the tasks that the first policy answers worst."""

from milepost.credit.group import Normalised
from milepost.objectives.clipped import Clipped
from milepost.objectives.kl import KLPenalty
from milepost.recipe import Card, Train
from milepost.rewards.bleu import BleuGuarded, BleuPublished
from milepost.sampling.hardest import Hardest, Picked, RandomPick
from milepost.sampling.independent import Independent

CARD = Card(
    title="BLEUBERI: BLEU as a reward on hard instructions",
    paper="arXiv:2505.11080",
    year=2025,
    domains=("text",),
    summary="Aligns a model to reference answers by an n-gram reward, without a reward model, on its hardest tasks.",
    parts={
        "choice": "one greedy answer of the first policy per task; the `count` tasks with the lowest BLEU, for good",
        "sampler": "independent answers",
        "rewards": "BLEU of orders 1 to 4 with brevity penalty, against one or several references",
        "credit": "group credit divided by the standard deviation, as in GRPO",
        "objective": "clipped surrogate",
    },
    claims={
        "an answer equal to a reference scores 1": "tests/rewards/test_bleu.py::"
        "test_an_answer_equal_to_a_reference_scores_one",
        "short answers exploit only the published one": "tests/rewards/test_bleu.py::test_trap_short_answer_exploit",
        "so do short second references": "tests/rewards/test_bleu.py::"
        "test_trap_brevity_a_short_second_reference_removes_the_penalty",
        "the more words are wrong, the lower the score": "tests/rewards/test_bleu.py::"
        "test_corruption_ladder_on_real_text_is_strictly_decreasing",
        "exactly the lowest are picked": "tests/sampling/test_hardest.py::test_exactly_the_lowest",
        "none of them is among the easiest": "tests/sampling/test_hardest.py::test_hardest_and_easiest_are_disjoint",
        "the pick does not depend on the order of the pool": "tests/sampling/test_hardest.py::"
        "test_shuffling_the_pool_changes_nothing",
        "one greedy answer per task pays for the pick": "tests/recipes/test_bleuberi.py::test_bill_of_the_pick",
        "training on the pick raises BLEU": "tests/recipes/test_bleuberi.py::test_learns_the_references",
    },
    departs=(
        "BLEU is guarded (guarded=False is the published formula, which pays 0.84 for 'yes' against 'no')",
        "only the text inside the answer tags counts, as in the paper's reasoning variant (inside_answer=False: all)",
        "no reward for the format: an answer without tags scores 0",
        "the answer that ranks a task is greedy; the paper does not say",
        "no KL penalty: the paper left it at its trainer's default, which has changed since",
    ),
    advice=(
        "Needs good reference answers; the reward cannot see a right answer in other words.",
        "On long answers BLEU rewards copying style. Mix it with a verifier where there is one.",
        "Nothing guarantees that low BLEU means a high spread of rewards: compare with control=True, a random pick.",
        "The pick costs one answer per task of the pool, once; a count above the pool keeps everything and warns.",
    ),
    bibtex="@misc{chang2025bleuberi, title={BLEUBERI: BLEU is a surprisingly effective reward for instruction "
    "following}, author={Chang, Yapei and Kim, Yekyung and Krumdick, Michael and Zadeh, Amir and Li, Chuan and Tanner, "
    "Chris and Iyyer, Mohit}, year={2025}, eprint={2505.11080}, archivePrefix={arXiv}}",
)


def build(
    *,
    count: int = 5000,  # tasks that are kept, those with the lowest BLEU
    width: int = 8,  # answers per task
    guarded: bool = True,  # guard against the traps of the published formula
    inside_answer: bool = True,  # score only what stands inside the answer tags
    control: bool = False,  # keep tasks at random instead
    kl: float = 0.0,  # weight of the k3 penalty towards the first policy; 0 needs no reference model
) -> Train:
    """Build the job; `control=True` picks `count` tasks at random instead of the hardest."""
    reward = BleuGuarded(inside_answer=inside_answer) if guarded else BleuPublished(inside_answer=inside_answer)
    return Train(
        choice=Picked(pick=RandomPick(count=count) if control else Hardest(count=count), reward="total"),
        sampler=Independent(width=width),
        rewards=(reward,),
        weights=(1.0,),
        credit=Normalised(),
        objective=KLPenalty(objective=Clipped(), coefficient=kl) if kl else Clipped(),
    )
