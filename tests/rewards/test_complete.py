"""Overlong filtering: what a limit cut off does not count, whatever its text."""

import pytest
import torch

from milepost.columns import End
from milepost.rewards import guard
from milepost.rewards.complete import TRUNCATED, Complete
from milepost.rewards.text import Format


@pytest.mark.parametrize("end", [End.TERMINATED, *TRUNCATED, End.PRUNED])
def test_each_end(grow, end):
    forest = grow(({}, ["<answer>7</answer>", "<answer>8</answer>"]))
    forest = forest.with_columns({"end": [int(End.OPEN), int(end), int(End.TERMINATED)]})
    scored = guard.score(Complete(inner=Format()), forest)
    cut = end in TRUNCATED
    assert scored["ok.format"].tolist() == [False, not cut, True]
    assert scored.text("reason.format") == [None, "truncated" if cut else None, None]
    assert scored["reward.format"][2] == 1


def test_takes_the_place_of_the_inner_reward():
    part, inner = Complete(inner=Format(name="form")), Format(name="form")
    assert (part.name, part.when, part.side, part.range) == (inner.name, inner.when, inner.side, inner.range)


def test_failures_of_the_inner_reward_stay(grow, rule):
    forest = grow(({}, ["a", "b", "c"])).with_columns(
        {"end": [int(End.OPEN), int(End.TOKEN_LIMIT), int(End.TERMINATED), int(End.TERMINATED)]}
    )

    def act(forest, rows):
        if 3 in rows.tolist():
            raise RuntimeError("no")
        return Format()(forest, rows)

    scored = guard.score(Complete(inner=rule(act=act)), forest)
    assert scored.text("reason.rule")[1:] == ["truncated", None, "reward_error: RuntimeError: no"]
    nothing = Complete(inner=rule(act=act))(forest, torch.tensor([1]))
    assert nothing.reasons == ["truncated"]
