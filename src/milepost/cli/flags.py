"""Settings of a run from defaults, a TOML file and flags, in rising order of weight. Only this file knows tyro."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
import tomllib
import typing
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, cast

from milepost import recipe
from milepost.cli import build_settings, output
from milepost.engines import settings as sections
from milepost.engines import toml_file
from milepost.engines.settings import DOMAINS, RECIPES, RunSettings
from milepost.errors import FormatError, SettingError, unknown_name

TRACKERS = ("tensorboard", "trackio")
"""Names that --track takes."""
_FREE = "--tasks.options."
_SHORT = {"tasks.names": "tasks"}
"""Short names that are not the last part of the dotted one."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What a user chooses about the start of a run that does not change its numbers."""

    out: str = ""
    """Folder of the run; by default the first free of runs/<recipe>-1, -2, ..."""
    repeats: int = 0
    """Runs with seeds derived from --seed, into <out>/repeat-0, -1, ...; 0 is one run with --seed itself."""
    track: str = ""
    """Trackers that mirror the metrics, by comma: tensorboard, trackio."""
    report: bool = True
    """Write report.html when the run is done."""
    dry_run: bool = False
    """Print the resolved configuration as TOML and stop."""
    json: bool = False
    """Print JSON lines: one object per event, the last with the outcome."""

    @property
    def trackers(self) -> tuple[str, ...]:
        """Names of the trackers."""
        return comma_separated(self.track)


@dataclass(frozen=True, kw_only=True)
class Words:
    """A command line in three parts."""

    names: tuple[str, ...]
    """Words before the first flag."""
    file: Path | None
    """What follows @."""
    flags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The resolved configuration."""

    settings: RunSettings
    launch: Launch = field(default_factory=Launch)


def comma_separated(text: str) -> tuple[str, ...]:
    """Names parted by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def split(argv: Sequence[str]) -> Words:
    """Part a command line into names, file and flags.

    Args:
        argv: arguments after the verb, such as ["grpo", "@", "demo.toml", "--steps", "5"].

    Returns:
        The parts.

    Raises:
        SettingError: nothing follows @, or it occurs twice.
    """
    names: list[str] = []
    flags: list[str] = []
    files: list[str] = []
    rest = [*argv]
    while rest:
        word = rest.pop(0)
        if word == "@":
            if not rest:
                raise SettingError("Nothing follows @: expected a TOML file, as in `milepost run grpo @ run.toml`.")
            files.append(rest.pop(0))
        elif word.startswith("@"):
            files.append(word[1:])
        elif flags or word.startswith("-"):
            flags.append(word)
        else:
            names.append(word)
    if len(files) > 1:
        raise SettingError(f"Two files were given, {files[0]} and {files[1]}: expected one. Put both into one file.")
    return Words(names=tuple(names), file=Path(files[0]) if files else None, flags=tuple(flags))


def read_file(path: Path | None) -> dict[str, Any]:
    """Content of the file after @; empty without one.

    Raises:
        SettingError: the file is missing or not TOML.
    """
    if path is None:
        return {}
    try:
        return toml_file.read_mapping(path)
    except FormatError as error:
        raise SettingError(str(error)) from error


def domain_of(names: Sequence[str]) -> str:
    """Domain whose defaults recipes take: the first one of the first recipe that the others have too.

    Args:
        names: recipes.

    Returns:
        The domain; the first recipe's own where there is no common one.
    """
    first, *rest = (recipe.card(name).domains for name in names)
    return next((one for one in first if all(one in others for others in rest)), first[0])


