"""BLEU against reference answers as a reward: the published variant of BLEUBERI and a guarded one without its holes."""

from __future__ import annotations

import functools
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

from torch import Tensor

from milepost import checks, optional
from milepost.errors import FormatError
from milepost.forest import Forest
from milepost.part import Scores
from milepost.rewards.answer import parse_answer
from milepost.rewards.leaf import Leaf, score_each

NGRAM_ORDER = 4
"""Longest n-gram that BLEU counts."""

Aggregate = Literal["max_counts", "best_of"]
"""How several references act: one BLEU on merged counts, or the best of the single-reference scores."""

_PURPOSE = "The BLEU reward"
_CACHED_REFERENCES = 256
"""Samples of one task follow one another, so a few reference sets are enough."""


@dataclass(frozen=True, kw_only=True)
class NgramCounts:
    """Sufficient statistics of one answer against its references: all that a BLEU formula needs."""

    matches: tuple[int, ...]
    """Clipped matches m_n for n = 1..4; each n-gram counts at most as often as in the reference that has it most."""
    totals: tuple[int, ...]
    """n-grams t_n of the answer for n = 1..4; 0 where the answer is shorter than n words."""
    answer_length: int
    """Words of the answer."""
    reference_lengths: tuple[int, ...]
    """Words of each reference, all above 0."""


@dataclass(frozen=True, kw_only=True)
class _References:
    ngrams: Mapping[tuple[str, ...], int]
    lengths: tuple[int, ...]


@functools.cache
def _tokenizer() -> Callable[[str], str]:
    module = optional.load("sacrebleu.tokenizers.tokenizer_13a", extra="lm", purpose=_PURPOSE)
    return cast("Callable[[str], str]", module.Tokenizer13a())


def _ngrams(text: str) -> tuple[Counter[tuple[str, ...]], int]:
    helpers = optional.load("sacrebleu.metrics.helpers", extra="lm", purpose=_PURPOSE)
    counted = helpers.extract_all_word_ngrams(tokenise(text), 1, NGRAM_ORDER)
    return cast("tuple[Counter[tuple[str, ...]], int]", counted)


def tokenise(text: str) -> str:
    """Return a text in Unicode NFC, split by sacrebleu's 13a tokeniser, words parted by one space; case is kept.

    Args:
        text: any string.

    Returns:
        The words, joined by single spaces; "" when there is none.

    Raises:
        MissingExtra: sacrebleu is not installed.

    Source: mteval-v13a, as in sacrebleu. NFC first, so that composed and decomposed letters are the same word.
    """
    return _tokenizer()(unicodedata.normalize("NFC", text).rstrip())


@functools.lru_cache(maxsize=_CACHED_REFERENCES)
def _reference_counts(references: tuple[str, ...]) -> _References:
    if not references:
        raise FormatError(
            "BLEU needs at least one reference answer, but the list is empty. "
            "Give each task a non-empty 'references' (or 'answer') field."
        )
    merged: Counter[tuple[str, ...]] = Counter()
    lengths: list[int] = []
    for number, reference in enumerate(references):
        ngrams, length = _ngrams(reference)
        if length == 0:
            raise FormatError(
                f"Reference {number} of {len(references)} holds no word: {reference!r}. Remove it or write its text."
            )
        merged |= ngrams
        lengths.append(length)
    return _References(ngrams=merged, lengths=tuple(lengths))


def count_ngrams(answer: str, references: Sequence[str]) -> NgramCounts:
    """Count the n-grams of an answer and their clipped matches in the references.

        m_n = sum over n-grams g of the answer of min(count(g, answer), max_j count(g, reference_j))

    Args:
        answer: the text to be scored; may be empty.
        references: at least one reference answer, each with at least one word.

    Returns:
        The counts for n = 1..4 and the lengths in words.

    Raises:
        FormatError: no reference, or a reference without a word.
        MissingExtra: sacrebleu is not installed.

    Source: Papineni et al. 2002, section 2.1; tokeniser 13a.
    """
    known = _reference_counts(tuple(references))
    ngrams, length = _ngrams(answer)
    matches, totals = [0] * NGRAM_ORDER, [0] * NGRAM_ORDER
    for ngram, count in ngrams.items():
        totals[len(ngram) - 1] += count
        matches[len(ngram) - 1] += min(count, known.ngrams.get(ngram, 0))
    return NgramCounts(
        matches=tuple(matches), totals=tuple(totals), answer_length=length, reference_lengths=known.lengths
    )


