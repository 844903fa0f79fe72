"""Why a trajectory got its weight: the arithmetic of group credit spelled out, and checked against the stored number.

The rule is not taken on trust: of the known group rules, the one that reproduces every stored credit of the group is
named. If none does, the page says so and shows the factor between the stored credit and the plain deviation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from milepost.report import figures
from milepost.report.stored.groups import Spread, spread

_TOLERANCE = 2e-3
"""Relative; wide enough for the small constants that implementations add to the standard deviation."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A way from rewards to credit: `(reward - mean) * factor`, with a factor of the group."""

    name: str
    """The formula in words."""
    factor: Callable[[Spread], float]
    write: Callable[[float, Spread], str]
    """The arithmetic of one reward, without the result."""


def _short(value: float) -> str:
    """Four digits: enough for a reader to get the result that stands beside the arithmetic."""
    return figures.plain(value, 4)


def _difference(reward: float, group: Spread) -> str:
    return f"{_short(reward)} {figures.MINUS} {_short(group.mean)}"


def _others(reward: float, group: Spread) -> str:
    rest = (group.mean * group.count - reward) / (group.count - 1)
    return f"{_short(reward)} {figures.MINUS} {_short(rest)}"


RULES = (
    Rule(name="reward − mean", factor=lambda _: 1.0, write=_difference),
    Rule(
        name="(reward − mean) / std, divisor n",
        factor=lambda group: 1 / group.std,
        write=lambda reward, group: f"({_difference(reward, group)}) / {_short(group.std)}",
    ),
    Rule(
        name="(reward − mean) / std, divisor n − 1",
        factor=lambda group: 1 / group.sample_std,
        write=lambda reward, group: f"({_difference(reward, group)}) / {_short(group.sample_std)}",
    ),
    Rule(
        name="reward − mean of the others",
        factor=lambda group: group.count / (group.count - 1),
        write=_others,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """The arithmetic of one trajectory."""

    reward: float | None
    credit: float | None
    formula: str
    """Such as "(1.00 − 0.25) / 0.43"; empty where there is nothing to compute."""
    exact: bool = False
    """Whether the formula gives the stored credit."""
    note: str = ""
    """What the formula leaves out, or why there is none."""


@dataclass(frozen=True, kw_only=True)
class Why:
    """The arithmetic of one group."""

    spread: Spread
    rule: str
    """The rule that reproduces the stored credits, or why none is named."""
    found: bool
    lines: tuple[Line, ...]


def explain(rewards: Sequence[float | None], credits: Sequence[float | None]) -> Why:  # noqa: A002 - the domain's word
    """Spell out how the rewards of a group became its credits.

        credit_i = (reward_i - mean) * factor,   optionally * gain of the sign of credit_i

    Args:
        rewards: reward of each trajectory of the group; None where it failed.
        credits: stored credit of each; None where there is none.

    Returns:
        The rule that reproduces every stored credit within 0.2 %, and a line per trajectory.
    """
    group = spread(rewards)
    pairs = [(r, c) for r, c in zip(rewards, credits, strict=True) if r is not None and c is not None]
    if not pairs:
        return _plain(group, rewards, credits, "No trajectory has both a reward and a stored credit.")
    if group.count == 1:
        return _plain(group, rewards, credits, "A lone reward has nothing to be compared with: its credit is 0.")
    if group.std == 0:
        same = all(credit == 0 for _, credit in pairs)
        told = "All rewards are equal: nothing can be compared, " + (
            "every credit is exactly 0." if same else "yet some stored credit is not 0."
        )
        return _plain(group, rewards, credits, told, found=same)
    for free in ((), (1,), (1, -1)):  # the plain rules, then those with a gain on positive credit, then on both signs
        for rule in RULES:
            factors = _gains(rule, group, pairs, free)
            if factors is not None:
                return _ruled(rule, factors, group, rewards, credits)
    return _plain(group, rewards, credits, "No group rule of this list reproduces the stored credits: " + _names())


def _names() -> str:
    return "; ".join(rule.name for rule in RULES) + "."


def _gains(
    rule: Rule, group: Spread, pairs: Sequence[tuple[float, float]], free: Sequence[int]
) -> Mapping[int, float] | None:
    """Gain by sign of the credit under which the rule reproduces every stored credit; None if there is none."""
    gains: dict[int, float] = {}
    for reward, credit in pairs:
        wanted = (reward - group.mean) * rule.factor(group)
        if abs(wanted) < 1e-9:
            if abs(credit) > 1e-6:
                return None
            continue
        sign = 1 if wanted > 0 else -1
        gain = gains.setdefault(sign, credit / wanted if sign in free else 1.0)
        if gain < 0 or not math.isclose(credit, gain * wanted, rel_tol=_TOLERANCE, abs_tol=1e-6):
            return None
    return gains


def _ruled(
    rule: Rule,
    gains: Mapping[int, float],
    group: Spread,
    rewards: Sequence[float | None],
    credits: Sequence[float | None],  # noqa: A002
) -> Why:
    lines: list[Line] = []
    for reward, credit in zip(rewards, credits, strict=True):
        if reward is None:
            lines.append(_failed(credit))
            continue
        gain = gains.get(1 if reward > group.mean else -1, 1.0)
        shown = "" if math.isclose(gain, 1) else f" × {figures.plain(gain)}"
        text = rule.write(reward, group)
        lines.append(
            Line(
                reward=reward,
                credit=credit,
                formula=(f"({text})" if shown and text[0] != "(" else text) + shown,
                exact=True,
            )
        )
    up, down = gains.get(1, 1.0), gains.get(-1, 1.0)
    told = rule.name
    for gain, where in ((up, "positive"), (down, "negative")):
        if not math.isclose(gain, 1):
            told += f", × {figures.plain(gain)} where {where}"
    if told != rule.name:
        told += "; these gains are read from the stored credits"
    return Why(spread=group, rule=told, found=True, lines=tuple(lines))


def _failed(credit: float | None) -> Line:
    note = "The reward failed: the trajectory is left out of mean and spread"
    return Line(
        reward=None,
        credit=credit,
        formula="",
        note=note + (" and gets no credit." if not credit else ", yet has credit."),
    )


def _plain(
    group: Spread,
    rewards: Sequence[float | None],
    credits: Sequence[float | None],  # noqa: A002
    told: str,
    *,
    found: bool = False,
) -> Why:
    lines = [
        _failed(credit)
        if reward is None
        else Line(
            reward=reward,
            credit=credit,
            formula=_difference(reward, group),
            exact=credit is not None and math.isclose(credit, reward - group.mean, abs_tol=1e-9),
            note=_factor(reward, credit, group),
        )
        for reward, credit in zip(rewards, credits, strict=True)
    ]
    return Why(spread=group, rule=told, found=found, lines=tuple(lines))


def _factor(reward: float, credit: float | None, group: Spread) -> str:
    gap = reward - group.mean
    if credit is None or abs(gap) < 1e-9:
        return ""
    return f"stored credit / difference = {figures.plain(credit / gap)}"
