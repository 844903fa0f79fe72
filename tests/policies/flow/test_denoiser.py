"""A denoiser as a policy: keys, columns, branching, gradients, cost, on a small untrained network."""

import copy

import pytest
import torch

from milepost import keys
from milepost.environments.denoising import Denoising
from milepost.errors import ResumeError, SettingError
from milepost.objectives.clipped import Clipped
from milepost.part import Observation
from milepost.policies.flow import kernel
from milepost.policies.flow.denoiser import Denoiser
from milepost.policies.flow.digits import DigitNetwork
from milepost.policies.flow.guidance import Langevin
from milepost.policies.flow.noise import EvenNoise, FlowNoise, Grid, Window
from milepost.policies.flow.process import Process
from milepost.sampling.branching.tree import Tree
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent

KEY, STEPS = keys.root(1), 4
WORLD = Denoising(train_size=3, held_out_size=2)


def denoiser(**settings):
    process = Process(**{"grid": Grid(steps=STEPS), "noise": FlowNoise(scale=0.5), **settings})
    return Denoiser(network=DigitNetwork(16, KEY), process=process)


def grown(policy, sampler=None, *, tasks=3, workers=1):
    draws = [Draw(task=task) for task in WORLD.train()[:tasks]]
    return grow(
        draws, policy=policy, environment=WORLD, sampler=sampler or Independent(width=2), key=KEY, workers=workers
    )


def test_a_trajectory_runs_from_noise_to_time_zero():
    forest = grown(denoiser())
    for leaf in forest.leaves().tolist():
        path = forest.path(leaf)[1:]
        assert forest["time"][path].tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
        assert forest["stochastic"][path].tolist() == [False, True, True, True, False]
        assert forest.valid("log_prob")[path].tolist() == [False, True, True, True, False]
        assert forest["discount"][path].tolist() == [1, 1, 1, 1, 0]


def test_the_state_before_is_the_parents():
    """Each latent is its mean plus std times the noise of its own key; the mean comes from the parent's latent."""
    policy = denoiser()
    forest = grown(policy)
    rows = (forest["time"] < 1).logical_and(forest.valid("time")).nonzero().flatten()
    noise = torch.from_numpy(keys.normal(forest["key"][rows].tolist(), (8, 8))).float()
    std = kernel.across(forest["std"][rows], noise)
    torch.testing.assert_close(forest["latent"][rows], forest["mean"][rows] + std * noise)
    torch.testing.assert_close(policy.means(forest, rows), forest["mean"][rows])


def test_log_prob_is_that_of_the_kernel_really_used():
    """Also after the schedule moved on: the stored standard deviation counts, not what it would be now."""
    policy = denoiser(noise=Window(inner=EvenNoise(level=0.4), size=1, every=1))
    forest = grown(policy)
    policy.advance()
    found = policy.log_prob(forest, torch.arange(len(forest)))
    has = forest.valid("log_prob")
    assert int(has.sum()) == 6  # one step of each of six trajectories
    torch.testing.assert_close(found[has], forest["log_prob"][has], atol=1e-5, rtol=0)
    assert not bool(found[~has].any())


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_reduction_is_as_stated(reduction):
    forest = grown(denoiser(reduction=reduction))
    rows = forest.valid("log_prob").nonzero().flatten()
    normal = torch.distributions.Normal(forest["mean"][rows], kernel.across(forest["std"][rows], forest["mean"][rows]))
    truth = normal.log_prob(forest["latent"][rows]).flatten(1)
    truth = truth.mean(1) if reduction == "mean" else truth.sum(1)
    torch.testing.assert_close(forest["log_prob"][rows], truth, rtol=1e-4, atol=1e-5)


def test_a_trajectory_depends_on_its_own_draw_only():
    alone, together = grown(denoiser(), tasks=1), grown(denoiser(), tasks=3, workers=2)
    kept = together.select((together.root_of() == 0).nonzero().flatten())
    has = alone.valid("latent")
    torch.testing.assert_close(kept["latent"][has], alone["latent"][has], atol=1e-5, rtol=1e-5)
    assert torch.equal(kept["key"], alone["key"])


def test_branching_is_ordinary_growth():
    """A fork at any step: siblings share the parent's latent and mean, and differ by their own noise."""
    forest = grown(denoiser(), Tree(widths=(2, 1, 3)), tasks=1)
    forked = [group for group in forest.siblings().unique().tolist() if int((forest.siblings() == group).sum()) == 3]
    assert forked
    rows = (forest.siblings() == forked[0]).nonzero().flatten()
    torch.testing.assert_close(forest["mean"][rows[0]], forest["mean"][rows[1]])
    assert not torch.equal(forest["latent"][rows[0]], forest["latent"][rows[1]])


