"""The loop: ask for a program, read it, screen it, run it in the jail, say what went wrong, ask again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from milepost import checks, keys
from milepost.errors import FormatError
from milepost.part import Chat, ChatRequest
from milepost.programs.binding import bound
from milepost.programs.card import EnvironmentCard
from milepost.programs.program import Jail, Program
from milepost.programs.screening import refused
from milepost.rewards.written import scoring
from milepost.rewards.written.examples import Example, nearest
from milepost.rewards.written.prompt import PROMPT, Round, code_of, messages


@dataclass(frozen=True, kw_only=True)
class Written:
    """A program that runs, and where it comes from."""

    source: str
    """What the model wrote, over the names of the card."""
    program: Program = field(repr=False)
    """The same, grounded."""
    card: str
    """Digest of the card."""
    model: str
    rounds: tuple[Round, ...] = ()
    """Attempts before it: those that failed a check, and those that a person was not content with."""

    @property
    def lineage(self) -> tuple[str, ...]:
        """Digests of all attempts, the first one first, this one last."""
        return (*(keys.digest({"source": one.source}) for one in self.rounds), keys.digest({"source": self.source}))


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Asks a chat model until a program runs."""

    chat: Chat
    jail: Jail
    tries: int = 5
    temperature: float = 0.0
    """The published feedback rounds use 0.7."""
    max_tokens: int = 1024
    examples: tuple[Example, ...] = ()
    """Solved tasks; the one most like the task is shown to the model."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.at_least("tries", self.tries, 1)
        checks.non_negative("temperature", self.temperature)

    def write(
        self,
        card: EnvironmentCard,
        task: str,
        sample: tuple[Float[Tensor, "t o"], Float[Tensor, "t a"]],
        *,
        rounds: Sequence[Round] = (),
        key: int = 0,
    ) -> Written:
        """Write a program for a task.

        Args:
            card: what the program may read.
            task: the task in a sentence.
            sample: observations and actions of a real episode, on which a program must run.
            rounds: earlier programs with what was thought of them.
            key: decides what is drawn at a temperature above 0.

        Returns:
            The first program that is a program, is allowed and runs.

        Raises:
            FormatError: none of the tries was; the last reason is named.
        """
        known, shown = list(rounds), nearest(task, self.examples)
        said = ""
        for number in range(self.tries):
            request = ChatRequest(
                messages=messages(card, task, known, shown), prompt=PROMPT, max_tokens=self.max_tokens,
                temperature=self.temperature, seed=keys.seed_of(keys.fold(key, "write", number)),
            )  # fmt: skip
            (reply,) = self.chat.reply([request])
            source = code_of(reply.text)
            said = self._fault(source, card, sample) if source else f"no fenced code block ({reply.end} {reply.detail})"
            if source and not said:
                program = bound(source, card)
                return Written(
                    source=source, program=program, card=card.digest, model=self.chat.model, rounds=tuple(known)
                )
            known.append(Round(source=source or reply.text[:2000], behaviour=f"It was not accepted: {said}"))
        raise FormatError(f"{self.chat.model} wrote no program that runs in {self.tries} tries; the last time: {said}.")

    def _fault(self, source: str, card: EnvironmentCard, sample: tuple[Tensor, Tensor]) -> str:
        reasons = refused(source, card)
        if reasons:
            return "; ".join(reasons[:3])
        (found,) = scoring.scored(bound(source, card), self.jail, [sample])
        if found.reason:
            return found.reason
        return f"{found.clamped} of {len(found.value)} steps have no finite number" if found.clamped else ""
