"""What a check of credit found: named findings that say which rows, what was expected and what was received."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Bool
from torch import Tensor

from milepost.errors import ColumnError

SHOWN = 8
"""Rows or tokens that a finding names; it says how many there are in all."""

CHECKS = {
    "offsets": "the tokens of all rows lie end to end: every token has exactly one owner",
    "roles": "only tokens that a policy or an insertion wrote are trained",
    "finite": "credit is a finite number wherever it counts",
    "roots": "roots have no credit: nobody chose them",
    "not_ok": "rows that do not count have no credit",
    "group_sum": "the credit of each group sums to what its rule says",
    "path_sum": "credit along a path adds up to what its rule says",
    "recomputed": "the rule applied to the stored rewards gives the stored credit",
    "untrained": "tokens that are not trained have no credit",
    "misplaced": "a trained token has the credit of the step it belongs to",
    "owner": "a trained token is trained once, or at most once per trajectory that holds it",
    "swapped": "the token ids are those of the step that the credit belongs to",
}
"""Every check by name, with what it asks for."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong with the credit of a forest or of a batch."""

    check: str
    """Name of the check, a key of `CHECKS`."""
    rows: tuple[int, ...] = ()
    """Rows of the forest concerned, at most `SHOWN`."""
    tokens: tuple[int, ...] = ()
    """Positions in the token columns concerned, at most `SHOWN`."""
    count: int
    """How many rows, tokens or groups are concerned in all."""
    expected: str
    received: str

    def __str__(self) -> str:
        """One sentence."""
        places = [f"rows {_listed(self.rows, self.count)}"] if self.rows else []
        places += [f"tokens {_listed(self.tokens, self.count)}"] if self.tokens else []
        where = f" at {' and '.join(places)}" if places else ""
        return f"{self.check}{where}: expected {self.expected}, received {self.received}"


def _listed(places: tuple[int, ...], count: int) -> str:
    return ", ".join(str(place) for place in places) + (f" ({count} in all)" if count > len(places) else "")


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Answer of an audit: what is wrong, what was checked, and what could not be checked, with the reason."""

    found: tuple[Finding, ...]
    checked: tuple[str, ...]
    skipped: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.found

    def named(self, check: str) -> tuple[Finding, ...]:
        """Findings of one check."""
        return tuple(finding for finding in self.found if finding.check == check)

    def raise_if_any(self) -> None:
        """Raise a `ColumnError` that lists all findings, if there are any."""
        if self.found:
            listed = "\n".join(f"- {finding}" for finding in self.found)
            raise ColumnError(
                f"Credit is not where it belongs:\n{listed}\n"
                "Write `advantage` with a credit rule, and spread it over tokens with credit.tokens."
            )


def first(marked: Bool[Tensor, " n"]) -> tuple[int, ...]:
    """The first marked positions, at most `SHOWN`.

    Args:
        marked: one truth value per position.

    Returns:
        Rising positions.
    """
    return tuple(int(place) for place in marked.nonzero().flatten()[:SHOWN])
