"""Descriptions and what they find, in a shop of two users."""

from milepost.curation.constraints import fuzzy
from milepost.curation.constraints.fuzzy import Shop


def item(name, number, **options):
    return {"name": name, "item_id": str(number), "product_id": f"p-{name}", "options": options}


SHOP = Shop(
    users={
        key: {
            "name": {"first_name": "Ann", "last_name": "Lee"}, "email": f"{key}@x.example", "address": {"zip": key},
            "orders": orders, "payment_methods": methods,
        }
        for key, orders, methods in (
            ("u1", ["o1", "o2", "o3"], {
                "c1": {"source": "credit_card", "brand": "visa", "last_four": "1234"},
                "c2": {"source": "credit_card", "brand": "visa", "last_four": "9999"},
                "g": {"source": "gift_card"},
            }),
            ("u2", ["o4"], {"p": {"source": "paypal"}}),
        )
    },
    orders={
        "o1": {"items": [item("Lamp", 1, color="red"), item("Desk", 2)], "status": "pending"},
        "o2": {"items": [item("Lamp", 3, color="blue")], "status": "delivered"},
        "o3": {"items": [item("Lamp", 4, color="blue"), item("Lamp", 4, color="blue")], "status": "delivered"},
        "o4": {"items": [item("Desk", 2)], "status": "pending"},
    },
    products={"p-Lamp": {"name": "Lamp", "variants": {
        "1": {"options": {"color": "red"}, "available": True},
        "3": {"options": {"color": "blue"}, "available": False},
    }}},
)  # fmt: skip


def test_users_by_name_alone_would_be_two():
    by_name, by_email = fuzzy.describe_user(SHOP, "u1")
    assert fuzzy.find_user(SHOP, by_name.query) == ["u1"]
    assert fuzzy.find_user(SHOP, by_email.query) == ["u1"]
    assert by_name.text == "I am Ann Lee, zip code u1."


def test_orders_take_as_many_words_as_they_need():
    told = fuzzy.describe_order(SHOP, "o1", [0, 1])
    found = [fuzzy.find_order(SHOP, "u1", one.query) for one in told]
    assert found == [["o1", "o2", "o3"], ["o1"], ["o1"], ["o1"]]
    assert told[1].text == "my order with the Lamp and Desk"
    lamp = fuzzy.describe_order(SHOP, "o2", [0])
    assert [fuzzy.find_order(SHOP, "u1", one.query) for one in lamp] == [["o1", "o2", "o3"], ["o2", "o3"], ["o2", "o3"]]
    twice = fuzzy.describe_order(SHOP, "o3", [0, 1])
    assert fuzzy.find_order(SHOP, "u1", twice[1].query) == ["o3"]


def test_items_variants_and_payments():
    assert [fuzzy.find_item(SHOP, "o1", one.query) for one in fuzzy.describe_item(SHOP, "o1", "1")] == [["1"], ["1"]]
    assert fuzzy.find_item(SHOP, "o3", {"name": "Lamp", "options": {}}) == ["4"]
    (variant,) = fuzzy.describe_variant(SHOP, "p-Lamp", "1")
    assert fuzzy.find_variant(SHOP, variant.query) == ["1"]
    assert fuzzy.find_variant(SHOP, {"product": "Lamp", "options": {"color": "blue"}}) == []
    cards = fuzzy.describe_payment(SHOP, "u1", "c1")
    assert [fuzzy.find_payment(SHOP, "u1", one.query) for one in cards] == [["c1", "c2"], ["c1", "c2"], ["c1"]]
    assert cards[-1].text == "my visa credit card ending in 1234"
    assert [one.text for one in fuzzy.describe_payment(SHOP, "u1", "g")] == ["my gift card"]
