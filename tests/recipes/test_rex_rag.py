"""REX-RAG: exact and published corrections by enumeration, bounds, limits, traps of the authors' code."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from milepost import keys
from milepost.columns import Origin, Role
from milepost.credit.by_root import ByRoot
from milepost.credit.group import Normalised
from milepost.credit.tree.mixture import TokenMixture, TrajectoryMixture, mixture_log_prob, trajectory_weight
from milepost.credit.tree.separate import branched
from milepost.objectives.clipped import Clipped
from milepost.recipes import grpo, rex_rag
from milepost.rewards.combine import Scored
from milepost.sampling.branching.probe import Probe
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.testing.forests import difference
from milepost.testing.recipes import check_recipe
from milepost.testing.worlds import Letters, Payoff, TabularPolicy, letter_task

PREFIX = {"u": 0.5, "v": 0.5}
OWN = {"u": 0.01, "v": 0.02}
"""Chance that the policy says the doubt by itself after each prefix."""
RIGHT = {"u": 0.5, "v": 0.1}
"""Chance of a right answer where it does not."""
AFTER = {"u": 0.6, "v": 0.3}
"""Chance of a right answer after the doubt."""
P = 0.2


def everything():
    """Every trajectory of the example: prefix, whether the doubt was said, right or wrong; its probability."""
    for prefix, doubt, right in itertools.product("uv", (False, True), (True, False)):
        said = OWN[prefix] if doubt else 1 - OWN[prefix]
        chance = (AFTER if doubt else RIGHT)[prefix]
        yield prefix, doubt, right, PREFIX[prefix] * said * (chance if right else 1 - chance)


def wrong_after(prefix):
    """w(s): the policy's chance of a wrong answer after a prefix, in whatever way."""
    return sum(p for s, _, right, p in everything() if s == prefix and not right) / PREFIX[prefix]


def value(prefix, doubt, right):
    """Any function of a trajectory."""
    return float(right) + 0.3 * (prefix == "v") - 0.2 * doubt


def means():
    """Truth, plain average, exact weights, published density; each a mean over originals and probes."""
    failing = sum(PREFIX[s] * wrong_after(s) for s in PREFIX)
    probes = P * failing
    share = probes / (1 + probes)
    truth = sum(p * value(s, d, r) for s, d, r, p in everything())
    totals = {"plain": 0.0, "exact": 0.0, "published": 0.0}
    for s, doubt, right, pi in everything():
        after = (AFTER[s] if right else 1 - AFTER[s]) if doubt else 0.0
        law = PREFIX[s] * wrong_after(s) / failing * after
        odds = math.log(law / pi) if law > 0 else -math.inf
        # The published density leaves w(s) out: pi(s) / z, the doubt with certainty, and the policy after it.
        loose = PREFIX[s] / failing * after
        weights = {
            "plain": 1.0,
            "exact": float(trajectory_weight(torch.tensor([odds], dtype=torch.float64), share=share)),
            "published": pi
            / math.exp(
                float(
                    mixture_log_prob(
                        torch.tensor([math.log(pi)], dtype=torch.float64),
                        torch.tensor([math.log(loose) if loose > 0 else -math.inf], dtype=torch.float64),
                        share=share,
                    )
                )
            ),
        }
        sampled = (1 - share) * pi + share * law
        for name, weight in weights.items():
            totals[name] += sampled * weight * value(s, doubt, right)
    return truth, totals


def test_contract():
    check_recipe("rex-rag", tests=Path(__file__).parents[1])


def test_by_enumeration_trajectory_weights_are_exact_and_the_published_density_is_not():
    truth, found = means()
    assert found["exact"] == pytest.approx(truth, abs=1e-12)
    assert abs(found["plain"] - truth) > 5e-3, "a plain average over originals and probes is biased"
    assert abs(found["published"] - truth) > 1e-3
    loose = sum(PREFIX[s] / sum(PREFIX[t] * wrong_after(t) for t in PREFIX) for s in PREFIX)
    assert loose > 1.2, "the published density of the prefixes sums to more than 1"


def test_exact_weights_of_probes_are_tiny():
    failing = sum(PREFIX[s] * wrong_after(s) for s in PREFIX)
    share = P * failing / (1 + P * failing)
    for s in PREFIX:
        odds = math.log(wrong_after(s) / failing / OWN[s])
        weight = float(trajectory_weight(torch.tensor([odds], dtype=torch.float64), share=share))
        assert weight < 0.25
    kept = float(trajectory_weight(torch.tensor([-torch.inf]), share=share))
    assert 1.1 < kept < 1.2
    tail = torch.zeros(1)
    assert float((tail - mixture_log_prob(tail, tail, share=share)).exp()) == pytest.approx(1, abs=1e-6), (
        "per token, what follows the insertion has ratio 1: that rule keeps the probes"
    )


# ---- in the world of letters ----