def resolve(
    name: str, given: Mapping[str, Any], flags: Sequence[str], *, prog: str, domain: str | None = None
) -> Chosen:
    """Settings of a run: defaults, then the file, then the flags.

    Args:
        name: the recipe.
        given: content of the file.
        flags: what the user typed after the recipe.
        prog: what the help calls the command.
        domain: whose defaults, where the tasks that are named say nothing; by default the recipe's first.

    Returns:
        Every setting, those of the recipe included.

    Raises:
        UnknownName: no such recipe, tracker or flag, or a key of the file does not exist.
        SettingError: a value is not allowed.
        SystemExit: code 0 after --help.
    """
    import tyro

    own = build_settings.of(name)
    typed, options = _take_free(flags)
    domain = _domain_of_tasks(given, typed) or domain or domain_of([name])
    given = merged(merged(DOMAINS.get(domain, {}), RECIPES.get(name, {})), given)
    asked = toml_file.from_mapping(RunSettings, merged({**given, "recipe": name}, options))
    chosen = toml_file.from_mapping(_record(own), asked.settings, inside="settings")
    kinds = _kinds(own)
    start = {part: _copy(chosen if part == "settings" else getattr(asked, part), kinds[part]) for part in kinds}
    flags_type = _flags_type(kinds)
    card = recipe.card(name)
    about = f"{card.title} ({card.year}). {card.summary}\n\nOrder of weight: default, then @ file.toml, then flag."
    default = flags_type(**start, seed=asked.seed, cost=dict(asked.cost))
    _check_names(typed, kinds)
    found = output.parsed(lambda: tyro.cli(flags_type, default=default, args=typed, prog=prog, description=about))
    settings = RunSettings(
        recipe=name,
        seed=found.seed,
        settings=_without_none(found.settings, own),
        reward=found.reward or asked.reward,
        cost=found.cost,
        **{part: _back(getattr(found, part), getattr(asked, part)) for part in _sections()},
    )
    launch = Launch(**{item.name: getattr(found, item.name) for item in dataclasses.fields(Launch)})
    for tracker in launch.trackers:
        if tracker not in TRACKERS:
            raise unknown_name("tracker", tracker, TRACKERS)
    if launch.repeats < 0:
        raise SettingError(f"repeats={launch.repeats} is not allowed: expected a whole number of at least 0.")
    return Chosen(settings=settings, launch=launch)


def _check_names(typed: Sequence[str], kinds: Mapping[str, Any]) -> None:
    """Refuse flags that do not exist."""
    alone = Counter(item.name for kind in kinds.values() for item in dataclasses.fields(kind))
    words = ["help", "seed", "cost", "reward", "tasks", *(item.name for item in dataclasses.fields(Launch))]
    words += [f"{part}.{item.name}" for part, kind in kinds.items() for item in dataclasses.fields(kind)]
    words += [name for name, count in alone.items() if count == 1]
    known = {f"--{word}".replace("_", "-") for word in words}
    negative = {f"--{before}{dot}no-{last}" for before, dot, last in (one[2:].rpartition(".") for one in known)}
    for name, _ in chunks(typed):
        if name.startswith("--") and name not in known | negative:
            raise output.unknown_flag(name, known)


def _domain_of_tasks(given: Mapping[str, Any], typed: Sequence[str]) -> str | None:
    """Domain whose environment the first named task belongs to, such as "agent" for search_2hop; None without one."""
    words = [word for name, own in chunks(typed) if name in ("--tasks", "--tasks.names") for word in own]
    named = [word.removeprefix("--tasks").removeprefix(".names").removeprefix("=") for word in words]
    named = [word for word in named if word] or list(given.get("tasks", {}).get("names", ()))
    fitting = (domain for domain, own in DOMAINS.items() if named and named[0].split("_")[0] in own["tasks"]["names"])
    return next(fitting, None)


def names_of(name: str) -> frozenset[str]:
    """Flags that a recipe has beside those of every run, such as "--width" and "--settings.width"."""
    own = build_settings.of(name)
    short = _unambiguous(own)
    words = [f"settings.{one.name}" for one in own] + [one.name for one in own if one.name in short]
    negative = ["".join((*word.rpartition(".")[:2], "no-", word.rpartition(".")[2])) for word in words]
    return frozenset(f"--{word}".replace("_", "-") for word in [*words, *negative])


