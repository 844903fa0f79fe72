"""A scripted agent that understands a shop's customers: it looks up what their words stand for, then writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from milepost import keys
from milepost.columns import End
from milepost.environments.sandbox import action as acts
from milepost.environments.sandbox.clerk import ASKS, DONE, conversation
from milepost.environments.sandbox.environment import Desk
from milepost.environments.sandbox.users import USER, untold
from milepost.part import Action, Task

_ADDRESS = ("address1", "address2", "city", "state", "country", "zip")
Ask = Callable[[str, Mapping[str, Any]], Any]
"""Calls a tool and gives what it said, parsed."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """A conversation with a customer."""

    messages: tuple[Mapping[str, Any], ...]
    calls: tuple[tuple[str, Mapping[str, Any]], ...]
    end: End
    untold: int
    """Needs that the customer never uttered."""


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Serves the tasks of `curation.constraints.shopping.Shopping`: it hears a need, resolves it by queries, writes.

    It reads the meaning of the words from the record, as a perfect listener would from the words; all else it has to
    find out with the tools. A need that was not uttered is not served.
    """

    def serve(self, desk: Desk, task: Task, key: int) -> Served:
        """Talk to the customer of a task until it leaves.

        Args:
            desk: answers.
            task: what the customer wants.
            key: of the customer.

        Returns:
            The conversation.
        """
        start = desk.reset(task, key)
        talk = _Talk(desk=desk, state=start.state, key=key, messages=[dict(start.observation.messages[-1])])
        for text in self._work(talk, task.record):
            talk.act(text)
            if talk.end != End.OPEN:
                break
        return Served(
            messages=tuple(talk.messages),
            calls=tuple(talk.calls),
            end=talk.end,
            untold=len(untold(task.record, talk.state.said)),
        )

    def _work(self, talk: _Talk, record: Mapping[str, Any]) -> Iterator[str]:
        known: dict[str, Any] = {}
        for place, errand in enumerate(record["errands"]):
            yield acts.spoken(ASKS if not place else f"Number {place} is done. What else?")
            if record["needs"][place + 1] not in [text for who, text in talk.state.said if who == USER]:
                return
            plan = record["plan"][place]
            if record["exact"]:
                yield acts.written(plan["name"], plan["arguments"])
                continue
            yield from _looked_up(talk, record["who"], known)
            yield from _written(talk, errand, known)
        yield acts.spoken(DONE)


@dataclass(kw_only=True)
class _Talk:
    desk: Desk
    state: Any
    key: int
    messages: list[dict[str, Any]]
    end: End = End.OPEN
    last: str = ""

    def __post_init__(self) -> None:
        self.calls: list[tuple[str, Mapping[str, Any]]] = []

    def act(self, text: str) -> None:
        """Take a step."""
        went = self.desk.step(self.state, Action(text=text), keys.fold(self.key, "turn", len(self.messages)))
        self.state, self.end, self.last = went.state, went.end, str(went.columns["result"])
        told = json.loads(went.columns["call"])
        if told["action"] == acts.CALL:
            self.calls.append((told["name"], told["arguments"]))
        self.messages += conversation(told, self.last, len(self.messages))


def _looked_up(talk: _Talk, who: Mapping[str, Any], known: dict[str, Any]) -> Iterator[str]:
    """Find the customer and all their orders, once."""
    if known:
        return
    by = "find_user_id_by_email" if "email" in who else "find_user_id_by_name_zip"
    yield acts.written(by, who)
    known["id"] = talk.last
    yield acts.written("get_user_details", {"user_id": talk.last})
    known["user"], known["orders"] = json.loads(talk.last), {}
    for order in known["user"]["orders"]:
        yield acts.written("get_order_details", {"order_id": order})
        known["orders"][order] = json.loads(talk.last)


def _written(talk: _Talk, errand: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    """Make the call that the errand asks for."""
    fits = [key for key, one in known["orders"].items() if _fits(one, errand["order"])]
    order = known["orders"][fits[0]]
    arguments: dict[str, Any] = {"order_id": fits[0]}
    if errand["reason"]:
        arguments["reason"] = errand["reason"]
    if errand["tool"] == "modify_pending_order_address":
        arguments |= {name: known["user"]["address"][name] for name in _ADDRESS}
    if errand["items"]:
        items = [_item(order, query) for query in errand["items"]]
        arguments["item_ids"] = [one["item_id"] for one in items]
        if errand["new_items"]:
            yield acts.written("get_product_details", {"product_id": items[0]["product_id"]})
            variants = json.loads(talk.last)["variants"]
            wanted = errand["new_items"][0]["options"]
            new = [key for key, one in variants.items() if one["available"] and one["options"] == wanted]
            arguments["new_item_ids"] = new[:1]
    if errand["payment"]:
        methods = known["user"]["payment_methods"].items()
        arguments["payment_method_id"] = next(
            key for key, one in methods if all(one.get(name) == wanted for name, wanted in errand["payment"].items())
        )
    yield acts.written(errand["tool"], arguments)


def _fits(order: Mapping[str, Any], query: Mapping[str, Any]) -> bool:
    if query["status"] not in (None, order["status"]):
        return False
    left = list(order["items"])
    for name, options in zip(query["items"], query["options"], strict=True):
        found = next((one for one in left if one["name"] == name and options.items() <= one["options"].items()), None)
        if found is None:
            return False
        left.remove(found)
    return True


def _item(order: Mapping[str, Any], query: Mapping[str, Any]) -> Mapping[str, Any]:
    given = query["options"].items()
    return next(one for one in order["items"] if one["name"] == query["name"] and given <= one["options"].items())