def test_model_calls_are_the_unit_of_cost():
    def calls(**settings):
        forest = grown(denoiser(**settings), Independent(width=1), tasks=1)
        return float(forest["cost.model_calls"].where(forest.valid("cost.model_calls"), 0).sum())

    assert calls() == STEPS
    assert calls(guidance=1.5) == 2 * STEPS
    assert calls(guidance=0.0) == STEPS
    assert calls(completed=True) == STEPS + sum(range(1, STEPS + 1))  # a call for every step left, from the noise on


def calls_of(forest):
    return float(forest["cost.model_calls"].where(forest.valid("cost.model_calls"), 0).sum())


@pytest.mark.parametrize("foreseen", [False, True])
def test_siblings_share_a_call(foreseen):
    """2 x 1 x 3 trajectories of four steps: one call for each of two noises and their two steps, then one for each."""
    forest = grown(denoiser(foreseen=foreseen), Tree(widths=(2, 1, 3)), tasks=1)
    assert calls_of(forest) == 2 + 2 + 6 + 6


def test_what_is_foreseen_leads_where_the_network_would():
    """The same latents as without foresight, to rounding; it is the clean latent of each, at the end the latent."""
    plain, foreseen = grown(denoiser()), grown(denoiser(foreseen=True))
    has = plain.valid("latent")
    torch.testing.assert_close(foreseen["latent"][has], plain["latent"][has], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        denoiser().log_prob(foreseen, torch.arange(len(foreseen))), foreseen["log_prob"].nan_to_num(), atol=1e-5, rtol=0
    )
    end = foreseen["end"] > 0
    torch.testing.assert_close(foreseen["estimate"][end], foreseen["latent"][end])
    start = (foreseen["time"] == 1) & has
    condition = foreseen["observation"][foreseen.root_of()[start]]
    velocity = denoiser().network(foreseen["latent"][start], torch.ones(int(start.sum())), condition)
    torch.testing.assert_close(foreseen["estimate"][start], foreseen["latent"][start] - velocity, atol=1e-5, rtol=1e-5)


def test_a_late_child_of_a_foreseen_latent_costs_its_own_steps_only():
    policy = denoiser(foreseen=True)
    forest = grown(policy, Independent(width=1), tasks=1)
    found = policy.propose(forest, torch.tensor([2]), torch.tensor([9]))
    assert found.columns["cost.model_calls"].tolist() == [1.0]  # of the latent arrived at
    torch.testing.assert_close(found.columns["mean"][0], forest["mean"][3], atol=1e-5, rtol=1e-5)


def test_completions_of_a_path_without_noise_are_all_its_end():
    forest = grown(denoiser(noise=EvenNoise(level=0.0), completed=True), Independent(width=1), tasks=1)
    path = forest.path(int(forest.leaves()[0]))[1:]
    for row in path.tolist():
        torch.testing.assert_close(forest["completion"][row], forest["latent"][path[-1]], atol=1e-5, rtol=1e-4)


def test_guidance_is_seen_in_the_mean():
    first, second = (grown(denoiser(guidance=weight), Independent(width=1), tasks=1) for weight in (1.0, 3.0))
    row = int((first["time"] == 0.75).nonzero()[0, 0])
    assert not torch.allclose(first["mean"][row], second["mean"][row])