def brevity_penalty(answer_length: int, reference_length: int) -> float:
    """Penalty of an answer that is shorter than its reference.

        BP = exp(1 - r / c) if c <= r else 1;   0 if c = 0

    Args:
        answer_length: c, in words.
        reference_length: r, in words, above 0.

    Returns:
        A factor in [0, 1].

    Source: Papineni et al. 2002, section 2.3.   Limits: c = r gives 1.
    """
    if answer_length == 0:
        return 0.0
    return math.exp(min(0.0, 1 - reference_length / answer_length))


def closest_length(answer_length: int, reference_lengths: Sequence[int]) -> int:
    """Return the reference length nearest to the answer's; of two equally near ones the shorter, as sacrebleu does.

    Args:
        answer_length: words of the answer.
        reference_lengths: words of each reference; at least one.
    """
    return min(reference_lengths, key=lambda length: (abs(length - answer_length), length))


def published_bleu(counts: NgramCounts) -> float:
    """BLEU as the paper uses it: every order smoothed, the shortest reference sets the length.

        p_n = (m_n + 1) / (t_n + 1),   r = min_j r_j,   BLEU = BP(c, r) exp(1/4 sum_{n=1..4} ln p_n)

    Args:
        counts: counts of the answer.

    Returns:
        A score in [0, 1]; 0 for an empty answer. An order without n-grams gets (0+1)/(0+1) = 1, so a short answer is
        paid for nothing: "yes" against "no" scores 0.84. `guarded_bleu` closes that.

    Source: BLEUBERI (2025). sacrebleu's add-k and nltk's method 2 leave n = 1 unsmoothed, so neither equals this.
    """
    if counts.answer_length == 0:
        return 0.0
    logs = [math.log((match + 1) / (total + 1)) for match, total in zip(counts.matches, counts.totals, strict=True)]
    return brevity_penalty(counts.answer_length, min(counts.reference_lengths)) * math.exp(sum(logs) / NGRAM_ORDER)


def guarded_bleu(counts: NgramCounts) -> float:
    """BLEU without the short-answer and brevity holes of the published variant.

        p_1 = m_1 / t_1,   p_n = (m_n + 1) / (t_n + 1) for n >= 2,   N = number of orders with t_n > 0,
        r = the r_j closest to c,   BLEU = BP(c, r) exp(1/N sum_{n <= N} ln p_n);   0 if m_1 = 0

    Args:
        counts: counts of the answer.

    Returns:
        A score in [0, 1]; 0 for an empty answer and for one without a common word.

    Source: milepost's normative version of BLEUBERI's reward.   Limits: an answer equal to a reference scores 1.
    """
    if counts.matches[0] == 0:
        return 0.0
    logs = [math.log(counts.matches[0] / counts.totals[0])]
    later = zip(counts.matches[1:], counts.totals[1:], strict=True)
    logs += [math.log((match + 1) / (total + 1)) for match, total in later if total > 0]
    reference_length = closest_length(counts.answer_length, counts.reference_lengths)
    return brevity_penalty(counts.answer_length, reference_length) * math.exp(sum(logs) / len(logs))


def unsmoothed_bleu(counts: NgramCounts) -> float:
    """Sentence BLEU without smoothing: the core that both variants share with sacrebleu, for cross-checks.

        BLEU = BP(c, closest r_j) exp(1/4 sum_n ln(m_n / t_n));   0 if any m_n = 0

    Args:
        counts: counts of the answer.

    Returns:
        A score in [0, 1].

    Source: Papineni et al. 2002; equals sacrebleu with smooth_method="none", divided by 100.
    """
    if min(counts.matches) == 0:
        return 0.0
    logs = [math.log(match / total) for match, total in zip(counts.matches, counts.totals, strict=True)]
    reference_length = closest_length(counts.answer_length, counts.reference_lengths)
    return brevity_penalty(counts.answer_length, reference_length) * math.exp(sum(logs) / NGRAM_ORDER)


