"""CoVe's claim in small: a predictor of calls learns more from what was verified than from as much that was not.

A script serves drawn customers and errs: in one call of five it gives a wrong argument, one need of five it drops. The
verifier keeps what had exactly the effects that were asked for. A linear predictor then learns which call answers a
need, from all dialogues, from those that were kept, and from as many drawn at random.
"""

import dataclasses
import functools
import json
import re
import zlib

import pytest
import torch

from milepost import keys
from milepost.curation.constraints.constraint import reference
from milepost.curation.constraints.shopping import Shopping
from milepost.curation.constraints.verify import Conversation, Verifier
from milepost.environments.sandbox.tau2 import NOTHING, Tau2

RETAIL, WRONG, DROPPED = Tau2(domain="retail"), 0.2, 0.2
TOOLS = ("cancel_pending_order", "return_delivered_order_items", "exchange_delivered_order_items",
         "modify_pending_order_items", "modify_pending_order_address")  # fmt: skip
HASHED, DIALOGUES, TESTED, SEEDS = 128, 30, 30, 4


@functools.cache
def look(name, argument, value):
    return json.loads(RETAIL.call(NOTHING, name, {argument: value}).text)


def words(value):
    return set(re.findall(r"[a-z0-9]+", json.dumps(value).lower()))


@dataclasses.dataclass(frozen=True)
class Choice:
    """The calls that might answer a need, the right one first, and what each looks like beside the need."""

    calls: tuple
    known: torch.Tensor


def choice(need, call):
    """The right call; the same with another order, item, variant, payment or tool; and no call."""
    order = look("get_order_details", "order_id", call["arguments"]["order_id"])
    user = look("get_user_details", "user_id", order["user_id"])
    found = [call, *others(call, order, user), None]
    return Choice(calls=tuple(found), known=torch.stack([seen(need, one, user) for one in found]))


def others(call, order, user):
    name, arguments = call["name"], call["arguments"]
    for other in user["orders"]:
        if other != arguments["order_id"]:
            items = look("get_order_details", "order_id", other)["items"]
            moved = {"item_ids": [items[0]["item_id"]]} if "item_ids" in arguments else {}
            yield {"name": name, "arguments": arguments | {"order_id": other} | moved}
    if "item_ids" in arguments:
        for item in order["items"]:
            if [item["item_id"]] != arguments["item_ids"]:
                yield {"name": name, "arguments": arguments | {"item_ids": [item["item_id"]]}}
    if "new_item_ids" in arguments:
        bought = next(one for one in order["items"] if one["item_id"] == arguments["item_ids"][0])
        for variant in list(look("get_product_details", "product_id", bought["product_id"])["variants"])[:3]:
            if [variant] != arguments["new_item_ids"][:1]:
                yield {
                    "name": name,
                    "arguments": arguments | {"new_item_ids": [variant, *arguments["new_item_ids"][1:]]},
                }
    if "payment_method_id" in arguments:
        for payment in user["payment_methods"]:
            if payment != arguments["payment_method_id"]:
                yield {"name": name, "arguments": arguments | {"payment_method_id": payment}}
    for tool in TOOLS:
        if tool != name:
            yield {"name": tool, "arguments": arguments}


def seen(need, call, user):
    """Shares of the words of order, items, variants, payment and the rest that the need says; tool by word, hashed."""
    told, row = words(need), torch.zeros(6 + HASHED)
    if call is None:
        row[5] = 1.0
        return row
    arguments = dict(call["arguments"])
    order = look("get_order_details", "order_id", arguments.pop("order_id"))
    items = [one for one in order["items"] if one["item_id"] in arguments.get("item_ids", ())]
    sold = [look("get_product_details", "product_id", one["product_id"])["variants"] for one in order["items"]]
    new = [known[one]["options"] for one in arguments.pop("new_item_ids", ()) for known in sold if one in known]
    arguments.pop("item_ids", None)
    payment = user["payment_methods"].get(arguments.pop("payment_method_id", ""), {}).get("source", "")
    fields = ([one["name"] for one in order["items"]], [one["name"] for one in items], new, payment.split("_"),
              list(arguments.values()))  # fmt: skip
    for place, field in enumerate(fields):
        row[place] = len(words(field) & told) / max(len(words(field)), 1)
    for word in told:
        row[6 + zlib.crc32(f"{call['name']} {word}".encode()) % HASHED] += 0.2
    return row


