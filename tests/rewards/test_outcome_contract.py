"""Every reward part keeps what every reward promises."""

import pytest

from milepost.columns import End
from milepost.environments.reasoning import ReasoningGym
from milepost.rewards.bleu import BleuGuarded, BleuPublished
from milepost.rewards.complete import Complete
from milepost.rewards.function import Function
from milepost.rewards.outcome import Outcome, Solved
from milepost.rewards.text import Format, Length, Overlong
from milepost.testing import check_reward


def vowels(completions):
    return [float(sum(letter in "aeiou" for letter in completion)) or None for completion in completions]


PARTS = (
    Outcome(), Solved(), Format(), Format(reasoning=True), Length(scale=8), Overlong(limit=8, buffer=4),
    BleuPublished(), BleuGuarded(references="best_of", inside_answer=True), Function(source=vowels),
    Complete(inner=Solved()),
)  # fmt: skip


@pytest.mark.parametrize("reward", PARTS, ids=lambda reward: type(reward).__name__)
def test_contract(grow, reward):
    tasks = ReasoningGym(names=("chain_sum", "word_sorting"), train_size=3).train()
    answers = ["", "7", "<answer>7</answer>", "so <answer>a, b</answer>", "<answer>"]
    broken = {"verifier": "nobody", "prompt": "?"}  # a record that cannot be scored
    forest = grow(*((dict(task.record), answers) for task in tasks), (broken, answers), tokens=True)
    ends = [int(End.TOKEN_LIMIT) if row % 4 == 1 else int(End.TERMINATED) for row in range(len(forest))]
    assert len(check_reward(reward, forest.with_columns({"end": ends}))) >= 6
