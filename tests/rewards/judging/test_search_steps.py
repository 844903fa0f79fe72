"""Steps of a search agent as cases: what is shown, what has a fixed value, and that nothing leaks."""

import json

import pytest

from milepost.environments.search.action import parse_action
from milepost.errors import FormatError, SettingError
from milepost.forest import Forest
from milepost.rewards import guard
from milepost.rewards.judging import prompts
from milepost.rewards.judging.judge import Case
from milepost.rewards.judging.rules import RuleJudge
from milepost.rewards.judging.search_steps import Answers, Candidates, Queries, Thoughts, judged_steps, read_step

RECORD = {"prompt": "What is the capital of Chad?", "answer": "Ndjamena-the-secret", "gold": ["d1"], "plan": ["x"]}


def tree():
    return Forest.of(
        [-1, 0, 1, 1, 1, 0],
        {
            "text": [
                "?",
                "First the country. <search>Chad</search>",
                "It says so. <answer>Moundou</answer>",
                "<search>capital of Chad</search>",
                "no action here",
                "Other. <search>Peru</search>",
            ],
            "result": [None, "Chad: a country" + "!" * 50, None, None, None, None],
            "record": [json.dumps(RECORD), *[None] * 5],
        },
    )


def test_a_step_knows_its_own_path_only():
    step = read_step(tree(), 3, parse_action)
    assert step.question == RECORD["prompt"]
    assert step.past == (("Chad", "Chad: a country" + "!" * 50),)
    assert step.action.content == "capital of Chad"
    assert read_step(tree(), 5, parse_action).past == ()
    with pytest.raises(FormatError):
        read_step(tree(), 0, parse_action)


def test_what_is_shown_of_a_query():
    case = Queries(parse=parse_action, characters=5)(tree(), 3)
    assert case.material == {
        "question": RECORD["prompt"],
        "found so far": "Search: Chad\nFound: Chad:",
        "thought": "",
        "query": "capital of Chad",
    }
    assert case.known["past"] == ("Chad",)


def test_fixed_values():
    queries, thoughts, answers = (kind(parse=parse_action) for kind in (Queries, Thoughts, Answers))
    assert [queries(tree(), row) for row in (2, 4)] == [0.0, -1.0], "an answer; neither search nor answer"
    assert [thoughts(tree(), row) for row in (3, 4)] == [-1.0, -1.0], "no thought; rambling is none"
    assert [answers(tree(), row) for row in (1, 4)] == [0.0, 0.0]


def test_only_the_judge_of_answers_sees_the_reference():
    """A judge that knows the answer while it grades thoughts and queries would reward what leads there by luck."""
    forest = tree()
    for row in (1, 3, 5):
        for view in (Queries(parse=parse_action), Thoughts(parse=parse_action)):
            case = view(forest, row)
            if isinstance(case, Case):
                assert "secret" not in str(prompts.score(case).messages)
    ranked = Candidates(parse=parse_action)(forest, [2, 3, 4])
    assert "secret" not in str(prompts.rank(ranked, (0, 1, 2)).messages)
    answer = Answers(parse=parse_action)(forest, 2)
    assert answer.material == {"question": RECORD["prompt"], "references": "Ndjamena-the-secret", "answer": "Moundou"}


def test_lengths_are_checked():
    for view in (Queries, Thoughts, Candidates):
        with pytest.raises(SettingError):
            view(parse=parse_action, characters=-1)


def test_the_three_rewards():
    judge = RuleJudge(rules=dict.fromkeys(("thought", "query", "answer"), lambda case: 1.0))
    forest = tree()
    for reward in judged_steps(judge, parse_action):
        forest = guard.score(reward, forest)
    table = [forest[f"reward.{name}"][1:5].tolist() for name in ("thought", "query", "answer")]
    assert table == [[1.0, 1.0, -1.0, -1.0], [1.0, 0.0, 1.0, -1.0], [0.0, 1.0, 0.0, 0.0]]
