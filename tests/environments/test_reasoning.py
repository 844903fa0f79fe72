"""Reasoning tasks: stable ids, disjoint pools, records that travel as JSON, and the faults of generators by name."""

import hashlib
import json
import os
import random
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from milepost.columns import End
from milepost.environments import reasoning
from milepost.environments.reasoning import FIRST_SEED, ReasoningGym, is_held_out
from milepost.environments.reasoning_faults import EXPLOITABLE, REFUSED
from milepost.errors import MissingExtra, SettingError, UnknownName
from milepost.part import Action
from milepost.testing import check_environment

TESTED = (
    "basic_arithmetic", "chain_sum", "count_bits", "countdown", "gcd", "gsm_symbolic", "leg_counting",
    "letter_counting", "number_sorting", "products", "spell_backward", "word_sorting",
)  # fmt: skip
ONE_DIGIT = {"chain_sum": {"min_terms": 2, "max_terms": 2, "max_digits": 1}}


def test_hand_example():
    task = ReasoningGym().train()[0]
    assert task.id == f"chain_sum:{task.record['seed']}"
    assert task.family == "chain_sum"
    assert task.record["prompt"].startswith("State the final answer to the following arithmetic problem: ")
    expression = (
        task.record["prompt"]
        .removeprefix("State the final answer to the following arithmetic problem: ")
        .removesuffix(" =")
    )
    terms = expression.replace("- ", "-").replace("+ ", "").split()
    assert sum(map(int, terms)) == int(task.record["answer"])


@pytest.mark.parametrize("name", TESTED)
def test_tasks_are_stable_json_and_answer_one_question(name):
    environment = ReasoningGym(names=(name,), train_size=6, held_out_size=3)
    tasks = environment.train()
    reasoning._dataset.cache_clear()
    assert environment.train() == tasks
    assert environment.pool("train", 3) == tasks[:3]
    for task in (*tasks, *environment.held_out()):
        assert json.loads(json.dumps(task.record)) == task.record
        assert task.record["verifier"] == "reasoning_gym"
        assert task.record["generator"] == name
        assert isinstance(task.record["answer"], str)
    assert len({task.id for task in tasks}) == len(tasks)


def test_pools_share_no_seed_and_no_question_even_where_questions_are_few():
    environment = ReasoningGym(options=ONE_DIGIT, train_size=600, held_out_size=30)
    pools = {"train": environment.train(), "held_out": environment.held_out()}
    pools["demonstration"] = environment.pool("demonstration", 600)
    for pool, first in FIRST_SEED.items():
        assert all(first <= task.record["seed"] < first + reasoning.POOL_SEEDS for task in pools[pool])
    held_out = {task.record["prompt"] for task in pools["held_out"]}
    others = {task.record["prompt"] for pool in ("train", "demonstration") for task in pools[pool]}
    assert not held_out & others
    assert len(held_out) == 30  # about 40 of the 200 questions that there are; none twice
    assert len(others) > 140
    assert all(is_held_out(question) for question in held_out)
    with pytest.raises(SettingError, match="ask for fewer"):
        environment.pool("held_out", 200)


def test_generators_take_turns():
    environment = ReasoningGym(names=("chain_sum", "gcd", "products"), train_size=8)
    tasks = environment.train()
    assert [task.family for task in tasks[:4]] == ["chain_sum", "gcd", "products", "chain_sum"]
    assert Counter(task.family for task in tasks) == {"chain_sum": 3, "gcd": 3, "products": 2}


def test_options_change_the_id_because_they_change_the_question():
    plain, small = ReasoningGym(train_size=1).train()[0], ReasoningGym(options=ONE_DIGIT, train_size=1).train()[0]
    assert small.id.split(":")[0] not in ("chain_sum", plain.id.split(":")[0])
    assert small.family == plain.family == "chain_sum"
    assert small.record["options"] == ONE_DIGIT["chain_sum"]


