"""SPORT: siblings at every step, judged after they were executed, and what is learned from them."""

import json

import torch

from milepost import keys
from milepost.bridges import trl
from milepost.columns import End
from milepost.credit.tree.preferred import Preferred
from milepost.curation.pairs.rows import preference_rows
from milepost.environments.sandbox.action import spoken, written
from milepost.environments.sandbox.environment import Desk
from milepost.environments.sandbox.tau2 import Tau2
from milepost.objectives.pairs import outcome_pairs, preference_loss
from milepost.objectives.siblings import SiblingPreference
from milepost.part import ChatReply
from milepost.policies.decoding import Decoding
from milepost.policies.endpoint import Endpoint
from milepost.recipes import sport
from milepost.rewards.combine import Scored
from milepost.rewards.judging.judge import Judgement
from milepost.rewards.judging.siblings import BestOfSiblings, Tried
from milepost.sampling.branching.siblings import Siblings
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.segments import path_sum
from milepost.testing import check_recipe
from milepost.testing.worlds import Letters, Payoff, TabularPolicy, expected_payoff, letter_task
from milepost.traces.record import Trace

DESK = Desk(sandbox=Tau2(domain="retail"), train_size=3, turns=12)
TASK = DESK.train()[0]
PLAN = [written(one["name"], one["arguments"]) for one in TASK.record["plan"]]
WRONG = [written("get_order_details", {"order_id": f"#W{number}"}) for number in range(9)]


class Siblings4:
    """A chat model whose four answers to one prompt are given; it takes the plan's next call for the right one."""

    model = "stub"

    def __init__(self, place=1, answers=None):
        self.place, self.answers, self.seen = place, answers, {}

    def reply(self, requests):
        return [ChatReply(text=self._next(request.messages), end="stop") for request in requests]

    def _next(self, messages):
        told = json.dumps(messages)
        number = self.seen[told] = self.seen.get(told, -1) + 1
        if self.answers is not None:
            return self.answers[number % len(self.answers)]
        step = sum(one["role"] == "assistant" for one in messages)
        right = PLAN[step] if step < len(PLAN) else spoken("Done.")
        return right if number % 4 == self.place else WRONG[number % 4]


def grown(chat, *, job=None, desk=DESK):
    job = job or sport.build(width=4)
    policy = Endpoint(chat=chat, decoding=Decoding(stop=desk.stop))
    return job.credit(grow([Draw(task=TASK)], policy=policy, environment=desk, sampler=job.sampler, key=keys.root(1)))


def on_path(forest):
    return [row for row in range(1, len(forest)) if forest["end"][row] != int(End.PRUNED)]


def test_the_recipe():
    check_recipe("sport")


def test_the_counting_identity():
    forest = grown(Siblings4(place=2), job=sport.build(width=4, similar=1.0))
    texts, chosen = forest.text("text"), on_path(forest)
    steps = len(PLAN) + len(TASK.record["needs"])
    assert [texts[row] for row in chosen] == [*PLAN, *[spoken("Done.")] * len(TASK.record["needs"])]
    assert json.loads(forest.text("call")[chosen[-1]])["answer"] == "solved"
    rows = list(preference_rows(forest))
    assert len(rows) == steps * 3
    for number, row in enumerate(rows):
        step = number // 3
        above = chosen[:step]
        expected = [{"role": "user", "content": TASK.record["prompt"]}]
        for one in above:
            expected.append({"role": "assistant", "content": texts[one]})
            expected.append({"role": "user", "content": forest.text("result")[one]})
        assert row["prompt"] == expected
        assert row["chosen"] != row["rejected"]
        assert isinstance(read := trl.of_value(row, "a", 1), Trace), read
        assert trl.value_of(read) == row


def test_siblings_share_no_interpreter():
    order = {"order_id": "#W5918442"}
    writes = written("cancel_pending_order", {**order, "reason": "no longer needed"})
    reads = written("get_order_details", order)
    told = {}
    for name, answers in {"first": [writes, reads, reads, reads], "last": [reads, reads, reads, writes]}.items():
        forest = grown(Siblings4(answers=answers), job=sport.build(width=4), desk=Desk(sandbox=Tau2(), turns=1))
        results = forest.text("result")[1:]
        told[name] = dict(zip(answers, results, strict=True))
        assert len({result for text, result in zip(answers, results, strict=True) if text == reads}) == 1
    assert told["first"] == told["last"]
    assert json.loads(told["first"][reads])["status"] == "pending"


class Unusable:
    """A judge whose verdicts cannot be used."""

    identity = "unusable"

    def rank(self, cases):
        return [Judgement(answer=None, unusable="reward_error: no verdict")] * len(cases)


def test_judge_failures_are_no_preferences():
    scorer = Scored(rewards=(BestOfSiblings(judge=Unusable(), view=Tried()),), weights=(1.0,))
    job = sport.build(width=4)
    broken = type(job)(**{**job.__dict__, "sampler": Siblings(width=4, scorer=scorer)})
    forest = grown(Siblings4(place=1), job=broken)
    assert list(preference_rows(forest)) == []
    assert not forest["ok.total"].any()
    rows = on_path(forest)
    assert len(rows) == DESK.turns  # the first candidate goes on, to the turn limit
    assert {forest.text("text")[row] for row in rows} == {WRONG[0]}
    assert {forest.text("reason.best")[row] for row in rows} == {"reward_error: no verdict"}


