"""Attention over a shared prefix equals attention over copies of it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from milepost import keys
from milepost.policies import generation, shared_prefix
from milepost.policies.decoding import Decoding
from milepost.policies.generation import StopRule, Wanted, generate, read_prefixes
from milepost.policies.shared_prefix import Part, Seating, attend_part, merge
from milepost.ragged import Ragged
from tests.policies.conftest import small_model

KEY = keys.root(5)


def normal(name: str, *shape: int) -> torch.Tensor:
    return torch.from_numpy(keys.normal([keys.fold(KEY, name)], shape)[0])


def test_part_by_hand():
    part = attend_part(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0], [3.0]]))
    assert (part.largest.item(), part.total.item(), part.out.item()) == (0.0, 2.0, 4.0)


@pytest.mark.parametrize("shift", [0.0, 40.0, -40.0, 2000.0, -2000.0])
def test_merged_parts_are_the_softmax_over_all_keys(shift):
    score, value = normal("score", 3, 4, 9), normal("value", 3, 9, 5)
    score[..., :4] += shift
    score[..., 2] = -torch.inf
    parts = [attend_part(score[..., cut].clone(), value[:, cut]) for cut in (slice(0, 4), slice(4, 9))]
    torch.testing.assert_close(merge(*parts), score.softmax(-1) @ value)
    torch.testing.assert_close(merge(*parts[::-1]), score.softmax(-1) @ value)


def test_a_part_far_below_the_other_counts_for_nothing():
    high, low = attend_part(torch.tensor([[0.0]]), torch.tensor([[2.0]])), None
    low = attend_part(torch.tensor([[-1e4]]), torch.tensor([[9.0]]))
    assert isinstance(low, Part)
    assert merge(high, low).item() == 2.0


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_every_row_has_a_seat_of_its_own_at_its_prefix(child):
    seating = Seating.of(torch.tensor(child), 6)
    assert seating.row[seating.seat].tolist() == list(range(len(child)))
    assert (seating.seat // seating.width).tolist() == child
    assert len(set(seating.seat.tolist())) == len(child)
    assert seating.width == max(child.count(prefix) for prefix in child)


PROMPTS = Ragged.of([[1, 5, 6, 7, 8, 9, 10], [1, 20, 21], [1, 40, 41, 42, 43]], torch.int32)
CHILD = torch.tensor([0, 2, 0, 1, 2, 2, 0, 2])


def written(model, tokenizer, stop=(), tokens=40):
    decoding = Decoding(max_tokens=tokens, stop=stop)
    rule = StopRule.of(tokenizer, stop, 100)
    noise = torch.from_numpy(keys.uniform([keys.fold(KEY, "noise", row) for row in range(len(CHILD))], tokens))
    with torch.no_grad():
        return generate(model, read_prefixes(model, PROMPTS), Wanted(child=CHILD, noise=noise), decoding, rule)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("Llama", {}),
        ("Llama", {"num_key_value_heads": 4}),
        ("Qwen2", {}),
        ("Qwen3", {"head_dim": 8}),
        ("GPTNeoX", {"rotary_pct": 0.5}),
        ("Olmo2", {}),
    ],
)
def test_sharing_writes_what_copies_write(kind, settings, tokenizer, monkeypatch):
    model = small_model(kind, **settings)
    assert shared_prefix.install(model)
    # a stop string of one frequent letter ends rows at different times: rows and prefixes leave the batch on the way
    shared = written(model, tokenizer, stop=("e", "7", "Q", "a", "<"))
    monkeypatch.setattr(generation.shared_prefix, "install", lambda _: False)
    copied = written(model, tokenizer, stop=("e", "7", "Q", "a", "<"))
    assert shared.ids.tolist() == copied.ids.tolist()
    assert shared.offsets.tolist() == copied.offsets.tolist()
    assert len(set(shared.offsets.diff().tolist())) > 2
    torch.testing.assert_close(shared.log_prob, copied.log_prob, atol=1e-5, rtol=1e-5)


def test_rows_that_leave_take_their_prefix_along(model):
    shared_prefix.install(model)
    with torch.no_grad():
        prefix = read_prefixes(model, PROMPTS)
        cache = shared_prefix.branch(prefix.cache, prefix.mask, CHILD, 8)
        position = prefix.mask.sum(1)[CHILD].unsqueeze(1)
        token = torch.arange(30, 38).unsqueeze(1)
        settings = {"use_cache": True, "past_key_values": cache}
        whole = model(input_ids=token, position_ids=position, **settings).logits[:, -1]
        kept = torch.tensor([1, 4, 5])  # children of prefix 2 only
        shared_prefix.keep(cache, kept)
        assert len(cache.layers[0].keys) == 1
        again = model(input_ids=token[kept], position_ids=position[kept] + 1, **settings).logits[:, -1]
    assert whole.shape == (8, 100)
    with torch.no_grad():
        for row, place in enumerate(kept.tolist()):
            path = torch.cat((PROMPTS[2].long(), token[place], token[place])).unsqueeze(0)
            plain = model(input_ids=path, use_cache=False).logits[0, -1]
            torch.testing.assert_close(again[row], plain, atol=2e-5, rtol=1e-4)


def test_models_that_cannot_share_are_told_apart(model):
    assert shared_prefix.install(model)
    assert shared_prefix.install(model)
    eager = small_model()
    eager.set_attn_implementation("eager")
    assert not shared_prefix.install(eager)
    assert not shared_prefix.install(small_model("Mistral", sliding_window=4))


def test_sliding_windows_are_sampled_from_copies(tokenizer):
    model = small_model("Mistral", sliding_window=4)
    found = written(model, tokenizer, tokens=10)
    start = int(found.offsets[3])
    path = torch.cat((PROMPTS[1].long(), found.ids[start : start + 10].long())).unsqueeze(0)
    with torch.no_grad():
        plain = model(input_ids=path, use_cache=False).logits[0, 2:-1].log_softmax(-1)
    exact = plain.gather(1, found.ids[start : start + 10].long().unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(found.log_prob[start : start + 10], exact, atol=1e-5, rtol=1e-4)


def test_an_installed_model_reads_plain_text_as_before(model):
    ids = torch.tensor([[1, 5, 9, 33, 7]])
    with torch.no_grad():
        before = model(input_ids=ids, use_cache=False).logits
        shared_prefix.install(model)
        assert torch.equal(model(input_ids=ids, use_cache=False).logits, before)
