"""BLEU: exactness, cross-check with sacrebleu, and the traps of the published variant by name."""

import difflib
import math
import re
from collections import Counter
from functools import cache
from itertools import pairwise

import hypothesis.strategies as st
import pytest
import sacrebleu
from hypothesis import given, settings

from milepost import keys
from milepost.errors import FormatError, SettingError
from milepost.rewards import bleu, guard

FORMULAS = (bleu.published_bleu, bleu.guarded_bleu)
KEY = keys.root(20260101)
WORDS = re.findall(
    r"\w+", "the a model step reward tree learns from each path and its value is not what it was before now"
)


def score(formula, answer, *references, aggregate="max_counts"):
    return bleu.score_answer(formula, answer, references, aggregate=aggregate)


@cache
def paragraphs(count=100):
    """Real prose that every Python ships: paragraphs of 40 to 120 words from the standard library's own docstrings."""
    import argparse
    import asyncio
    import concurrent.futures
    import configparser
    import decimal
    import doctest
    import email.message
    import fractions
    import http.client
    import http.cookies
    import inspect
    import logging
    import logging.handlers
    import optparse
    import os
    import pathlib
    import random
    import shutil
    import socket
    import statistics
    import string
    import subprocess
    import tarfile
    import tempfile
    import textwrap
    import threading
    import urllib.request
    import zipfile

    modules = (
        argparse, asyncio, concurrent.futures, configparser, decimal, difflib, doctest, email.message, fractions,
        http.client, http.cookies, inspect, logging, logging.handlers, math, optparse, os, pathlib, random, shutil,
        socket, statistics, string, subprocess, tarfile, tempfile, textwrap, threading, urllib.request, zipfile,
    )  # fmt: skip
    found = {}
    for module in modules:
        for owner in (module, *(value for value in vars(module).values() if isinstance(value, type))):
            members = (owner, *(value for value in vars(owner).values() if callable(value)))
            for member in members:
                document = getattr(member, "__doc__", None)
                for block in (document if isinstance(document, str) else "").split("\n\n"):
                    words = block.split()
                    if 40 <= len(words) <= 120 and ">>>" not in block:
                        found[" ".join(words)] = None
    chosen = list(found)[:count]
    assert len(chosen) == count, f"only {len(chosen)} paragraphs found"
    return chosen


def corrupt(text, share, key):
    """Replace a share of the words by words that no reference holds."""
    words = text.split()
    order = keys.generator(key).permutation(len(words))
    for place in order[: round(share * len(words))]:
        words[place] = f"zq{place}"
    return " ".join(words)


def rouge_1(answer, reference):
    """F1 of the unigrams: the order of words does not matter."""
    left, right = Counter(bleu.tokenise(answer).split()), Counter(bleu.tokenise(reference).split())
    return 2 * (left & right).total() / (left.total() + right.total())


# 1. exactness


@pytest.mark.parametrize("formula", FORMULAS)
@given(words=st.lists(st.sampled_from(WORDS), min_size=4, max_size=30))
@settings(max_examples=50, deadline=None)
def test_an_answer_equal_to_a_reference_scores_one(formula, words):
    text = " ".join(words)
    assert score(formula, text, text) == pytest.approx(1, abs=1e-12)
    assert score(formula, text, text, aggregate="best_of") == pytest.approx(1, abs=1e-12)


def test_equal_short_answers_score_one_when_guarded():
    assert score(bleu.guarded_bleu, "yes", "yes") == 1
    assert score(bleu.guarded_bleu, "two words", "two words") == 1


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("aggregate", ["max_counts", "best_of"])
def test_order_of_references_does_not_matter(formula, aggregate):
    references = ["a model learns from each path", "the tree learns", "reward is not what it was before now"]
    answer = "the model learns from each reward now"
    forward = score(formula, answer, *references, aggregate=aggregate)
    assert score(formula, answer, *reversed(references), aggregate=aggregate) == forward


def test_another_reference_never_lowers_the_clipped_counts_but_may_change_the_brevity_penalty():
    answer = "the model learns from each path"
    long = "the model learns from each path and its value"
    one, two = bleu.count_ngrams(answer, (long,)), bleu.count_ngrams(answer, (long, "a reward was"))
    assert all(after >= before for before, after in zip(one.matches, two.matches, strict=True))
    assert bleu.published_bleu(two) > bleu.published_bleu(one)  # r fell from 9 words to 3: the penalty is gone
    assert bleu.guarded_bleu(two) > bleu.guarded_bleu(one)  # 3 words are as near to 6 as 9: the shorter wins a tie
    longer = bleu.count_ngrams(answer, ("a b c d e f g", "h i j k l m n o p q"))
    assert bleu.published_bleu(longer) == bleu.published_bleu(bleu.count_ngrams(answer, ("a b c d e f g",)))