PAYS: dict[str, float | None] = {
    "".join(one): 1.0 for length in (3, 4, 5) for one in itertools.product("abc", repeat=length) if one[-1] == "a"
}
"""Whatever ends in a is right, with or without a doubt before it."""
POOL = ("b", "cb", "ca")


def policy():
    return TabularPolicy.random("abc", key=keys.root(2))


def sampled(probability=1.0, count=12, key=0, **settings):
    """A scored batch of the sampler, with the recipe's credit of all probes."""
    sampler = Probe(
        scorer=Scored(rewards=(Payoff(),), weights=(1.0,)), width=5, probability=probability, pool=POOL, **settings
    )
    tasks = [letter_task(f"t{number}", prompt="abc"[number % 3], payoff=PAYS) for number in range(count)]
    forest = grow(
        [Draw(task=task) for task in tasks],
        policy=policy(),
        environment=Letters(turns=3),
        sampler=sampler,
        key=keys.root(key),
    )
    return Scored(rewards=(Payoff(),), weights=(1.0,))(forest, torch.arange(len(forest)))


def ratios(view, forest):
    """Ratio of every trained token at the policy that sampled, and the chain-wise view."""
    seen = view(forest)
    rows = torch.arange(len(seen))
    with torch.no_grad():
        now = policy().log_prob(seen, rows)
    train = seen["tokens.train"] & seen.valid("tokens.log_prob")
    return (now - seen["tokens.log_prob"].double())[train].exp(), train, seen


def test_no_ratio_exceeds_its_bound():
    """At theta = theta_old every ratio is at most 1 / (1 - alpha), with equality on originals."""
    forest = ByRoot()(sampled(probability=0.3))
    found, train, seen = ratios(TokenMixture(high=9.0), forest)
    probe = torch.zeros(len(seen), dtype=torch.bool)
    for leaf in seen.leaves().tolist():
        path = seen.path(leaf)
        probe[path] = bool((seen["origin"][path] == int(Origin.INSERTED)).any())
    leaf = seen.leaves()
    share = float(probe[leaf].double().mean())
    bound = 1 / (1 - share)
    assert bool((found <= bound + 1e-6).all())
    own = ~probe[seen.token_row[train]]
    assert torch.allclose(found[own], torch.tensor(bound, dtype=found.dtype), atol=1e-5)
    tail = branched(seen)[seen.token_row] & (seen["origin"][seen.token_row] != int(Origin.INSERTED))
    assert torch.allclose(found[tail[train]], torch.ones(1, dtype=found.dtype), atol=1e-5)


def test_the_bound_above_the_clip_would_stop_all_good_originals():
    """The published rule at alpha > 1/6; the view notices and leaves originals their own probabilities."""
    forest = ByRoot(rule=Normalised())(sampled(probability=1.0))
    results = {}
    for name, view in (("published", TokenMixture(high=9.0)), ("guarded", TokenMixture(high=0.2))):
        seen = view(forest)
        log_prob = policy().log_prob(seen, torch.arange(len(seen)))
        (slope,) = torch.autograd.grad(Clipped()(seen, log_prob).loss, log_prob)
        below = branched(seen)
        own = torch.ones(len(seen), dtype=torch.bool)
        for leaf in seen.leaves()[below[seen.leaves()]].tolist():
            own[seen.path(leaf)] = False
        good = own[seen.token_row] & (seen["advantage"][seen.token_row] > 0) & seen["tokens.train"]
        results[name] = slope[good]
    assert len(results["published"]) > 10
    assert bool((results["published"] == 0).all())
    assert bool((results["guarded"] != 0).all())


def test_probability_0_is_grpo_to_the_bit():
    """Same rows, same credit, and the view is the very same forest; so is every later number."""
    job, plain = rex_rag.build(probability=0.0), grpo.build(width=5)
    tasks = [letter_task(f"t{number}", prompt="abc"[number % 3], payoff=PAYS) for number in range(6)]
    forests = []
    for sampler, credit in ((job.sampler, job.credit), (plain.sampler, plain.credit)):
        forest = grow(
            [Draw(task=task) for task in tasks],
            policy=policy(),
            environment=Letters(turns=3),
            sampler=sampler,
            key=keys.root(1),
        )
        scored = Scored(rewards=(Payoff(),), weights=(1.0,))(forest, torch.arange(len(forest)))
        forests.append(credit(scored))
    assert torch.equal(forests[0]["advantage"], forests[1]["advantage"])
    assert difference(forests[0].without("advantage"), forests[1].without("advantage")) is None
    assert job.view is not None
    assert job.view(forests[0]) is forests[0]
    assert job.objective == plain.objective


def test_alpha_0_is_grpo_even_if_probes_were_asked_for():
    """No wrong original, no probe: the batch is that of plain sampling."""
    everything_pays = {"".join(one): 1.0 for one in itertools.product("abc", repeat=3)}
    sampler = Probe(scorer=Scored(rewards=(Payoff(),), weights=(1.0,)), width=5, probability=1.0, pool=POOL)
    task = letter_task("t", prompt="a", payoff=everything_pays)
    one, other = (
        grow([Draw(task=task)], policy=policy(), environment=Letters(turns=3), sampler=one, key=keys.root(0))
        for one in (sampler, Independent(width=5))
    )
    names = [name for name in other.names if name != "parent"]
    assert difference(one, other, names=names) is None


