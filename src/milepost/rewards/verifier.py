"""Verdict on a final answer from the task's record alone, so that a stored forest can be scored again."""

from __future__ import annotations

import ast
import json
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, cast

from milepost import optional
from milepost.errors import FormatError, unknown_name
from milepost.rewards.mathematics import equal_math

_ARITHMETIC = r"(?!.*\*\s*\*)[0-9+\-*/() ]{1,200}"

ANSWER_GRAMMAR: Mapping[str, re.Pattern[str]] = {
    "coin_flip": re.compile(r"[0-9./ ]{1,40}"),
    "countdown": re.compile(_ARITHMETIC),
    "prime_factorization": re.compile(r"\s*[0-9]{1,12}(\s*×\s*[0-9]{1,12})*\s*"),
    "puzzle24": re.compile(_ARITHMETIC),
}
"""What an answer must look like before reasoning-gym sees it; anything else scores 0.

The scorers of countdown and puzzle24 run the answer as Python code, coin_flip builds any power of ten that it names,
and prime_factorization raises on words.
"""

CODE_RUNNERS = frozenset(
    {
        "binary_matrix",
        "bitwise_arithmetic",
        "intermediate_integration",
        "n_queens",
        "polynomial_multiplication",
        "simple_integration",
        "spiral_matrix",
        "string_insertion",
    }
)
"""Generators whose scorers run the answer, or text of the record, as Python code: never called."""

MALFORMED: Mapping[str, tuple[type[Exception], ...]] = {
    "boxnet": (AttributeError, KeyError, TypeError),
    "game_of_life": (AttributeError, IndexError, KeyError, TypeError),
}
"""What a scorer raises on JSON of another shape: a wrong answer, no failure of the scorer."""

_TUPLES = ("arc_agi", "rearc")
"""Generators whose scorers compare boards with tuples, which JSON turned into lists."""

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_PURPOSE = "Scoring reasoning-gym tasks"


@lru_cache(maxsize=64)
def _scorer(generator: str, options: str) -> Callable[[str, dict[str, Any]], float]:
    package = optional.load("reasoning_gym", extra="lm", purpose=_PURPOSE)
    known = optional.load("reasoning_gym.factory", extra="lm", purpose=_PURPOSE).DATASETS
    if generator not in known:
        raise unknown_name("reasoning-gym task", generator, cast("Mapping[str, Any]", known))
    try:
        return package.create_dataset(generator, seed=0, size=1, **json.loads(options)).score_answer
    except (AssertionError, TypeError, ValueError) as error:
        raise FormatError(f"reasoning-gym refuses the options {options} of {generator!r}: {error}.") from error


def _tuples(value: object) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(item) for item in cast("list[object]", value))
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in cast("dict[str, object]", value).items()}
    return value


def _entry(record: Mapping[str, Any], generator: str) -> dict[str, Any]:
    answer, metadata = record.get("answer"), record.get("metadata", {})
    if generator == "number_sorting":  # its scorer runs the reference as Python code: only a list may pass
        try:
            fine = isinstance(ast.literal_eval(str(answer)), list)
        except (SyntaxError, ValueError):
            fine = False
        if not fine:
            raise FormatError(f"The reference of number_sorting is {str(answer)[:80]!r}, expected a list of numbers.")
    return {
        "question": record.get("prompt", ""),
        "answer": answer,
        "metadata": _tuples(metadata) if generator in _TUPLES else metadata,
    }


def verify_reasoning_gym(record: Mapping[str, Any], answer: str) -> float:
    """Score an answer with reasoning-gym's own `score_answer`.

    Args:
        record: a record of `environments.reasoning`: "generator", "options", "prompt", "answer", "metadata".
        answer: the final answer, without tags.

    Returns:
        A score in [0, 1]. Many generators give part marks, some as little as 0.01 for any text; 1 means solved. An
        answer outside `ANSWER_GRAMMAR` scores 0.

    Raises:
        FormatError: the record is not of reasoning-gym, or its scorer would run code.
        UnknownName: no such generator.
        MissingExtra: reasoning-gym is not installed.
    """
    generator = str(record.get("generator"))
    if generator in CODE_RUNNERS:
        raise FormatError(f"The scorer of {generator!r} runs text as Python code, which is refused. Use other tasks.")
    score = _scorer(generator, json.dumps(record.get("options", {}), sort_keys=True))
    grammar = ANSWER_GRAMMAR.get(generator)
    if not answer or (grammar is not None and not grammar.fullmatch(answer)):
        return 0.0
    try:
        return float(score(answer, _entry(record, generator)))
    except MALFORMED.get(generator, ()):
        return 0.0