def chunks(words: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Flags with the words that belong to them.

    Args:
        words: what the user typed, such as ["--steps", "5", "--width=3"].

    Returns:
        Name of each flag, without its value and with dashes, and all its words.
    """
    found: list[tuple[str, tuple[str, ...]]] = []
    for word in words:
        if word.startswith("--") or not found:
            found.append((word.partition("=")[0].replace("_", "-"), (word,)))
        else:
            name, before = found[-1]
            found[-1] = (name, (*before, word))
    return found


# ---- the parser's types, made from the settings ----


def _sections() -> dict[str, Any]:
    return {n: hint for n, hint in typing.get_type_hints(RunSettings).items() if dataclasses.is_dataclass(hint)}


def _unambiguous(own: Sequence[build_settings.Setting]) -> frozenset[str]:
    """Names that only one setting ends with, so that they need no section before them."""
    leaves = Counter(item.name for kind in _sections().values() for item in dataclasses.fields(kind))
    leaves.update(one.name for one in own)
    leaves.update(("seed", "cost", "reward", *(item.name for item in dataclasses.fields(Launch))))
    return frozenset(name for name, count in leaves.items() if count == 1)


def _kinds(own: Sequence[build_settings.Setting]) -> dict[str, Any]:
    """Section name to a dataclass of what flags can set in it, with short names where only one setting ends so."""
    import tyro

    alone = _unambiguous(own)

    def described(leaf: str, short: str, doc: str) -> Any:
        return tyro.conf.arg(aliases=(f"--{short}".replace("_", "-"),) if leaf in alone else (), help=doc)

    fields: list[Any] = [(o.name, Annotated[o.type, described(o.name, o.name, o.doc)], o.default) for o in own]
    found: dict[str, Any] = {"settings": dataclasses.make_dataclass("Settings", fields, kw_only=True)}
    for section, kind in _sections().items():
        docs, hints = _docs(sections, kind), typing.get_type_hints(kind)
        fields = [
            (leaf, Annotated[hint, described(leaf, _SHORT.get(f"{section}.{leaf}", leaf), docs[leaf])])
            for leaf, hint in hints.items()
            if typing.get_origin(hint) is not Mapping
        ]
        found[section] = dataclasses.make_dataclass(str(kind.__name__), fields, kw_only=True)
    return found


def _flags_type(kinds: Mapping[str, Any]) -> Any:
    """A dataclass with one field per section, and the settings that belong to none."""
    import tyro

    cost = tyro.constructors.PrimitiveConstructorSpec[dict[str, float]](
        nargs="*",
        metavar="UNIT=NUMBER",
        instance_from_str=_cost,
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda value: [f"{unit}={limit:g}" for unit, limit in value.items()],
    )
    docs, own_docs = _docs(sections, RunSettings), _docs(sys.modules[__name__], Launch)
    fields: list[Any] = [
        *kinds.items(),
        ("seed", Annotated[int, tyro.conf.arg(help=docs["seed"])]),
        ("cost", Annotated[dict[str, float], cost, tyro.conf.arg(help=docs["cost"])]),
        ("reward", Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(help=docs["reward"])], ()),
    ]
    for item in dataclasses.fields(Launch):
        hint = typing.get_type_hints(Launch)[item.name]
        marked = Annotated[hint, tyro.conf.arg(help=own_docs[item.name])]
        if item.default is False:
            marked = Annotated[marked, tyro.conf.FlagCreatePairsOff]
        fields.append((item.name, marked, item.default))
    return dataclasses.make_dataclass("Flags", fields, kw_only=True)


def _record(own: Sequence[build_settings.Setting]) -> Any:
    """A plain dataclass of the recipe's settings, to check what a file says of them."""
    return dataclasses.make_dataclass("Settings", [(one.name, one.type, one.default) for one in own], kw_only=True)


def _docs(module: Any, kind: Any) -> dict[str, str]:
    """The strings below the fields of a dataclass."""
    found = dict.fromkeys((item.name for item in dataclasses.fields(kind)), "")
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
            for one, below in zip(node.body, node.body[1:], strict=False):
                if isinstance(one, ast.AnnAssign) and isinstance(below, ast.Expr):
                    found[ast.unparse(one.target)] = str(ast.literal_eval(below.value))
    return found


# ---- values ----


def _cost(words: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for word in words:
        unit, separator, number = word.partition("=")
        if not separator:
            raise ValueError(f"{word!r} is not of the form unit=number, such as tokens=200000")
        found[unit] = float(number)
    return found


def _take_free(flags: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Flags without those for a task generator's own settings, and these as sections of a file."""
    kept: list[str] = []
    found: dict[str, Any] = {}
    rest = [*flags]
    while rest:
        word = rest.pop(0)
        if not word.startswith(_FREE):
            kept.append(word)
            continue
        name, separator, text = word.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if not separator:
            text = rest.pop(0) if rest else ""
        *path, last = name.split(".")
        place = found
        for part in path:
            place = place.setdefault(part, {})
        place[last] = _literal(text)
    return kept, found


def _literal(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings as one; the second has the last word."""
    found = dict(first)
    for name, value in second.items():
        before = found.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        found[name] = merged(cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", value)) if both else value
    return found


def _copy(section: Any, kind: Any) -> Any:
    return kind(**{item.name: getattr(section, item.name) for item in dataclasses.fields(kind)})


def _back(found: Any, section: Any) -> Any:
    """The section with the values that flags can hold replaced."""
    return dataclasses.replace(section, **{i.name: getattr(found, i.name) for i in dataclasses.fields(found)})


def _without_none(found: Any, own: Sequence[build_settings.Setting]) -> dict[str, Any]:
    """Settings as a mapping that TOML can hold; it has no word for None, which therefore must be the default."""
    values = {one.name: getattr(found, one.name) for one in own}
    for one in own:
        if values[one.name] is None and one.default is not None:
            raise SettingError(f"{one.name}=None is not allowed: a saved run.toml cannot hold it.")
    return {name: value for name, value in values.items() if value is not None}
