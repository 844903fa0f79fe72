"""What a reward's answers show: nine checks, each with the number that decides it and the limit that it must keep."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from milepost.evaluation.diagnosis.questions import Question

TOLERANCE = 1e-6
"""Difference of two rewards that counts as none."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a reward said of one question."""

    value: float | None
    """None where it failed."""
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One check."""

    check: str
    ok: bool
    measure: float
    """The number that decided; NaN where there was nothing to measure."""
    limit: float
    """What it may be at most."""
    text: str
    """In words, with an example where it is a problem."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """How much of each fault is too much."""

    references_refused: float = 0.05
    """Share of references without full marks."""
    nonsense_paid: float = 0.0
    """Share of nonsense and empty answers with full marks."""
    wrong_paid: float = 0.25
    """Share of changed, cut and foreign references with full marks; some are right by luck."""
    constant_paid: float = 0.6
    """Largest share of tasks on which one and the same answer has full marks without being the reference."""
    failed: float = 0.0
    """Share of questions on which it failed."""
    slow_s: float = 1.0
    """Seconds for one answer."""
    length: float = 0.5
    """Rank correlation of reward and length among nonsense, either way, if the difference is worth `spread`."""
    spread: float = 0.05
    """Share of full marks that counts as a difference."""
    tied: float = 0.1
    """Share of tasks whose answers all get the same."""


def full_marks(questions: Sequence[Question], replies: Sequence[Reply]) -> float:
    """The largest reward that a reference gets.

    Args:
        questions: what was asked.
        replies: what was said, in the same order.

    Returns:
        A reward; NaN where no reference has one.
    """
    known = [
        reply.value
        for question, reply in zip(questions, replies, strict=True)
        if question.kind == "reference" and reply.value is not None
    ]
    return max(known, default=math.nan)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation, ties with their mean rank.

        rho = cov(rank x, rank y) / (std(rank x) std(rank y))

    Args:
        first: numbers.
        second: as many.

    Returns:
        In [-1, 1]; 0 where either is constant.

    Source: Spearman 1904.
    """
    if len(set(first)) < 2 or len(set(second)) < 2:
        return 0.0
    return statistics.correlation(_ranks(first), _ranks(second))


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    rank = {value: ordered.index(value) + (ordered.count(value) - 1) / 2 for value in set(values)}
    return [rank[value] for value in values]


def _paid(questions: Sequence[Question], replies: Sequence[Reply], kinds: Sequence[str], full: float) -> list[int]:
    """Places of questions of these kinds with full marks."""
    return [
        place
        for place, (question, reply) in enumerate(zip(questions, replies, strict=True))
        if question.kind in kinds and reply.value is not None and reply.value >= full - TOLERANCE
    ]


def _share(check: str, count: int, total: int, limit: float, words: str, example: str = "") -> Finding:
    if not total:
        return Finding(check=check, ok=True, measure=math.nan, limit=limit, text="nothing to compare: not measured")
    share = count / total
    ok = not share > limit
    return Finding(
        check=check, ok=ok, measure=share, limit=limit, text=f"{count} of {total} {words}" + ("" if ok else example)
    )


def _example(questions: Sequence[Question], replies: Sequence[Reply], places: Sequence[int]) -> str:
    if not places:
        return ""
    question, reply = questions[places[0]], replies[places[0]]
    said = reply.reason if reply.value is None else f"{reply.value:g}"
    return f"; such as {question.text!r:.60} to task {question.case}: {said:.120}"


def _references(questions: Sequence[Question], replies: Sequence[Reply], full: float, limits: Thresholds) -> Finding:
    own = [place for place, question in enumerate(questions) if question.kind == "reference"]
    least = min((reply.value for reply in replies if reply.value is not None), default=math.nan)
    if full - least <= TOLERANCE:  # whatever is said earns the same: a right answer is worth nothing
        words = f"references refused: no answer earns less than they do ({full:g})"
        return _share("accepts references", len(own), len(own), limits.references_refused, words)
    fine = set(_paid(questions, replies, ("reference",), full))
    refused = [place for place in own if place not in fine]
    example = _example(questions, replies, refused)
    return _share(
        "accepts references", len(refused), len(own), limits.references_refused, "references refused", example
    )


def _wrong(
    check: str, kinds: Sequence[str], questions: Sequence[Question], replies: Sequence[Reply], limit: float
) -> Finding:
    places = _paid(questions, replies, kinds, full_marks(questions, replies))
    total = sum(
        question.kind in kinds and reply.value is not None for question, reply in zip(questions, replies, strict=True)
    )
    words = f"answers ({', '.join(kinds)}) had full marks"
    return _share(check, len(places), total, limit, words, _example(questions, replies, places))