def test_the_gradient_is_that_of_credit_times_score():
    """At ratio 1 the surrogate's gradient is the mean of A grad log p, here by finite differences."""
    policy = denoiser()
    forest = grown(policy)
    credit = torch.linspace(-1, 1, len(forest))
    forest = forest.with_columns({"advantage": credit})
    every = torch.arange(len(forest))
    loss = Clipped(low=0.2, high=0.2)(forest, policy.log_prob(forest, every)).loss
    loss.backward()
    weight = policy.trainable()["out.bias"]
    has = forest.valid("log_prob")

    def gain(shift):
        other = copy.deepcopy(policy)
        with torch.no_grad():
            other.trainable()["out.bias"][3] += shift
            return float((credit * other.log_prob(forest, every))[has].double().mean())

    slope = (gain(1e-2) - gain(-1e-2)) / 2e-2
    assert -float(weight.grad[3]) == pytest.approx(slope, rel=2e-3, abs=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_divergence_is_that_of_the_normal_distributions(reduction):
    policy, other = denoiser(reduction=reduction), denoiser(reduction=reduction)
    with torch.no_grad():
        other.trainable()["out.bias"].add_(torch.linspace(-1, 1, 64))
    forest = grown(policy)
    every, has = torch.arange(len(forest)), forest.valid("log_prob")
    found = policy.against(forest, every, other)
    rows = has.nonzero().flatten()
    std = kernel.across(forest["std"][rows], forest["mean"][rows])
    first, second = (torch.distributions.Normal(one.means(forest, rows), std) for one in (policy, other))
    truth = torch.distributions.kl_divergence(first, second).flatten(1)
    truth = truth.mean(1) if reduction == "mean" else truth.sum(1)
    torch.testing.assert_close(found.divergence[rows], truth, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.log_prob, policy.log_prob(forest, every))
    assert not bool(found.divergence[~has].any())
    assert found.divergence.requires_grad
    itself = policy.against(forest, every, denoiser(reduction=reduction))
    assert float(itself.divergence.detach().abs().max()) < 1e-9
    roots = policy.against(forest, forest.roots(), other)
    assert not roots.divergence.requires_grad
    with pytest.raises(SettingError, match="expected a Denoiser"):
        policy.against(forest, every, object())


def pull(latent, time, condition):
    """A value that rises towards latents of one."""
    return -(latent - 1).square().flatten(1).sum(1) / 2


@pytest.mark.parametrize("density", ["bare", "guided", "weighted"])
def test_a_guided_step_says_under_which_kernel_it_is_likely(density):
    """Drawn with the shift; stored and trained log-probabilities with or without it, as the guide says."""
    policy = denoiser()
    policy.guide = Langevin(value=pull, density=density)
    forest = grown(policy)
    has = forest.valid("log_prob").nonzero().flatten()
    std = kernel.across(forest["std"][has], forest["mean"][has])
    shift = std.square() / 2 * (1 - forest["latent"][forest.parent[has]])
    torch.testing.assert_close(forest["shift"][has], shift, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(policy.means(forest, has) + shift, forest["mean"][has], atol=1e-5, rtol=1e-4)
    noise = torch.from_numpy(keys.normal(forest["key"][has].tolist(), (8, 8))).float()
    torch.testing.assert_close(forest["latent"][has], forest["mean"][has] + std * noise, atol=1e-5, rtol=1e-4)

    def likely(mean):
        return kernel.log_prob(forest["latent"][has], mean, forest["std"][has], reduction="mean")

    bare, guided = likely(forest["mean"][has] - shift), likely(forest["mean"][has])
    stored, trained = forest["log_prob"][has], policy.log_prob(forest, torch.arange(len(forest)))[has].detach()
    torch.testing.assert_close(stored, bare if density == "bare" else guided, atol=1e-4, rtol=0)
    torch.testing.assert_close(trained, guided if density == "guided" else bare, atol=1e-4, rtol=0)
    ratio_at_one = float((stored - trained).abs().max()) < 1e-5
    assert ratio_at_one == (density != "weighted")


def test_a_gradient_is_a_reward_call_and_evaluation_makes_none():
    policy = denoiser()
    policy.guide = Langevin(value=pull)
    forest = grown(policy, Independent(width=1), tasks=1)
    assert float(forest["cost.reward_calls"].where(forest.valid("cost.reward_calls"), 0).sum()) == STEPS - 1
    bare = grown(policy.greedy(), Independent(width=1), tasks=1)
    assert "shift" not in bare
    assert "cost.reward_calls" not in bare


def test_divergence_from_what_drew_is_that_of_the_shift():
    policy = denoiser()
    policy.guide = Langevin(value=pull)
    forest = grown(policy)
    rows = forest.valid("log_prob").nonzero().flatten()
    found = policy.against(forest, rows, None).divergence
    truth = kernel.kl(forest["shift"][rows], torch.zeros(len(rows), 8, 8), forest["std"][rows]) / 64
    torch.testing.assert_close(found, truth, rtol=1e-4, atol=1e-6)
    policy.guide = None
    plain = grown(policy)
    assert float(policy.against(plain, rows, None).divergence.detach().max()) < 1e-9


def test_greedy_adds_no_noise():
    forest = grown(denoiser(completed=True).greedy())
    assert not bool(forest["stochastic"].any())
    assert "completion" not in forest


def test_weights_are_restored_by_name():
    policy, other = denoiser(), Denoiser(network=DigitNetwork(16, KEY + 1))
    other.restore({name: value.detach().clone() for name, value in policy.trainable().items()}, 3)
    assert other.version == 3
    assert all(torch.equal(other.trainable()[name], value) for name, value in policy.trainable().items())
    with pytest.raises(ResumeError, match="do not fit"):
        other.restore({}, 0)


def test_odd_times_and_observations_are_refused():
    policy = denoiser()
    with pytest.raises(SettingError, match="silent"):
        policy.encode([Observation(array=1)], start=False)
    forest = grown(policy, Independent(width=1), tasks=1)
    row = torch.tensor([2])
    other = denoiser(grid=Grid(steps=3))
    with pytest.raises(SettingError, match="not a time of the grid"):
        other.propose(forest, row, torch.tensor([5]))
