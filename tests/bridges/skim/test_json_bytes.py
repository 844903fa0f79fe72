"""Values that are skipped are well formed: every one is tried beside messages, against the parser."""

import orjson
import pytest

from milepost.bridges.skim.block import Block
from milepost.bridges.skim.messages import SKIMMED

GOOD = (
    *(
        "0",
        "-0",
        "10",
        "1.5",
        "-1.25e+10",
        "1E5",
        "12345678901234567890123",
        "true",
        "false",
        "null",
        '""',
        '"a\\u00e9"',
    ),
    *(
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "[1, [2, {}], []]",
        '{"a": {"b": [null]}, "c": 1}',
        '"\\ud83d\\ude00"',
        "[" * 50 + "]" * 50,
    ),
)
BAD = (
    *(
        "-",
        "01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "0x1",
        "tru",
        "nul",
        "True",
        "NaN",
        "Infinity",
        '"a',
        '"\\u12g4"',
        '"\\',
    ),
    *("[1,]", "[,1]", "{,}", '{"a"}', '{"a":}', '{"a":1,}', "{1:2}", "[1 2]", "[}", "{]", "[1", '"\t"', '"\x7f\x00"'),
    *('"\\ud83d"', '"\\ude00\\ud83d"', "[[]", "[]]", '{"a":1}}', "", "'a'", "//", "1 2"),
)


def skimmed(value):
    line = f'{{"x": {value}, "messages": [{{"y": {value}, "role": "user"}}]}}'
    return (Block(line.encode(), limit=1 << 20).kind == SKIMMED).all()


@pytest.mark.parametrize("value", GOOD)
def test_what_is_skimmed_is_json(value):
    orjson.loads(value)
    assert skimmed(value)


@pytest.mark.parametrize("value", BAD)
def test_what_is_no_json_is_not_skimmed(value):
    with pytest.raises(ValueError, match=r"\w"):
        orjson.loads(value)
    assert not skimmed(value)


@pytest.mark.parametrize("size", range(1, 20))
def test_texts_of_every_size_end_where_they_end(size):
    """Eight bytes are read at once: the end of a text is found at every distance."""
    for special in ('"', "\\", "\n", "é"):
        for place in range(size):
            text = "a" * place + special + "b" * (size - place)
            line = orjson.dumps({"x": text, "messages": [{"role": "user", "content": text}]})
            block = Block(line, limit=1 << 20)
            assert orjson.loads(block.heads()[0]) == {"x": text, "messages": 0}