def verify_exact(record: Mapping[str, Any], answer: str) -> float:
    """Score 1 for the record's "answer", white space around it ignored, else 0.

    Args:
        record: holds "answer".
        answer: the final answer, without tags.

    Returns:
        0 or 1.

    Raises:
        FormatError: the record has no "answer".
    """
    return float(answer.strip() == _reference(record).strip())


def verify_math(record: Mapping[str, Any], answer: str) -> float:
    """Score 1 for an answer that equals the record's "answer" as mathematics, else 0.

    Args:
        record: holds "answer", as LaTeX or a plain expression.
        answer: the final answer, without tags.

    Returns:
        0 or 1.

    Raises:
        FormatError: the record has no "answer", or it is no mathematical expression.
        TimeoutError: there is no verdict, because the comparison took too long.
        MissingExtra: math-verify is not installed.
    """
    return float(equal_math(_reference(record), answer))


def normalised(text: str) -> str:
    """Bring an answer to the form in which question answering compares answers.

        lower case; punctuation removed; the words a, an, the removed; white space as single blanks

    Args:
        text: an answer.

    Returns:
        The normalised answer; it may be empty.

    Source: the evaluation script of SQuAD (Rajpurkar et al. 2016).
    """
    plain = "".join(one for one in text.lower() if one not in string.punctuation)
    return " ".join(_ARTICLE.sub(" ", plain).split())


def token_f1(answer: str, reference: str) -> float:
    """Overlap of the words of two answers, after normalisation.

        F1 = 2 P R / (P + R),  P = shared / words of the answer,  R = shared / words of the reference

    Args:
        answer: an answer.
        reference: the right one.

    Returns:
        A number in [0, 1]; where either has no word, 1 if neither has, else 0.

    Source: the evaluation script of SQuAD (Rajpurkar et al. 2016).
    """
    given, wanted = normalised(answer).split(), normalised(reference).split()
    if not given or not wanted:
        return float(given == wanted)
    shared = sum((Counter(given) & Counter(wanted)).values())
    return 2 * shared / (len(given) + len(wanted))


def verify_qa_exact(record: Mapping[str, Any], answer: str) -> float:
    """Score 1 for an answer that equals one of the record's answers after normalisation, else 0.

    Args:
        record: holds "answer", or several in the list "answers".
        answer: the final answer, without tags.

    Returns:
        0 or 1.

    Raises:
        FormatError: the record has no answer.
    """
    return max(float(normalised(answer) == normalised(one)) for one in _references(record))


def verify_qa_f1(record: Mapping[str, Any], answer: str) -> float:
    """Score the largest `token_f1` with one of the record's answers.

    Args:
        record: holds "answer", or several in the list "answers".
        answer: the final answer, without tags.

    Returns:
        A number in [0, 1].

    Raises:
        FormatError: the record has no answer.
    """
    return max(token_f1(answer, one) for one in _references(record))


def _references(record: Mapping[str, Any]) -> list[str]:
    several = record.get("answers")
    if isinstance(several, list) and several:
        return [str(one) for one in cast("list[object]", several)]
    return [_reference(record)]


def _reference(record: Mapping[str, Any]) -> str:
    answer = record.get("answer")
    if answer is None:
        raise FormatError("The record has no 'answer' to compare with. Add one, or use another verifier.")
    return str(answer)


VERIFIERS: Mapping[str, Callable[[Mapping[str, Any], str], float]] = {
    "exact": verify_exact,
    "math": verify_math,
    "qa_exact": verify_qa_exact,
    "qa_f1": verify_qa_f1,
    "reasoning_gym": verify_reasoning_gym,
}
"""Verifier by the name that a record gives."""


def verify(record: Mapping[str, Any], answer: str) -> float:
    """Score a final answer with the verifier that the record names.

    Args:
        record: the task's record; its "verifier" is a key of `VERIFIERS`.
        answer: the final answer, without tags.

    Returns:
        A score in [0, 1].

    Raises:
        FormatError: the record names no verifier, or lacks what the verifier needs.
        UnknownName: there is no verifier of that name.

    Example:
        >>> verify({"verifier": "exact", "answer": "Paris"}, "Paris")
        1.0
    """
    name = record.get("verifier")
    if name is None:
        raise FormatError(f"The record names no 'verifier'. Add one of: {', '.join(sorted(VERIFIERS))}.")
    if name not in VERIFIERS:
        raise unknown_name("verifier", str(name), VERIFIERS)
    return VERIFIERS[str(name)](record, answer)
