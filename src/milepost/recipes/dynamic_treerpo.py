"""Dynamic-TreeRPO: the images of a group share their first steps, and part in a window where there is noise."""

from milepost.credit.by_root import ByRoot
from milepost.credit.group import Normalised
from milepost.credit.tree.nodes import Nodes, Siblings
from milepost.evaluation.images import DataGap, Diversity
from milepost.objectives.conditioned import ConditionedClip
from milepost.objectives.imitation import Imitating
from milepost.policies.flow.imitation import TowardsBest
from milepost.policies.flow.noise import DepthNoise, FlowNoise, Grid, Window
from milepost.policies.flow.process import Process
from milepost.recipe import Card, Train
from milepost.rewards.images.reward import ImageScore
from milepost.rewards.images.scorers import ClassLogProb, NearData
from milepost.sampling.branching.noisy import NoisyTree
from milepost.sampling.choice import Uniform

CARD = Card(
    title="Dynamic-TreeRPO: breaking the independent trajectory bottleneck with structured sampling",
    paper="arXiv:2509.23352",
    year=2025,
    domains=("flow",),
    summary="Grows the images of a group as one tree inside a sliding window of noisy steps: what they share is "
    "computed once, deeper forks get more noise, and other paths are pulled towards the best image.",
    parts={
        "process": "noise in a window of d steps that slides; the k-th of them has s_t (1 + beta k / d)",
        "sampler": "a tree that forks at each step of the window, 2^d images from one first noise",
        "credit": "node: mean reward below, normalised by depth; leaf: over images; sibling: against the other child",
        "objective": "clip in [1 - e (1 - eta z), 1 + e (1 + eta z)], z the standing of the step; lambda times the "
        "squared error to the velocity towards the best image, weighted by how far a node falls short",
    },
    claims={
        "model calls follow the formula": "tests/sampling/branching/test_noisy.py::test_calls_follow_the_formula",
        "branching once it is MixGRPO": "tests/recipes/test_dynamic_treerpo.py::test_branching_once_it_is_mixgrpo",
        "the tree alone spends fewer calls at equal reward": "tests/recipes/test_dynamic_treerpo.py::"
        "test_fewer_calls_at_equal_reward",
        "sharing a prefix does not bias sibling credit": "tests/credit/tree/test_nodes.py::"
        "test_sibling_credit_is_unbiased",
        "eta = 0 is the plain clip": "tests/objectives/test_conditioned.py::test_no_sensitivity_is_the_plain_clip",
        "the pull lowers the error to the way to the best image": "tests/policies/flow/test_imitation.py::"
        "test_the_pull_leads_to_the_best_image",
    },
    departs=(
        "g(k), z and the weight of the pull are our reading: the paper's body and code were not to be had",
        "the pull's target is the straight way to the best image; the velocity elsewhere belongs to another state",
        "two trees for a class: one group for credit and for the pull; trees = 1 is the paper's",
        "the best image must beat the mean of its batch to be followed; the window moves every 5 updates",
    ),
    advice=("For rectified flows: noise and pull are theirs.", "More noise at depth gives variety, not reward."),
    bibtex="@misc{fu2025dynamictreerpo, title={Dynamic-TreeRPO: Breaking the Independent Trajectory Bottleneck with "
    "Structured Sampling}, author={Fu, Xiaolong and others}, year={2025}, eprint={2509.23352}, archivePrefix={arXiv}}",
)


def build(
    *,
    widths: tuple[int, ...] = (2, 2, 2, 2),  # children at each step of the window
    trees: int = 2,  # first noises per class
    denoising_steps: int = 10,  # from noise to an image; --steps counts updates
    growth: float = 0.5,  # beta
    sensitivity: float = 0.5,  # eta
    imitate: float = 0.05,  # lambda
    credit: str = "node",  # or leaf, sibling
) -> Train:
    """Build the job."""
    noise = DepthNoise(inner=Window(inner=FlowNoise(scale=0.7), size=len(widths), every=5), growth=growth)
    process = Process(grid=Grid(steps=denoising_steps), noise=noise, foreseen=True)
    rule = Normalised(eps=1e-8)
    clip = ConditionedClip(low=1e-4, high=1e-4, sensitivity=sensitivity)
    return Train(
        choice=Uniform(),
        sampler=NoisyTree(process=process, widths=widths, trees=trees),
        rewards=(ImageScore(scorer=ClassLogProb(), name="class"), ImageScore(scorer=NearData(), name="near_data")),
        weights=(1.0, 0.0),
        measures=(Diversity(), DataGap()),
        credit={"node": Nodes(rule=rule), "leaf": ByRoot(rule=rule), "sibling": Siblings()}[credit],
        objective=Imitating(objective=clip, coefficient=imitate) if imitate else clip,
        view=TowardsBest() if imitate else None,
        process=process,
    )
