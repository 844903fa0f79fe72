"""Verdicts from the record alone: every tested generator accepts its own answer, and none runs code from an answer."""

import json
import random

import numpy as np
import pytest
import reasoning_gym

from milepost.environments.reasoning import ReasoningGym
from milepost.environments.reasoning_faults import EXPLOITABLE, REFUSED
from milepost.errors import FormatError, UnknownName
from milepost.rewards.verifier import ANSWER_GRAMMAR, CODE_RUNNERS, verify

TESTED = (
    "basic_arithmetic", "chain_sum", "count_bits", "countdown", "gcd", "gsm_symbolic", "leg_counting",
    "letter_counting", "number_sorting", "prime_factorization", "products", "puzzle24", "spell_backward",
    "word_sorting",
)  # fmt: skip


def records(name, count=8):
    environment = ReasoningGym(names=(name,), train_size=count, allow_exploitable=True)
    return [json.loads(json.dumps(task.record)) for task in environment.train()]


@pytest.mark.parametrize("name", [*TESTED, "rearc", "arc_1d"])
def test_every_generator_accepts_its_own_answer_after_a_round_trip_through_json(name):
    for record in records(name, 4):
        assert verify(record, record["answer"]) == 1


@pytest.mark.parametrize("name", TESTED)
def test_wrong_answers_never_have_full_marks(name):
    for record in records(name):
        for wrong in ("", "xx", "-987654321", "[]", "{}", "None", "a, b", "()", "\n", "É" * 50):
            assert 0 <= verify(record, wrong) < 1, wrong


@pytest.mark.parametrize(
    ("name", "example"), [("rubiks_cube", "example_correct_answer"), ("propositional_logic", "example_answer")]
)
def test_generators_without_an_answer_are_checked_by_their_rules(name, example):
    for record in records(name, 4):
        assert record["answer"] is None
        assert verify(record, record["metadata"][example]) == 1
        assert verify(record, "xx") < 1


def test_part_marks_are_below_one():
    record = records("word_sorting")[0]
    words = record["answer"].split(", ")
    assert 0 < verify(record, ", ".join([*words[:-2], words[-1], words[-2]])) < 1


@pytest.mark.parametrize("name", ["countdown", "puzzle24"])
def test_trap_answers_are_not_run_as_code(name, tmp_path):
    target = tmp_path / "proof"
    record = records(name, 1)[0]
    for attack in (
        f"__import__('pathlib').Path('{target}').touch()",
        f"open('{target}', 'w')",
        "[].__class__",
        "9**9**9**9",
        "9 * * 9",
        "(" * 500,
        "factorial(99999999)",
        "1" * 100_000,
    ):
        assert verify(record, attack) < 0.1, attack
    assert not target.exists()


@pytest.mark.parametrize("name", sorted(CODE_RUNNERS))
def test_trap_scorers_that_run_code_are_never_called(name, tmp_path):
    target = tmp_path / "proof"
    attack = f"open('{target}', 'w')"
    with pytest.raises(FormatError, match="runs text as Python code"):
        verify({"verifier": "reasoning_gym", "generator": name, "answer": "1", "metadata": {"problem": attack}}, attack)
    assert not target.exists()
    assert name in REFUSED  # the environment does not offer them either


def test_trap_a_hostile_record_is_not_run_as_code(tmp_path):
    target = tmp_path / "proof"
    record = {**records("number_sorting", 1)[0], "answer": f"open('{target}', 'w')"}
    with pytest.raises(FormatError, match="expected a list"):
        verify(record, "['1']")
    assert not target.exists()


def test_fault_prime_factorization_and_others_that_raise_on_another_shape_score_zero():
    assert verify(records("prime_factorization", 1)[0], "two and three") == 0
    assert verify(records("boxnet", 1)[0], "7") == 0
    assert verify(records("game_of_life", 1)[0], "{}") == 0


SLOW = ("arc_agi", "figlet_font", "futoshiki", "group_anagrams", "sokoban", "zebra_puzzles")


@pytest.mark.slow
def test_no_other_generator_pays_for_a_constant_answer_or_can_be_made_to_fail():
    constants = ("xx", "7", "0", "True", "[]", "{}", "null", "()", '"')
    names = set(reasoning_gym.factory.DATASETS) - set(REFUSED) - set(EXPLOITABLE) - set(SLOW)
    assert len(names) > 70
    for name in sorted(names):
        drawn = records(name, 10)
        for answer in constants:
            marks = [verify(record, answer) for record in drawn]  # an exception would excuse the policy from a zero
            assert all(0 <= mark <= 1 for mark in marks), (name, answer, marks)
            assert sum(marks) < 9, (name, answer, marks)


def test_every_exploitable_generator_is_flagged():
    for name, wrong in {"game_of_life_halting": "xx", "coin_flip": "0", "puzzle24": "9*1 + 5 + 10"}.items():
        assert name in EXPLOITABLE
        assert sum(verify(record, wrong) == 1 for record in records(name)) >= 7
    assert verify(records("coin_flip", 1)[0], "1e999999999") == 0  # would build the number
    assert set(ANSWER_GRAMMAR) >= {"countdown", "puzzle24", "coin_flip"}


def test_scoring_leaves_global_random_state_alone():
    tasks = [record for name in TESTED for record in records(name, 1)]
    random.seed(5)  # noqa: TID251 - the state that must survive
    np.random.seed(5)  # noqa: TID251, NPY002
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    for record in tasks:
        verify(record, "7")
    assert random.getstate() == python
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy, strict=True))  # noqa: NPY002


def test_exact_and_math():
    assert verify({"verifier": "exact", "answer": "Paris"}, " Paris ") == 1
    assert verify({"verifier": "exact", "answer": "Paris"}, "paris") == 0
    assert verify({"verifier": "math", "answer": r"\frac{1}{2}"}, "0.5") == 1
    assert verify({"verifier": "math", "answer": "2"}, "3") == 0


def test_records_that_cannot_be_scored_say_so():
    with pytest.raises(FormatError, match="names no 'verifier'"):
        verify({"answer": "1"}, "1")
    with pytest.raises(UnknownName, match="Did you mean 'math'"):
        verify({"verifier": "maths", "answer": "1"}, "1")
    for name in ("exact", "math"):
        with pytest.raises(FormatError, match="no 'answer'"):
            verify({"verifier": name}, "1")
    with pytest.raises(UnknownName, match="Did you mean 'chain_sum'"):
        verify({"verifier": "reasoning_gym", "generator": "chainsum"}, "1")
    with pytest.raises(FormatError, match="refuses the options"):
        verify({"verifier": "reasoning_gym", "generator": "gcd", "options": {"odd": 1}}, "1")
