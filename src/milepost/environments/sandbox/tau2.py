"""tau2's service desks: retail and airline, with their databases, tools, policies, tasks and checks.

The package holds all of it and calls no model. What a conversation changed is a few entries of a large database, so a
snapshot holds those entries and nothing else: it is small, and taking one or going back to it takes no time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from milepost import checks, optional
from milepost.environments.sandbox.sandbox import Answer, Verdict
from milepost.environments.sandbox.table import Table
from milepost.part import Task

DOMAINS = ("retail", "airline")
NOTHING = "{}"
"""Snapshot of a database in which nothing has changed."""
LONGEST_SUM = 120
"""Characters of a sum that the calculator is given."""

_PURPOSE = "A service desk of tau2"
_NEW = "tau2.domains."
_POOLS = {"train": "train", "held_out": "test"}
_FIRST_PERSON = (
    (re.compile(r"\b[Yy]ou are\b"), "I am"),
    (re.compile(r"\b[Yy]ou were\b"), "I was"),
    (re.compile(r"\b[Yy]ou('\w+)?\b"), r"I\1"),
    (re.compile(r"\b[Yy]our\b"), "my"),
    (re.compile(r"\b[Yy]ourself\b"), "myself"),
    (re.compile(r"\bI're\b"), "I'm"),
    (re.compile(r"\b(to|for|with|of|from|tells|helps|by) I\b"), r"\1 me"),
)


def load(module: str) -> Any:
    """A module of the package.

    Args:
        module: its name below `tau2.domains`, such as "retail.tools".

    Returns:
        The module.

    Raises:
        MissingExtra: the package, or one of the few that it needs here, is not installed.
    """
    optional.load("loguru", extra="tau2", purpose=_PURPOSE).logger.disable("tau2")
    return optional.load(_NEW + module, extra="tau2", purpose=_PURPOSE)


@dataclass(frozen=True, kw_only=True)
class _Desk:
    """A domain as it is shipped."""

    shared: Any
    """Its database, which nobody changes."""
    kit: Any
    """Class of its tools."""
    tables: tuple[str, ...]
    folder: Path


@lru_cache(maxsize=len(DOMAINS))
def _desk(domain: str) -> _Desk:
    model, kits = load(f"{domain}.data_model"), load(f"{domain}.tools")
    path = Path(getattr(load(f"{domain}.utils"), f"{domain.upper()}_DB_PATH"))
    shared = getattr(model, "RetailDB" if domain == "retail" else "FlightDB").load(str(path))
    tables = tuple(name for name, value in shared if isinstance(value, dict))
    kit = getattr(kits, "RetailTools" if domain == "retail" else "AirlineTools")
    return _Desk(shared=shared, kit=kit, tables=tables, folder=path.parent)


@lru_cache(maxsize=8)
def _entries(domain: str, table: str) -> Mapping[str, Any]:
    return {key: one.model_dump(mode="json") for key, one in getattr(_desk(domain).shared, table).items()}


@lru_cache(maxsize=len(DOMAINS))
def _tools(domain: str) -> tuple[Mapping[str, Any], ...]:
    desk = _desk(domain)
    return tuple(one.openai_schema for one in desk.kit(desk.shared).get_tools().values())


@lru_cache(maxsize=4096)
def _gold(domain: str, plan: str) -> tuple[str, tuple[int, ...]]:
    """Snapshot after a plan, and which of its calls failed."""
    sandbox, snapshot, failed = Tau2(domain=domain), NOTHING, list[int]()
    for place, call in enumerate(json.loads(plan)):
        answer = sandbox.call(snapshot, call["name"], call["arguments"])
        snapshot = answer.snapshot
        if answer.failed:
            failed.append(place)
    return snapshot, tuple(failed)


@dataclass(frozen=True, kw_only=True)
class Tau2:
    """A service desk of tau2. Implements `sandbox.Sandbox`.

    A conversation is solved as tau2 has it: the database is the one after the reference plan, and what the user should
    be told was said. Statements in natural language that a model would have to judge are not checked, nor are they by
    tau2's own default.

    Example:
        >>> desk = Tau2(domain="retail")
        >>> desk.call(NOTHING, "find_user_id_by_email", {"email": "nobody"}).text
        'Error: User not found'
    """

    domain: str = "retail"

    def __post_init__(self) -> None:
        """Check the name."""
        checks.one_of("domain", self.domain, DOMAINS)

    @property
    def name(self) -> str:
        """As tasks name it."""
        return f"tau2_{self.domain}"

    @property
    def policy(self) -> str:
        """Rules of the desk."""
        return (_desk(self.domain).folder / "policy.md").read_text(encoding="utf-8")

    def signatures(self) -> Sequence[Mapping[str, Any]]:
        """Tools as chat completions declare them."""
        return _tools(self.domain)

    def writes(self, tool: str) -> bool:
        """Whether a tool may change the database."""
        desk = _desk(self.domain)
        kit = desk.kit(desk.shared)
        return bool(kit.has_tool(tool)) and kit.tool_type(tool).value == "write"

    def tasks(self, pool: str) -> tuple[Task, ...]:
        """The train split, or the test split as "held_out"."""
        checks.one_of("pool", pool, tuple(_POOLS))
        folder = _desk(self.domain).folder
        wanted = set(json.loads((folder / "split_tasks.json").read_text(encoding="utf-8"))[_POOLS[pool]])
        found = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
        return tuple(self._task(one) for one in found if one["id"] in wanted)

    def _task(self, raw: Mapping[str, Any]) -> Task:
        wanted = raw["evaluation_criteria"]
        told = needs(raw["user_scenario"]["instructions"])
        plan = [{"name": one["name"], "arguments": one["arguments"]} for one in wanted["actions"] or ()]
        record = {
            "verifier": "exact",
            "source": self.name,
            "domain": self.domain,
            "prompt": told[0],
            "answer": "solved",
            "needs": list(told),
            "scenario": raw["user_scenario"]["instructions"],
            "plan": plan,
            "told": list(wanted.get("communicate_info") or ()),
        }
        return Task(id=f"{self.name}:{raw['id']}", record=record, family=self.name)

    def start(self, record: Mapping[str, Any]) -> str:  # noqa: ARG002 - every task begins with the shipped database
        """Nothing has changed."""
        return NOTHING

    def call(self, snapshot: str, tool: str, arguments: Mapping[str, Any]) -> Answer:
        """Call a tool; an unknown one, wrong arguments and what it raises are answers that failed, in tau2's words."""
        desk, database = _desk(self.domain), self._open(snapshot)
        try:
            if tool == "calculate":
                check_sum(str(arguments.get("expression", "")))
            text, failed = _text(desk.kit(database).use_tool(tool_name=tool, **arguments)), False
        except Exception as error:  # noqa: BLE001 - whatever a tool makes of wrong arguments is its answer
            text, failed = f"Error: {error}", True
        return Answer(text=text, failed=failed, snapshot=self._closed(database))

    def verdict(self, record: Mapping[str, Any], snapshot: str, said: Sequence[str]) -> Verdict:
        """Compare with the database after the plan, and look for what should have been told."""
        gold, _ = _gold(self.domain, json.dumps(record["plan"]))
        if snapshot != gold:
            wrong = ", ".join(sorted(differing(snapshot, gold)))
            return Verdict(solved=False, reason=f"the database differs in {wrong}")
        spoken = [one.lower().replace(",", "") for one in said]
        silent = [one for one in record["told"] if not any(str(one).lower() in text for text in spoken)]
        return Verdict(solved=not silent, reason=f"the user was not told {', '.join(silent)}" if silent else "")

    def failures(self, record: Mapping[str, Any]) -> tuple[int, ...]:
        """Calls of the task's own plan that the sandbox refuses, by their number from 0."""
        return _gold(self.domain, json.dumps(record["plan"]))[1]

    def entries(self, table: str) -> Mapping[str, Any]:
        """Entries of a table as they are shipped, as plain values; ids are sorted as shipped."""
        return _entries(self.domain, table)

    def _open(self, snapshot: str) -> Any:
        desk = _desk(self.domain)
        changed: Mapping[str, Mapping[str, Any]] = json.loads(snapshot)
        tables: dict[str, Table] = {}
        for name in desk.tables:
            shared = cast("Mapping[str, Any]", getattr(desk.shared, name))
            kind = type(next(iter(shared.values())))
            own = {key: kind.model_validate(one) for key, one in changed.get(name, {}).items()}
            tables[name] = Table(shared, copy=_copied, touched=own)
        return desk.shared.model_copy(update=tables)

    def _closed(self, database: Any) -> str:
        changed: dict[str, dict[str, Any]] = {}
        for name in _desk(self.domain).tables:
            table = cast("Table", getattr(database, name))
            for key, one in table.touched.items():
                value = one.model_dump(mode="json")
                if key not in table.shared or value != table.shared[key].model_dump(mode="json"):
                    changed.setdefault(name, {})[key] = value
        return json.dumps(changed, sort_keys=True, ensure_ascii=False)