def test_one_answer_ends_the_trajectory_and_steps_do_not_change_a_state():
    environment = ReasoningGym(train_size=1)
    task = environment.train()[0]
    start = environment.reset(task, key=1)
    assert start.observation.text == task.record["prompt"]
    assert [message["role"] for message in start.observation.messages] == ["system", "user"]
    assert start.observation.messages[1]["content"] == task.record["prompt"]
    first = environment.step(start.state, Action(text="<answer>7</answer>"), key=2)
    again = environment.step(start.state, Action(text="other"), key=3)
    assert first == again
    assert (first.end, first.discount, first.observation) == (End.TERMINATED, 0.0, None)
    with pytest.raises(SettingError, match="takes one answer"):
        environment.step(first.state, Action(text="more"), key=4)
    assert ReasoningGym(instruction="").reset(task, key=1).observation.messages == ()


def test_contract():
    environment = ReasoningGym(names=("chain_sum", "gcd"), train_size=2)
    assert check_environment(environment, environment.train(), [Action(text="<answer>7</answer>"), Action(text="")])


def test_settings_that_cannot_work_are_refused_with_a_way_out():
    with pytest.raises(UnknownName, match="Did you mean 'chain_sum'"):
        ReasoningGym(names=("chainsum",)).train()
    with pytest.raises(SettingError, match="at least one item"):
        ReasoningGym(names=())
    with pytest.raises(SettingError, match="repeats a generator"):
        ReasoningGym(names=("gcd", "gcd"))
    with pytest.raises(SettingError, match="not among names"):
        ReasoningGym(options={"gcd": {}})
    with pytest.raises(SettingError, match="min_terms must be positive"):
        ReasoningGym(options={"chain_sum": {"min_terms": -1}}).train()
    with pytest.raises(SettingError, match="ChainSumConfig"):
        ReasoningGym(options={"chain_sum": {"terms": 2}}).train()
    with pytest.raises(SettingError, match="not JSON"):
        ReasoningGym(options={"chain_sum": {"min_terms": {1}}})


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    reasoning._dataset.cache_clear()
    with pytest.raises(MissingExtra, match=r"milepost\[lm\]"):
        ReasoningGym(names=("gcd",)).train()


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_fault_refused_generators_say_why(name):
    with pytest.raises(SettingError, match="cannot be used"):
        ReasoningGym(names=(name,))


@pytest.mark.parametrize(
    ("name", "wrong"), [("game_of_life_halting", "xx"), ("coin_flip", "0"), ("puzzle24", "9*1 + 5 + 10")]
)
def test_fault_exploitable_generators_really_pay_for_nonsense(name, wrong):
    assert name in EXPLOITABLE
    with pytest.raises(SettingError, match="pays for wrong answers"):
        ReasoningGym(names=(name,))
    environment = ReasoningGym(names=(name,), train_size=20, allow_exploitable=True)
    data = reasoning._dataset(name, "{}", FIRST_SEED["train"])
    scores = [data.score_answer(wrong, {**task.record, "question": ""}) for task in environment.train()]
    assert sum(score == 1 for score in scores) >= 18


@pytest.mark.parametrize("name", ["pool_matrix", "chain_sum"])
def test_fault_generators_that_touch_global_random_state_are_isolated(name):
    reasoning._dataset.cache_clear()
    environment = ReasoningGym(names=(name,), train_size=5)
    first = environment.train()
    random.seed(5)  # noqa: TID251 - the state that must survive
    np.random.seed(5)  # noqa: TID251, NPY002
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    assert environment.train() == first
    assert random.getstate() == python
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy, strict=True))  # noqa: NPY002


def test_ids_name_the_same_questions_in_every_process():
    code = (
        "import json,sys; from milepost.environments.reasoning import ReasoningGym;"
        f"t=ReasoningGym(names={TESTED!r},train_size={3 * len(TESTED)}).train();"
        "sys.stdout.write(json.dumps([(x.id,x.record) for x in t],sort_keys=True))"
    )
    digests = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
        assert len(done.stdout) > 5000
        digests.add(hashlib.sha256(done.stdout).hexdigest())
    assert len(digests) == 1
