"""What a user may choose, and what is refused."""

import ast
import dataclasses
import inspect

import pytest

from milepost.engines import measure, settings
from milepost.engines.settings import KeepSettings, PolicySettings, RunSettings, TaskSettings, UpdateSettings
from milepost.errors import SettingError

SELF_EXPLAINED = {"recipe", "tasks", "policy", "update", "keep"}


def test_every_unit_of_a_budget_is_counted_by_the_loop():
    assert settings.BUDGET_UNITS == measure.COST


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TaskSettings(names=()), "tasks.names"),
        (lambda: TaskSettings(train=0), "tasks.train=0"),
        (lambda: TaskSettings(held_out=-1), "tasks.held_out=-1"),
        (lambda: PolicySettings(temperature=0.0), "policy.temperature=0.0"),
        (lambda: PolicySettings(top_p=0.0), "policy.top_p=0.0"),
        (lambda: PolicySettings(max_tokens=0), "policy.max_tokens=0"),
        (lambda: PolicySettings(lora_rank=-1), "policy.lora_rank=-1"),
        (lambda: UpdateSettings(steps=-1), "update.steps=-1"),
        (lambda: UpdateSettings(tasks_per_step=0), "update.tasks_per_step=0"),
        (lambda: UpdateSettings(learning_rate=float("nan")), "update.learning_rate=nan"),
        (lambda: UpdateSettings(minibatches=0), "update.minibatches=0"),
        (lambda: UpdateSettings(gradient_clip=0), "update.gradient_clip=0"),
        (lambda: KeepSettings(evaluate_every=-1), "keep.evaluate_every=-1"),
        (lambda: KeepSettings(checkpoint_every=0), "keep.checkpoint_every=0"),
        (lambda: KeepSettings(forests=-1), "keep.forests=-1"),
        (lambda: KeepSettings(max_invalid=1.5), "keep.max_invalid=1.5"),
        (lambda: KeepSettings(workers=0), "keep.workers=0"),
        (lambda: RunSettings(recipe="grpo", cost={"hugs": 1}), "cost unit='hugs'"),
        (lambda: RunSettings(recipe="grpo", cost={"tokens": 0}), "cost tokens=0"),
        (lambda: RunSettings(recipe="grpo", reward=("mine.py",)), "reward='mine.py'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(make, message):
    with pytest.raises(SettingError, match=message.replace(".", r"\.")):
        make()


def test_every_setting_is_explained():
    for node in ast.parse(inspect.getsource(settings)).body:
        if isinstance(node, ast.ClassDef):
            fields = [one for one in node.body if isinstance(one, ast.AnnAssign)]
            told = [one for one, below in zip(node.body, node.body[1:], strict=False) if isinstance(below, ast.Expr)]
            silent = [ast.unparse(one.target) for one in fields if one not in told]
            assert [name for name in silent if name not in SELF_EXPLAINED] == [], node.name
    assert dataclasses.is_dataclass(RunSettings)
