"""A chat model as a judge whose verdict words are compared by probability, without writing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from milepost.errors import FormatError, SettingError
from milepost.part import Chat, ChatReply, ChatRequest
from milepost.rewards import failure
from milepost.rewards.judging import prompts
from milepost.rewards.judging.judge import Case, Cost, Judgement, check_candidates, places
from milepost.rewards.judging.replies import both, cost_of, unusable_reason

Chances = tuple[float, ...]


def shares(log_probs: Sequence[float]) -> Chances:
    """Probabilities of a few answers, given that one of them is given.

        p_i = exp(l_i) / sum_j exp(l_j)

    Args:
        log_probs: log-probability of each answer, in nats; -inf allowed, but not for all.

    Returns:
        Numbers in [0, 1] that sum to 1.

    Raises:
        FormatError: nothing is finite.
    """
    high = max(log_probs, default=-math.inf)
    if not math.isfinite(high):
        raise FormatError("none of the verdicts has a probability above 0")
    weights = [math.exp(one - high) for one in log_probs]
    return tuple(weight / sum(weights) for weight in weights)


@dataclass(frozen=True, kw_only=True)
class ChoiceJudge:
    """A model whose verdict words are compared by their log-probabilities, without writing. Implements `judge.Judge`.

        score = sum over words of value p(word),   p = softmax of the log-probabilities of the words

    `pairwise` averages the probability of the first candidate over both orders of presentation, so that a pure
    preference for a place gives 0.5; `rank` compares every pair so, and orders by the mean.

    Source: G-Eval, arXiv:2303.16634, section 2.
    """

    chat: Chat

    @property
    def identity(self) -> str:
        """The model and how it is asked."""
        return f"{self.chat.model}, by choice"

    def score(self, cases: Sequence[Case]) -> Sequence[Judgement[float]]:
        """The expected number of the rubric's scale."""
        words = [tuple(word for word, _ in case.rubric.scale) for case in cases]
        found = self._chances([prompts.score(case, explain=False) for case in cases], words)
        return [_expected(case, one) for case, one in zip(cases, found, strict=True)]

    def pairwise(self, cases: Sequence[Case]) -> Sequence[Judgement[float]]:
        """Probability that the first candidate is better, averaged over both orders."""
        for case in cases:
            check_candidates(case, 2, 2)
        asked = [prompts.pairwise(case, order, explain=False) for case in cases for order in ((0, 1), (1, 0))]
        found = self._chances(asked, [("A", "B")] * len(asked))
        pairs = zip(found[::2], found[1::2], strict=True)
        return [both(one, other, lambda first, second: (first[0] + second[1]) / 2) for one, other in pairs]

    def rank(self, cases: Sequence[Case]) -> Sequence[Judgement[tuple[float, ...]]]:
        """Places by the sum of the probabilities of being better than each other candidate."""
        for case in cases:
            check_candidates(case, 2)
        pairs = [replace(case, candidates=pair) for case in cases for pair in combinations(case.candidates, 2)]
        found = iter(self.pairwise(pairs))
        return [
            _tournament([next(found) for _ in combinations(case.candidates, 2)], len(case.candidates)) for case in cases
        ]

    def complete(self, cases: Sequence[Case]) -> Sequence[Judgement[str]]:
        """Refused: a judge by choice writes nothing."""
        raise SettingError(f"A ChoiceJudge cannot write the {len(cases)} texts asked for: use ModelJudge.")

    def _chances(self, asked: Sequence[ChatRequest], words: Sequence[tuple[str, ...]]) -> Sequence[Judgement[Chances]]:
        replies = self.chat.reply(
            [replace(one, choices=two, max_tokens=1) for one, two in zip(asked, words, strict=True)]
        )
        return [_compared(reply, len(two)) for reply, two in zip(replies, words, strict=True)]


def _compared(reply: ChatReply, count: int) -> Judgement[Chances]:
    reason, cost = unusable_reason(reply), cost_of(reply)
    if reason is None:
        try:
            if len(reply.choices) != count:
                raise FormatError("the model does not say how likely each verdict is")
            return Judgement(answer=shares(reply.choices), cost=cost)
        except FormatError as error:
            reason = failure.reason("reward_error", str(error))
    return Judgement(answer=None, unusable=reason, cost=cost)


def _expected(case: Case, found: Judgement[Chances]) -> Judgement[float]:
    if found.answer is None:
        return Judgement(answer=None, unusable=found.unusable, cost=found.cost)
    low, high = case.rubric.range
    value = sum(chance * number for chance, (_, number) in zip(found.answer, case.rubric.scale, strict=True))
    return Judgement(answer=min(max(value, low), high), cost=found.cost)


def _tournament(found: Sequence[Judgement[float]], count: int) -> Judgement[tuple[float, ...]]:
    """Places from the outcomes of all pairs of `count` candidates, in the order of `combinations`."""
    cost = sum((one.cost for one in found), Cost())
    score = [0.0] * count
    for (first, second), one in zip(combinations(range(count), 2), found, strict=True):
        if one.answer is None:
            return Judgement(answer=None, unusable=one.unusable, cost=cost)
        score[first] += one.answer
        score[second] += 1 - one.answer
    return Judgement(answer=places(score), cost=cost)
