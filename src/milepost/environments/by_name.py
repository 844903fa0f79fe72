"""Which environment the names of tasks ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from milepost.environments.control.by_name import control, is_control
from milepost.environments.denoising import Denoising, Prompts, prompts_of
from milepost.environments.reasoning import ReasoningGym, generators
from milepost.environments.sandbox.dojo import SUITES, Dojo
from milepost.environments.sandbox.environment import Desk
from milepost.environments.sandbox.tau2 import DOMAINS, Tau2
from milepost.environments.sandbox.users import Asked, Scripted, User
from milepost.environments.search.environment import Limits, Search
from milepost.environments.textworld import TextWorld
from milepost.errors import SettingError, unknown_name
from milepost.part import Chat, TaskEnvironment

SEARCH: Mapping[str, tuple[int, ...]] = {
    f"search{corpus}{kind}": hops
    for corpus in ("", "_foldoc", "_python", "_wordnet")
    for kind, hops in {"": (1, 2, 3), "_1hop": (1,), "_2hop": (2,), "_3hop": (3,)}.items()
}
"""Task names of the search environment, and the hops of their questions: "search_2hop", "search_foldoc",
"search_foldoc_2hop" and so on. A name without a corpus is of "countries", or of the corpus that its options name."""

TEXTWORLD = "textworld"
DIGITS = "digits"
PROMPTS = "prompts"
PROMPT_OPTIONS = ("file", "held_out", "size", "guidance", "passing")
"""Of these the environment reads the first two; the others are of the pipeline that draws, see `engines.images`."""
TEXTWORLD_OPTIONS = ("rooms", "objects", "quest", "turns")
DESKS: Mapping[str, str] = {f"tau2_{domain}": domain for domain in DOMAINS}
"""Task names of the service desks, and their domains."""
DOJOS: Mapping[str, str] = {f"agentdojo_{suite}": suite for suite in SUITES}
"""Task names of AgentDojo's suites, and the suites."""
DESK_OPTIONS = ("turns", "user")
DOJO_OPTIONS = ("turns", "attacked")
SCRIPTED = "scripted"
SEARCH_OPTIONS = ("corpus", "turns", "results", "queries", "characters", "document")


