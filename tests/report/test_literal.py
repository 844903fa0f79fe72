import pytest
from hypothesis import given
from hypothesis import strategies as st

from milepost.report import literal
from tests.report.hostile import STRINGS


def test_hand_example():
    assert literal.visible("a\u202eb\x1b[0m\n\tc") == "a⟨U+202E⟩b⟨U+001B⟩[0m\n\tc"
    assert literal.code_point("\U000e0041") == "U+E0041"


def test_plain_text_is_left_alone():
    text = "naïve Ω ✓ 日本語 👍 \u00a0 line\n\tindented"
    assert literal.visible(text) == text


@given(st.text())
def test_pieces_make_up_the_text(text):
    found = literal.pieces(text)
    assert "".join(piece.text for piece in found) == text
    assert all(len(piece.text) == 1 for piece in found if piece.hidden)


@given(st.text(st.characters()))
def test_nothing_hidden_is_left(text):
    shown = literal.visible(text)
    assert literal.visible(shown) == shown
    assert not any(ord(c) < 32 and c not in "\n\t" for c in shown)
    assert not any(0x202A <= ord(c) <= 0x202E or 0xD800 <= ord(c) <= 0xDFFF for c in shown)
    shown.encode()


@pytest.mark.parametrize("text", STRINGS)
def test_hostile_strings_lose_every_control(text):
    assert not any(
        c in literal.visible(text) for c in "\x00\x07\x08\x1b\x7f\x85\x9b\r\u2028\u2029\u202e\u2066\u200b\ufeff"
    )


def test_lone_surrogate_and_stacked_marks():
    assert literal.visible("\ud800") == "⟨U+D800⟩"
    assert literal.visible("o\u0301") == "o\u0301"
    assert literal.visible("o\u0301\u0302\u0303") == "o⟨U+0301⟩⟨U+0302⟩⟨U+0303⟩"


def test_excerpt_keeps_both_ends():
    whole = literal.excerpt("abcdef", 6)
    assert (whole.head, whole.tail, whole.omitted) == ("abcdef", "", 0)
    cut = literal.excerpt("abcdefghij", 6)
    assert (cut.head, cut.tail, cut.omitted) == ("abcd", "ij", 4)


@given(st.text(), st.integers(2, 50))
def test_excerpt_omits_what_it_says(text, limit):
    cut = literal.excerpt(text, limit)
    assert len(cut.head) + len(cut.tail) + cut.omitted == len(text)
    assert text.startswith(cut.head)
    assert text.endswith(cut.tail)
    assert len(cut.head) + len(cut.tail) <= max(limit, 2)


def test_one_line():
    assert literal.one_line("a\nb\tc", 10) == "a⏎b c"
    assert literal.one_line("abcdef", 4) == "abc…"
