"""The recipe: its limits, its cost, and that it learns from fewer calls."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from milepost import keys
from milepost.credit.by_root import ByRoot
from milepost.credit.group import Normalised
from milepost.credit.tree.nodes import Nodes, Siblings
from milepost.environments.denoising import Denoising
from milepost.objectives.clipped import Clipped
from milepost.objectives.conditioned import ConditionedClip
from milepost.policies.flow import digits
from milepost.policies.flow.noise import FlowNoise, Window
from milepost.recipes import dynamic_treerpo
from milepost.rewards import combine
from milepost.sampling.branching.tree import Tree
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.testing.recipes import check_recipe
from tests.recipes.planar import trained

KEY, WORLD = keys.root(5), Denoising()


def test_settings_reach_their_parts():
    job = dynamic_treerpo.build(widths=(3, 2), trees=2, growth=0.25, sensitivity=0.1, imitate=0.0, credit="leaf")
    assert (job.sampler.widths, job.sampler.trees, job.sampler.process) == ((3, 2), 2, job.process)
    assert job.process.noise.growth == 0.25
    assert job.process.noise.inner.size == 2
    assert isinstance(job.credit, ByRoot)
    assert job.objective == ConditionedClip(low=1e-4, high=1e-4, sensitivity=0.1)
    assert job.view is None
    assert isinstance(dynamic_treerpo.build(credit="sibling").credit, Siblings)
    assert isinstance(dynamic_treerpo.build().credit, Nodes)


def test_branching_once_it_is_mixgrpo():
    """16 images that share their noise: the same rows, the same loss as group credit under a sliding window."""
    job = dynamic_treerpo.build(widths=(16, 1, 1, 1), trees=1, growth=0.0, sensitivity=0.0, imitate=0.0)
    window = replace(job.process, noise=Window(inner=FlowNoise(scale=0.7), size=4, every=5))
    found = []
    for sampler, process, credit, objective in (
        (job.sampler, job.process, job.credit, job.objective),
        (Tree(widths=(1, 16)), window, Normalised(eps=1e-8), Clipped(low=1e-4, high=1e-4)),
    ):
        policy = digits.load("digits-flow", process=process)
        draws = [Draw(task=WORLD.train()[3])]
        forest = grow(draws, policy=policy, environment=WORLD, sampler=sampler, key=KEY)
        scored = combine.Scored(rewards=job.rewards, weights=job.weights)(forest, torch.arange(len(forest)))
        credited = credit(scored)
        found.append((credited, objective(credited, policy.log_prob(credited, torch.arange(len(credited)))).loss))
    assert torch.equal(found[0][0]["latent"], found[1][0]["latent"])
    torch.testing.assert_close(found[0][1], found[1][1])


@pytest.mark.statistical
def test_shared_steps_cost_variety_and_noise_at_depth_gives_it_back(record_property):
    """Mean distance of 16 images from one first noise, 30 times, paired: both differences above 3 standard errors."""
    found = {}
    for name, growth, sampler in (("apart", 0.0, Tree(widths=(1, 16))), ("tree", 0.0, None), ("more", 1.0, None)):
        job = dynamic_treerpo.build(trees=1, growth=growth)
        policy = digits.load("digits-flow", process=job.process)
        draws = [Draw(task=task) for task in Denoising(train_size=30).train()]
        forest = grow(draws, policy=policy, environment=WORLD, sampler=sampler or job.sampler, key=KEY)
        leaf, of = forest.leaves(), forest.root_of()
        image = forest["latent"].flatten(1)
        own = [image[leaf[of[leaf] == root]] for root in forest.roots().tolist()]
        found[name] = torch.stack([torch.cdist(one, one).mean() for one in own])
    record_property("distance", {name: float(one.mean()) for name, one in found.items()})
    for less, more in (("tree", "apart"), ("tree", "more")):
        gap = found[more] - found[less]
        assert float(gap.mean()) > 3 * float(gap.std()) / len(gap) ** 0.5


@pytest.mark.slow
@pytest.mark.statistical
def test_fewer_calls_at_equal_reward(record_property):
    """In the plane, 30 updates: at most 0.65 of the calls of independent images, the reward not 0.05 below theirs."""

    def planar(sampler=None, credit=None):
        job = dynamic_treerpo.build(trees=1, growth=0.0, sensitivity=0.0, imitate=0.0)
        process = replace(job.process, reduction="sum", foreseen=False)
        tree = replace(job.sampler, process=process)
        return replace(job, process=process, sampler=sampler or tree, credit=credit or job.credit, objective=Clipped())

    tree = trained(planar(), updates=30, groups=9, rate=10.0, seed=0)
    flat = trained(planar(Independent(width=16), Normalised(eps=1e-8)), updates=30, groups=9, rate=10.0, seed=0)
    record_property("reward and calls", {"tree": vars(tree), "independent": vars(flat)})
    assert tree.calls <= 0.65 * flat.calls
    assert tree.reward >= flat.reward - 0.05


def test_the_recipe_keeps_the_common_promises():
    check_recipe("dynamic-treerpo", tests=Path(__file__).parents[1])
