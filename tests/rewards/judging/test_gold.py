"""Rules over gold documents, by hand and on the real search environment."""

import json

import pytest

from milepost.environments.search.action import parse_action
from milepost.environments.search.collection import collection
from milepost.environments.search.environment import Search
from milepost.forest import Forest
from milepost.rewards import guard
from milepost.rewards.judging.gold import QueryRule, gold_judge, score_answer, score_query, score_thought
from milepost.rewards.judging.judge import Case
from milepost.rewards.judging.reward import Judged
from milepost.rewards.judging.rules import RuleJudge
from milepost.rewards.judging.search_steps import QUERY, Answers, Queries


def test_queries_by_hand():
    gold = ("a", "b")
    assert score_query(["a", "z"], gold, []) == 1.0
    assert score_query(["b"], gold, ["a"]) == 1.0, "partial progress is good, in any order"
    assert score_query(["z"], gold, []) == 0.0
    assert score_query(["a"], gold, ["a"]) == -1.0, "redundant"
    assert score_query([], gold, []) == -1.0


def test_thoughts_by_hand():
    known = "What is the capital of Chad? Found: Chad borders Libya"
    assert score_thought("the capital of Chad is missing", known) == 1.0
    assert score_thought("bananas are yellow in Chad today", known) == 0.0
    assert score_thought("bananas", known) == -1.0
    assert score_thought("it is the", known) == -1.0


def test_answers_by_hand():
    record = {"verifier": "qa_exact", "answer": "Peru"}
    assert [score_answer(record, one) for one in ("peru", "It is Peru", "Chad", "")] == [1.0, 0.0, -1.0, -1.0]


def test_a_task_without_gold_documents_has_no_verdict():
    judge = RuleJudge(rules={"query": QueryRule(find=lambda corpus, query: ())})
    (found,) = judge.score([Case(rubric=QUERY, material={"query": "x"}, known={"record": {}, "past": ()})])
    assert found.answer is None
    assert "gold" in found.unusable


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_the_plan_of_every_task_is_good_and_its_repetition_bad(hops):
    environment = Search(hops=(hops,), train_size=12)
    judge = gold_judge(collection, environment.limits.results)
    for task in environment.train():
        plan = [f"Look. <search>{query}</search>" for query in task.record["plan"]]
        text = ["?", *plan, plan[-1], f"<answer>{task.record['answer']}</answer>", "<answer>no idea</answer>"]
        parent = [*range(-1, len(plan) + 1), len(plan), len(plan)]
        parent[-3:] = [len(plan)] * 3
        forest = Forest.of(parent, {"text": text, "record": [json.dumps(task.record), *[None] * (len(text) - 1)]})
        for name, view in (("query", Queries(parse=parse_action)), ("answer", Answers(parse=parse_action))):
            forest = guard.score(Judged(judge=judge, view=view, name=name), forest)
        assert bool(forest["ok.query"][1:].all())
        steps = forest["reward.query"][1 : len(plan) + 1].tolist()
        assert steps[-1] == 1.0
        assert steps.count(1.0) == len(task.record["gold"])
        assert forest["reward.query"][len(plan) + 1] == -1.0
        assert forest["reward.answer"][-2:].tolist() == [1.0, -1.0]
