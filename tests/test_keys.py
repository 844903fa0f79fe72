"""Keys: committed values that stored runs rest on, rows that depend on their key only, draws that fit their law."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from milepost import keys
from milepost.errors import SettingError

INT64 = st.integers(-(2**63), 2**63 - 1)
PARTS = st.lists(st.text(max_size=5) | INT64, max_size=4)


@pytest.mark.parametrize(
    ("key", "parts", "expected"),
    [
        (0, (), 1786884285633530058),
        (0, ("a",), 1221751345286878625),
        (0, ("1",), 2803616092236401482),
        (0, (1,), -8554776334339398295),
        (0, (-1,), 6286905796721103099),
        (-5, ("sample", 3), -8518453376882267971),
        (2**63 - 1, ("ü",), -3055882049387638841),
    ],
)
def test_fold_never_changes(key: int, parts: tuple[str | int, ...], expected: int) -> None:
    assert keys.fold(key, *parts) == expected


@pytest.mark.parametrize(
    ("seed", "expected"), [(0, -9086088810957684484), (1, -4952991427811694560), (-1, 4937229250920110896)]
)
def test_root_never_changes(seed: int, expected: int) -> None:
    assert keys.root(seed) == expected == keys.fold(seed, "milepost", "root")


def test_fold_is_blake2b_of_the_encoded_parts() -> None:
    written = (7).to_bytes(8, "little") + b"s" + (2).to_bytes(8, "little") + b"ab" + b"i" + (3).to_bytes(8, "little")
    digest = hashlib.blake2b(written, digest_size=8).digest()
    assert keys.fold(7, "ab", 3) == int.from_bytes(digest, "little", signed=True)


@given(INT64, PARTS, PARTS)
def test_fold_is_a_signed_word_that_differs_with_its_parts(
    key: int, one: list[str | int], two: list[str | int]
) -> None:
    first, second = keys.fold(key, *one), keys.fold(key, *two)
    assert -(2**63) <= first < 2**63
    assert (first == second) == (one == two)


def test_strings_and_numbers_that_look_alike_differ() -> None:
    looks = [(1,), ("1",), ("1", ""), ("", "1"), ("11",), ("1", "1"), (1, 1), (11,), ("i1",), ()]
    assert len({keys.fold(0, *parts) for parts in looks}) == len(looks)


def test_order_of_parts_and_the_parent_key_matter() -> None:
    assert keys.fold(0, "a", "b") != keys.fold(0, "b", "a")
    assert keys.fold(0, "a") != keys.fold(1, "a")
    assert keys.fold(-1, "a") == keys.fold(2**64 - 1, "a"), "a key is a word of 64 bits, whatever its sign"


@pytest.mark.parametrize("seed", [True, 1.0, "1", None, np.float64(2)])
def test_a_root_needs_a_whole_number(seed: object) -> None:
    with pytest.raises(SettingError) as caught:
        keys.root(seed)
    assert str(caught.value) == f"seed={seed!r} is not allowed: expected a whole number."


def test_children_are_folds() -> None:
    found = keys.children([5, 5, 6], "branch", [0, 1, 0])
    assert found.dtype == np.int64
    assert found.tolist() == [keys.fold(5, "branch", 0), keys.fold(5, "branch", 1), keys.fold(6, "branch", 0)]
    assert len(set(found.tolist())) == 3
    assert keys.children([5], "other", [0])[0] != found[0]


def test_children_of_nothing_and_of_lists_that_do_not_pair_up() -> None:
    assert keys.children([], "branch", []).shape == (0,)
    assert keys.children([], "branch", []).dtype == np.int64
    with pytest.raises(ValueError, match="shorter"):
        keys.children([1, 2], "branch", [0])


def test_a_stream_starts_at_its_beginning_every_time() -> None:
    assert keys.generator(-3).random(5).tolist() == keys.generator(-3).random(5).tolist()
    assert keys.generator(-3).random() != keys.generator(3).random()
    assert isinstance(keys.generator(0).bit_generator, np.random.Philox)


def test_streams_never_change() -> None:
    np.testing.assert_allclose(keys.uniform([7], 3), [[0.87207345, 0.29536538, 0.42009768]], atol=5e-9)
    np.testing.assert_allclose(keys.normal([7], (2,)), [[-1.74969444, 0.57454411]], atol=5e-9)


@given(st.lists(INT64, min_size=1, max_size=5), st.data())
def test_a_row_depends_on_its_key_only(given_keys: list[int], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(given_keys))))
    moved = [given_keys[place] for place in order]
    for draw in (lambda some: keys.uniform(some, 3), lambda some: keys.normal(some, (2, 2))):
        together = draw(given_keys)
        np.testing.assert_array_equal(draw(moved), together[order])
        np.testing.assert_array_equal(np.concatenate([draw([key]) for key in given_keys]), together)


def test_fewer_draws_are_the_first_of_more() -> None:
    np.testing.assert_array_equal(keys.uniform([1, 2], 3), keys.uniform([1, 2], 9)[:, :3])


def test_shapes_and_types_of_draws() -> None:
    assert keys.uniform([1, 2], 0).shape == (2, 0)
    assert keys.uniform([], 4).shape == (0, 4)
    assert keys.normal([1], ()).shape == (1,)
    assert keys.normal([1, 2], (3, 4)).shape == (2, 3, 4)
    assert keys.normal([], (3, 4)).shape == (0, 3, 4)
    assert keys.uniform(np.array([1, 2]), 1).dtype == keys.normal(np.array([1, 2]), (1,)).dtype == np.float64


def _near(sample: np.ndarray, mean: float, deviation: float) -> None:
    assert abs(sample.mean() - mean) < 5 * deviation / math.sqrt(sample.size)


@pytest.mark.statistical
def test_uniforms_of_neighbouring_keys_fit_their_law() -> None:
    for family in (range(4000), keys.children([1] * 4000, "draw", range(4000)).tolist()):
        sample = keys.uniform(family, 2)
        assert sample.min() >= 0
        assert sample.max() < 1
        _near(sample, 1 / 2, math.sqrt(1 / 12))
        _near(sample**2, 1 / 3, math.sqrt(1 / 5 - 1 / 9))
        centred = sample - 0.5
        _near(centred[:, 0] * centred[:, 1], 0, 1 / 12)
        _near(centred[1:, 0] * centred[:-1, 0], 0, 1 / 12)


@pytest.mark.statistical
def test_normals_of_neighbouring_keys_fit_their_law() -> None:
    sample = keys.normal(range(4000), (2,))
    _near(sample, 0, 1)
    _near(sample**2, 1, math.sqrt(2))
    _near(sample**4, 3, math.sqrt(105 - 9))
    _near(sample[:, 0] * sample[:, 1], 0, 1)
    _near(sample[1:, 0] * sample[:-1, 0], 0, 1)


@pytest.mark.parametrize(
    ("key", "seed"),
    [(0, 0), (1, 1), (2**31 - 1, 2**31 - 1), (2**31, 0), (2**63 - 1, 2**31 - 1), (-1, 2**31 - 1), (-(2**63), 0)],
)
def test_seed_of_keeps_the_low_31_bits(key: int, seed: int) -> None:
    assert keys.seed_of(key) == seed


@given(INT64)
def test_seed_of_is_in_range(key: int) -> None:
    assert 0 <= keys.seed_of(key) < 2**31


def test_a_digest_is_that_of_the_content():
    one = {"a": 1, "b": ("x", {"c": None}), "d": "\u2028\ud800"}
    assert keys.digest(one) == keys.digest(dict(reversed(one.items())))
    assert len(keys.digest(one)) == 32
    others = [{**one, "a": 1.5}, {**one, "a": "1"}, {**one, "b": ("x",)}, {**one, "e": None}, {}]
    assert len({keys.digest(other) for other in [one, *others]}) == 6
