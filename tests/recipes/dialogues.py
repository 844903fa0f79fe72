"""A simulated service desk: agents with one of four defects, and decoys that only look like trouble.

Defects: calls with a wrong argument, again and again; a request that is misunderstood, so that the user corrects it;
two tools in turn without an end; an answer given twice, and a user who is fed up. Decoys: polling until an order is
done (the same call, no failure), and long conversations in which nothing is wrong.
"""

from __future__ import annotations

import json

import numpy as np

ITEMS = ("flight", "hotel", "refund", "invoice", "parcel", "voucher", "seat", "address", "subscription", "ticket")
VERBS = ("book", "change", "cancel", "check", "move", "find", "send", "renew")
PLACES = ("Oslo", "Lima", "Kyoto", "Accra", "Quito", "Turin", "Perth", "Hanoi")
DEFECTS = ("arguments", "misunderstood", "alternating", "fed_up")


class Desk:
    """Writes conversations; all randomness comes from one generator."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random, self.messages = random, []

    def pick(self, items):
        return items[int(self.random.integers(len(items)))]

    def chance(self, share):
        return self.random.random() < share

    def user(self, text):
        self.messages.append({"role": "user", "content": text})

    def agent(self, text):
        self.messages.append({"role": "assistant", "content": text})

    def tool(self, name, answer, **arguments):
        call = {"id": "c", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        self.messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        self.messages.append({"role": "tool", "tool_call_id": "c", "content": answer})

    def request(self):
        verb, item, place = self.pick(VERBS), self.pick(ITEMS), self.pick(PLACES)
        number = int(self.random.integers(1000, 9999))
        self.user(self.pick((
            f"Can you {verb} my {item} to {place}? The number is {number}.",
            f"I need to {verb} a {item} for {place}, order {number}.",
            f"Hello, please {verb} the {item} {number} ({place}).",
        )))  # fmt: skip
        self.tool(f"{verb}_{item}", json.dumps({"id": number, "place": place, "status": "ok"}), id=number, place=place)
        self.agent(f"I have looked at {item} {number}: it is set for {place} on day {number % 28 + 1}.")

    def arguments(self):
        number = int(self.random.integers(1000, 9999))
        self.user(f"And what about {self.pick(ITEMS)} {number}?")
        for _ in range(int(self.random.integers(3, 6))):
            self.tool("look_up", "Error: invalid parameter 'id'", id=str(number))
        self.agent("I am afraid that I cannot look that up.")

    def misunderstood(self):
        item, place = self.pick(ITEMS), self.pick(PLACES)
        self.user(f"Then move my {item} to {place}.")
        self.agent(f"Your {item} is cancelled.")
        self.user(self.pick(("No, I said move, not cancel!", "That's not what I asked.", "You misunderstood me.")))
        self.agent(f"Your {item} for {place} is cancelled, as you wish.")
        if self.chance(0.6):
            self.user(self.pick(("That is wrong. Let me rephrase: move it.", "What do you mean? I don't understand.")))
            self.agent("I see.")

    def alternating(self):
        self.user(f"Which {self.pick(ITEMS)} is the cheapest?")
        for turn in range(int(self.random.integers(3, 6))):
            self.tool("search", json.dumps({"page": turn}), page=turn)
            self.tool("open", json.dumps({"page": turn, "price": 10 * turn}), page=turn)
        self.agent("I could not find out.")

    def fed_up(self):
        item = self.pick(ITEMS)
        self.user(f"Why is the {item} late?")
        answer = f"Your {item} is on its way and will arrive soon, thank you for waiting."
        self.agent(answer)
        self.user("When exactly?")
        self.agent(answer)
        self.user(self.pick(("This is ridiculous, let me speak to a manager.", "I give up.", "This is useless!!")))
        self.agent("I am sorry.")

    def polling(self):
        number = int(self.random.integers(1000, 9999))
        self.user(f"Is {self.pick(ITEMS)} {number} done yet?")
        for share in range(int(self.random.integers(3, 5))):
            self.tool("status", json.dumps({"id": number, "done": f"{share * 25} %"}), id=number)
        self.agent("Yes, it is done now.")


def dialogues(count: int, key: int):
    """Conversations and whether each agent has a defect: 30 % do, 8 % poll, 10 % are long and fine."""
    random = np.random.Generator(np.random.Philox(key=key))
    found, defect = [], []
    for _ in range(count):
        desk = Desk(random)
        broken, polls, long = desk.chance(0.3), desk.chance(0.08), desk.chance(0.1)
        requests = int(random.integers(10, 14)) if long else int(random.integers(1, 6))
        trouble = int(random.integers(requests))
        for turn in range(requests):
            desk.request()
            if broken and turn == trouble:
                getattr(desk, desk.pick(DEFECTS))()
            if polls and turn == trouble:
                desk.polling()
        if desk.chance(0.5):
            desk.user(desk.pick(("Thank you!", "Great, thanks", "ok bye")))
        found.append(desk.messages)
        defect.append(broken)
    return found, np.array(defect)
