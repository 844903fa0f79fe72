"""Which environment the names of tasks ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from milepost.environments.denoising import Denoising
from milepost.environments.reasoning import ReasoningGym
from milepost.environments.search.environment import Limits, Search
from milepost.environments.textworld import TextWorld
from milepost.errors import SettingError, unknown_name
from milepost.part import TaskEnvironment

SEARCH: Mapping[str, tuple[int, ...]] = {
    "search": (1, 2, 3),
    "search_1hop": (1,),
    "search_2hop": (2,),
    "search_3hop": (3,),
}
"""Task names of the search environment, and the hops of their questions."""

TEXTWORLD = "textworld"
DIGITS = "digits"
TEXTWORLD_OPTIONS = ("rooms", "objects", "quest", "turns")
SEARCH_OPTIONS = ("corpus", "turns", "results", "queries", "characters", "document")


def environment(
    names: Sequence[str], options: Mapping[str, Mapping[str, Any]], *, train_size: int, held_out_size: int
) -> TaskEnvironment:
    """Build the environment that offers the named tasks.

    Args:
        names: "search" or kinds of it such as "search_2hop", "textworld", or "digits"; all others are of
            reasoning-gym.
        options: name to settings of its own. For search: "corpus", and the fields of `search.environment.Limits`; for
            textworld: "rooms", "objects", "quest", "turns".
        train_size: tasks in the training pool.
        held_out_size: tasks in the held-out pool.

    Returns:
        The environment.

    Raises:
        UnknownName: no such task or option.
        SettingError: names of two environments, or settings that are not allowed.
        MissingExtra: a package that the tasks need is not installed.
    """
    for name in options:
        if name not in names:
            raise unknown_name("task in tasks.options", name, names)
    _check_one_kind(names)
    if TEXTWORLD in names:
        chosen = dict(options.get(TEXTWORLD, {}))
        _check_known(TEXTWORLD, chosen, TEXTWORLD_OPTIONS)
        return TextWorld(**chosen, train_size=train_size, held_out_size=held_out_size)
    if DIGITS in names:
        _check_known(DIGITS, options.get(DIGITS, {}), ())
        return Denoising(train_size=train_size, held_out_size=held_out_size)
    searching = [name for name in names if name in SEARCH]
    if not searching:
        return ReasoningGym(names=tuple(names), options=options, train_size=train_size, held_out_size=held_out_size)
    return _search(searching, options, train_size, held_out_size)


def _check_one_kind(names: Sequence[str]) -> None:
    alone = (TEXTWORLD, DIGITS)
    kinds = {name: "search" if name in SEARCH else name if name in alone else "reasoning-gym" for name in names}
    if len(set(kinds.values())) > 1:
        first, *rest = names
        other = next(name for name in rest if kinds[name] != kinds[first])
        raise SettingError(
            f"tasks.names mixes {first!r} ({kinds[first]}) with {other!r} ({kinds[other]}): a run has one environment. "
            "Name tasks of one kind."
        )


def _check_known(name: str, options: Mapping[str, Any], known: Sequence[str]) -> None:
    for option in options:
        if option not in known:
            raise unknown_name(f"option of task {name!r}", option, known)


def _search(
    names: Sequence[str], options: Mapping[str, Mapping[str, Any]], train_size: int, held_out_size: int
) -> Search:
    chosen: dict[str, Any] = {}
    for name in names:
        _check_known(name, options.get(name, {}), SEARCH_OPTIONS)
        for option, value in options.get(name, {}).items():
            if chosen.setdefault(option, value) != value:
                raise SettingError(f"{option} is {chosen[option]!r} and {value!r}: the named tasks share one setting.")
    corpus = cast("str", chosen.pop("corpus", "countries"))
    return Search(
        hops=tuple(hops for name in names for hops in SEARCH[name]),
        corpus=corpus,
        limits=Limits(**chosen),
        train_size=train_size,
        held_out_size=held_out_size,
    )
