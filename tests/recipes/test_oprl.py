"""OPRL: the implicit reward by enumeration, where shaping holds and where it fails, key steps of a chain, learning."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import pytest
import torch

from milepost import keys
from milepost.credit.by_root import ByRoot
from milepost.credit.group import LeaveOneOut, Normalised, normalised
from milepost.engines.beside.learned import Beside
from milepost.engines.settings import UpdateSettings
from milepost.forest import Forest
from milepost.objectives.pairs import TrajectoryPreference, preference_loss
from milepost.recipes import oprl
from milepost.rewards.combine import Scored
from milepost.rewards.learned.implicit import Implicit, implicit_reward
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.testing.recipes import check_recipe
from milepost.testing.worlds import Letters, Payoff, TabularPolicy, letter_task, trajectories

BETA = 0.5


def policies():
    """The policy that sampled, and another of the same shape."""
    return (TabularPolicy.random("abc", key=keys.root(seed), length=2) for seed in (1, 2))


def test_contract():
    check_recipe("oprl", tests=Path(__file__).parents[1])


def test_the_exponential_reward_has_mean_1_in_every_state():
    """E_{a ~ old}[exp(r(a) / beta)] = sum of phi = 1, whatever phi is, after every letter."""
    old, phi = policies()
    for before in "abc":
        pairs = zip(old.answers(before), phi.answers(before), strict=True)
        total = 0.0
        for one, other in pairs:
            reward = implicit_reward(other.log_prob[None], one.log_prob[None], beta=BETA)
            total += float((one.log_prob.exp() * (reward / BETA).exp()).detach())
        assert total == pytest.approx(1, abs=1e-12)


def test_raw_rewards_are_minus_beta_times_a_divergence():
    """E_old[r] = -beta KL(old || phi) <= 0: added to an outcome as they are, they punish every step."""
    old, phi = policies()
    for before in "abc":
        mean, divergence = 0.0, 0.0
        for one, other in zip(old.answers(before), phi.answers(before), strict=True):
            p = float(one.log_prob.exp().detach())
            mean += p * float(implicit_reward(other.log_prob[None], one.log_prob[None], beta=BETA).detach())
            divergence += p * float((one.log_prob - other.log_prob).detach())
        assert mean == pytest.approx(-BETA * divergence, abs=1e-12)
        assert mean < 0


# ---- the shaping theorem ----

REWARD = {"aa": 1.0, "ab": 0.0, "ac": 0.3, "ba": 0.2, "bc": 0.9}


def soft_value(chances, values):
    """beta log of the mean of exp(value / beta)."""
    return BETA * math.log(sum(p * math.exp(v / BETA) for p, v in zip(chances, values, strict=True)))


def first_steps():
    """Chances of the first letter, and of the second after each, under the policy that samples."""
    old = TabularPolicy.random("abc", key=keys.root(3))
    one = {answer.text: float(answer.log_prob.exp().detach()) for answer in old.answers("a")}
    two = {
        letter: {answer.text: float(answer.log_prob.exp().detach()) for answer in old.answers(letter)}
        for letter in "abc"
    }
    return one, two


def test_shaping_holds_on_a_deterministic_tree():
    """phi proportional to old * exp(R / beta): r is the difference of soft values, and sums to R - V(start)."""
    one, two = first_steps()
    value = {x: soft_value([two[x][y] for y in "abc"], [REWARD.get(x + y, 0.0) for y in "abc"]) for x in "abc"}
    start = soft_value([one[x] for x in "abc"], [value[x] for x in "abc"])
    total = sum(one[x] * two[x][y] * math.exp(REWARD.get(x + y, 0.0) / BETA) for x in "abc" for y in "abc")
    for x in "abc":
        marginal = sum(one[x] * two[x][y] * math.exp(REWARD.get(x + y, 0.0) / BETA) for y in "abc") / total
        first = BETA * (math.log(marginal) - math.log(one[x]))
        assert first == pytest.approx(value[x] - start, abs=1e-9)
        for y in "abc":
            joint = one[x] * two[x][y] * math.exp(REWARD.get(x + y, 0.0) / BETA) / total
            second = BETA * (math.log(joint / marginal) - math.log(two[x][y]))
            assert second == pytest.approx(REWARD.get(x + y, 0.0) - value[x], abs=1e-9)
            assert first + second == pytest.approx(REWARD.get(x + y, 0.0) - start, abs=1e-9)


def best_of_stochastic():
    """A step to a or b; then chance decides between paying 1 and 0, with probability 0.5 after a, 0.9 after b.

    Trajectory preferences cannot tell what chance did from what was chosen: the phi that minimises the loss over all
    pairs is found by descent on its one free logit.
    """
    wins = {"a": 0.5, "b": 0.9}
    outcomes = [(x, win, (p if win else 1 - p) / 2) for x, p in wins.items() for win in (True, False)]
    logit = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([logit], lr=0.02)
    for _ in range(1500):
        log_phi = torch.nn.functional.logsigmoid(torch.stack((-logit, logit)))
        score = {x: BETA * (log_phi[place] - math.log(0.5)) for place, x in enumerate("ab")}
        loss = sum(
            (p * q) * preference_loss(score[x][None], score[y][None]).sum()
            for x, won, p in outcomes if won for y, lost, q in outcomes if not lost
        )  # fmt: skip
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return wins, {x: float(value.detach()) for x, value in score.items()}


def test_shaping_fails_where_chance_decides():
    """The rewards of one trajectory do not sum to its outcome less a constant: the same step is won and lost."""
    wins, reward = best_of_stochastic()
    value = {x: soft_value((p, 1 - p), (1.0, 0.0)) for x, p in wins.items()}
    start = soft_value((0.5, 0.5), value.values())
    assert reward["b"] > reward["a"], "it still prefers the better step"
    assert abs((reward["b"] - reward["a"]) - (value["b"] - value["a"])) > 0.1, "but not by the difference of values"
    for x in "ab":
        for outcome in (0.0, 1.0):
            assert abs(reward[x] - (outcome - start)) > 0.05


# ---- learning in the world of letters ----


def batch(payoff, *, count=4, width=8, key=0, turns=1):
    """Scored answers of the policy that samples."""
    tasks = [letter_task(f"t{number}", prompt="a", payoff=payoff(number)) for number in range(count)]
    old, _ = policies()
    forest = grow(
        [Draw(task=task) for task in tasks],
        policy=old,
        environment=Letters(turns=turns),
        sampler=Independent(width=width),
        key=keys.root(key),
    )
    return Scored(rewards=(Payoff(),), weights=(1.0,))(forest, torch.arange(len(forest)))


def beside(rate=0.05):
    """A learned reward that starts as the policy that sampled."""
    old, _ = policies()
    part = Implicit(objective=TrajectoryPreference(beta=BETA), beta=BETA, learning_rate=rate)
    return Beside.of(part, old, UpdateSettings())


def mixed(_number):
    return {"ab": 1.0, "bc": 1.0, "ca": 1.0, "cc": 1.0}


def test_at_the_start():
    """phi = pi_old: every reward is 0 and every pair costs ln 2; the first update still moves phi."""
    taught = beside(rate=1e-9)
    found = taught(batch(mixed), 0)
    assert found.numbers["learned/loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert found.numbers["learned/gradient_norm"] > 0
    own = found.forest["ok.implicit"]
    assert float(found.forest["reward.implicit"][own].abs().max()) < 1e-6


def test_without_a_failure():
    """Tasks with equal outcomes give no pair: phi stays, and the policy is moved by the steps alone."""
    taught = beside()
    forest = taught(batch(mixed), 0).forest
    before = taught.updater.policy.trainable()["table"].detach().clone()
    equal = batch(lambda _number: dict.fromkeys((a + b for a in "abc" for b in "abc"), 1.0), key=1)
    found = taught(equal, 1)
    assert found.numbers == {"learned/skipped": 1.0}
    assert torch.equal(taught.updater.policy.trainable()["table"].detach(), before)
    credit = oprl.build().credit(found.forest)
    assert float(credit["advantage"].abs().max()) > 0.1
    assert float(ByRoot(rule=Normalised())(found.forest)["advantage"].abs().max()) == 0
    gated = oprl.build(gate=True).credit(found.forest)
    assert float(gated["advantage"].abs().max()) == 0
    assert bool(forest["ok.implicit"].any())


@pytest.mark.parametrize("leave_one_out", [False, True])
def test_alpha_0_is_the_credit_of_the_episodes(leave_one_out):
    forest = beside()(batch(mixed), 0).forest
    rule = LeaveOneOut() if leave_one_out else Normalised()
    mine = oprl.build(alpha=0.0, leave_one_out=leave_one_out).credit(forest)
    assert torch.equal(mine["advantage"], rule(forest)["advantage"])


def test_one_token_per_step_is_a_reward_per_token():
    """The step reward of a one-letter step is beta times the log-ratio of that letter."""
    old = TabularPolicy.random("abc", key=keys.root(1))
    task = letter_task("t", prompt="a", payoff={"ab": 1.0, "bc": 1.0, "ca": 1.0})
    forest = grow([Draw(task=task)], policy=old, environment=Letters(turns=2), sampler=Independent(width=8), key=0)
    forest = Scored(rewards=(Payoff(),), weights=(1.0,))(forest, torch.arange(len(forest)))
    other = TabularPolicy.random("abc", key=keys.root(2))
    log_prob = other.log_prob(forest, torch.arange(len(forest))).detach()
    found = Implicit(objective=TrajectoryPreference(beta=BETA), beta=BETA).score(forest, log_prob)
    for row in range(1, len(forest)):
        token = int(forest.token_offsets[row])
        gap = float(log_prob[token] - forest["tokens.log_prob"][token])
        assert float(found["reward.implicit"][row]) == pytest.approx(BETA * gap, abs=1e-6)


# ---- a chain with hidden key steps (after the specification's analogue) ----

STEPS, ACTIONS, GROUPS, WIDTH = 12, 4, 8, 8
KEYS = {2: 1, 6: 3, 9: 0}
"""At these steps one action is right; success needs all three. All others do not matter."""


def chain(table, draw):
    """Episodes of a tabular policy over steps: a forest of one task per group without tokens."""
    chance = table.softmax(1)
    edges = chance.cumsum(1)
    actions = (draw[..., None] > edges).sum(-1).clamp(max=ACTIONS - 1)
    won = torch.stack([actions[..., step] == right for step, right in KEYS.items()]).all(0)
    return actions, won


def area(score, right):
    """Probability that a right step scores higher than another, ties one half."""
    high, low = score[right], score[~right]
    above = (high[:, None] > low[None]).double() + 0.5 * (high[:, None] == low[None]).double()
    return float(above.mean())


@functools.cache
def quality(seed, batches=10):
    """AUROC of two signals for "right action at a key step": the implicit reward, and the outcome of the episode.

    The sampling policy already prefers the right actions a little, so that some episodes succeed.
    """
    table = torch.zeros(STEPS, ACTIONS, dtype=torch.float64)
    for step, right in KEYS.items():
        table[step, right] = 1.0
    phi = table.clone().requires_grad_()
    optimiser = torch.optim.Adam([phi], lr=0.1)
    old = table.log_softmax(1)
    place = torch.arange(STEPS)
    for number in range(batches):
        draw = torch.from_numpy(keys.uniform([keys.fold(keys.root(seed), "chain", number)], GROUPS * WIDTH * STEPS))
        actions, won = chain(table, draw.view(GROUPS, WIDTH, STEPS))
        log_ratio = (phi.log_softmax(1)[place, actions] - old[place, actions]).sum(-1)
        score = 0.05 * log_ratio
        losses = []
        for group in range(GROUPS):
            good, bad = score[group][won[group]], score[group][~won[group]]
            losses.append(preference_loss(good.repeat_interleave(len(bad)), bad.repeat(len(good))))
        every = torch.cat(losses)
        if len(every) == 0:
            continue
        optimiser.zero_grad()
        every.mean().backward()
        optimiser.step()
    new = phi.detach().log_softmax(1)[place, actions].flatten()
    reward = implicit_reward(new, old[place, actions].flatten(), beta=0.05)
    right = torch.zeros(actions.shape, dtype=torch.bool)
    for step, wanted in KEYS.items():
        right[..., step] = actions[..., step] == wanted
    outcome = (won.double() - won.double().mean(1, keepdim=True))[..., None].expand(actions.shape)
    return area(reward, right.flatten()), area(outcome.flatten(), right.flatten())


@pytest.mark.statistical
def test_the_reward_finds_the_key_steps(record_property):
    """Over 5 seeds the implicit reward tells right key steps from all others above 0.8, the outcome below 0.65."""
    found = torch.tensor([quality(seed) for seed in range(5)])
    record_property("auroc", {"implicit": found[:, 0].tolist(), "outcome": found[:, 1].tolist()})
    assert float(found[:, 0].min()) > 0.8
    assert float(found[:, 1].max()) < 0.65


SCALE = 0.05
"""The published beta."""


def taught(phi, old, actions, won, *, passes=3, step=8.0):
    """The reward's own weights after a few steps down the mean loss over pairs of the same group."""
    place = torch.arange(STEPS)
    for _ in range(passes):
        phi = phi.detach().requires_grad_()
        score = SCALE * (phi.log_softmax(1)[place, actions] - old[place, actions]).sum(-1)
        sides = [(one[win], one[~win]) for one, win in zip(score, won, strict=True)]
        every = [preference_loss(up.repeat_interleave(len(low)), low.repeat(len(up))) for up, low in sides]
        losses = torch.cat(every)
        if len(losses) == 0:
            return phi.detach()
        (slope,) = torch.autograd.grad(losses.mean(), phi)
        phi = phi - step / SCALE * slope
    return phi.detach()


