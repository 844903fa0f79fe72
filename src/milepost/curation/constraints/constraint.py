"""What a conversation must bring about, as calls that write and the fields that they change."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast


class Answered(Protocol):
    """What a call came to."""

    @property
    def text(self) -> str:
        """What the tool said."""
        ...

    @property
    def failed(self) -> bool:
        """Whether it was refused."""
        ...

    @property
    def snapshot(self) -> str:
        """The state after it."""
        ...


class Database(Protocol):
    """Tools over a database whose snapshots are JSON of what changed: table to id to entry, such as
    `environments.sandbox.tau2.Tau2`.
    """

    def start(self, record: Mapping[str, Any]) -> str:
        """The state in which a task begins."""
        ...

    def call(self, snapshot: str, tool: str, arguments: Mapping[str, Any]) -> Answered:
        """Call a tool."""
        ...

    def writes(self, tool: str) -> bool:
        """Whether a tool may change the database."""
        ...

    def entries(self, table: str) -> Mapping[str, Any]:
        """Entries of a table as tasks begin with them."""
        ...


Field = tuple[str, str, str]
"""A table, the id of an entry, and the name of a field."""


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """One effect: the call of a reference plan that has it, and the fields that it changes, with their values."""

    kind: str
    """The tool."""
    entity: str
    """Id of what is written to, such as an order: two constraints of one set do not write to the same."""
    arguments: Mapping[str, Any]
    effect: Mapping[Field, Any]
    """Values that the changed fields have in the end; empty for a call that changes nothing."""
    to_the_letter: bool = False
    """Whether the call itself must be made with its arguments: its effect cannot be seen in the end, because it changes
    nothing or because a later call of the plan writes over it."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A set of constraints with the plan that fulfils it."""

    constraints: tuple[Constraint, ...]
    failing: tuple[int, ...] = ()
    """Calls of the plan that write and that the sandbox refuses, by number: such a plan proves nothing."""
    snapshot: str
    """State after the plan."""

    @property
    def sound(self) -> bool:
        """Whether the reference plan can be carried out."""
        return not self.failing


def reference(database: Database, record: Mapping[str, Any]) -> Reference:
    """Read the constraints of a task off its reference plan, by carrying it out.

    Args:
        database: the sandbox.
        record: holds "plan", calls with "name" and "arguments".

    Returns:
        One constraint per call that writes; values are those after the whole plan.

    Source: CoVe, constraints as effects that the final state must have; taken from a plan, so a solution exists.
    """
    snapshot = database.start(record)
    failing: list[int] = []
    found: list[tuple[Mapping[str, Any], Mapping[Field, Any]]] = []
    for place, call in enumerate(record["plan"]):
        answer = database.call(snapshot, call["name"], call["arguments"])
        if database.writes(call["name"]):
            failing += [place] if answer.failed else []
            fields = changed(database, snapshot, answer.snapshot)
            found.append((call, {field: value(database, answer.snapshot, field) for field in sorted(fields)}))
        snapshot = answer.snapshot
    return Reference(
        constraints=tuple(_constraint(database, snapshot, call, effect) for call, effect in found),
        failing=tuple(failing),
        snapshot=snapshot,
    )


def _constraint(database: Database, snapshot: str, call: Mapping[str, Any], effect: Mapping[Field, Any]) -> Constraint:
    last = {field: value(database, snapshot, field) for field in effect}
    return Constraint(
        kind=call["name"],
        entity=entity(call["arguments"]),
        arguments=call["arguments"],
        effect=last,
        to_the_letter=not effect or last != effect,
    )


def entity(arguments: Mapping[str, Any]) -> str:
    """What a call writes to: its first argument that ends in "_id"; "" where none does."""
    return next((str(one) for name, one in arguments.items() if name.endswith("_id")), "")


def changed(database: Database, before: str, after: str) -> set[Field]:
    """Fields in which two snapshots differ.

    Args:
        database: knows the entries that neither snapshot holds.
        before: a snapshot.
        after: another.

    Returns:
        Table, id and name of each field.
    """
    if before == after:
        return set()
    first, second = _read(before), _read(after)
    entries = {(table, key) for side in (first, second) for table, found in side.items() for key in found}
    fields: set[Field] = set()
    for table, key in entries:
        one, other = (_entry(database, side, table, key) for side in (first, second))
        fields |= {(table, key, name) for name in {**one, **other} if one.get(name) != other.get(name)}
    return fields


def value(database: Database, snapshot: str, field: Field) -> Any:
    """Value of a field in a snapshot; None where there is no such entry."""
    table, key, name = field
    return _entry(database, _read(snapshot), table, key).get(name)


def normalised(given: Any) -> Any:
    """A value for comparison: numbers by their value, lists of ids in any order, all else as it is."""
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        return round(float(given), 2)
    if isinstance(given, list):
        items = [normalised(one) for one in cast("Sequence[Any]", given)]
        return sorted(items, key=lambda one: json.dumps(one, sort_keys=True, default=str))
    if isinstance(given, dict):
        return {name: normalised(one) for name, one in cast("Mapping[str, Any]", given).items()}
    return given


def _read(snapshot: str) -> Mapping[str, Mapping[str, Any]]:
    return json.loads(snapshot)


def _entry(database: Database, changes: Mapping[str, Mapping[str, Any]], table: str, key: str) -> Mapping[str, Any]:
    found = changes.get(table, {}).get(key)
    return found if found is not None else database.entries(table).get(key, {})
