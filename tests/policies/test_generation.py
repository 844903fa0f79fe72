"""Reading prefixes, ending answers, and rows that leave the batch."""

from __future__ import annotations

import pytest
import torch

from milepost import keys
from milepost.policies.decoding import Decoding
from milepost.policies.generation import StopRule, Wanted, Written, generate, joined, read_prefixes
from milepost.ragged import Ragged

KEY = keys.root(9)
PROMPTS = Ragged.of([[1, 5, 6, 7, 8], [1, 20], [1, 40, 41, 42, 43, 44, 45]], torch.int32)


def noise(rows, tokens):
    return torch.from_numpy(keys.uniform([keys.fold(KEY, row) for row in rows], tokens))


def write(model, tokenizer, child, stop=(), tokens=16, room=None, **settings):
    decoding = Decoding(max_tokens=tokens, stop=stop, **settings)
    rule = StopRule.of(tokenizer, stop, 100)
    with torch.no_grad():
        prefix = read_prefixes(model, PROMPTS)
        wanted = Wanted(child=torch.tensor(child), noise=noise(range(len(child)), tokens), room=room)
        return generate(model, prefix, wanted, decoding, rule)


def texts(tokenizer, found):
    ids = Ragged(found.ids, found.offsets)
    return [tokenizer.decode(ids[row].tolist(), skip_special_tokens=True) for row in range(len(ids))]


def test_prefixes_of_different_length_are_read_as_if_alone(model):
    with torch.no_grad():
        together = read_prefixes(model, PROMPTS).logits
        alone = [model(input_ids=PROMPTS[row].long().unsqueeze(0)).logits[0, -1] for row in range(3)]
    torch.testing.assert_close(together, torch.stack(alone), atol=1e-5, rtol=1e-5)