@pytest.mark.parametrize("correction", ["token", "trajectory", "none"])
def test_the_inserted_text_is_learned_and_what_was_shown_is_not(correction):
    """Trap: which tokens a probe trains. The doubt and what follows; never prompts or observations."""
    forest = ByRoot()(sampled(probability=0.5))
    seen = rex_rag.build(correction=correction).view(forest)
    inserted = (seen["origin"] == int(Origin.INSERTED))[seen.token_row]
    assert bool(seen["tokens.train"][inserted].all())
    assert bool((seen["tokens.role"][inserted] == int(Role.POLICY)).all())
    log_prob = policy().log_prob(seen, torch.arange(len(seen)))
    (slope,) = torch.autograd.grad(Clipped()(seen, log_prob).loss, log_prob)
    assert bool((slope[inserted] != 0).any())
    assert bool((slope[seen["tokens.role"] == int(Role.PROMPT)] == 0).all())


@pytest.mark.statistical
def test_trajectory_weights_remove_the_bias_of_a_sampled_batch():
    """Mean payoff over originals and probes, weighted with the true w(s) and z: the policy's own. 5 standard errors.

    The policy hardly ever says "b", so that the doubt is found in probes alone, and their exact weight is almost 0.
    """
    table = torch.zeros(3, 3)
    table[:, 1] = -20.0
    acts = TabularPolicy(vocabulary="abc", table=table)
    task = letter_task("t", prompt="a", payoff={"cc": 1.0, "cbc": 1.0, "abc": 1.0})
    sampler = Probe(scorer=Scored(rewards=(Payoff(),), weights=(1.0,)), width=4, probability=1.0, pool=("b",))
    draws = [Draw(task=task, number=number) for number in range(400)]
    forest = grow(draws, policy=acts, environment=Letters(turns=2), sampler=sampler, key=keys.root(0))
    forest = Scored(rewards=(Payoff(),), weights=(1.0,))(forest, torch.arange(len(forest)))
    forest = forest.with_columns({"advantage": forest["reward.total"].nan_to_num()})
    forest = forest.with_valid("advantage", forest["ok.total"])
    seen = TrajectoryMixture()(forest)
    leaf = seen.leaves()
    weighted = seen["advantage"][leaf].double()
    truth = 1 / 4
    error = float(weighted.std()) / len(leaf) ** 0.5
    assert abs(float(weighted.mean()) - truth) < 5 * error
    plain = forest["advantage"][forest.leaves()].double()
    assert abs(float(plain.mean()) - truth) > 5 * error, "unweighted, probes make the policy look better than it is"


def test_trap_the_trie_of_another_pool_is_an_error():
    """The authors load stored token ids of a pool; here the pool is encoded by the policy that samples."""
    sampler = Probe(scorer=Scored(rewards=(Payoff(),), weights=(1.0,)), pool=("b", "d"), probability=1.0, width=5)
    task = letter_task("t", prompt="a", payoff={})
    with pytest.raises(KeyError):
        grow([Draw(task=task)], policy=policy(), environment=Letters(turns=1), sampler=sampler, key=keys.root(0))


def test_trap_the_verifier_is_an_explicit_part():
    """The authors consult the gold answer inside the rollout loop; here whoever builds the sampler hands it over."""
    sampler = rex_rag.build().sampler
    assert isinstance(sampler, Probe)
    assert isinstance(sampler.scorer, Scored)
    assert sampler.scorer.rewards == rex_rag.build().rewards
    assert replace(sampler, probability=0.0).probability == 0.0


def test_trap_no_rows_are_dropped_to_fit_devices():
    """The authors cut the batch to a multiple of the devices, mostly probes; every kept trajectory is trained here."""
    forest = ByRoot()(sampled(probability=0.5))
    seen = TokenMixture(high=9.0)(forest)
    assert len(seen.roots()) == len(forest.leaves())


def test_success_on_dead_ends_at_equal_tokens(record_property):
    """Probes against fresh restarts: both are counted in tokens; a probe is cheaper here, because it keeps a prefix."""
    forest = sampled(probability=1.0, count=60)
    leaf = forest.leaves()
    probe = branched(forest)[leaf]
    spent = forest["cost.tokens"].where(forest.valid("cost.tokens"), 0)
    tail = float(spent[branched(forest)].sum())
    fresh = float(spent[~branched(forest)].sum())
    won = forest["reward.total"][leaf].double()
    record_property("probe_success_per_token", float(won[probe].sum()) / tail)
    record_property("restart_success_per_token", float(won[~probe].sum()) / fresh)
    assert tail / int(probe.sum()) < fresh / int((~probe).sum())