def test_chosen_is_never_rejected():
    bad = [written("fly", {}), written("cancel_pending_order", {"order_id": "#W0"}), "hm", written("fly", {})]
    forest = grown(Siblings4(answers=bad), desk=Desk(sandbox=Tau2(), turns=2))
    assert all(row["chosen"] != row["rejected"] for row in preference_rows(forest))
    same = grown(Siblings4(answers=[written("fly", {})] * 4), desk=Desk(sandbox=Tau2(), turns=2))
    assert list(preference_rows(same)) == []
    assert len(on_path(same)) == 2  # it goes on without pairs


def test_an_answer_counts_only_in_the_chosen_candidate():
    forest = grown(Siblings4(place=0))
    finished = [row for row in range(len(forest)) if forest["end"][row] == int(End.TERMINATED)]
    assert len(finished) == 1
    assert forest["advantage"][finished[0]] >= 0


# ---- a small world in which everything can be computed: after each letter comes the next one ----

NEXT = {"a": "b", "b": "c", "c": "d", "d": "a"}


def tasks(turns):
    """One task per letter: so many letters after it pay."""
    found = []
    for one in "abcd":
        said = one
        for _ in range(turns):
            said += NEXT[said[-1]]
        found.append(letter_task(one, prompt=one, payoff={said[1:]: 1.0}))
    return found


def verifier(accuracy):
    """Picks the right sibling with a chance, else any: at 0 it is right as often as a guess."""

    def score(forest, rows):
        texts, prompts = (
            forest.text("text"),
            [json.loads(one)["prompt"] if one else "" for one in forest.text("record")],
        )
        known = forest["ok.total"].tolist() if "ok.total" in forest else [False] * len(forest)
        value = [float(forest["reward.total"][row]) if known[row] else None for row in range(len(forest))]
        for above in forest.parent[rows].unique().tolist():
            members = [row for row in rows.tolist() if forest.parent[row] == above]
            draw = keys.uniform([keys.fold(int(forest["key"][above]), "verifier")], 2)[0]
            last = (texts[above] or prompts[above])[-1]
            right = [row for row in members if texts[row] == NEXT[last]]
            best = right if right and draw[0] < accuracy else [members[int(draw[1] * len(members))]]
            for row in members:
                value[row] = float(row == best[0])
        return forest.with_columns({"reward.total": value, "ok.total": [one is not None for one in value]})

    return score


def success(policy, turns=2):
    with torch.no_grad():
        return float(sum(expected_payoff(policy, Letters(turns=turns), task) for task in tasks(turns)) / 4)


def steps(policy, first, grown):
    """SPORT's loss of a forest of siblings."""
    forest, rows = Preferred()(grown), torch.arange(len(grown))
    return SiblingPreference(beta=0.5)(
        forest, policy.log_prob(forest, rows), first.log_prob(forest, rows).detach()
    ).loss


def trajectories(policy, first, grown):
    """DPO between the whole trajectories of a task, by what they pay."""
    leaf = grown.leaves()
    paid = Payoff()(grown, leaf).values
    value = torch.zeros(len(grown)).index_put((leaf,), paid)
    ok = torch.zeros(len(grown), dtype=torch.bool).index_fill(0, leaf, True)
    found = outcome_pairs(grown.with_columns({"reward.total": value, "ok.total": ok}), margin=0.5)
    rows = torch.arange(len(grown))
    gain = 0.5 * (policy.log_prob(grown, rows) - first.log_prob(grown, rows).detach())
    own = torch.zeros(len(grown), dtype=gain.dtype).index_add(0, grown.token_row, gain)
    whole = path_sum(own, grown.parent)
    return preference_loss(whole[found.better], whole[found.worse]).mean() if len(found) else 0 * gain.sum()


def gain(accuracy, seed, *, updates=12, turns=2, loss=steps):
    """Rise of the exact success after a few updates, of siblings judged at an accuracy, or of whole trajectories."""
    policy, first = (TabularPolicy.random("abcd", key=seed) for _ in range(2))
    sampler = Siblings(width=4, scorer=verifier(accuracy)) if loss is steps else Independent(width=4)
    optimiser = torch.optim.Adam([policy.table], lr=0.15)
    begun = success(policy, turns)
    for step in range(updates):
        draws = [Draw(task=task, number=number) for task in tasks(turns) for number in range(2)]
        key = keys.fold(seed, "step", step)
        forest = grow(draws, policy=policy, environment=Letters(turns=turns), sampler=sampler, key=key)
        optimiser.zero_grad()
        loss(policy, first, forest).backward()
        optimiser.step()
    return success(policy, turns) - begun


def test_success_rises_with_the_accuracy_of_the_verifier():
    seeds = range(6)
    gains = {accuracy: torch.tensor([gain(accuracy, seed) for seed in seeds]) for accuracy in (0.0, 0.4, 0.8)}
    means = [float(one.mean()) for one in gains.values()]
    assert means == sorted(means), means
    none = gains[0.0]
    assert abs(none.mean()) < 5 * none.std() / len(none) ** 0.5  # five standard errors: no gain from guesses
    sure = gains[0.8] - gains[0.0]
    assert sure.mean() > 5 * sure.std() / len(sure) ** 0.5
    assert means[2] > 0.05


def test_steps_beat_trajectories():
    """Four candidates at each of three steps, judged right in 80 %, against four trajectories of three steps."""
    seeds = range(4)
    judged, whole = (
        torch.tensor([gain(0.8, seed, turns=3, loss=loss) for seed in seeds]) for loss in (steps, trajectories)
    )
    assert (judged > 0.05).all(), judged
    assert float(whole.mean()) > 0, whole
    assert (judged > whole).all(), (judged, whole)