def test_many_prefixes_are_read_by_length_and_stay_in_order(model):
    many = Ragged.of([[1, *range(5, 6 + (7 * row) % 23)] for row in range(50)], torch.int32)
    with torch.no_grad():
        together = read_prefixes(model, many)
        alone = [read_prefixes(model, many.select(torch.tensor([row]))) for row in range(50)]
    torch.testing.assert_close(together.logits, torch.cat([one.logits for one in alone]), atol=1e-5, rtol=1e-5)
    assert torch.equal(together.mask.sum(1), many.lengths)
    for row, one in enumerate(alone):
        size = int(many.lengths[row])
        for layer, own in zip(together.cache.layers, one.cache.layers, strict=True):
            torch.testing.assert_close(layer.keys[row, :, -size:], own.keys[0], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(layer.values[row, :, -size:], own.values[0], atol=1e-5, rtol=1e-5)
        assert together.mask[row, -size:].all()


def test_expanding_leaves_the_prefix_as_it_was(model):
    with torch.no_grad():
        prefix = read_prefixes(model, PROMPTS)
        before = prefix.cache.layers[0].keys.clone()
        copies = prefix.expand(torch.tensor([2, 2]))
        model(input_ids=torch.tensor([[5], [6]]), past_key_values=copies.cache, use_cache=True)
    assert torch.equal(prefix.cache.layers[0].keys, before)


def test_a_row_writes_what_it_writes_alone(model, tokenizer):
    stop = ("a", "e", "3", "Z")
    together = write(model, tokenizer, [0, 1, 2, 0, 1, 2], stop=stop, tokens=40)
    ids = Ragged(together.ids, together.offsets)
    assert len(set(ids.lengths.tolist())) > 2
    rule, decoding = StopRule.of(tokenizer, stop, 100), Decoding(max_tokens=40, stop=stop)
    for row in range(6):
        with torch.no_grad():
            prefix = read_prefixes(model, PROMPTS.select(torch.tensor([row % 3])))
            alone = generate(model, prefix, Wanted(child=torch.tensor([0]), noise=noise([row], 40)), decoding, rule)
        assert alone.ids.tolist() == ids[row].tolist()
        assert bool(alone.stopped[0]) == bool(together.stopped[row])


def test_answers_end_at_the_limit(model, tokenizer):
    found = write(model, tokenizer, [0, 1], tokens=3)
    assert found.offsets.tolist() == [0, 3, 6]
    assert found.stopped.tolist() == [False, False]


def test_answers_end_where_their_room_does_and_are_the_same_until_then(model, tokenizer):
    stop = ("a", "e", "3", "Z")
    whole = write(model, tokenizer, [0, 1, 2, 0, 1, 2], stop=stop, tokens=40)
    room = torch.tensor([1, 40, 3, 2, 7, 1])
    found = write(model, tokenizer, [0, 1, 2, 0, 1, 2], stop=stop, tokens=40, room=room)
    free, held = Ragged(whole.ids, whole.offsets), Ragged(found.ids, found.offsets)
    for row, most in enumerate(room.tolist()):
        assert held[row].tolist() == free[row][:most].tolist()
        assert bool(found.stopped[row]) == (bool(whole.stopped[row]) and len(free[row]) <= most)
    assert (held.lengths <= room).all()


def test_one_token_answers(model, tokenizer):
    assert write(model, tokenizer, [0, 1, 2], tokens=1).offsets.tolist() == [0, 1, 2, 3]


def test_answers_end_at_the_end_token(model, tokenizer):
    with torch.no_grad():
        model.get_output_embeddings().weight[2] *= 8  # the end token becomes likely
    found = write(model, tokenizer, [0, 1, 2] * 4, tokens=40)
    ids = Ragged(found.ids, found.offsets)
    assert int(found.stopped.sum()) >= 3
    for row in range(len(ids)):
        assert (2 in ids[row].tolist()) == bool(found.stopped[row])
        assert 2 not in ids[row].tolist()[:-1]


@pytest.mark.parametrize("stop", [("a",), ("q", "8", "<", "M"), ("ab", "c")])
def test_answers_end_with_a_stop_string_and_hold_it(model, tokenizer, stop):
    found = write(model, tokenizer, [0, 1, 2] * 4, stop=stop, tokens=60)
    for text, stopped, row in zip(texts(tokenizer, found), found.stopped.tolist(), range(12), strict=True):
        ended = 2 in Ragged(found.ids, found.offsets)[row] or any(text.endswith(one) for one in stop)
        assert stopped == ended
        assert not any(one in text[:-1] for one in stop)


def test_stop_rule_by_hand(tokenizer):
    rule = StopRule.of(tokenizer, ("</a>",), 100)

    def ends(text):
        ids = torch.tensor(tokenizer.encode(text, add_special_tokens=False))
        return bool(rule.ends(ids[-1:], ids.unsqueeze(0))[0])

    assert ends("x</a>")
    assert ends("</a></a>")
    assert not ends("x</a")
    assert not ends("a>")
    assert not ends("</a>b>")  # it was complete before: only its own last character ends an answer
    assert ends("b<eos>")


def test_stop_strings_that_span_several_characters_of_one_token():
    class Pieces:
        """A tokenizer whose tokens are pieces of text."""

        pieces = ("<eos>", "</", "ans", "wer>", "!\n", "er> and")
        eos_token_id, unk_token_id = 0, None

        def convert_tokens_to_ids(self, _):
            return None

        def __len__(self):
            return len(self.pieces)

        def decode(self, ids, **_):
            return "".join(self.pieces[one] for one in ids)

        def batch_decode(self, rows):
            return [self.decode(row) for row in rows]

    rule = StopRule.of(Pieces(), ("</answer>",), 6)
    assert rule.completing.tolist() == [True, False, False, True, False, True]  # those that hold a ">"
    recent = torch.tensor([[-1, 1, 2, 3], [-1, -1, 2, 3], [1, 2, 3, 4]])
    assert rule.ends(recent[:, -1], recent).tolist() == [True, False, False]


def test_greedy_is_the_likeliest_token(model, tokenizer):
    found = write(model, tokenizer, [0, 1, 2], tokens=6, top_p=1e-6)
    ids = Ragged(found.ids, found.offsets)
    for row in range(3):
        path = PROMPTS[row].long()
        for token in ids[row].tolist():
            with torch.no_grad():
                assert int(model(input_ids=path.unsqueeze(0)).logits[0, -1].argmax()) == token
            path = torch.cat((path, torch.tensor([token])))


def test_joining_restores_the_order():
    def part(rows):
        ids = Ragged.of(rows, torch.int32)
        return Written(
            ids=ids.values,
            log_prob=-ids.values.float(),
            offsets=ids.offsets,
            stopped=torch.tensor([len(row) > 1 for row in rows]),
        )

    found = joined([part([[1, 2], [3]]), part([[4, 5, 6]])], torch.tensor([2, 0, 1]))
    assert (found.ids.tolist(), found.offsets.tolist()) == ([4, 5, 6, 1, 2, 3], [0, 3, 5, 6])
    assert found.log_prob.tolist() == [-4, -5, -6, -1, -2, -3]
    assert found.stopped.tolist() == [True, True, False]