def score_answer(
    formula: Callable[[NgramCounts], float], answer: str, references: Sequence[str], *, aggregate: Aggregate
) -> float:
    """Score an answer against its references with one of the formulas of this module.

        max_counts: formula(counts against all references at once);   best_of: max_j formula(counts against reference_j)

    Args:
        formula: `published_bleu`, `guarded_bleu` or `unsmoothed_bleu`.
        answer: the text to be scored.
        references: at least one reference answer.
        aggregate: how several references act.

    Returns:
        A score in [0, 1].

    Raises:
        FormatError: no reference, or a reference without a word.

    Source: BLEUBERI (2025) merges counts.   Limits: with one reference both aggregates agree.
    """
    if aggregate == "max_counts" or not references:
        return formula(count_ngrams(answer, references))
    return max(formula(count_ngrams(answer, (reference,))) for reference in references)


def signature(variant: str, aggregate: Aggregate) -> str:
    """Return all that determines a score, in sacrebleu's form, to be printed with every figure.

    Args:
        variant: "published" or "guarded".
        aggregate: how several references act.

    Returns:
        One line without spaces.
    """
    scheme = {"published": "add-1[1-4]|len:shortest|eff:no", "guarded": "add-1[2-4]|len:closest|eff:yes"}[variant]
    version = optional.load("sacrebleu", extra="lm", purpose=_PURPOSE).__version__
    return f"BLEU|refs:{aggregate}|case:mixed|norm:NFC|tok:13a|smooth:{scheme}|variant:{variant}|sacrebleu:{version}"


def _scored_text(leaf: Leaf, *, inside: bool) -> str:
    return (parse_answer(leaf.completion).answer or "") if inside else leaf.completion


@dataclass(frozen=True, kw_only=True)
class BleuPublished:
    """BLEUBERI's reward as published, holes included: see `published_bleu`. Implements `part.Reward`.

    Reads the record's "references", or its "answer".

    Example:
        >>> from milepost.rewards import guard
        >>> texts = {"text": ["Is it?", "yes"], "record": ['{"references": ["no"]}', None]}
        >>> round(float(guard.score(BleuPublished(), Forest.of([-1, 0], texts))["reward.bleu"][1]), 2)
        0.84
    """

    references: Aggregate = "max_counts"
    """How several references act."""
    inside_answer: bool = False
    """Score only what stands between the answer tags; no answer scores 0."""
    name: str = "bleu"
    """Name of the columns it fills."""
    when: ClassVar[Literal["step", "leaf"]] = "leaf"
    side: ClassVar[Literal["before", "after"]] = "after"
    range = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Check how references act."""
        checks.one_of("references", self.references, ("max_counts", "best_of"))

    @property
    def signature(self) -> str:
        """All that determines the score."""
        return signature("published", self.references)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score each row; a task without references is that row's failure, never a 0."""

        def rule(leaf: Leaf) -> float:
            text = _scored_text(leaf, inside=self.inside_answer)
            return score_answer(published_bleu, text, leaf.references, aggregate=self.references)

        return score_each(forest, rows, rule)


@dataclass(frozen=True, kw_only=True)
class BleuGuarded:
    """BLEU that neither short answers nor a short reference can exploit: see `guarded_bleu`. Implements `part.Reward`.

    Reads the record's "references", or its "answer".

    Example:
        >>> from milepost.rewards import guard
        >>> texts = {"text": ["Is it?", "yes"], "record": ['{"references": ["no"]}', None]}
        >>> float(guard.score(BleuGuarded(), Forest.of([-1, 0], texts))["reward.bleu"][1])
        0.0
    """

    references: Aggregate = "max_counts"
    """How several references act."""
    inside_answer: bool = False
    """Score only what stands between the answer tags; no answer scores 0."""
    name: str = "bleu"
    """Name of the columns it fills."""
    when: ClassVar[Literal["step", "leaf"]] = "leaf"
    side: ClassVar[Literal["before", "after"]] = "after"
    range = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Check how references act."""
        checks.one_of("references", self.references, ("max_counts", "best_of"))

    @property
    def signature(self) -> str:
        """All that determines the score."""
        return signature("guarded", self.references)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score each row; a task without references is that row's failure, never a 0."""

        def rule(leaf: Leaf) -> float:
            text = _scored_text(leaf, inside=self.inside_answer)
            return score_answer(guarded_bleu, text, leaf.references, aggregate=self.references)

        return score_each(forest, rows, rule)
