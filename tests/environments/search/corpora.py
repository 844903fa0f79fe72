"""Small corpora in the files' own formats, written for the tests, and what every corpus must hold."""

import gzip
import itertools
from pathlib import Path

from milepost.environments.search.collection import Collection, pool_of
from milepost.environments.search.environment import Search
from milepost.environments.search.questions import is_held_out
from milepost.environments.search.searcher import Searcher

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
ENTRIES = (
    "Sprocket lathe\nSL\n\n   <tool, metal> A lathe that cuts\n   the teeth of the {toothed wheel} singly.\n\n (01)\n",
    "sprocket wheel\n\n   <machine> A wheel whose teeth reach into the links of a chain and pull it.\n",
    "toothed wheel\n\n   {sprocket wheel}\n",
    "chain drive\n\n   <mechanics> (CD) What a {sprocket wheel} pulls along, link by link, round\n   and round.\n",
    "bicycle\n\n   <vehicle> Two round things that a {chain drive} connects with café tables.\n",
)
NOUNS = (
    "00000001 05 n 01 animal 0 000 | a living thing that moves about and eats others",
    '00000002 05 n 02 bird 0 feathered_friend 0 001 @ 00000001 n 0000 | an animal with two feathered wings; "it sang"',
    "00000003 05 n 01 raptor 0 001 @ 00000002 n 0000 | a bird that hunts for its living with sharp claws",
    "00000004 05 n 01 owl 0 001 @ 00000003 n 0000 | a hunter by night whose head turns all the way round",
    "00000005 08 n 01 talon 0 002 @ 00000007 n 0000 #p 00000003 n 0000 | the sharp and bent nail of one that hunts",
    "00000006 15 n 01 eyrie 0 001 @ 00000001 n 0000 | a place high up where nobody else would want to live",
    "00000007 08 n 01 claw 0 000 | what grows at the end of a toe",
    "00000008 05 n 01 bat 0 001 @ 00000001 n 0000 | it hangs with its head down while others are awake",
    "00000009 06 n 01 bat 0 000 | a club to hit balls with in a game that takes days",
)


def number(value):
    digits = ""
    while value or not digits:
        digits, value = LETTERS[value % 64] + digits, value // 64
    return digits


def dictionary(folder, entries=ENTRIES):
    """Write the files of a dictionary as dictd has them."""
    text, lines = b"", []
    for entry in ("00-database-short\n     Notes\n", *entries):
        block = entry.encode()
        names = entry.split("\n\n")[0].split("\n")
        lines += [f"{name}\t{number(len(text))}\t{number(len(block))}" for name in names]
        text += block
    (folder / "foldoc.index").write_text("\n".join(sorted(lines)) + "\n")
    (folder / "foldoc.dict.dz").write_bytes(gzip.compress(text))
    return folder


def nouns(folder, lines=NOUNS):
    """Write a data.noun below a notice of licence."""
    (folder / "data.noun").write_text("\n".join(["  1 a notice", *(f"{line}  " for line in lines)]) + "\n")
    return folder


def installed(folder, written):
    """The files of the system's package where it is installed, else those that a test wrote."""
    return Path(folder) if Path(folder).is_dir() and any(Path(folder).iterdir()) else written


def check(world: Collection, facts):
    """Every question follows from the facts by its plan, and no pool touches another's facts."""
    ids = {one.id for one in world.documents}
    assert len(ids) == len(world.documents)
    assert len({one.id for one in world.questions}) == len(world.questions)
    stated = {(fact.document, fact.subject) for fact in facts} | {(fact.document, fact.object) for fact in facts}
    texts = {one.id: one.text for one in world.documents}
    assert all(text.isascii() and "\n" not in text for text in texts.values())
    for one in world.questions:
        assert one.hops == len(one.gold) == len(one.plan)
        assert set(one.gold) <= ids
        assert (one.gold[-1], one.answer) in stated
        assert one.answer in texts[one.gold[-1]], "the answer can be read in the last document"
        assert one.answer.lower() not in one.text.lower()
        if pool_of(one) in ("train", "demonstration"):
            assert not any(is_held_out(name) for name in one.countries)


def check_play(world: Collection, count=4):
    """A searcher without mistakes solves what is dealt, within the default limits."""
    played = 0
    for pool, hops in itertools.product(("train", "held_out"), (1, 2, 3)):
        environment = Search(corpus=world, hops=(hops,))
        dealt = len(list(itertools.islice(world.pool(pool, hops, results=2), count)))
        for task in environment.pool(pool, dealt):
            done = Searcher(mistakes={}).demonstrate(environment, task, key=0)
            assert done.answer == task.record["answer"]
            assert done.steps[-2].observation is not None, "it was shown the last document before it answered"
            assert done.answer in done.steps[-2].observation
            played += 1
    return played
