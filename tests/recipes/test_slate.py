"""SLATE: what truncation is worth in variance and where it is blind, one step against GRPO, and judges that fail."""

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from milepost import keys, storage
from milepost.columns import End, Role
from milepost.credit import group
from milepost.credit.group import Centred, Normalised
from milepost.credit.tree.steps import Steps
from milepost.credit.tree.values import TreeValues
from milepost.engines import local
from milepost.engines.settings import KeepSettings, PolicySettings, RunSettings, TaskSettings, UpdateSettings
from milepost.environments.search.environment import Limits, Search
from milepost.errors import MilepostError
from milepost.forest import Forest
from milepost.objectives.clipped import Clipped
from milepost.objectives.normalise import SequenceMean, StepMean
from milepost.policies.decoding import Decoding
from milepost.policies.loading import load
from milepost.recipes import slate
from milepost.rewards.combine import Scored
from milepost.sampling.branching.choosing import HighestReward, SoftmaxByAdvantage
from milepost.sampling.branching.step_level import StepLevel
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.testing.recipes import check_recipe
from milepost.testing.worlds import Letters, Payoff, TabularPolicy, letter_task
from tests.chat_servers import Stub, completion
from tests.recipes import docstrings

KEY = keys.root(31)
K, REPEATS = 5, 4000


# ---- variance: T steps of three actions each, rewards -1, 0, 1, the policy uniform and its steps independent ----


@dataclass(frozen=True)
class Batches:
    """Rewards (repeats, candidates, steps), and the slopes of the log-probabilities (..., actions)."""

    reward: torch.Tensor
    slope: torch.Tensor


def drawn(steps):
    """Full trajectories, or, by the independence of the steps, the candidates of each step of a truncated one."""
    draw = keys.generator(keys.fold(KEY, "variance", steps))
    action = torch.from_numpy(draw.integers(0, 3, (REPEATS, K, steps)))
    slope = torch.nn.functional.one_hot(action, 3).double() - 1 / 3
    return Batches(reward=action.double() - 1, slope=slope)


def group_credit(value, rule):
    """Credit of K candidates each: (repeats, K) numbers."""
    rows = value.reshape(-1)
    of = torch.arange(len(value)).repeat_interleave(K)
    return rule(rows, of, len(value), torch.ones(len(rows), dtype=torch.bool)).view(len(value), K)


def credits_of(batches, design, rule=group.centred):
    """Credit of every step of every candidate (repeats, candidates, steps) under one of three designs."""
    reward = batches.reward
    steps = reward.shape[2]
    if design == "truncated":
        worth = reward
    elif design == "to go":
        worth = reward.flip(2).cumsum(2).flip(2)
    else:
        worth = reward.sum(2, keepdim=True).expand(-1, -1, steps)
    return torch.stack([group_credit(worth[:, :, step], rule) for step in range(steps)], 2)


def gradient_variance(batches, design):
    """Total variance of (1/k) sum_j sum_t A_jt grad log pi_t(a_jt)."""
    gradient = (credits_of(batches, design)[..., None] * batches.slope).mean(1).flatten(1)
    return float(gradient.var(0).sum())


@pytest.mark.statistical
@pytest.mark.parametrize("steps", [2, 4, 8])
def test_variance_ratio(steps, record_property):
    """Centred credit: the variance of the summed reward is T times that of one step's; gradients gain a little more."""
    batches = drawn(steps)
    full, truncated = (float(credits_of(batches, design).var()) for design in ("full", "truncated"))
    record_property("ratio of credit", full / truncated)
    assert full / truncated == pytest.approx(steps, rel=0.05)
    ratio = gradient_variance(batches, "full") / gradient_variance(batches, "truncated")
    record_property("ratio of gradients", ratio)
    assert ratio == pytest.approx({2: 2.35, 4: 5.2, 8: 11.0}[steps], rel=0.07)


@pytest.mark.statistical
@pytest.mark.parametrize("steps", [2, 4, 8])
def test_the_fair_baseline(steps, record_property):
    """Full trajectories whose credit counts only what is still to come: truncation gains about half as much on them."""
    batches = drawn(steps)
    ratio = gradient_variance(batches, "to go") / gradient_variance(batches, "truncated")
    record_property("ratio of gradients, reward to go", ratio)
    assert ratio == pytest.approx({2: 1.67, 4: 3.07, 8: 5.99}[steps], rel=0.07)
    assert ratio < 0.75 * gradient_variance(batches, "full") / gradient_variance(batches, "truncated")


