"""Which environment the names of tasks ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from milepost.environments.reasoning import ReasoningGym
from milepost.environments.search.environment import Limits, Search
from milepost.errors import SettingError, unknown_name
from milepost.part import TaskEnvironment

SEARCH: Mapping[str, tuple[int, ...]] = {
    "search": (1, 2, 3),
    "search_1hop": (1,),
    "search_2hop": (2,),
    "search_3hop": (3,),
}
"""Task names of the search environment, and the hops of their questions."""

SEARCH_OPTIONS = ("corpus", "turns", "results", "queries", "characters", "document")


def environment(
    names: Sequence[str], options: Mapping[str, Mapping[str, Any]], *, train_size: int, held_out_size: int
) -> TaskEnvironment:
    """Build the environment that offers the named tasks.

    Args:
        names: "search" or kinds of it such as "search_2hop"; all other names are generators of reasoning-gym.
        options: name to settings of its own. For search: "corpus", and the fields of `search.environment.Limits`.
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
    searching = [name for name in names if name in SEARCH]
    if not searching:
        return ReasoningGym(names=tuple(names), options=options, train_size=train_size, held_out_size=held_out_size)
    if len(searching) < len(names):
        other = next(name for name in names if name not in SEARCH)
        raise SettingError(
            f"tasks.names mixes {searching[0]!r}, which is searched for, with {other!r}, which is not: a run has one "
            "environment. Name tasks of one kind."
        )
    return _search(searching, options, train_size, held_out_size)


def _search(
    names: Sequence[str], options: Mapping[str, Mapping[str, Any]], train_size: int, held_out_size: int
) -> Search:
    chosen: dict[str, Any] = {}
    for name in names:
        for option, value in options.get(name, {}).items():
            if option not in SEARCH_OPTIONS:
                raise unknown_name(f"option of task {name!r}", option, SEARCH_OPTIONS)
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
