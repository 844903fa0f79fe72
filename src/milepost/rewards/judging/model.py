"""A chat model as a judge that explains first and ends with a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from milepost import checks
from milepost.errors import FormatError
from milepost.part import Chat, ChatReply, ChatRequest
from milepost.rewards.judging import parsing, prompts
from milepost.rewards.judging.judge import Case, Judgement, check_candidates
from milepost.rewards.judging.record import cached
from milepost.rewards.judging.replies import both, read


@dataclass(frozen=True, kw_only=True)
class ModelJudge:
    """A model that explains first and ends with a verdict, which is read strictly. Implements `judge.Judge`.

    A reply that was cut off, refused or cannot be read is unusable. `pairwise` and `rank` ask twice, in both orders of
    presentation, because models prefer a place: opposite preferences are unusable, a preference and a tie are a tie;
    two rankings are averaged, and unusable unless they agree on more pairs than they contradict each other on.
    """

    chat: Chat
    max_tokens: int = 256
    """Longest reply; a longer one is unusable."""
    temperature: float = 0.0
    """0 takes the likeliest token, as a judge should."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.at_least("max_tokens", self.max_tokens, 1)
        checks.within("temperature", self.temperature, 0.0, 10.0)

    @property
    def identity(self) -> str:
        """The model and how it is asked."""
        return f"{self.chat.model}, {self.max_tokens} tokens, temperature {self.temperature:g}"

    def score(self, cases: Sequence[Case]) -> Sequence[Judgement[float]]:
        """A number of the rubric's scale."""
        replies = self._asked([prompts.score(case) for case in cases])
        return [
            read(reply, lambda text, case=case: parsing.read_score(text, case.rubric))
            for case, reply in zip(cases, replies, strict=True)
        ]

    def pairwise(self, cases: Sequence[Case]) -> Sequence[Judgement[float]]:
        """Which of two candidates is better, asked in both orders."""
        for case in cases:
            check_candidates(case, 2, 2)
        replies = self._asked([prompts.pairwise(case, order) for case in cases for order in ((0, 1), (1, 0))])
        found = [read(reply, parsing.read_preference) for reply in replies]
        return [both(one, other, _settled) for one, other in zip(found[::2], found[1::2], strict=True)]

    def rank(self, cases: Sequence[Case]) -> Sequence[Judgement[tuple[float, ...]]]:
        """Places of the candidates, asked in the given and in the reverse order."""
        for case in cases:
            check_candidates(case, 2)
        orders = [list(range(len(case.candidates))) for case in cases]
        asked = [(case, shown) for case, order in zip(cases, orders, strict=True) for shown in (order, order[::-1])]
        replies = self._asked([prompts.rank(case, shown) for case, shown in asked])
        found = [
            read(reply, lambda text, shown=shown: parsing.read_ranking(text, len(shown)))
            for (_, shown), reply in zip(asked, replies, strict=True)
        ]
        return [both(one, other, _averaged) for one, other in zip(found[::2], found[1::2], strict=True)]

    def complete(self, cases: Sequence[Case]) -> Sequence[Judgement[str]]:
        """What the model writes, without surrounding white space."""
        replies = self._asked([prompts.complete(case) for case in cases])
        return [read(reply, _written) for reply in replies]

    def _asked(self, requests: Sequence[ChatRequest]) -> Sequence[ChatReply]:
        settings = {"max_tokens": self.max_tokens, "temperature": self.temperature}
        return self.chat.reply([replace(request, **settings) for request in requests])


def model_judge(chat: Chat, replies: str = "") -> ModelJudge:
    """A judge that writes, and keeps what it wrote.

    Args:
        chat: the model.
        replies: file that keeps its replies, see `record`; "" keeps none.

    Returns:
        The judge.
    """
    return ModelJudge(chat=cached(chat, replies))


def _written(text: str) -> str:
    if not text.strip():
        raise FormatError("it is empty")
    return text.strip()


def _settled(shown_first: float, shown_second: float) -> float:
    """Preference for the first candidate from its preference as A and the other's as A."""
    first, again = shown_first, 1 - shown_second
    if {first, again} == {0.0, 1.0}:
        raise FormatError("the judge prefers the place: its two verdicts contradict each other")
    return first if first == again else 0.5


def _averaged(forward: tuple[float, ...], backward: tuple[float, ...]) -> tuple[float, ...]:
    again = backward[::-1]
    if not parsing.agree(forward, again):
        raise FormatError("the judge prefers the place: its two rankings contradict each other")
    return tuple((one + other) / 2 for one, other in zip(forward, again, strict=True))