@functools.cache
def drawn():
    """Tasks with their choices."""
    made = Shopping(database=RETAIL, errands=2).tasks(DIALOGUES * SEEDS + TESTED, 11)
    return [
        (task, [choice(need, call) for need, call in zip(task.record["needs"][1:], task.record["plan"], strict=True)])
        for task in made
        if all("order_id" in call["arguments"] for call in task.record["plan"])
    ]


def worked(choices, draw):
    """Which calls the script makes."""
    for one in choices:
        dropped, wrong = draw.random() < DROPPED, draw.random() < WRONG
        yield len(one.calls) - 1 if dropped else int(draw.integers(1, len(one.calls) - 1)) if wrong else 0


def learnt(examples):
    """A softmax over the calls of each need, linear in what they look like."""
    most = max(len(one.known) for one, _ in examples)
    known = torch.stack([torch.nn.functional.pad(one.known, (0, 0, 0, most - len(one.known))) for one, _ in examples])
    there = torch.tensor([[place < len(one.known) for place in range(most)] for one, _ in examples])
    label = torch.tensor([taken for _, taken in examples])
    weight = torch.zeros(known.shape[2], requires_grad=True)
    optimiser = torch.optim.Adam([weight], lr=0.1, weight_decay=1e-3)
    for _ in range(100):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy((known @ weight).masked_fill(~there, -torch.inf), label).backward()
        optimiser.step()
    return weight.detach()


def accuracies(seed):
    """Exact-call accuracy of a predictor that learnt from all, from what was kept, and from as many at random."""
    draw = keys.generator(keys.fold(keys.root(seed), "cove"))
    tested, tasks = drawn()[:TESTED], drawn()[TESTED + seed * DIALOGUES :][:DIALOGUES]
    verifier, dialogues, kept = Verifier(database=RETAIL), [], []
    for task, choices in tasks:
        taken = list(worked(choices, draw))
        calls = [one.calls[place] for one, place in zip(choices, taken, strict=True)]
        made = tuple((call["name"], call["arguments"]) for call in calls if call is not None)
        dialogues.append(list(zip(choices, taken, strict=True)))
        kept.append(verifier(reference(RETAIL, task.record), task.record, Conversation(calls=made)).kept)
    some = draw.permutation(len(dialogues))[: sum(kept)].tolist()
    sides = {
        "all": dialogues,
        "kept": [one for one, fine in zip(dialogues, kept, strict=True) if fine],
        "random": [dialogues[place] for place in some],
    }
    assert all(taken == 0 for one in sides["kept"] for _, taken in one)  # nothing wrong was let through
    found = {"share kept": sum(kept) / len(kept)}
    for name, side in sides.items():
        weight = learnt([one for dialogue in side for one in dialogue])
        right = [int((one.known @ weight).argmax()) == 0 for _, choices in tested for one in choices]
        found[name] = sum(right) / len(right)
    return found


@pytest.mark.slow
@pytest.mark.statistical
def test_what_is_verified_teaches_better_than_as_much_that_is_not(record_property):
    found = [accuracies(seed) for seed in range(SEEDS)]
    record_property("exact-call accuracy", found)
    mean = {name: sum(one[name] for one in found) / len(found) for name in found[0]}
    assert 0.25 < mean["share kept"] < 0.55, mean
    assert mean["kept"] > mean["random"] + 0.05, mean
    assert mean["kept"] >= mean["all"], mean