def differing(one: str, other: str) -> set[str]:
    """Where two snapshots differ.

    Args:
        one: a snapshot.
        other: another.

    Returns:
        Entries, as "orders #W1".
    """
    first, second = json.loads(one), json.loads(other)
    pairs = {(name, key) for side in (first, second) for name, entries in side.items() for key in entries}
    return {f"{a} {b}" for a, b in pairs if first.get(a, {}).get(b) != second.get(a, {}).get(b)}


def needs(instructions: Mapping[str, Any]) -> tuple[str, ...]:
    """What the user of a task says, one thing at a time, in the first person.

    Args:
        instructions: of tau2's user scenario.

    Returns:
        The reason for the call, who it is, and what else there is to say.
    """
    parts = [instructions.get(name) for name in ("reason_for_call", "known_info", "task_instructions")]
    return tuple(_first_person(str(one).strip()) for one in parts if one and str(one).strip())


def check_sum(expression: str) -> None:
    """Refuse sums that would keep tau2's calculator busy: it runs them as Python.

    Args:
        expression: what to calculate.

    Raises:
        ValueError: a power, or a longer sum than anybody needs.
    """
    if re.search(r"\*\s*\*", expression) or len(expression) > LONGEST_SUM:
        raise ValueError(f"Only + - * / ( ) and at most {LONGEST_SUM} characters can be calculated")


def _first_person(text: str) -> str:
    for pattern, instead in _FIRST_PERSON:
        text = pattern.sub(instead, text)
    return text


def _copied(entry: Any) -> Any:
    return entry.model_copy(deep=True)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(_plain(value), default=str)


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in cast("Sequence[Any]", value)]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in cast("dict[str, Any]", value).items()}
    return (
        value if value is None or isinstance(value, bool) else str(value) if isinstance(value, (int, float)) else value
    )
