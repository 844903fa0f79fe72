"""What a program may read of an environment, as typed classes: names, sizes, units, ranges, places."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from milepost import checks
from milepost.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """Numbers of an observation under one name."""

    name: str
    start: int
    """First place in the observation."""
    stop: int
    """One beyond the last place; a single number is a scalar."""
    about: str
    """One line, with the unit."""
    low: float
    """No number is below it."""
    high: float

    def __post_init__(self) -> None:
        """Check the name and the places."""
        if not self.name.isidentifier() or self.name.startswith("_"):
            raise SettingError(f"name={self.name!r} is not allowed: expected a plain Python name.")
        checks.at_least("start", self.start, 0)
        checks.at_least("stop", self.stop, self.start + 1)

    @property
    def place(self) -> str:
        """The expression that reads it from `obs`."""
        return f"obs[{self.start}]" if self.stop == self.start + 1 else f"obs[{self.start}:{self.stop}]"

    @property
    def type_name(self) -> str:
        """Its type as Python writes it."""
        return "float" if self.stop == self.start + 1 else "np.ndarray"


@dataclass(frozen=True, kw_only=True)
class Entity:
    """A thing in the environment."""

    name: str
    about: str
    attributes: tuple[Attribute, ...]

    def __post_init__(self) -> None:
        """Check the name."""
        if not self.name.isidentifier() or self.name.startswith("_"):
            raise SettingError(f"name={self.name!r} is not allowed: expected a plain Python name.")
        checks.not_empty("attributes", self.attributes)


@dataclass(frozen=True, kw_only=True)
class EnvironmentCard:
    """An environment as a model is told of it. No source of the simulator is shown.

    Example:
        >>> place = Attribute(name="position", start=0, stop=3, about="metres", low=-1, high=1)
        >>> card = EnvironmentCard(name="t", entities=(Entity(name="cube", about="a cube", attributes=(place,)),))
        >>> card.symbols
        {'self.cube.position': 'obs[0:3]'}
    """

    name: str
    entities: tuple[Entity, ...]
    action: str = ""
    """The action space in words."""

    def __post_init__(self) -> None:
        """Check that names differ."""
        names = [f"{one.name}.{item.name}" for one in self.entities for item in one.attributes]
        if len(set(names)) != len(names) or len({one.name for one in self.entities}) != len(self.entities):
            raise SettingError(f"Names on a card must differ, received {names}.")

    @property
    def symbols(self) -> Mapping[str, str]:
        """What a program writes to the expression on the observation that it stands for."""
        return {f"self.{one.name}.{item.name}": item.place for one in self.entities for item in one.attributes}

    @property
    def digest(self) -> str:
        """Hash of everything on the card, 16 hexadecimal digits."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def text(self) -> str:
        """The card as typed Python classes with comments."""
        lines: list[str] = []
        for one in self.entities:
            lines += [f"class {one.name.capitalize()}:", f'    """{one.about}"""']
            for item in one.attributes:
                size = "" if item.type_name == "float" else f"shape ({item.stop - item.start},); "
                lines.append(
                    f"    {item.name}: {item.type_name}  # {size}{item.about}; in [{item.low:g}, {item.high:g}]"
                )
            lines.append("")
        lines += ["class Environment:"]
        lines += [f"    {one.name}: {one.name.capitalize()}" for one in self.entities]
        return "\n".join([*lines, f"    # action: {self.action}" if self.action else ""]).rstrip() + "\n"

    def broken(self, observations: Sequence[Sequence[float]]) -> tuple[str, ...]:
        """Statements of the card that observations contradict.

        Args:
            observations: of the real environment.

        Returns:
            One sentence per attribute with a number out of its range, or with a range more than 1.5 times as wide as
            all that was seen: such a test in a program is always true. Unbounded ranges are not judged by their width.
        """
        found: list[str] = []
        for one in self.entities:
            for item in one.attributes:
                seen = [number for row in observations for number in row[item.start : item.stop]]
                name, low, high = f"{one.name}.{item.name}", min(seen), max(seen)
                if low < item.low - 1e-6 or high > item.high + 1e-6:
                    found.append(f"{name} was in [{low:.3g}, {high:.3g}], the card says [{item.low:g}, {item.high:g}]")
                elif item.type_name == "float" and item.high - item.low > 1.5 * (high - low):
                    found.append(f"{name} only took [{low:.3g}, {high:.3g}] of [{item.low:g}, {item.high:g}]")
        return tuple(found)
