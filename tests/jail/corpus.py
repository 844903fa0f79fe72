"""The corpus of attacks: what each does, and whether an answer shows that it was refused."""

from __future__ import annotations

import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path

from milepost.errors import FormatError
from milepost.programs.answers import number_of
from milepost.programs.program import Answer, Program

FILE = Path(__file__).with_name("attacks.toml")


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One attack of the data file."""

    family: str
    name: str
    body: str
    top: str = ""
    twice: bool = False
    hostile: bool = False
    harmless: float | str | None = None

    @property
    def lines(self) -> str:
        return textwrap.indent(f"{self.body.strip()}\nreturn 'escaped'", "    ")

    @property
    def program(self) -> Program:
        return Program(source=f"{self.top}\ndef compute_reward(secret, folder, port, parent):\n{self.lines}\n")

    def refused(self, answer: Answer) -> bool:
        """Whether nothing came of it: no answer, or an answer that is no number."""
        if answer.reason is not None:
            words = answer.reason
            return len(words) < 300 and words.isprintable() and answer.value is None
        if self.harmless is not None:
            return type(answer.value) is type(self.harmless) and answer.value == self.harmless
        if self.family != "answers":
            return False
        try:
            number_of(answer.value)
        except FormatError:
            return True
        return False


def together(chosen: list[Attack]) -> Program:
    """Many attacks without a `top` in one program, which takes the number of one: its process is started once."""
    source = "".join(
        f"def attack_{number}(secret, folder, port, parent):\n{one.lines}\n" for number, one in enumerate(chosen)
    )
    source += f"all_attacks = [{', '.join(f'attack_{number}' for number in range(len(chosen)))}]\n"
    call = "def compute_reward(number, **place): return all_attacks[number](**place)\n"
    return Program(source=(source + call).replace("_getframe(1)", "_getframe(2)"))


def attacks() -> list[Attack]:
    """Every attack of the data file."""
    return [Attack(**entry) for entry in tomllib.loads(FILE.read_text(encoding="utf-8"))["attack"]]
