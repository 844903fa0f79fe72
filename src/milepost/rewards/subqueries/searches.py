"""The searches of a trajectory as the environment wrote them down: queries and documents as records, not as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from milepost.errors import FormatError
from milepost.forest import Forest
from milepost.rewards.leaf import Leaf, read_leaf


@dataclass(frozen=True, kw_only=True)
class Search:
    """One search: its queries, and for each the texts of what it found."""

    queries: tuple[str, ...]
    documents: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Searched:
    """A trajectory with its searches."""

    leaf: Leaf
    searches: tuple[Search, ...]
    malformed: int
    """Steps that were neither search nor answer."""
    answered: bool
    updates: int
    """Updates that the policy had seen when the task was begun; 0 where it is not stored."""

    @property
    def gold_found(self) -> bool:
        """Whether a reference answer stands in what was found."""
        shown = "\n".join(text for one in self.searches for found in one.documents for text in found).casefold()
        return any(reference.casefold() in shown for reference in self.leaf.references if reference)


def read_searches(forest: Forest, row: int) -> Searched:
    """Read the searches of the trajectory that ends at a row.

    Args:
        forest: with `text`, `call` and `extra_text.documents`, as `environments.search` writes them.
        row: its last step.

    Returns:
        The trajectory.

    Raises:
        FormatError: a step has no call, or what is written there is no search record.
    """
    leaf = read_leaf(forest, row)
    steps = cast("list[int]", forest.path(row).tolist())
    if "call" not in forest or "extra_text.documents" not in forest:
        raise FormatError(f"The forest has no searches: {', '.join(forest.names)}. Use tasks that are searched for.")
    calls, shown = forest.text("call"), forest.text("extra_text.documents")
    taken = [step for step in steps[1:] if calls[step] is not None]
    found = [_record(calls[step], step) for step in taken]
    searches = [
        _search(call, shown[step], step)
        for step, call in zip(taken, found, strict=True)
        if call.get("action") == "search"
    ]
    return Searched(
        leaf=leaf,
        searches=tuple(searches),
        malformed=len(steps) - 1 - sum(call.get("action") in ("search", "answer") for call in found),
        answered=bool(found) and found[-1].get("action") == "answer",
        updates=int(forest["policy_version"][steps[0]]) if "policy_version" in forest else 0,
    )


def _record(text: str | None, step: int) -> Mapping[str, Any]:
    try:
        found: object = json.loads(text or "")
    except (ValueError, RecursionError) as error:
        raise FormatError(f"`call` of step {step} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise FormatError(f"`call` of step {step} is {type(found).__name__}, expected a JSON object.")
    return cast("dict[str, Any]", found)


def _search(call: Mapping[str, Any], text: str | None, step: int) -> Search:
    try:
        groups: Any = json.loads(text or "[]")
        documents = tuple(tuple(str(one["text"]) for one in group) for group in groups)
        queries = tuple(str(query) for query in call["queries"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FormatError(f"Step {step} has no readable search: {type(error).__name__}: {error}.") from error
    return Search(queries=queries, documents=documents)
