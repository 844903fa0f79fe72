"""Grounds a reward program: the names of a card become numbers of an observation, by proxy objects in the jail."""

from __future__ import annotations

from collections.abc import Mapping

from milepost.programs.card import EnvironmentCard
from milepost.programs.program import Program
from milepost.programs.screening import ENTRY

_LOOP = f'''
def score_steps(observations, actions):
    """One number per step; None where the program answers no finite number."""
    found = []
    for obs, action in zip(observations, actions):
        value = {ENTRY}(_Environment(obs), action.copy())
        if isinstance(value, dict):
            value = sum(float(term) for term in value.values())
        try:
            value = float(value)
        except (TypeError, ValueError):
            value = None
        found.append(value if value is not None and abs(value) < 1e30 else None)
    return found
'''


def proxies(card: EnvironmentCard) -> str:
    """Python text of the classes that stand for a card; every reading is a copy, so that no program changes the data.

    Args:
        card: the card.

    Returns:
        Text that defines `_Environment(obs)`.
    """
    lines: list[str] = []
    for one in card.entities:
        lines += [f"class _{one.name.capitalize()}:", "    def __init__(self, obs):", "        self._obs = obs"]
        for item in one.attributes:
            read = item.place.replace("obs", "self._obs", 1)
            value = f"float({read})" if item.type_name == "float" else f"{read}.copy()"
            lines += ["    @property", f"    def {item.name}(self):", f"        return {value}"]
    lines += ["class _Environment:", "    def __init__(self, obs):"]
    lines += [f"        self.{one.name} = _{one.name.capitalize()}(obs)" for one in card.entities]
    return "\n".join(lines) + "\n"


def bound(source: str, card: EnvironmentCard) -> Program:
    """Make a program that scores all steps of a trajectory in one call of the jail.

    Args:
        source: a program that `screening.refused` has nothing against.
        card: what it reads.

    Returns:
        A program with `observations` (arrived at) and `actions` as arguments, and one number or None per step.
    """
    return Program(
        source=f"import math\nimport numpy as np\n{source}\n{proxies(card)}{_LOOP}", entry="score_steps", arrays=True
    )


def substituted(source: str, symbols: Mapping[str, str]) -> str:
    """Ground a program as the published code does: replace each name in the text by its expression, longest first.

    In any other order a name that begins like another one spoils it: "self.obj1" in "self.obj10".

    Args:
        source: a program over the names of a card.
        symbols: name to expression on `obs`.

    Returns:
        A program over `obs`, with `self` still in its signature.
    """
    return replaced(source, dict(sorted(symbols.items(), key=lambda pair: -len(pair[0]))))


def replaced(source: str, symbols: Mapping[str, str]) -> str:
    """Replace names in the order that is given; see `substituted`."""
    for name, expression in symbols.items():
        source = source.replace(name, expression)
    return source
