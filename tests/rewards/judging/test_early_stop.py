"""The early-stop bonus: by hand, its limits, and that the count begins at 1."""

import pytest

from milepost.environments.search.action import parse_action
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.rewards import guard
from milepost.rewards.judging.early_stop import EarlyStop, early_stop


def test_by_hand():
    assert [early_stop(step, budget=4) for step in (1, 2, 3, 4, 9)] == [0.75, 0.5, 0.25, 0.0, 0.0]
    assert early_stop(1, budget=1) == 0.0


def test_counts_the_steps_of_its_own_path():
    texts = ["?", "<search>a</search>", "<answer>b</answer>", "<answer>b</answer>", "<answer>", None]
    forest = Forest.of([-1, 0, 1, 0, 1, -1], {"text": texts})
    scored = guard.score(EarlyStop(parse=parse_action, budget=4), forest)
    assert scored["reward.early_stop"][1:5].tolist() == [0.0, 0.5, 0.75, 0.0]
    assert scored["ok.early_stop"].tolist() == [False, True, True, True, True, False]


def test_budget_is_checked():
    with pytest.raises(SettingError):
        EarlyStop(parse=parse_action, budget=0)
