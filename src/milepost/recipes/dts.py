"""Diffusion Tree Sampling and Search: a frozen model draws for a reward it was not made for, and forgets no call."""

from functools import partial

from milepost.credit.tree.values import SoftMean
from milepost.environments.denoising import Denoising
from milepost.policies.flow.digits import Load
from milepost.policies.flow.noise import EvenNoise, FlowNoise, Grid
from milepost.policies.flow.process import Process
from milepost.recipe import Card, Search
from milepost.rewards.images.reward import ForeseenScore, ImageScore
from milepost.rewards.images.watched import watched
from milepost.sampling.search_tree.drawing import HighestValue, SoftShares
from milepost.sampling.search_tree.rivals import Rivals
from milepost.sampling.search_tree.seeking import Grows, families
from milepost.sampling.search_tree.selection import Boltzmann, Budget, UpperBound, Widening
from milepost.sampling.search_tree.tree_search import TreeSearch

CARD = Card(
    title="Diffusion Tree Sampling: inference-time alignment of diffusion models",
    paper="arXiv:2506.20701",
    year=2025,
    domains=("flow",),
    job="search",
    summary="Draws from p(x) exp(reward / T), or looks for the best, with a frozen model: a tree of denoising steps "
    "keeps every call and backs rewards of finished images up to the noise.",
    parts={
        "DTS": "walks by P(child) ~ exp(value / T) to a node with fewer than C N^alpha children, finishes one there, "
        "backs up value = T ln mean exp(value of children / T); draws from the finished tree by the same rule",
        "DTS*": "walks by value + c spread sqrt(ln N(x) / N(child)); gives the image at the end of the highest values",
        "compared": "importance resampling, the best of n and a particle filter with as many model calls",
    },
    claims={
        "a full tree is exact": "tests/sampling/search_tree/test_drawing.py::test_a_full_tree_is_exact",
        "with alpha = 1 it is importance resampling, DTS* the best of n": "tests/sampling/search_tree/"
        "test_tree_search.py::test_exponent_one_is_importance_resampling_and_best_of_n",
        "draws approach the target, visited leaves do not": "tests/sampling/search_tree/test_tree_search.py::"
        "test_draws_approach_the_target_and_visited_leaves_do_not",
        "with the exponent 0.5 and a rare target DTS* is not a match behind the best of n in the mean": "tests/"
        "sampling/search_tree/test_tree_search.py::test_a_search_keeps_up_with_the_best_of_n_where_the_target_is_rare",
    },
    departs=(
        "eight walks at a time, each counted as a visit at once; the paper has one",
        "c is 1 and in units of the spread of rewards; the paper's is not known",
        "the model is not told the class, only the reward knows it; a latent costs one call, however many its children",
    ),
    advice=(
        "Where the model often draws what is asked for, importance resampling is as good or better: compare them.",
        "With the paper's alpha nothing branches before 32 images: for fewer calls lower it.",
        "Draw from the tree; what was grown is not the result, and the root's value is no estimate of ln E exp(r / T).",
    ),
    bibtex="@misc{jain2025dts, title={Diffusion Tree Sampling: Scalable inference-time alignment of diffusion models}, "
    "author={Jain, Vineet and others}, year={2025}, eprint={2506.20701}, archivePrefix={arXiv}}",
)


def build(
    *,
    classes: tuple[str, ...] = ("class 2", "class 5", "class 8", "class 9"),  # what to draw
    model: str = "digits-flow",  # or digits-ddpm
    images: int = 128,  # the budget: as many model calls as so many images take
    denoising_steps: int = 10,  # from noise to an image
    forks: tuple[int, ...] = (3, 5, 7, 9),  # the tree branches after so many steps, the draw of the noise counted
    temperature: float = 1.0,  # T
    exponent: float = 0.8,  # alpha
) -> Search:
    """Build the job; its rivals have as many model calls."""
    noise = EvenNoise(level=1.0) if model == "digits-ddpm" else FlowNoise(scale=0.7)
    process = Process(grid=Grid(steps=denoising_steps), noise=noise, guidance=0.0, foreseen=True)
    policy, score, guess = Load(name=model, process=process), watched(ImageScore()), watched(ForeseenScore())
    grows = partial(Grows, policy=policy, environment=Denoising(), scorer=score)
    backup, wide = SoftMean(temperature=temperature), Widening(exponent=exponent)
    budget = Budget.worth(images=wide.branching(images), steps=denoising_steps, at_once=8)
    grown = {"reduction": backup, "widening": wide, "forks": process.forking(forks), "budget": budget}
    tree = partial(TreeSearch, scorer=score, **grown)
    soft, best = SoftShares(temperature=temperature), HighestValue(temperature=temperature)
    sampling = {"DTS": grows(sampler=tree(selector=Boltzmann(temperature=temperature)), shares=soft)}
    searching = {"DTS*": grows(sampler=tree(selector=UpperBound()), shares=best)}
    others = Rivals(guess=guess, trajectories=images, forks=forks, temperature=temperature)(grows)
    return Search(tasks=families(Denoising(), classes), seekers=sampling | searching | others, repeats=2)