@pytest.mark.parametrize("steps", [2, 4, 8])
def test_whitening_trap(steps):
    """Trap: divided by the deviation of the group both designs have a variance near 1, whatever T is."""
    whiten = functools.partial(group.normalised, ddof=0, eps=1e-6)
    for design in ("full", "truncated"):
        assert 0.8 < float(credits_of(drawn(steps), design, whiten).var()) < 1.01


def test_unbiased_when_steps_add_up():
    """Exactly, over all 27 groups of 3 candidates: k / (k - 1) times the mean gradient is the policy gradient."""
    chance = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    reward = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    total = torch.zeros(3, dtype=torch.float64)
    for candidates in itertools.product(range(3), repeat=3):
        rows = torch.tensor(candidates)
        credit = group.centred(reward[rows], torch.zeros(3, dtype=torch.int64), 1, torch.ones(3, dtype=torch.bool))
        slope = torch.nn.functional.one_hot(rows, 3).double() - chance
        total += chance[rows].prod() * (credit[:, None] * slope).mean(0)
    true = chance * (reward - chance @ reward)
    assert_close(total * 3 / 2, true, rtol=0, atol=1e-15)


def test_myopia():
    """The first step earns nothing and decides everything. Immediate credit is blind to it; backed-up values are exact.

    A full tree: two first steps, below each two second ones; the second step pays 1 below the first of the two.
    """
    reward = [None, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    forest = Forest.of(
        [-1, 0, 0, 1, 1, 2, 2], {"reward.total": reward, "ok.total": [one is not None for one in reward]}
    )
    assert Steps(rule=Centred())(forest)["advantage"][1:3].tolist() == [0.0, 0.0]
    assert TreeValues()(forest)["advantage"][1:3].tolist() == [0.5, -0.5]


# ---- one step is GRPO ----


@dataclass(frozen=True)
class Paid:
    """The world's payoff as a reward of steps, so that candidates can be scored before they are executed."""

    name: str = "outcome"
    when: str = "step"
    side: str = "after"
    range: tuple[float, float] = (0.0, 1.0)

    def __call__(self, forest, rows):
        return Payoff(name=self.name)(forest, rows)


def test_one_step_is_grpo():
    """Same draws, same credit, same loss, number for number: k candidates of one step are k answers."""
    tasks = [letter_task(f"t{place}", prompt="abc"[place], payoff={"ab": 1.0, "ca": 0.5}) for place in range(3)]
    policy = TabularPolicy.random("abc", key=KEY, length=2)
    scorer = Scored(rewards=(Paid(),), weights=(1.0,))

    def grown_by(sampler):
        draws = [Draw(task=task) for task in tasks]
        forest = grow(draws, policy=policy, environment=Letters(), sampler=sampler, key=KEY)
        return scorer(forest, torch.arange(len(forest)))

    step = Steps()(grown_by(StepLevel(width=6, scorer=scorer, selector=HighestReward())))
    grpo = Normalised()(grown_by(Independent(width=6)))
    assert step.text("text") == grpo.text("text")
    assert int((step["end"] == int(End.PRUNED)).sum()) == 3 * 5
    assert bool((grpo["advantage"] != 0).any())
    assert torch.equal(step["advantage"], grpo["advantage"])
    log_prob = policy.log_prob(grpo, torch.arange(len(grpo))) * 1.1
    one = Clipped(normalise=StepMean())(step, log_prob).loss
    assert_close(one, Clipped(normalise=SequenceMean())(grpo, log_prob).loss, rtol=1e-12, atol=0)


# ---- the real environment ----


@functools.cache
def grown():
    """Two real questions, five candidates at every step, the embedded searching model; and what was really searched."""
    environment = Search(train_size=2, hops=(2,), limits=Limits(turns=4))
    job = slate.build()
    policy = load(environment.embedded, decoding=Decoding(max_tokens=72, stop=environment.stop))
    taken = []

    class Counted:
        def reset(self, task, key):
            return environment.reset(task, key)

        def step(self, state, action, key):
            taken.append(action.text)
            return environment.step(state, action, key)

    draws = [Draw(task=task) for task in environment.train()]
    forest = grow(draws, policy=policy, environment=Counted(), sampler=job.sampler, key=KEY)
    return forest, taken, job


def test_candidates_share_a_prefix():
    """All candidates of a step stand below one row, so their prefix is one; only the chosen one was executed."""
    forest, taken, _ = grown()
    siblings = torch.bincount(forest.parent[forest.parent >= 0], minlength=len(forest))
    assert set(siblings.tolist()) == {0, 5}
    executed = forest.valid("call")
    assert int(executed.sum()) == len(taken)
    assert bool((torch.bincount(forest.parent[executed], minlength=len(forest)) <= 1).all()), "one of each group"
    pruned = (forest["end"] == int(End.PRUNED)).nonzero().squeeze(1)
    assert len(pruned)
    assert not bool(executed[pruned].any())
    assert not bool((siblings[pruned] > 0).any())


def test_only_what_the_policy_wrote_is_trained():
    forest, _, _ = grown()
    role = forest["tokens.role"]
    assert torch.equal(forest["tokens.train"], role == int(Role.POLICY))
    assert bool((role == int(Role.OBSERVATION)).any())


def test_every_candidate_has_its_judged_rewards():
    forest, _, job = grown()
    below = forest.parent >= 0
    for name in ("thought", "query", "answer", "early_stop"):
        assert bool(forest[f"ok.{name}"][below].all())
    judged = [reward.name for reward, weight in zip(job.rewards, job.weights, strict=True) if weight == 1.0]
    total = sum(forest[f"reward.{name}"] for name in judged) + 0.1 * forest["reward.early_stop"]
    assert_close(forest["reward.total"][below], total[below])
    credit = job.credit(forest)
    assert bool(credit.valid("advantage")[below].all())
    sums = torch.zeros(len(forest)).index_add(0, forest.parent[below], credit["advantage"][below].float())
    assert float(sums.abs().max()) < 1e-4


def test_settings_of_the_recipe():
    job = slate.build(width=3, eta=0.0, early=0.2)
    assert isinstance(job.sampler.selector, HighestReward)
    assert slate.build().sampler.selector == SoftmaxByAdvantage(temperature=0.7)
    assert job.weights == (1.0, 1.0, 1.0, 0.2, 0.0)
    remote = slate.build(judge="http://127.0.0.1:1/v1#judge", replies="kept.jsonl")
    assert remote.rewards[0].judge.chat.model == "judge"
    assert slate.build(kl=0.01).objective.needs_reference


def test_the_recipe_keeps_the_common_promises():
    check_recipe("slate", tests=Path(__file__).parents[1])


# ---- a judge behind a server, killed in the middle of a run ----


def settings_for(url):
    return RunSettings(
        recipe="slate",
        settings={"judge": f"{url}#stub", "width": 3},
        tasks=TaskSettings(names=("search_1hop",), train=6, held_out=2, options={"search_1hop": {"turns": 2}}),
        policy=PolicySettings(max_tokens=40),
        update=UpdateSettings(steps=12, tasks_per_step=2, learning_rate=1e-4),
        keep=KeepSettings(checkpoint_every=1),
    )


def judging(body):
    """A judge with a verdict on everything, which depends on what it is shown."""
    said = body["messages"][-1]["content"]
    return completion(f"So.\n<verdict>{len(said) % 3 - 1}</verdict>")


def check_nothing_was_invented(out, given):
    """Every ok verdict of the stored forests is one that the server can have given; the others have a reason."""
    lost = 0
    for path in sorted((out / "forests").iterdir()):
        forest = storage.read(path)
        below = forest.parent >= 0
        for name in ("thought", "query", "answer"):
            ok, reasons = forest[f"ok.{name}"], forest.text(f"reason.{name}")
            assert torch.equal(ok, forest.valid(f"reward.{name}"))
            assert set(forest[f"reward.{name}"][ok].tolist()) <= given
            assert all((reasons[row] is None) == bool(ok[row]) for row in below.nonzero().squeeze(1).tolist())
            lost += int((below & ~ok).sum())
    return lost


def test_a_judge_killed_in_the_middle(tmp_path, monkeypatch):
    """The server dies after a few requests: what it did not judge is not ok, and the run stops and says how to go on.

    With the server back it is resumed to its end. No reward is there that the server did not give.
    """
    monkeypatch.setattr("milepost.policies.server.time.sleep", lambda seconds: None)
    dying = Stub(lambda number, body: judging(body) if number <= 25 else (503, {}))
    port, out, told = dying.http.server_address[1], tmp_path / "run", []
    with pytest.raises(MilepostError, match="milepost resume"):
        local.run(settings_for(dying.url), out, on_event=told.append)
    dying.close()
    assert any("of the rewards failed" in event.message for event in told)
    assert check_nothing_was_invented(out, {-1.0, 0.0, 1.0}) > 0
    back = Stub.at(port, lambda number, body: judging(body))
    try:
        outcome = local.resume(out, on_event=lambda event: None)
    finally:
        back.close()
    assert outcome.steps_done == 12
    check_nothing_was_invented(out, {-1.0, 0.0, 1.0})


# ---- a pilot on real text: look-ups in several hops ----


TEMPLATES = ("{description}", "{name}", "{module}", "{first}", "{previous}", "function")


@functools.cache
def look_ups():
    """Whether each template finds the document of each function: 1 that document, -1 the one before again, else 0."""
    known, index = docstrings.functions(), docstrings.index()
    order = keys.generator(keys.fold(KEY, "look-ups")).permutation(len(known))[:40].tolist()
    rows = []
    for place, previous in zip(order, [order[-1], *order[:-1]], strict=True):
        one, before = known[place], known[previous]
        words = one.document.body.split()
        filled = {
            "description": " ".join(words[:12]),
            "name": before.name[:3],
            "module": one.module,
            "first": words[0],
            "previous": before.document.title,
        }
        found = [index.top(template.format(**filled), 1) for template in TEMPLATES]
        ids = [documents[0].id if documents else "" for documents in found]
        rows.append([1.0 if best == one.name else -1.0 if best == before.name else 0.0 for best in ids])
    return torch.tensor(rows, dtype=torch.float64)


def learn(design, hops, seed, updates=150, rate=0.4):
    """Success of a softmax over templates, one per hop, after each update of 5 candidates at equal generated steps."""
    table, key = look_ups(), keys.fold(KEY, "learn", hops, seed)
    logits, curve = torch.zeros(hops, len(TEMPLATES), dtype=torch.float64), []
    every = torch.arange(hops)
    for update in range(updates):
        draw = keys.generator(keys.fold(key, update))
        asked = torch.from_numpy(draw.integers(0, len(table), hops))
        chance = logits.softmax(1)
        uniform = torch.from_numpy(draw.random((K, hops)))
        action = (chance.cumsum(1)[None] < uniform[..., None]).sum(2).clamp(max=len(TEMPLATES) - 1)
        reward = table[asked, action]
        if design == "outcome":
            worth = (reward == 1).all(1, keepdim=True).double().expand(-1, hops)
        else:
            worth = reward.sum(1, keepdim=True).expand(-1, hops) if design == "full" else reward
        credit = torch.stack([group_credit(worth[None, :, hop], whitened)[0] for hop in range(hops)], 1)
        slope = torch.nn.functional.one_hot(action, len(TEMPLATES)).double() - chance
        logits = logits + rate * (credit[..., None] * slope).mean(0)
        curve.append(float((logits.softmax(1)[every] * (table == 1).double().mean(0)).sum(1).prod()))
    return curve


whitened = functools.partial(group.normalised, ddof=0, eps=1e-6)


def needed(curve, goal):
    return next((update + 1 for update, value in enumerate(curve) if value >= goal), len(curve) + 1)


@pytest.mark.slow
def test_look_ups_are_learnt_sooner(record_property):
    """Updates to 80% of what can be reached, 5 seeds: SLATE, then dense rewards on full trajectories, then outcomes.

    150 updates at most. With 2 hops SLATE needs half the updates of outcomes alone, with 4 hops these never get there.
    """
    best, shares = float((look_ups() == 1).double().mean(0).max()), []
    for hops in (2, 4):
        curves = {d: [learn(d, hops, seed) for seed in range(5)] for d in ("truncated", "full", "outcome")}
        updates = {d: sum(needed(c, 0.8 * best**hops) for c in found) / 5 for d, found in curves.items()}
        final = {d: sum(c[-1] for c in found) / 5 for d, found in curves.items()}
        record_property(f"{hops} hops: updates to 80%, final success", [updates, final])
        assert updates["truncated"] < updates["full"] < updates["outcome"]
        assert final["truncated"] >= final["full"] - 0.02
        assert final["full"] >= final["outcome"] - 0.02
        shares.append(updates["truncated"] / updates["outcome"])
    assert shares[0] < 0.6
    assert shares[1] < min(0.5, shares[0]), "the gap grows with the hops"
