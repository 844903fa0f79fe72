"""A judge as a reward of steps and as a selector: no verdict, no number."""

import math

import pytest
import torch

from milepost import keys
from milepost.columns import REASONS
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.part import ChatReply
from milepost.rewards import guard
from milepost.rewards.judging.judge import Case, Rubric
from milepost.rewards.judging.model import ModelJudge
from milepost.rewards.judging.reward import BestByJudge, Judged
from milepost.rewards.judging.rules import RuleJudge

RUBRIC = Rubric(name="sound", asks="?")


class Texts:
    """Shows the text of a step; an empty one is worth 0, and "broken" cannot be shown."""

    range = (-1.0, 1.0)

    def __call__(self, forest, row):
        text = forest.text("text")[row]
        if text == "broken":
            raise ValueError("it is broken")
        return Case(rubric=RUBRIC, material={"step": text}) if text else 0.0


class Side:
    def __call__(self, forest, rows):
        return Case(rubric=RUBRIC, material={}, candidates=tuple(forest.text("text")[row] for row in rows))


def world(*texts):
    size = len(texts)
    return Forest.of([-1, *[0] * size], {"text": ["?", *texts], "key": torch.arange(size + 1)})


def says(request):
    content = request.messages[-1]["content"]
    if "cut" in content:
        return ChatReply(end="length", text="<verdict>1</verdict>", tokens=9)
    if "gone" in content:
        return ChatReply(end="error", detail="the server cannot be reached", calls=4)
    return "So.\n<verdict>1</verdict>" if "good" in content else "No.\n<verdict>-1</verdict>"


def test_scores_steps_and_counts_what_they_cost(scripted):
    reward = Judged(judge=ModelJudge(chat=scripted(says)), view=Texts(), name="sound")
    forest = guard.score(reward, world("good", "bad", "", "cut", "gone", "broken"))
    assert forest["reward.sound"].tolist()[1:4] == [1.0, -1.0, 0.0]
    assert forest["ok.sound"].tolist() == [False, True, True, True, False, False, False]
    assert all(math.isnan(one) for one in forest["reward.sound"].tolist()[4:])
    told = forest.text("reason.sound")[4:]
    assert [one.partition(":")[0] for one in told] == ["truncated", "reward_error", "reward_error"]
    assert all(one.partition(":")[0] in REASONS for one in told)
    assert "cannot be reached" in told[1]
    assert forest["cost.judge_calls"].tolist() == [0, 1, 1, 0, 1, 4, 0]
    assert forest["cost.judge_tokens"].tolist() == [0, 3, 3, 0, 9, 0, 0]
    assert forest["cost.judge_seconds"].tolist() == [0, 0.5, 0.5, 0, 0, 0, 0]


def test_nothing_to_judge_asks_nobody(scripted):
    reward = Judged(judge=ModelJudge(chat=scripted(lambda _: pytest.fail("asked"))), view=Texts(), name="sound")
    assert guard.score(reward, world("", ""))["reward.sound"][1:].tolist() == [0.0, 0.0]


def test_the_range_is_the_views_and_the_time_its_own(scripted):
    reward = Judged(judge=ModelJudge(chat=scripted(says)), view=Texts(), name="sound", timeout_s=9.0)
    assert reward.range == (-1.0, 1.0)
    assert isinstance(reward, guard.Slow)
    with pytest.raises(SettingError):
        Judged(judge=reward.judge, view=Texts(), name="sound", timeout_s=0.0)


def longest(case):
    return len(case.material["candidate"]) / 10


def test_the_best_sibling_is_chosen():
    forest = Forest.of(
        [-1, -1, 0, 0, 1, 0, 1],
        {"text": ["?", "?", "a", "aaa", "b", "aa", "bb"], "key": torch.arange(7)},
    )
    select = BestByJudge(judge=RuleJudge(rules={"sound": longest}), view=Side())
    assert select(forest, torch.tensor([2, 3, 4, 5, 6])).tolist() == [3, 6]
    assert select(forest, torch.tensor([6, 5, 4, 2])).tolist() == [5, 6]
    assert select(forest, torch.tensor([4])).tolist() == [4], "a lone child needs no judge"
    assert select(forest, torch.tensor([], dtype=torch.int64)).tolist() == []


def test_nothing_is_chosen_where_nothing_is_known(scripted):
    select = BestByJudge(judge=ModelJudge(chat=scripted(lambda _: ChatReply(end="error"))), view=Side())
    assert select(world("a", "b"), torch.tensor([1, 2])).tolist() == []


@pytest.mark.statistical
def test_ties_are_broken_by_the_key_of_the_parent():
    """2,000 parents with two equal candidates: each is chosen half the time, and the batch does not matter."""
    size = 2000
    key = [keys.fold(keys.root(3), number) for number in range(size)]
    parent = [-1] * size + [row for row in range(size) for _ in range(2)]
    forest = Forest.of(parent, {"text": ["a"] * len(parent), "key": [*key, *[0] * (2 * size)]})
    select = BestByJudge(judge=RuleJudge(rules={"sound": longest}), view=Side())
    rows = torch.arange(size, 3 * size)
    chosen = select(forest, rows)
    share = float(((chosen - size) % 2).double().mean())
    assert abs(share - 0.5) < 5 * 0.5 / size**0.5
    assert torch.equal(select(forest, rows[1000:]), chosen[500:])
