"""Likeness of two steps: by hand, and the trap of the published code."""

import math

import pytest

from milepost.curation.pairs.likeness import letter_likeness, smoothed_bleu, word_likeness

CLEAR = (
    "image_qa(image='a.jpg', question='How many apples?')",
    "<call>calculator('2 * 3.5')</call> to add up the bill",
)
ALIKE = (
    "I will look up the order details of the customer first.",
    "First I look up the details of the customer's order.",
)


def test_by_hand():
    # a b c d e against a b c x e: 4/5, 2/4, 1/3, and 0.1 of 2
    expected = math.exp((math.log(4 / 5) + math.log(2 / 4) + math.log(1 / 3) + math.log(0.1 / 2)) / 4)
    assert smoothed_bleu("abcde", "abcxe") == pytest.approx(expected)
    # shorter than the reference: the same n-grams, times exp(1 - 5/4)
    assert smoothed_bleu("abcd", "abcde") == pytest.approx(math.exp(1 - 5 / 4))


def test_identity_and_limits():
    assert smoothed_bleu("abcd", "abcd") == 1.0
    assert smoothed_bleu("abcd", "dxxx") > 0  # one common unit, no common pair
    assert smoothed_bleu("abcd", "wxyz") == smoothed_bleu("", "a") == 0.0
    assert word_likeness("a", "a") == 1.0
    assert word_likeness("", "a b") == 0.0


TOLD = """
Thought: I have to find out how many apples are shown in the picture before I can add up the price of all of
them. I will ask the image tool for the number. Code: count = image_qa(image='a.jpg', question='How many
apples are there?')

Thought: The price of one apple was given in the text of the question, so that the sum can be calculated now
without looking at the picture again. Code: total = price * count and then final_answer(total)

Thought: The document may hold the opening hours of the shop on the third page, which I will read with the
reader for files. Code: text = inspect_file(path='shop.pdf', question='When does the shop open?')

Thought: Nothing was found in the file, hence I should search the web for the name of the city and the year of
the fair. Code: found = web_search(query='fair of the city in the year 1900')
"""
STEPS = [" ".join(one.split()) for one in TOLD.split("\n\n")]


def test_character_level_bleu_would_drop_healthy_pairs():
    pairs = [(one, other) for one in STEPS for other in STEPS if one != other]
    words = [word_likeness(one, other) for one, other in pairs]
    letters = [letter_likeness(one, other) for one, other in pairs]
    assert max(words) < 0.3  # all are kept
    assert sum(one >= 0.3 for one in letters) >= 10  # of 12, all but two would be dropped
    assert sum(letters) > 4 * sum(words)
    assert word_likeness(*ALIKE) > 0.3
    assert letter_likeness(*ALIKE) > 0.7
    assert word_likeness(*CLEAR) < 0.05


def test_short_calls_of_few_words_are_told_apart_by_both():
    short = ("<search>capital of Chad</search>", "<answer>Franc</answer>")
    assert word_likeness(*short) < 0.3
    assert letter_likeness(*short) < 0.3
