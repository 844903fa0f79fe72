"""Near duplicates: MinHash against the sets themselves."""

import numpy as np
import pytest

from milepost.curation.selection.duplicates import BANDS, HASHES, bands, first_alike, resemblance, signatures
from milepost.curation.signals.flat import flat


def conversation(items):
    return [{"role": "user", "content": f"message {item}"} for item in items]


def signed(*sets):
    return signatures(flat(conversation(items) for items in sets))


@pytest.mark.statistical
@pytest.mark.parametrize("shared", [0, 10, 25, 40])
def test_resemblance_is_the_jaccard_index(shared):
    """Unbiased with variance J (1 - J) / 16: 200 pairs, five standard errors."""
    pairs = 200
    sets = [
        ([*range(p * 1000, p * 1000 + 50)], [*range(p * 1000 + 50 - shared, p * 1000 + 100 - shared)])
        for p in range(pairs)
    ]
    one, two = signed(*(a for a, _ in sets)), signed(*(b for _, b in sets))
    truth = shared / (100 - shared)
    error = 5 * np.sqrt(max(truth * (1 - truth), 1 / HASHES) / HASHES / pairs)
    assert abs(resemblance(one, two).mean() - truth) < error


def test_order_and_repeats_do_not_matter():
    assert np.array_equal(signed([1, 2, 3]), signed([3, 1, 2, 1]))
    calls = [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": a}]} for a in ('{"x": 1}', {"x": 1})]
    assert signatures(flat([[calls[0]]])).shape == (1, HASHES)
    assert not np.array_equal(signatures(flat([[calls[0]]])), signed([]))


def test_an_empty_conversation_resembles_nothing():
    empty = signed([], [])
    assert (bands(empty) == 0).all()
    later, _ = first_alike(np.arange(2), bands(empty)[:, 0], empty, alike=0.0)
    assert len(later) == 0


def test_duplicates_point_to_the_first():
    base = list(range(40))
    sets = [base, [*base[:39], 99], list(range(500, 540)), base, list(range(500, 540))]
    signature = signed(*sets)
    first = {}
    for band in bands(signature).T:
        for later, earlier in zip(*first_alike(np.arange(5), band, signature, alike=0.8), strict=True):
            first[int(later)] = min(int(earlier), first.get(int(later), 99))
    assert first == {1: 0, 3: 0, 4: 2}
    assert bands(signature).shape == (5, BANDS)


def test_signatures_are_the_same_everywhere():
    """No salted hash: the numbers are those of every process and machine."""
    assert signed([1])[0, :3].tolist() == signed([1, 1])[0, :3].tolist()
    assert int(signed([1]).astype(np.uint64).sum() % 1_000_003) == 422371