def whitened(value):
    """Credit inside each group, over all that it holds."""
    rows = value.reshape(-1)
    of = torch.arange(len(value)).repeat_interleave(rows.numel() // len(value))
    ok = torch.ones(len(rows), dtype=torch.bool)
    return normalised(rows, of, len(value), ok, ddof=0, eps=1e-6).view(value.shape)


@functools.cache
def iterations(method, rate, seed, most=80):
    """Iterations of a tabular policy on the chain to a success of 80 %; `most` and one where it never comes there."""
    table = torch.zeros(STEPS, ACTIONS, dtype=torch.float64)
    phi, place = table.clone(), torch.arange(STEPS)
    for number in range(most):
        draw = keys.uniform([keys.fold(keys.root(seed), "learn", number)], GROUPS * WIDTH * STEPS)
        actions, won = chain(table, torch.from_numpy(draw).view(GROUPS, WIDTH, STEPS))
        old, outcome = table.log_softmax(1), won.double()
        phi = taught(phi, old, actions, won) if method != "grpo" else phi
        reward = SCALE * (phi.log_softmax(1) - old)[place, actions]
        worth = outcome + reward.sum(-1) if method == "merged" else outcome
        credit = whitened(worth)[..., None].expand(actions.shape)
        credit = credit + whitened(reward) if method == "oprl" else credit
        slope = torch.nn.functional.one_hot(actions, ACTIONS) - old.exp()
        table = table + rate * (credit[..., None] * slope).sum((0, 1)) / (GROUPS * WIDTH)
        chance = table.softmax(1)
        if float(torch.stack([chance[step, right] for step, right in KEYS.items()]).prod()) >= 0.8:
            return number + 1
    return most + 1


@pytest.mark.statistical
def test_sooner_at_equal_rate_and_how_much_of_it_is_step_size(record_property):
    """4 seeds: OPRL before rewards that are merged, these before outcomes alone; GRPO's best rate closes most of it."""
    rates = (0.5, 1.0, 2.0, 4.0)

    def mean(method, rate):
        return sum(iterations(method, rate, seed) for seed in range(4)) / 4

    equal = {method: mean(method, 1.0) for method in ("grpo", "merged", "oprl")}
    best = min(mean("grpo", rate) for rate in rates)
    record_property("iterations to 80 %", {**equal, "grpo at its best rate": best, "oprl at half": mean("oprl", 0.5)})
    assert equal["oprl"] < equal["merged"] < equal["grpo"]
    assert mean("grpo", 2.0) < 0.7 * equal["grpo"]
    assert best < 0.5 * equal["grpo"], "most of the naive factor is step size"
    assert mean("oprl", 0.5) < equal["merged"], "at half the rate it is still the soonest"


# ---- traps ----


def test_trap_every_step_counts_in_the_baseline():
    """In the authors' code the baseline of the steps is that of the first step of each episode only."""
    forest = Forest.of(
        [-1, 0, 1, 0, 3],
        {
            "reward.total": torch.tensor([torch.nan, 0.0, 1.0, 0.0, 1.0]),
            "ok.total": [False, True, True, True, True],
            "reward.implicit": torch.tensor([torch.nan, 0.0, 1.0, 0.0, 3.0]),
            "ok.implicit": [False, True, True, True, True],
        },
    )
    credit = oprl.build().credit(forest)["advantage"][1:]
    steps = torch.tensor([0.0, 1.0, 0.0, 3.0])
    truth = (steps - steps.mean()) / (steps.std(correction=0) + 1e-6)
    assert torch.allclose(credit.float(), truth, atol=1e-5)


def test_trap_scores_are_sums_unless_the_reference_is_asked_for():
    assert not oprl.build().learned.objective.step_mean
    assert oprl.build(reference=True).learned.objective.step_mean


def test_trap_rewards_are_those_after_the_update():
    """In the authors' code they are one update stale."""
    taught = beside(rate=0.5)
    found = taught(batch(mixed), 0).forest
    now = taught.updater.policy.log_prob(found, torch.arange(len(found))).detach()
    again = taught.part.score(found, now)
    assert torch.equal(found["reward.implicit"].nan_to_num(), again["reward.implicit"].nan_to_num())
    assert float(found["reward.implicit"].nan_to_num().abs().max()) > 0.01


def test_all_probabilities_of_the_world_sum_to_1():
    """The enumerations above rest on it."""
    old, _ = policies()
    task = letter_task("t", prompt="a", payoff={})
    assert sum(float(one.log_prob.exp().detach()) for one in trajectories(old, Letters(), task)) == pytest.approx(1)
