"""Tasks of a shop's service desk made from its database: constraints, a plan that fulfils them, and a user's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from milepost import checks, keys
from milepost.curation.constraints import fuzzy
from milepost.curation.constraints.constraint import Database, reference
from milepost.curation.constraints.fuzzy import Described, Shop
from milepost.part import Task

REASONS = ("no longer needed", "ordered by mistake")
_ADDRESS = ("address1", "address2", "city", "state", "country", "zip")
_ATTEMPTS = 200


@dataclass(frozen=True, kw_only=True)
class _Errand:
    """One effect with the words for it, and what those words stand for."""

    tool: str
    arguments: Mapping[str, Any]
    words: str
    order: Described | None
    items: tuple[Described, ...] = ()
    news: tuple[Described, ...] = ()
    payment: Described | None = None

    def record(self) -> dict[str, Any]:
        """As JSON: what an agent that understands the words would have understood."""
        return {
            "tool": self.tool,
            "order": self.order.query if self.order else None,
            "items": [one.query for one in self.items],
            "new_items": [one.query for one in self.news],
            "payment": self.payment.query if self.payment else None,
            "reason": self.arguments.get("reason"),
        }


def shop_of(database: Database) -> Shop:
    """The tables of a retail sandbox."""
    return Shop(**{name: database.entries(name) for name in ("users", "orders", "products")})


@dataclass(frozen=True, kw_only=True)
class Shopping:
    """Draws tasks of a shop: errands of one user, at most one per order, each said so that it can be understood.

    An id becomes what a person would say, with as many details as make it unique; what cannot be made unique is drawn
    anew. The plan is carried out, and a set is discarded unless all of it succeeds: solvable by construction and by
    test.

    Source: CoVe, constraint sampling and fuzzification.
    """

    database: Database
    errands: int = 2
    """Constraints of a task: with the descriptions, what makes it hard."""
    exact: bool = False
    """Whether the user says ids as they are; for comparison."""

    def __post_init__(self) -> None:
        """Check the number."""
        checks.within("errands", self.errands, 1, 4)

    def tasks(self, count: int, key: int) -> Iterator[Task]:
        """Draw tasks.

        Args:
            count: how many.
            key: decides everything; a longer list begins with the shorter one.

        Yields:
            Tasks whose record holds "needs", "plan", "errands" (what the words stand for) and "who".

        Raises:
            RuntimeError: the database is too poor for such tasks.
        """
        shop = shop_of(self.database)
        users = sorted(shop.users)
        for number in range(count):
            for attempt in range(_ATTEMPTS):
                draw = keys.generator(keys.fold(key, "shopping", number, attempt))
                made = self._draw(shop, users[int(draw.integers(len(users)))], draw, f"shopping:{key}:{number}")
                if made is not None:
                    yield made
                    break
            else:
                raise RuntimeError(f"No user of the shop has {self.errands} errands after {_ATTEMPTS} attempts.")

    def _draw(self, shop: Shop, user: str, draw: np.random.Generator, name: str) -> Task | None:
        orders = list(shop.users[user]["orders"])
        draw.shuffle(orders)
        found: list[_Errand] = []
        for order in orders:
            errand = _errand(shop, user, order, draw) if len(found) < self.errands else None
            found += [errand] if errand is not None else []
        who = _unique(fuzzy.describe_user(shop, user)[int(draw.integers(2)) :], lambda one: fuzzy.find_user(shop, one))
        if len(found) < self.errands or who is None:
            return None
        words = [f"{one.words} (that is {dict(one.arguments)})" if self.exact else one.words for one in found]
        plan = [{"name": one.tool, "arguments": dict(one.arguments)} for one in found]
        record = {
            "verifier": "exact", "source": "milepost shopping", "domain": "retail", "answer": "solved",
            "prompt": who.text, "needs": [who.text, *words], "plan": plan, "told": [], "exact": self.exact,
            "who": who.query, "errands": [one.record() for one in found],
        }  # fmt: skip
        return Task(id=name, record=record, family="shopping") if reference(self.database, record).sound else None


def _errand(shop: Shop, user: str, order: str, draw: np.random.Generator) -> _Errand | None:
    entry = shop.orders[order]
    makers = {"pending": (_cancel, _move, _modify), "delivered": (_bring_back, _exchange)}.get(entry["status"], ())
    if not makers:
        return None
    descriptions = fuzzy.describe_order(shop, order, draw.permutation(len(entry["items"])).tolist())
    named = _unique(
        descriptions[int(draw.integers(min(2, len(entry["items"])))) :], lambda one: fuzzy.find_order(shop, user, one)
    )
    if named is None:
        return None
    maker = makers[int(draw.integers(len(makers)))]
    return maker(shop, user, order, named, draw)


def _cancel(shop: Shop, user: str, order: str, named: Described, draw: np.random.Generator) -> _Errand:  # noqa: ARG001
    reason = REASONS[int(draw.integers(2))]
    return _Errand(
        tool="cancel_pending_order",
        arguments={"order_id": order, "reason": reason},
        words=f"Please cancel {named.text}: it was {reason}.".replace("was no", "is no"),
        order=named,
    )


def _move(shop: Shop, user: str, order: str, named: Described, draw: np.random.Generator) -> _Errand | None:  # noqa: ARG001
    mine = shop.users[user]["address"]
    if mine == shop.orders[order]["address"]:
        return None
    arguments = {"order_id": order, **{name: mine[name] for name in _ADDRESS}}
    words = f"Please send {named.text} to my default address."
    return _Errand(tool="modify_pending_order_address", arguments=arguments, words=words, order=named)


def _modify(shop: Shop, user: str, order: str, named: Described, draw: np.random.Generator) -> _Errand | None:
    return _swapped("modify_pending_order_items", "change", shop, (user, order), named, draw)


def _exchange(shop: Shop, user: str, order: str, named: Described, draw: np.random.Generator) -> _Errand | None:
    return _swapped("exchange_delivered_order_items", "exchange", shop, (user, order), named, draw)


def _swapped(
    tool: str, verb: str, shop: Shop, where: tuple[str, str], named: Described, draw: np.random.Generator
) -> _Errand | None:
    user, order = where
    items = shop.orders[order]["items"]
    one = items[int(draw.integers(len(items)))]
    others = [
        key
        for key, variant in shop.products[one["product_id"]]["variants"].items()
        if variant["available"] and key != one["item_id"]
    ]
    item = _unique(fuzzy.describe_item(shop, order, one["item_id"]), lambda query: fuzzy.find_item(shop, order, query))
    paid = _payment(shop, user, draw, tuple(shop.users[user]["payment_methods"]))
    if not others or item is None or paid is None or _copies(items, one["item_id"]) > 1:
        return None
    new = others[int(draw.integers(len(others)))]
    wanted = _unique(
        fuzzy.describe_variant(shop, one["product_id"], new), lambda query: fuzzy.find_variant(shop, query)
    )
    if wanted is None:
        return None
    payment, told = paid
    arguments = {"order_id": order, "item_ids": [one["item_id"]], "new_item_ids": [new], "payment_method_id": payment}
    return _Errand(
        tool=tool,
        arguments=arguments,
        words=f"I want to {verb} {item.text} of {named.text} for {wanted.text}. Use {told.text} for the difference.",
        order=named,
        items=(item,),
        news=(wanted,),
        payment=told,
    )


def _bring_back(shop: Shop, user: str, order: str, named: Described, draw: np.random.Generator) -> _Errand | None:
    items = shop.orders[order]["items"]
    count = 1 + int(draw.integers(len(items)))
    chosen = [items[place]["item_id"] for place in draw.permutation(len(items))[:count].tolist()]
    told = [
        _unique(fuzzy.describe_item(shop, order, one), lambda query: fuzzy.find_item(shop, order, query))
        for one in chosen
    ]
    allowed = (shop.orders[order]["payment_history"][0]["payment_method_id"],)
    paid = _payment(shop, user, draw, allowed)
    things = tuple(one for one in told if one is not None)
    if len(things) < len(chosen) or paid is None or any(_copies(items, one) > 1 for one in chosen):
        return None
    payment, words = paid
    listed = ", ".join(one.text for one in things)
    return _Errand(
        tool="return_delivered_order_items",
        arguments={"order_id": order, "item_ids": chosen, "payment_method_id": payment},
        words=f"I want to return {listed} of {named.text}. The refund goes to {words.text}.",
        order=named,
        items=things,
        payment=words,
    )


def _payment(shop: Shop, user: str, draw: np.random.Generator, allowed: Sequence[str]) -> tuple[str, Described] | None:
    payment = allowed[int(draw.integers(len(allowed)))]
    if payment not in shop.users[user]["payment_methods"]:
        return None
    told = _unique(fuzzy.describe_payment(shop, user, payment), lambda one: fuzzy.find_payment(shop, user, one))
    return None if told is None else (payment, told)


def _copies(items: Sequence[Mapping[str, Any]], item: str) -> int:
    return sum(one["item_id"] == item for one in items)


def _unique(descriptions: Sequence[Described], find: Callable[[Mapping[str, Any]], Sequence[str]]) -> Described | None:
    """The first description that names exactly one thing."""
    return next((one for one in descriptions if len(find(one.query)) == 1), None)