@given(
    answer=st.lists(st.sampled_from(WORDS), min_size=1, max_size=12),
    references=st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12), min_size=2, max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_counts_grow_with_references_and_scores_stay_within_range(answer, references):
    texts = [" ".join(words) for words in references]
    text = " ".join(answer)
    one, all_of_them = bleu.count_ngrams(text, texts[:1]), bleu.count_ngrams(text, texts)
    assert all(after >= before for before, after in zip(one.matches, all_of_them.matches, strict=True))
    for formula in FORMULAS:
        for aggregate in ("max_counts", "best_of"):
            assert 0 <= score(formula, text, *texts, aggregate=aggregate) <= 1 + 1e-12


def test_hand_example():
    # answer 5 words, reference 6: matches 1-grams the,cat,on,mat = 4 of 5; 2-grams "the cat" = 1 of 4; none above
    counts = bleu.count_ngrams("the cat on my mat", ("the cat sat on the mat",))
    assert counts.matches == (4, 1, 0, 0)
    assert counts.totals == (5, 4, 3, 2)
    penalty = math.exp(1 - 6 / 5)
    published = (5 / 6 * 2 / 5 * 1 / 4 * 1 / 3) ** 0.25 * penalty
    guarded = (4 / 5 * 2 / 5 * 1 / 4 * 1 / 3) ** 0.25 * penalty
    assert bleu.published_bleu(counts) == pytest.approx(published, rel=1e-12)
    assert bleu.guarded_bleu(counts) == pytest.approx(guarded, rel=1e-12)


def test_orders_without_ngrams_are_skipped_and_orders_with_one_are_not():
    three = bleu.count_ngrams("a b c", ("a b d",))  # p = 2/3, 2/3, 1/2; no 4-gram
    assert bleu.guarded_bleu(three) == pytest.approx((2 / 3 * 2 / 3 * 1 / 2) ** (1 / 3))
    assert bleu.published_bleu(three) == pytest.approx((3 / 4 * 2 / 3 * 1 / 2 * 1) ** (1 / 4))


def test_brevity_penalty_and_closest_length():
    assert [bleu.brevity_penalty(c, 4) for c in (0, 4, 9)] == [0, 1, 1]
    assert bleu.brevity_penalty(2, 4) == pytest.approx(math.exp(-1))
    assert bleu.closest_length(6, (9, 3)) == bleu.closest_length(6, (3, 9)) == 3
    assert bleu.closest_length(7, (3, 9)) == 9


def test_clipping_counts_a_repeated_word_as_often_as_one_reference_has_it():
    # Papineni's example: "the the the ..." against two references with two and one "the"
    counts = bleu.count_ngrams("the the the the the the the", ("the cat is on the mat", "there is a cat on the mat"))
    assert counts.matches[0] == 2
    assert counts.totals[0] == 7


def test_case_counts_and_composed_letters_do_not():
    assert score(bleu.guarded_bleu, "Yes", "yes") == 0
    assert score(bleu.guarded_bleu, "caf\u0065\u0301", "caf\u00e9") == 1


# 2. cross-check


def test_unsmoothed_core_agrees_with_sacrebleu_on_1000_pairs():
    metric = sacrebleu.BLEU(smooth_method="none")
    generator = keys.generator(KEY)
    checked, worst = 0, 0.0
    while checked < 1000:
        reference = [WORDS[i] for i in generator.integers(len(WORDS), size=generator.integers(4, 30))]
        kept = generator.integers(4, len(reference) + 1)
        answer = reference[:kept] + [WORDS[i] for i in generator.integers(len(WORDS), size=generator.integers(0, 6))]
        second = [WORDS[i] for i in generator.integers(len(WORDS), size=generator.integers(4, 30))]
        texts = (" ".join(reference), " ".join(second))
        theirs = metric.sentence_score(" ".join(answer), texts).score / 100
        ours = score(bleu.unsmoothed_bleu, " ".join(answer), *texts)
        assert theirs > 0  # there is a 4-gram match
        worst, checked = max(worst, abs(ours - theirs)), checked + 1
    assert worst < 1e-9


def test_no_smoothing_of_sacrebleu_equals_the_published_variant():
    answer, reference = "the cat on my mat", "the cat sat on the mat"
    ours = score(bleu.published_bleu, answer, reference)
    for method in ("floor", "add-k", "exp"):
        theirs = sacrebleu.BLEU(smooth_method=method).sentence_score(answer, [reference]).score / 100
        assert abs(theirs - ours) > 1e-4
    # add-k leaves n = 1 unsmoothed: where all orders exist that is the guarded variant
    theirs = sacrebleu.BLEU(smooth_method="add-k").sentence_score(answer, [reference]).score / 100
    assert theirs == pytest.approx(score(bleu.guarded_bleu, answer, reference), abs=1e-12)


# 3. and 4. traps


