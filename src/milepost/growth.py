"""What samplers ask for while a forest grows, and what they are given: extensions, inserted text, scores on the way.

Imports no torch at run time, so that recipes can be listed without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from milepost.part import Observation, State

if TYPE_CHECKING:
    from torch import Tensor

    from milepost.forest import Forest


@dataclass(frozen=True, kw_only=True)
class Inserted:
    """Text that no policy wrote, one step of its own below each row; the policy goes on from there."""

    shown: Sequence[Observation]
    """One per row, as `Policy.encode` reads it."""
    texts: Sequence[str]
    """What each adds to the text of the trajectory: "" where it is only shown."""
    branch_of: Tensor
    """int64: key of the step whose place it takes."""
    pool: Sequence[Observation] = ()
    """Everything that could have been drawn instead, each equally likely; empty where nothing was drawn."""
    train: bool = False
    """Whether the loss may touch its tokens."""


@dataclass(frozen=True, kw_only=True)
class Extension:
    """Answer of `Sampler.ask`: which rows get children and how many each, or what is inserted below them."""

    rows: Tensor
    counts: Tensor
    inserted: Inserted | None = None
    """Given: each row gets one inserted step, its count is 1, and the policy is not asked."""


class Sampler(Protocol):
    """Strategy on the frontier, ignorant of the domain. `ask` may be called when every earlier extension was told."""

    def init(self, forest: Forest, key: int) -> State:
        """State for a forest that holds roots only."""
        ...

    def ask(self, forest: Forest, state: State) -> Extension | None:
        """Rows to extend next, or None when nothing is left to do."""
        ...

    def tell(self, forest: Forest, rows: Tensor, state: State) -> State:
        """Learn which rows were added by the last extension."""
        ...


@runtime_checkable
class Screens(Protocol):
    """A sampler that looks at proposed steps before the environment answers them: it executes some of them."""

    def screen(self, forest: Forest, rows: Tensor, state: State) -> Forest:
        """Return the forest with further columns; of `rows`, those whose `end` is set are not answered."""
        ...


@runtime_checkable
class Reviews(Protocol):
    """A sampler that looks at new steps after the environment answered, before `tell`: it scores them or ends some."""

    def review(self, forest: Forest, rows: Tensor, state: State) -> Forest:
        """Return the forest with further columns."""
        ...


class Scorer(Protocol):
    """Scores rows of a forest that still grows: given to a sampler that needs rewards to go on."""

    def __call__(self, forest: Forest, rows: Tensor) -> Forest:
        """Return the forest with `reward.total`, `ok.total`, `reason.total`, their parts, and what they cost."""
        ...