def _constant(questions: Sequence[Question], replies: Sequence[Reply], full: float, limits: Thresholds) -> Finding:
    """One answer to every task; where few references differ, one answer may well be right often."""
    different = len({question.text for question in questions if question.kind == "reference"})
    paid = _paid(questions, replies, ("constant",), full)
    answered = any(
        one.kind == "constant" and reply.value is not None for one, reply in zip(questions, replies, strict=True)
    )
    texts = [question.text for question in questions if question.kind == "constant"]
    counts = {text: sum(questions[place].text == text for place in paid) for text in dict.fromkeys(texts)}
    worst = max(counts, key=lambda text: counts[text] / texts.count(text), default="")
    if worst and not answered:
        return _share("no constant pays", 0, 0, limits.constant_paid, "")
    if different < 3 or not worst:
        words = f"only {different} different references: not measured"
        return Finding(check="no constant pays", ok=True, measure=math.nan, limit=limits.constant_paid, text=words)
    words = f"tasks paid for {worst!r}, the best single answer"
    return _share("no constant pays", counts[worst], texts.count(worst), limits.constant_paid, words)


def _length(questions: Sequence[Question], replies: Sequence[Reply], full: float, limits: Thresholds) -> Finding:
    pairs = [
        (float(question.words), reply.value)
        for question, reply in zip(questions, replies, strict=True)
        if question.kind == "length" and reply.value is not None
    ]
    if not pairs:
        return _share("length does not pay", 0, 0, limits.length, "")
    rho = rank_correlation([words for words, _ in pairs], [value for _, value in pairs])
    values = [value for _, value in pairs]
    scale = abs(full) if math.isfinite(full) and full else 1.0
    spread = (max(values) - min(values)) / scale if values else 0.0
    ok = abs(rho) <= limits.length or spread <= limits.spread
    words = f"rank correlation {rho:+.2f} of reward and length of nonsense, difference {spread:.3g} of full marks"
    return Finding(check="length does not pay", ok=ok, measure=abs(rho), limit=limits.length, text=words)


def _ties(questions: Sequence[Question], replies: Sequence[Reply], limits: Thresholds) -> Finding:
    by_case: dict[int, set[float]] = {}
    for question, reply in zip(questions, replies, strict=True):
        if reply.value is not None:
            by_case.setdefault(question.case, set()).add(round(reply.value, 6))
    tied = sum(len(values) == 1 for values in by_case.values())
    return _share("not tied", tied, len(by_case), limits.tied, "tasks whose answers all got the same")


def examine(
    questions: Sequence[Question],
    replies: Sequence[Reply],
    again: Sequence[Reply],
    seconds: Sequence[float],
    limits: Thresholds | None = None,
) -> tuple[Finding, ...]:
    """Judge a reward by its replies.

    Args:
        questions: what was asked.
        replies: what was said.
        again: what was said when everything was asked once more, in another order.
        seconds: time of single calls, however many.
        limits: how much of each fault is too much.

    Returns:
        One finding per check.
    """
    limits = limits or Thresholds()
    full = full_marks(questions, replies)
    return (
        _references(questions, replies, full, limits),
        _wrong("nonsense is not paid", ("nonsense", "empty"), questions, replies, limits.nonsense_paid),
        _wrong("wrong answers are not paid", ("changed", "cut", "another"), questions, replies, limits.wrong_paid),
        _constant(questions, replies, full, limits),
        _length(questions, replies, full, limits),
        _ties(questions, replies, limits),
        _failures(questions, replies, limits),
        _changes(questions, replies, again),
        _time(seconds, limits),
    )


def _failures(questions: Sequence[Question], replies: Sequence[Reply], limits: Thresholds) -> Finding:
    failed = [place for place, reply in enumerate(replies) if reply.value is None]
    example = _example(questions, replies, failed)
    return _share("never fails", len(failed), len(replies), limits.failed, "answers made it fail", example)


def _changes(questions: Sequence[Question], replies: Sequence[Reply], again: Sequence[Reply]) -> Finding:
    if all(one.value is None for one in (*replies, *again)):
        return _share("stable", 0, 0, 0.0, "")
    moved = [
        place
        for place, (one, other) in enumerate(zip(replies, again, strict=True))
        if (one.value is None) != (other.value is None)
        or (one.value is not None and other.value is not None and abs(one.value - other.value) > TOLERANCE)
    ]
    example = _example(questions, replies, moved)
    return _share("stable", len(moved), len(replies), 0.0, "rewards changed when asked again", example)


def _time(seconds: Sequence[float], limits: Thresholds) -> Finding:
    slowest, usual = max(seconds, default=math.nan), statistics.median(seconds) if seconds else math.nan
    text = f"{usual:.3g} s per answer, {slowest:.3g} s at most"
    return Finding(check="fast", ok=not slowest > limits.slow_s, measure=slowest, limit=limits.slow_s, text=text)
