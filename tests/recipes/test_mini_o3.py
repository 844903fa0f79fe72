"""Mini-o3 in small: a hidden target among 32 cells, trained under a cap of 6 turns, tested under up to 32.

Per turn the agent guesses one of four options (right with 1/4), or looks into a new cell; seeing the target ends with
success. One weight decides. Looking on is worth cap / 32 where the cap counts as failure, so that plain GRPO answers at
once when that is below 1/4.
"""

import functools
from pathlib import Path

import pytest
import torch

from milepost import keys
from milepost.columns import End
from milepost.credit.by_root import ByRoot
from milepost.credit.completion import Completed
from milepost.credit.group import Normalised
from milepost.forest import Forest
from milepost.recipes import mini_o3
from milepost.testing.recipes import check_recipe

CELLS, CAP, WIDTH, TASKS, UPDATES, RATE = 32, 6, 16, 4, 150, 1.0


def play(weight, count, cap, draws):
    """Trajectories of a policy: turns taken, guesses at the end, successes, and those that ran into the cap."""
    chance = torch.sigmoid(weight)
    target = torch.from_numpy(draws.integers(1, CELLS + 1, count))
    guess_at = torch.from_numpy(draws.geometric(float(chance), count)).clamp(max=10 * CELLS)
    lucky = torch.from_numpy(draws.random(count)) < 0.25
    looked = torch.minimum(target, torch.full_like(target, cap))  # turns until the target is seen, or the cap
    guessed = guess_at <= looked
    turns = torch.where(guessed, guess_at, looked)
    over = ~guessed & (target > cap)
    success = torch.where(guessed, lucky, target <= cap)
    return turns, guessed, success, over


def forest_of(turns, guessed, success, over, weight):
    """One row per turn below the root of its task, with the log-probability of looking or guessing."""
    parent, log_prob, reward, end = [-1] * TASKS, [None] * TASKS, [None] * TASKS, [0] * TASKS
    look, guess = (float(torch.nn.functional.logsigmoid(one)) for one in (-weight, weight))
    for i, (size, final, won, cut) in enumerate(
        zip(*(x.tolist() for x in (turns, guessed, success, over)), strict=True)
    ):
        above = i % TASKS
        for turn in range(size):
            last = turn == size - 1
            parent.append(above)
            above = len(parent) - 1
            log_prob.append(guess if last and final else look)
            reward.append(float(won) if last else None)
            end.append(int((End.TURN_LIMIT if cut else End.TERMINATED) if last else End.OPEN))
    ok = [one is not None for one in reward]
    return Forest.of(parent, {"log_prob": log_prob, "reward.total": reward, "ok.total": ok, "end": end})


def train(credit, objective, seed):
    """The weight after some updates."""
    weight = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    key = keys.fold(keys.root(seed), "mini-o3")
    for update in range(UPDATES):
        played = play(weight.detach(), TASKS * WIDTH, CAP, keys.generator(keys.fold(key, update)))
        forest = credit(forest_of(*played, weight.detach()))
        guessing = forest["log_prob"].double() == float(torch.nn.functional.logsigmoid(weight.detach()).float())
        log_prob = torch.nn.functional.logsigmoid(torch.where(guessing, weight, -weight))
        loss = objective(forest, log_prob).loss
        (gradient,) = torch.autograd.grad(loss, weight, allow_unused=True)
        weight = (weight - RATE * (0 if gradient is None else gradient)).detach().requires_grad_()
    return weight.detach()


@functools.cache
def curves():
    """Accuracy at test caps of 6, 12 and 32, per way of training, mean over three seeds."""
    job = mini_o3.build(width=WIDTH)
    ways = {
        "plain": ByRoot(rule=Normalised(ddof=1)),
        "masked": job.credit,
        "masked, completed only": mini_o3.build(completed_only=True).credit,
    }
    found = {}
    for name, credit in ways.items():
        weights = [train(credit, job.objective, seed) for seed in range(3)]
        found[name] = [
            sum(float(play(w, 20_000, cap, keys.generator(cap))[2].double().mean()) for w in weights) / 3
            for cap in (6, 12, 32)
        ]
    return found


@pytest.mark.slow
@pytest.mark.statistical
def test_masked_training_uses_more_turns(record_property):
    found = curves()
    record_property("accuracy at caps 6, 12, 32", found)
    assert max(found["plain"]) < 0.35, "plain GRPO answers at once, and more turns do not help"
    for name in ("masked", "masked, completed only"):
        six, twelve, most = found[name]
        assert six < twelve < most
        assert most > found["plain"][2] + 0.1
    assert found["plain"][2] - found["plain"][0] < 0.06


@pytest.mark.slow
@pytest.mark.statistical
def test_the_trap_of_the_training_cap():
    """At cap 6 the masked policy finds 6 of 32 and the plain one guesses a quarter: do not compare there."""
    found = curves()
    assert found["masked"][0] < found["plain"][0]
    assert found["masked, completed only"][0] < found["plain"][0]


def test_the_recipe_keeps_the_common_promises():
    check_recipe("mini-o3", tests=Path(__file__).parents[1])


def test_the_credit_is_the_masked_one():
    assert isinstance(mini_o3.build().credit, Completed)
