"""Choosing a token: exact probabilities, nucleus, and log-probabilities."""

from __future__ import annotations

import math

import pytest
import torch

from milepost import keys
from milepost.errors import SettingError
from milepost.policies.decoding import Decoding, choose, chosen_log_prob

KEY = keys.root(3)
PROBABILITY = torch.tensor([0.2, 0.3, 0.5])


def test_inverse_cdf_by_hand():
    uniform = torch.tensor([0.0, 0.19, 0.21, 0.49, 0.51, 0.999999], dtype=torch.float64)
    logits = PROBABILITY.log().expand(6, 3)
    assert choose(logits, uniform, temperature=1.0, top_p=1.0).tolist() == [0, 0, 1, 1, 2, 2]


def test_nucleus_by_hand():
    # ordered by probability: token 2 (0.5), token 1 (0.3); together 0.8 >= 0.7, so token 0 is out
    uniform = torch.tensor([0.0, 0.62, 0.63, 0.9999], dtype=torch.float64)
    chosen = choose(PROBABILITY.log().expand(4, 3), uniform, temperature=1.0, top_p=0.7)
    assert chosen.tolist() == [2, 2, 1, 1]  # the border is 0.5 / 0.8 = 0.625


def test_temperature_is_a_power():
    # softmax(log(p) / T) = p^(1/T) / sum: at T = 0.5 squares, 0.04 : 0.09 : 0.25, borders 0.105 and 0.342
    uniform = torch.tensor([0.10, 0.11, 0.34, 0.35], dtype=torch.float64)
    chosen = choose(PROBABILITY.log().expand(4, 3), uniform, temperature=0.5, top_p=1.0)
    assert chosen.tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("settings", [{"temperature": 1e-4, "top_p": 1.0}, {"temperature": 1.0, "top_p": 1e-6}])
def test_limits_are_the_likeliest_token(settings):
    logits = torch.from_numpy(keys.normal([keys.fold(KEY, 1)], (50, 9))[0])
    uniform = torch.from_numpy(keys.uniform([keys.fold(KEY, 2)], 50)[0])
    assert torch.equal(choose(logits, uniform, **settings), logits.argmax(-1))


@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_impossible_tokens_are_never_chosen(top_p):
    logits = torch.tensor([-math.inf, 0.0, -math.inf, 1.0, -math.inf])
    uniform = torch.tensor([0.0, 1e-300, 0.5, 1 - 2**-53], dtype=torch.float64)
    assert set(choose(logits.expand(4, 5), uniform, temperature=1.0, top_p=top_p).tolist()) <= {1, 3}


@pytest.mark.statistical
@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 1.0), (1.5, 0.8), (0.9, 0.4)])
def test_frequencies_are_the_stated_probabilities(temperature, top_p):
    count, size = 40_000, 12
    logits = torch.from_numpy(keys.normal([keys.fold(KEY, 3)], (size,))[0]) * 1.5
    uniform = torch.from_numpy(keys.uniform([keys.fold(KEY, 4)], count)[0])
    chosen = choose(logits.expand(count, size), uniform, temperature=temperature, top_p=top_p)
    exact = (logits / temperature).softmax(-1)
    kept, total = torch.zeros(size, dtype=torch.bool), 0.0
    for token in exact.argsort(descending=True).tolist():
        if total < top_p:
            kept[token], total = True, total + float(exact[token])
    exact = exact.where(kept, 0) / exact[kept].sum()
    share = torch.bincount(chosen, minlength=size) / count
    error = (exact * (1 - exact) / count).sqrt()
    assert bool(((share - exact).abs() <= 5 * error + 1e-12).all())
    assert kept.sum() < size or top_p == 1.0


def test_log_probability_by_hand_and_against_log_softmax():
    assert float(chosen_log_prob(torch.zeros(4), torch.tensor(2), temperature=3.0)) == pytest.approx(-math.log(4))
    logits = torch.from_numpy(keys.normal([keys.fold(KEY, 5)], (6, 7, 30))[0]).float()
    token = torch.from_numpy(keys.generator(keys.fold(KEY, 6)).integers(0, 30, (6, 7)))
    exact = (logits.double() / 0.7).log_softmax(-1).gather(-1, token.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(chosen_log_prob(logits, token, temperature=0.7).double(), exact, atol=1e-6, rtol=0)


def test_log_probability_of_bfloat16_logits_is_summed_in_float32():
    logits = torch.zeros(50_000, dtype=torch.bfloat16)
    found = chosen_log_prob(logits, torch.tensor(7), temperature=1.0)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(-math.log(50_000), abs=1e-5)


@pytest.mark.parametrize(
    "settings",
    [{"temperature": 0.0}, {"temperature": math.nan}, {"top_p": 0.0}, {"top_p": 1.1}, {"max_tokens": 0}],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(SettingError, match=next(iter(settings))):
        Decoding(**settings)
