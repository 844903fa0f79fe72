"""Worked answers to reasoning-gym tasks, from which the embedded model learns; with slips, as real demonstrators make.

Each function takes a task's record and a generator, and returns a short worked answer that ends in
`<answer>...</answer>`. `slip` is the probability of one mistake per unit of work (a sum, a word, a letter pair).
"""
# ruff: noqa: INP001 - beside the script that uses it

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

Demonstration = Callable[[Mapping[str, Any], np.random.Generator, float], str]

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "chain_sum": {"min_terms": 2, "max_terms": 5, "min_digits": 1, "max_digits": 2},
    "countdown": {
        "min_numbers": 3,
        "max_numbers": 3,
        "min_value": 1,
        "max_value": 12,
        "min_target": 1,
        "max_target": 40,
    },
    "spell_backward": {"min_word_len": 3, "max_word_len": 8},
    "letter_counting": {"min_words": 2, "max_words": 4},
    "word_sorting": {"min_words": 2, "max_words": 3, "min_word_length": 3, "max_word_length": 5},
}
"""The settings of reasoning-gym that the model is taught with; other settings of the same generators are new to it."""

DIRECT = 0.2
"""Share of careless sums that are answered without working."""


def chain_sum(record: Mapping[str, Any], draw: np.random.Generator, slip: float) -> str:
    """Partial sums from left to right: `15-43=-28 -28+7=-21 <answer>-21</answer>`; a slip is carried on."""
    first, *rest = record["metadata"]["expression"].split(" ")
    total, lines = int(first), list[str]()
    for sign, term in zip(rest[::2], rest[1::2], strict=True):
        found = total + int(term) if sign == "+" else total - int(term)
        if draw.random() < slip:
            found += int(draw.choice([-10, -2, -1, 1, 2, 10]))
        lines.append(f"{total}{sign}{term}={found} ")
        total = found
    work = "" if slip and draw.random() < DIRECT else "".join(lines)
    return f"{work}<answer>{total}</answer>"


OPERATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda above, below: Fraction(above) / below if below else None,
}


@lru_cache(maxsize=100_000)
def solutions(numbers: tuple[int, int, int], target: int) -> tuple[str, ...]:
    """All worked ways to reach the target with whole intermediate results: the task has several right answers."""
    found = set[str]()
    for one, two, three in set(itertools.permutations(numbers)):
        for inner, outer in itertools.product(OPERATIONS, OPERATIONS):
            middle = OPERATIONS[inner](one, two)
            if middle is None or Fraction(middle).denominator != 1:
                continue
            step, middle = f"{one}{inner}{two}", int(middle)
            if OPERATIONS[outer](middle, three) == target:
                left = f"({step})" if inner in "+-" and outer in "*/" else step
                found.add(f"{step}={middle} {middle}{outer}{three}={target} <answer>{left}{outer}{three}</answer>")
            if outer in "-/" and OPERATIONS[outer](three, middle) == target:
                right = step if outer == "-" and inner in "*/" else f"({step})"
                found.add(f"{step}={middle} {three}{outer}{middle}={target} <answer>{three}{outer}{right}</answer>")
    return tuple(sorted(found))


def countdown(record: Mapping[str, Any], draw: np.random.Generator, slip: float) -> str:
    """Two operations and the expression, any of the right ones with equal probability.

    A slip gives a right solution of another target: the numbers are used, the target is missed.
    """
    numbers, target = record["metadata"]["numbers"], int(record["metadata"]["target"])
    if draw.random() < slip:
        target += int(draw.choice([-2, -1, 1, 2]))
    ways = solutions(tuple(sorted(numbers)), target) or solutions(tuple(sorted(numbers)), record["metadata"]["target"])
    return ways[int(draw.integers(len(ways)))] if ways else f"<answer>{record['answer']}</answer>"


def spell_backward(record: Mapping[str, Any], draw: np.random.Generator, slip: float) -> str:
    """The reversed word; a slip swaps two neighbours."""
    letters = list(record["answer"])
    for place in range(len(letters) - 1):
        if draw.random() < slip:
            letters[place], letters[place + 1] = letters[place + 1], letters[place]
    return f"<answer>{''.join(letters)}</answer>"


def letter_counting(record: Mapping[str, Any], draw: np.random.Generator, slip: float) -> str:
    """The count of each word, then their sum: `a=0 banana=3 <answer>3</answer>`; a slip is counted on."""
    letter, counts = record["metadata"]["target_letter"], list[tuple[str, int]]()
    for word in record["metadata"]["span"]:
        count = word.lower().count(letter)
        if draw.random() < slip:
            count = abs(count + int(draw.choice([-1, 1])))
        counts.append((word, count))
    work = " ".join(f"{word}={count}" for word, count in counts)
    return f"{work} <answer>{sum(count for _, count in counts)}</answer>"


def word_sorting(record: Mapping[str, Any], draw: np.random.Generator, slip: float) -> str:
    """The sorted words; a slip swaps two neighbours."""
    words = list(record["metadata"]["sorted_words"])
    for place in range(len(words) - 1):
        if draw.random() < slip:
            words[place], words[place + 1] = words[place + 1], words[place]
    return f"<answer>{', '.join(words)}</answer>"


DEMONSTRATIONS: Mapping[str, Demonstration] = {
    "chain_sum": chain_sum,
    "countdown": countdown,
    "spell_backward": spell_backward,
    "letter_counting": letter_counting,
    "word_sorting": word_sorting,
}
