"""How many of the conversations that were read told something, rule against rule, with exact tests.

Source: Fisher 1922, On the interpretation of chi-square from contingency tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What came of one rule: conversations read, and those of them that told something."""

    name: str
    informative: int
    read: int

    @property
    def share(self) -> float:
        """Share of informative ones; 0 where nothing was read."""
        return self.informative / self.read if self.read else 0.0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two rules side by side."""

    one: Arm
    two: Arm
    p: float
    """Of Fisher's exact test, two-sided: how often chance alone gives a table at least as unlikely."""
    fewer_reads: float
    """How many times fewer conversations the first needs for each informative one."""

    def __str__(self) -> str:
        """The comparison as one sentence."""
        verdict = "differ" if self.p < 0.05 else "do not differ significantly"
        one, two = self.one, self.two
        return (
            f"{one.name} {one.informative}/{one.read} and {two.name} {two.informative}/{two.read} {verdict} "
            f"(Fisher p = {self.p:.2g}; {self.fewer_reads:.2f} times fewer reads for each informative one)."
        )


def compare(one: Arm, two: Arm) -> Comparison:
    """Compare two rules by Fisher's exact test.

    Args:
        one: what came of the first.
        two: what came of the second.

    Returns:
        The comparison.
    """
    table = (one.informative, one.read - one.informative, two.informative, two.read - two.informative)
    fewer = one.share / two.share if two.informative else math.inf
    return Comparison(one=one, two=two, p=fisher(*table), fewer_reads=fewer)


def fisher(a: int, b: int, c: int, d: int) -> float:
    """Two-sided p value of Fisher's exact test for the table ((a, b), (c, d)).

        p = sum over tables with the same margins, of probability at most that of the given one, of
        C(a + b, x) C(c + d, a + c - x) / C(n, a + c)

    Args:
        a: first row, first column.
        b: first row, second column.
        c: second row, first column.
        d: second row, second column.

    Returns:
        A number in (0, 1].
    """
    row, other, column = a + b, c + d, a + c
    low, high = max(0, column - other), min(row, column)
    logs = [_log_choose(row, x) + _log_choose(other, column - x) for x in range(low, high + 1)]
    given, total = logs[a - low], _log_choose(row + other, column)
    return min(1.0, math.fsum(math.exp(one - total) for one in logs if one <= given + 1e-9))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