def environment(
    names: Sequence[str],
    options: Mapping[str, Mapping[str, Any]],
    *,
    train_size: int,
    held_out_size: int,
    chat: Callable[[str], Chat] | None = None,
) -> TaskEnvironment:
    """Build the environment that offers the named tasks.

    Args:
        names: "search" or kinds of it such as "search_2hop" or "search_foldoc", "textworld", "tau2_retail",
            "tau2_airline", "agentdojo_banking" and so on, "digits" or "prompts"; all others are of reasoning-gym.
        options: name to settings of its own. For search: "corpus", and the fields of `search.environment.Limits`; for
            textworld: "rooms", "objects", "quest", "turns"; for a service desk: "turns", and "user", which is
            "scripted" or names a model; for a suite of AgentDojo: "turns", and whether it is "attacked".
        train_size: tasks in the training pool.
        held_out_size: tasks in the held-out pool.
        chat: gives the model that an option names, such as `policies.named_chat.chat`.

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
    if PROMPTS in names:
        return _prompts(options.get(PROMPTS, {}), held_out_size)
    if names[0] in DOJOS:
        chosen = dict(options.get(names[0], {}))
        _check_known(names[0], chosen, DOJO_OPTIONS)
        dojo = Dojo(suite=DOJOS[names[0]], attacked=bool(chosen.pop("attacked", False)))
        return Desk(sandbox=dojo, **chosen, train_size=train_size, held_out_size=held_out_size)
    if names[0] in DESKS:
        return _desk(names[0], options.get(names[0], {}), chat, train_size=train_size, held_out_size=held_out_size)
    if is_control(names[0]):
        return control(names[0], options.get(names[0], {}), train_size=train_size, held_out_size=held_out_size)
    searching = [name for name in names if name in SEARCH]
    if not searching:
        _check_generators(names)
        return ReasoningGym(names=tuple(names), options=options, train_size=train_size, held_out_size=held_out_size)
    return _search(searching, options, train_size, held_out_size)


def _check_one_kind(names: Sequence[str]) -> None:
    alone = (TEXTWORLD, DIGITS, PROMPTS, *DESKS, *DOJOS)
    kinds = {
        name: "search" if name in SEARCH else name if name in alone or is_control(name) else "reasoning-gym"
        for name in names
    }
    if len(set(kinds.values())) > 1:
        first, *rest = names
        other = next(name for name in rest if kinds[name] != kinds[first])
        raise SettingError(
            f"tasks.names mixes {first!r} ({kinds[first]}) with {other!r} ({kinds[other]}): a run has one environment. "
            "Name tasks of one kind."
        )


def _check_generators(names: Sequence[str]) -> None:
    """Refuse a name that means no task at all, with all that exist."""
    known = generators()
    for name in names:
        if name not in known:
            raise unknown_name("task", name, (*known, *SEARCH, TEXTWORLD, DIGITS, PROMPTS, *DESKS, *DOJOS))


def _check_known(name: str, options: Mapping[str, Any], known: Sequence[str]) -> None:
    for option in options:
        if option not in known:
            raise unknown_name(f"option of task {name!r}", option, known)


def _prompts(options: Mapping[str, Any], held_out_size: int) -> Prompts:
    """Every prompt of the file is trained on; the held-out tasks go through the other file's, or through the same."""
    _check_known(PROMPTS, options, PROMPT_OPTIONS)
    if "file" not in options:
        raise SettingError(
            "Task 'prompts' needs a file with one prompt on each line: --tasks.options.prompts.file <file>."
        )
    kept = prompts_of(Path(str(options["held_out"]))) if "held_out" in options else ()
    return Prompts(prompts=prompts_of(Path(str(options["file"]))), kept=kept, held_out_size=held_out_size)


def _desk(
    name: str,
    options: Mapping[str, Any],
    chat: Callable[[str], Chat] | None,
    *,
    train_size: int,
    held_out_size: int,
) -> Desk:
    _check_known(name, options, DESK_OPTIONS)
    chosen = dict(options)
    who, user = str(chosen.pop("user", SCRIPTED)), cast("User", Scripted())
    if who != SCRIPTED:
        if chat is None:
            raise SettingError(f"The user of {name!r} is {who!r}, but nothing here can ask a model: use {SCRIPTED!r}.")
        user = Asked(chat=chat(who))
    sandbox = Tau2(domain=DESKS[name])
    return Desk(sandbox=sandbox, user=user, **chosen, train_size=train_size, held_out_size=held_out_size)


def _search(
    names: Sequence[str], options: Mapping[str, Mapping[str, Any]], train_size: int, held_out_size: int
) -> Search:
    chosen: dict[str, Any] = {}
    for name in names:
        _check_known(name, options.get(name, {}), SEARCH_OPTIONS)
        for option, value in options.get(name, {}).items():
            if chosen.setdefault(option, value) != value:
                raise SettingError(f"{option} is {chosen[option]!r} and {value!r}: the named tasks share one setting.")
    named = {_corpus_of(name) for name in names}
    corpus = cast("str", chosen.pop("corpus", "") or max(named) or "countries")
    if named not in ({""}, {corpus}):
        raise SettingError(
            f"tasks.names {', '.join(names)} are not all of the corpus {corpus!r}: a run searches one corpus. "
            "Name tasks of one, and leave the option 'corpus' to names without one."
        )
    return Search(
        hops=tuple(hops for name in names for hops in SEARCH[name]),
        corpus=corpus,
        limits=Limits(**chosen),
        train_size=train_size,
        held_out_size=held_out_size,
    )


def _corpus_of(name: str) -> str:
    """The corpus in a task's name; empty where it names none."""
    word = name.removeprefix("search").removeprefix("_").partition("_")[0]
    return "" if word.endswith("hop") else word
