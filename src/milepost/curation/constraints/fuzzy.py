"""Exact ids as what a person would say, and back: a description must name exactly one entry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Entries = Mapping[str, Mapping[str, Any]]
"""Entries of a table by id."""


@dataclass(frozen=True, kw_only=True)
class Shop:
    """The tables of a shop, as plain values."""

    users: Entries
    orders: Entries
    products: Entries


@dataclass(frozen=True, kw_only=True)
class Described:
    """Something as a person would name it."""

    text: str
    """Words."""
    query: Mapping[str, Any]
    """The same as a question to the database."""


def find_user(shop: Shop, query: Mapping[str, Any]) -> list[str]:
    """Users of an email address, or of a name and a zip code.

    Args:
        shop: the tables.
        query: "email", or "first_name", "last_name" and "zip".

    Returns:
        Their ids.
    """
    if "email" in query:
        return [key for key, one in shop.users.items() if one["email"].lower() == query["email"].lower()]
    return [
        key
        for key, one in shop.users.items()
        if all(one["name"][part].lower() == query[part].lower() for part in ("first_name", "last_name"))
        and one["address"]["zip"] == query["zip"]
    ]


def find_order(shop: Shop, user: str, query: Mapping[str, Any]) -> list[str]:
    """Orders of a user that hold the named things.

    Args:
        shop: the tables.
        user: an id.
        query: "items": names, each as often as it is held at least; "options": of each, or nothing; "status" or none.

    Returns:
        Their ids.
    """
    wanted = [
        (name, tuple(sorted(given.items()))) for name, given in zip(query["items"], query["options"], strict=True)
    ]
    return [
        key
        for key in shop.users[user]["orders"]
        if query.get("status") in (None, shop.orders[key]["status"]) and _holds(shop.orders[key]["items"], wanted)
    ]


def _holds(items: Sequence[Mapping[str, Any]], wanted: Sequence[tuple[str, tuple[tuple[str, str], ...]]]) -> bool:
    return all(
        sum(one["name"] == name and set(given) <= set(one["options"].items()) for one in items) >= count
        for (name, given), count in Counter(wanted).items()
    )


def find_item(shop: Shop, order: str, query: Mapping[str, Any]) -> list[str]:
    """Things in an order of a name and with some options.

    Args:
        shop: the tables.
        order: an id.
        query: "name" and "options".

    Returns:
        Their ids, each once.
    """
    given = query["options"].items()
    items = shop.orders[order]["items"]
    return list(
        dict.fromkeys(
            one["item_id"] for one in items if one["name"] == query["name"] and given <= one["options"].items()
        )
    )


def find_variant(shop: Shop, query: Mapping[str, Any]) -> list[str]:
    """Things on sale of a product and with all its options.

    Args:
        shop: the tables.
        query: "product", the name, and "options".

    Returns:
        Their ids.
    """
    return [
        key
        for product in shop.products.values()
        if product["name"] == query["product"]
        for key, one in product["variants"].items()
        if one["available"] and one["options"] == query["options"]
    ]


def find_payment(shop: Shop, user: str, query: Mapping[str, Any]) -> list[str]:
    """Ways of payment of a user.

    Args:
        shop: the tables.
        user: an id.
        query: fields with their values, such as "source" and "last_four".

    Returns:
        Their ids.
    """
    methods = shop.users[user]["payment_methods"]
    return [key for key, one in methods.items() if all(one.get(name) == wanted for name, wanted in query.items())]


# ---- descriptions; each gives several, the plainest first, and the caller takes the first that is unique ----


def describe_user(shop: Shop, user: str) -> list[Described]:
    """By email, and by name with the zip code.

    Args:
        shop: the tables.
        user: an id.

    Returns:
        Two descriptions.
    """
    one = shop.users[user]
    name = one["name"]
    full = {"first_name": name["first_name"], "last_name": name["last_name"], "zip": one["address"]["zip"]}
    return [
        Described(
            text=f"I am {name['first_name']} {name['last_name']}, zip code {full['zip']}.",
            query=full,
        ),
        Described(text=f"My email is {one['email']}.", query={"email": one["email"]}),
    ]


def describe_order(shop: Shop, order: str, order_of_items: Sequence[int]) -> list[Described]:
    """By what is in it: by one, two, ... things, then all of them with their options, then with its status.

    Args:
        shop: the tables.
        order: an id.
        order_of_items: a permutation of the numbers of its items: which are named first.

    Returns:
        Descriptions that say more and more.
    """
    entry = shop.orders[order]
    items = [entry["items"][place] for place in order_of_items]
    found: list[Described] = []
    for count in range(1, len(items) + 1):
        names = [one["name"] for one in items[:count]]
        told = f"my order with the {_listed(names)}"
        found.append(Described(text=told, query={"items": names, "options": [{}] * count, "status": None}))
    names, options = [one["name"] for one in items], [dict(one["options"]) for one in items]
    exact = [f"{name} ({_options(given)})" for name, given in zip(names, options, strict=True)]
    told = f"my order with the {_listed(exact)}"
    found.append(Described(text=told, query={"items": names, "options": options, "status": None}))
    query = {"items": names, "options": options, "status": entry["status"]}
    return [*found, Described(text=f"{told}, which is {entry['status']}", query=query)]


def describe_item(shop: Shop, order: str, item: str) -> list[Described]:
    """By its name, then with all its options.

    Args:
        shop: the tables.
        order: an id.
        item: an id of something in it.

    Returns:
        Two descriptions.
    """
    one = next(entry for entry in shop.orders[order]["items"] if entry["item_id"] == item)
    return [
        Described(text=f"the {one['name']}", query={"name": one["name"], "options": {}}),
        Described(
            text=f"the {one['name']} ({_options(one['options'])})",
            query={"name": one["name"], "options": dict(one["options"])},
        ),
    ]


def describe_variant(shop: Shop, product: str, item: str) -> list[Described]:
    """By all its options.

    Args:
        shop: the tables.
        product: an id.
        item: an id of one of its variants.

    Returns:
        One description.
    """
    one, name = shop.products[product]["variants"][item], shop.products[product]["name"]
    return [
        Described(text=f"one with {_options(one['options'])}", query={"product": name, "options": dict(one["options"])})
    ]


def describe_payment(shop: Shop, user: str, payment: str) -> list[Described]:
    """By its kind, then with the brand, then with the last four digits.

    Args:
        shop: the tables.
        user: an id.
        payment: an id of one of the user's.

    Returns:
        Descriptions that say more and more.
    """
    one = shop.users[user]["payment_methods"][payment]
    kind = one["source"].replace("_", " ")
    found = [Described(text=f"my {kind}", query={"source": one["source"]})]
    if one.get("brand"):
        query = {"source": one["source"], "brand": one["brand"]}
        found.append(Described(text=f"my {one['brand']} {kind}", query=query))
        told = f"my {one['brand']} {kind} ending in {one['last_four']}"
        found.append(Described(text=told, query={**query, "last_four": one["last_four"]}))
    return found


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _options(given: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {one}" for name, one in sorted(given.items()))
