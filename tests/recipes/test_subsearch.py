"""SubSearch: the reward table on the real environment, traps by name, and a pilot of what its scores are worth."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from milepost import keys
from milepost.credit import group
from milepost.environments.search import facts
from milepost.environments.search.environment import Limits, Search
from milepost.evaluation.intervals import mean_interval
from milepost.forest import Forest
from milepost.part import Action
from milepost.recipes import subsearch
from milepost.rewards import combine
from milepost.rewards.subqueries import formulas
from milepost.rewards.subqueries.encoder import MiniLM
from milepost.testing.recipes import check_recipe
from tests.recipes import docstrings

KEY = keys.root(12)


def played(*trajectories, version=0):
    """The given actions in a two-hop task of the real environment, as a forest."""
    environment = Search(train_size=1, hops=(2,), limits=Limits(queries=3))
    (task,) = environment.train()
    parent, rows = [-1], [{"text": "?", "record": json.dumps(dict(task.record)), "end": 0}]
    for actions in trajectories:
        state, above = environment.reset(task, 0).state, 0
        for action in actions:
            went = environment.step(state, Action(text=action), 0)
            parent.append(above)
            rows.append({"text": action, "end": int(went.end), **went.columns})
            state, above = went.state, len(parent) - 1
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return Forest.of(parent, {**columns, "policy_version": [version] * len(parent)}), task


def table():
    """A right answer after searching, wrong ones after searching and at once, and each in the wrong form."""
    _, task = played()
    plan = [f"<search>{query}</search>" for query in task.record["plan"]]
    right, wrong, odd = f"<answer>{task.record['answer']}</answer>", "<answer>no idea</answer>", "<search>x</answer>"
    return [*plan, right], [*plan, wrong], [wrong], [odd, *plan, right], [odd, *plan, wrong], [odd, wrong], [right]


def scored(forest, **settings):
    job = subsearch.build(**settings)
    every = torch.arange(len(forest))
    return combine.Scored(rewards=job.rewards, weights=job.weights)(forest, every)


def totals(forest, **settings):
    found = scored(forest, **settings)
    ends = found.leaves()
    assert bool(found["ok.total"][ends].all())
    return found["reward.total"][ends]


def test_the_reward_table():
    """Right 1, plus what form adds; wrong: at most beta of what was done on the way, plus form."""
    forest, _ = played(*table())
    right, searched, nothing, odd_right, odd_searched, odd_nothing, lucky = totals(forest, beta=0.2).tolist()
    assert right == lucky == pytest.approx(1.1)
    assert odd_right == pytest.approx(1.0)
    assert nothing == pytest.approx(0.1)
    assert odd_nothing == pytest.approx(0.0)
    assert 0.1 < searched < 0.3
    assert odd_searched == pytest.approx(searched - 0.1, abs=1e-6)


def test_beta_0_is_the_outcome():
    forest, _ = played(*table())
    assert torch.equal(totals(forest, beta=0.0, form=0.0), scored(forest)["reward.outcome"][forest.leaves()])


def test_published_order_and_ours():
    """Trap: as published a search that ends wrongly is worth less than no search; here it is worth more."""
    forest, _ = played(*table())
    published, ours = totals(forest, beta=0.2, published=True), totals(forest, beta=0.2)
    assert published[4] < published[5], "in the wrong form searching costs even more than it brings"
    assert published[1] < published[2] + 0.1
    assert bool((ours[[1, 4]] > ours[[2, 5]]).all())


def test_one_group_has_one_beta():
    """Beta is that of the updates the policy had seen when the task began, whatever a later step says."""
    forest, _ = played(*table())
    moved = forest["policy_version"].clone()
    moved[1:] = 700
    mixed = forest.with_columns({"policy_version": moved})
    assert torch.equal(totals(forest), totals(mixed))
    later, _ = played(*table(), version=700)
    assert float(totals(later)[1]) < float(totals(forest)[1])


def test_the_gate_is_inert():
    """Trap: the published gate compares a running mean with its slope; in 20,000 calls it never acts."""
    average, acted = 0.3, 0
    for value in keys.generator(keys.fold(KEY, "gate")).random(20_000) < 0.3:
        slope = 0.02 * (float(value) - average)
        average += slope
        acted += (average < 0.65 and abs(slope) <= 5e-4) or (average > 0.65 and slope > 5e-4)
    assert acted == 0


# ---- the real encoder ----


def splits(names, question, part):
    """100 comparison questions of two entities each, and the parts of each."""
    order = keys.generator(keys.fold(KEY, "pairs")).permutation(len(names)).tolist()
    pairs = [(names[order[place]], names[order[-1 - place // 2]]) for place in range(100)]
    return [(question.format(one, two), [part.format(one), part.format(two)]) for one, two in pairs]


def shares_won(cases):
    """How often the gold split scores above the parts of another question, and above one part asked twice."""
    texts = dict.fromkeys(text for question, parts in cases for text in (question, *parts))
    vector = dict(zip(texts, MiniLM()(list(texts)), strict=True))

    def score(question, parts):
        kept = formulas.distinct(question, parts)
        return float(formulas.decomposition(vector[question], torch.stack([vector[part] for part in kept])))

    others = [cases[(place + 50) % len(cases)][1] for place in range(len(cases))]
    gold = [score(*case) for case in cases]
    swapped = [score(question, other) for (question, _), other in zip(cases, others, strict=True)]
    twice = [score(question, [parts[0], parts[0]]) for question, parts in cases]
    return [sum(a > b for a, b in zip(gold, worse, strict=True)) / len(cases) for worse in (swapped, twice)]


@pytest.mark.slow
def test_gold_splits_score_higher_with_minilm(record_property):
    """On 100 questions about countries at least 90% each way.

    On names of functions the second falls to 86%: a query for one half that lies near 0.85 passes for a rephrasing.
    """
    names = [country.name for country in facts.countries()]
    found = shares_won(splits(names, "Which of {} and {} has more people?", "how many people live in {}"))
    functions = [one.name for one in docstrings.functions()]
    odd = shares_won(
        splits(functions, "Which of the functions {} and {} was added to Python first?", "when was {} added to Python")
    )
    record_property("gold beats mismatched, repeated", {"countries": found, "functions": odd})
    assert min(found) >= 0.9
    assert min(odd) >= 0.75


# ---- a pilot: when does a policy learn to split? ----


@dataclass(frozen=True)
class Pilot:
    """What each kind of query earns on two-part questions: outcome and intermediate score, (questions, actions)."""

    outcome: torch.Tensor
    both: torch.Tensor
    answerable: torch.Tensor


ACTIONS = ("single", "split", "repeat", "copies")


@functools.cache
def pilot(count=40):
    """Two-part questions over the documentation of the standard library: BM25, 2 documents per query, MiniLM."""
    known, index = docstrings.functions(), docstrings.index()
    order = keys.generator(keys.fold(KEY, "pilot")).permutation(len(known)).tolist()
    rows = []
    for place in range(count):
        one, two = known[order[2 * place]].name, known[order[2 * place + 1]].name
        question, parts = f"Which modules define {one} and {two}?", [f"module of {one}", f"module of {two}"]
        asked = ([question], parts, [parts[0], parts[0]], [question, question])
        rows += [(question, {one, two}, queries, [index.top(query, 2) for query in queries]) for queries in asked]
    texts = dict.fromkeys(text for question, _, queries, _ in rows for text in (question, *queries))
    texts |= dict.fromkeys(document.text for *_, found in rows for documents in found for document in documents)
    vector = dict(zip(texts, MiniLM()(list(texts)), strict=True))
    numbers = []
    for question, wanted, queries, found in rows:
        right = wanted <= {document.id for documents in found for document in documents}
        shown = [torch.stack([vector[document.text] for document in documents]) for documents in found]
        asks = float(formulas.answerability(torch.stack([vector[query] for query in queries]), shown))
        kept = [vector[query] for query in formulas.distinct(question, queries)]
        splits = float(formulas.decomposition(vector[question], torch.stack(kept))) if kept else 0.0
        numbers.append((float(right), 0.5 * asks + 0.5 * splits, asks))
    outcome, both, answerable = torch.tensor(numbers).view(count, len(ACTIONS), 3).unbind(2)
    return Pilot(outcome=outcome, both=both, answerable=answerable)


def learn(intermediate, seed, *, beta=0.2, updates=80, noise=0.6):
    """GRPO on a softmax over the kinds of query; a reader that found everything answers rightly with chance `noise`."""
    found, logits = pilot(), torch.tensor([1.5, 0.0, 0.0, 0.0], dtype=torch.float64)
    key = keys.fold(KEY, "learn", seed)
    for update in range(updates):
        draw = keys.generator(keys.fold(key, update))
        question = torch.from_numpy(draw.integers(0, len(found.outcome), 8)).repeat_interleave(5)
        chance = logits.softmax(0)
        action = torch.from_numpy(draw.choice(len(ACTIONS), size=40, p=chance.numpy()))
        right = found.outcome[question, action] * torch.from_numpy(draw.random(40) < noise)
        reward = right.double()
        if intermediate is not None:
            reward = formulas.residual(reward, intermediate[question, action].double(), beta)
        groups = torch.arange(8).repeat_interleave(5)
        credit = group.normalised(reward, groups, 8, torch.ones(40, dtype=torch.bool), ddof=0, eps=1e-6)
        slope = torch.nn.functional.one_hot(action, len(ACTIONS)).double() - chance
        logits = logits + 0.3 * (credit[:, None] * slope).mean(0)
    chance = logits.softmax(0)
    return float(chance[ACTIONS.index("split")]), float(chance @ found.outcome.double().mean(0)) * noise


@pytest.mark.slow
def test_splits_are_learnt_sooner(record_property):
    """5 seeds at equal updates: 20 points more splits with intermediate rewards, and no success lost.

    A fixed beta of 1 was expected to be hacked (scores up, success down). It is not here: both ask for a split.
    """
    runs = {"outcome": (None, 0.0), "answerability": (pilot().answerable, 0.2), "both": (pilot().both, 0.2)}
    runs["both, beta 1"] = (pilot().both, 1.0)
    found = {
        name: torch.tensor([learn(scores, seed, beta=beta) for seed in range(5)], dtype=torch.float64)
        for name, (scores, beta) in runs.items()
    }
    record_property("share of splits, success", {name: rows.mean(0).tolist() for name, rows in found.items()})
    gain = found["both"] - found["outcome"]
    assert float(gain[:, 0].mean()) > 0.2
    assert mean_interval(gain[:, 0].tolist()).low > 0
    assert float(gain[:, 1].mean()) >= 0


def test_the_recipe_keeps_the_common_promises():
    check_recipe("subsearch", tests=Path(__file__).parents[1])
