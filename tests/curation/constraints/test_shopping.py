"""Tasks drawn from tau2's retail database: every description names one entry, every plan can be carried out."""

import pytest

from milepost.curation.constraints import fuzzy
from milepost.curation.constraints.constraint import reference
from milepost.curation.constraints.shopping import Shopping, shop_of
from milepost.environments.sandbox.tau2 import Tau2
from milepost.errors import SettingError

RETAIL = Tau2(domain="retail")
SHOP = shop_of(RETAIL)
TASKS = [task for errands in (1, 2, 3) for task in Shopping(database=RETAIL, errands=errands).tasks(100, 11)]


def test_every_description_names_exactly_one_entry():
    for task in TASKS:
        (user,) = fuzzy.find_user(SHOP, task.record["who"])
        for errand, call in zip(task.record["errands"], task.record["plan"], strict=True):
            (order,) = fuzzy.find_order(SHOP, user, errand["order"])
            assert order == call["arguments"]["order_id"]
            items = [fuzzy.find_item(SHOP, order, query) for query in errand["items"]]
            assert [one for (one,) in items] == call["arguments"].get("item_ids", [])
            news = [fuzzy.find_variant(SHOP, query) for query in errand["new_items"]]
            assert [one for (one,) in news] == call["arguments"].get("new_item_ids", [])
            if errand["payment"]:
                assert fuzzy.find_payment(SHOP, user, errand["payment"]) == [call["arguments"]["payment_method_id"]]


def test_an_order_by_one_thing_is_often_not_unique():
    one = [fuzzy.describe_order(SHOP, order, [0])[0] for order in list(SHOP.orders)[:300]]
    owners = [SHOP.orders[order]["user_id"] for order in list(SHOP.orders)[:300]]
    several = sum(len(fuzzy.find_order(SHOP, user, told.query)) > 1 for user, told in zip(owners, one, strict=True))
    assert several > 15


def test_tasks_are_as_asked_for():
    assert {len(task.record["plan"]) for task in TASKS} == {1, 2, 3}
    assert len({task.id for task in TASKS[:100]}) == 100
    tools = {call["name"] for task in TASKS for call in task.record["plan"]}
    assert len(tools) == 5
    for task in TASKS[::10]:
        orders = [call["arguments"]["order_id"] for call in task.record["plan"]]
        assert len(set(orders)) == len(orders)
        assert reference(RETAIL, task.record).sound
        ids = [one for call in task.record["plan"] for one in (call["arguments"]["order_id"],)]
        assert not [one for one in ids if any(one in need for need in task.record["needs"])]


def test_draws_repeat_and_ids_are_told_if_asked():
    again = list(Shopping(database=RETAIL, errands=2).tasks(5, 11))
    assert [task.record for task in again] == [task.record for task in TASKS[100:105]]
    exact = next(Shopping(database=RETAIL, errands=2, exact=True).tasks(1, 11))
    assert exact.record["plan"] == TASKS[100].record["plan"]
    assert exact.record["plan"][0]["arguments"]["order_id"] in exact.record["needs"][1]
    with pytest.raises(SettingError, match="errands"):
        Shopping(database=RETAIL, errands=0)