def test_trap_short_answer_exploit():
    unrelated = "one two three four five six"
    against = "alpha beta gamma delta epsilon zeta"
    assert score(bleu.published_bleu, "yes", "no") == pytest.approx(0.8409, abs=1e-4)
    assert score(bleu.published_bleu, unrelated, against) == pytest.approx(0.1857, abs=1e-4)
    assert score(bleu.guarded_bleu, "yes", "no") == 0
    assert score(bleu.guarded_bleu, unrelated, against) == 0


def test_trap_brevity_one_reference_pays_for_length():
    words = paragraphs()[0].split()[:40]
    reference = " ".join(words)
    for formula in FORMULAS:
        scores = [score(formula, " ".join(words[:length]), reference) for length in range(1, len(words) + 1)]
        assert all(late > early for early, late in pairwise(scores))


def test_trap_brevity_a_short_second_reference_removes_the_penalty():
    words = [f"w{number}" for number in range(40)]
    reference, short = " ".join(words), "five other words are here"
    prefixes = {length: " ".join(words[:length]) for length in range(6, 41)}
    published = [score(bleu.published_bleu, prefix, reference, short) for prefix in prefixes.values()]
    assert published == pytest.approx([1.0] * len(prefixes), abs=1e-12)
    guarded = {length: score(bleu.guarded_bleu, prefix, reference, short) for length, prefix in prefixes.items()}
    long = [value for length, value in guarded.items() if length >= 23]  # nearer to 40 words than to 5
    assert all(late > early for early, late in pairwise(long))
    assert long[-2] < 1
    best_of = [
        score(bleu.published_bleu, prefix, reference, short, aggregate="best_of") for prefix in prefixes.values()
    ]
    assert max(best_of[:-1]) < 1  # single references cannot lend their length to each other


# 5. corruption ladder


@pytest.mark.parametrize("formula", FORMULAS)
def test_corruption_ladder_on_real_text_is_strictly_decreasing(formula):
    means = []
    for share in (0, 0.1, 0.2, 0.4, 0.6, 0.8):
        scored = [
            score(formula, corrupt(text, share, keys.fold(KEY, "corrupt", index)), text)
            for index, text in enumerate(paragraphs())
        ]
        means.append(sum(scored) / len(scored))
    assert means[0] == pytest.approx(1, abs=1e-12)
    assert all(late < early for early, late in pairwise(means)), means


def test_shuffled_words_keep_rouge_1_and_lower_bleu():
    for index, text in enumerate(paragraphs(20)):
        words = bleu.tokenise(text).split()
        order = keys.generator(keys.fold(KEY, "shuffle", index)).permutation(len(words))
        shuffled = " ".join(words[place] for place in order)
        assert rouge_1(shuffled, " ".join(words)) == 1
        for formula in FORMULAS:
            assert score(formula, shuffled, " ".join(words)) < 0.5


# edges


@pytest.mark.parametrize("aggregate", ["max_counts", "best_of"])
@pytest.mark.parametrize("formula", FORMULAS)
def test_no_reference_is_an_error_and_an_empty_answer_is_zero(formula, aggregate):
    with pytest.raises(FormatError, match="at least one reference"):
        score(formula, "text", aggregate=aggregate)
    with pytest.raises(FormatError, match="holds no word"):
        score(formula, "text", "good", "   ", aggregate=aggregate)
    assert score(formula, "", "a reference", aggregate=aggregate) == 0
    assert score(formula, " \n ", "a reference", aggregate=aggregate) == 0


# parts


def test_parts_score_the_record_and_say_what_determines_the_score(grow):
    record = {"references": ["no", "the tree learns from each path"]}
    forest = grow((record, ["yes", "the tree learns from each path", "<answer>no</answer>", ""]), ({}, ["yes"]))
    tagged = (2 / 9 / 8 / 7 / 6) ** 0.25  # the tags are seven words: < answer > no < / answer >
    published = guard.score(bleu.BleuPublished(references="best_of"), forest)
    guarded = guard.score(bleu.BleuGuarded(), forest)
    assert published["reward.bleu"][1:5].tolist() == pytest.approx([0.5**0.25, 1, tagged, 0])
    assert guarded["reward.bleu"][1:3].tolist() == [0, 1]
    assert guarded["reward.bleu"][4] == 0
    inside = guard.score(bleu.BleuGuarded(inside_answer=True, references="best_of"), forest)
    assert inside["reward.bleu"][1:5].tolist() == [0, 0, 1, 0]
    for scored in (published, guarded):
        assert scored["ok.bleu"].tolist() == [False, True, True, True, True, False, False]
        assert "at least one reference" in scored.text("reason.bleu")[6]
    assert bleu.BleuPublished().signature == (
        f"BLEU|refs:max_counts|case:mixed|norm:NFC|tok:13a|smooth:add-1[1-4]|len:shortest|eff:no|variant:published"
        f"|sacrebleu:{sacrebleu.__version__}"
    )
    assert "add-1[2-4]|len:closest|eff:yes|variant:guarded" in bleu.BleuGuarded().signature
    with pytest.raises(SettingError, match="references="):
        bleu.BleuGuarded(references="mean")
