"""CLIP-like scorers on a tiny model of the real class: its own logits, its own pre-processing, gradients."""

import math

import pytest
import torch
from transformers import CLIPImageProcessorPil

from milepost import keys
from milepost.errors import SettingError, ShapeError
from milepost.rewards.images.clip import MEAN, STD, Headed, Picked, embedded, prepared, prompt_match
from milepost.testing import pipelines

PROMPTS = ("a red cat", "a dog", "b")


@pytest.fixture(scope="module")
def model():
    return pipelines.clip()


def pictures(count, side=16, key=1):
    return torch.from_numpy(keys.normal([key], (count, 3, side, side))[0]).float().clamp(-1, 1)


def test_scores_are_the_models_own_logits(model):
    scorer = prompt_match(model, pipelines.letters(), PROMPTS, scale=float(model.logit_scale.detach().exp()))
    picture, label = pictures(5), torch.tensor([0, 1, 2, 0, 1])
    read = pipelines.letters()(list(PROMPTS), padding="max_length", max_length=32, truncation=True, return_tensors="pt")
    with torch.no_grad():
        truth = model(**read, pixel_values=prepared(picture, 16)).logits_per_image
        torch.testing.assert_close(scorer(picture, label), truth[torch.arange(5), label], atol=1e-4, rtol=1e-4)
    low, high = scorer.range
    assert low == -high == -float(model.logit_scale.detach().exp())


def test_pictures_are_prepared_as_transformers_does():
    """But for the rounding to 8 bits; a wide picture is cut to its middle square first."""
    picture = pictures(1, side=24).round(decimals=2)
    grown = torch.nn.functional.interpolate(picture, scale_factor=2, mode="bilinear").clamp(-1, 1)
    eight = ((grown + 1) / 2 * 255).round().to(torch.uint8)[0].permute(1, 2, 0).numpy()
    processor = CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    theirs = processor(eight, return_tensors="pt")["pixel_values"]
    assert float((prepared(grown, 16) - theirs).abs().mean()) < 0.02
    wide = torch.cat((torch.ones(1, 3, 48, 10), grown, torch.ones(1, 3, 48, 10)), 3)
    torch.testing.assert_close(prepared(wide, 16), prepared(grown, 16))


def test_white_is_one_standardised():
    white = prepared(torch.ones(1, 3, 16, 16), 16)[0, :, 0, 0]
    truth = [(1 - mean) / std for mean, std in zip(MEAN, STD, strict=True)]
    assert white.tolist() == pytest.approx(truth)


def test_a_score_can_be_climbed(model):
    """Some steps of gradient ascent on the pixels raise it."""
    scorer = prompt_match(model, pipelines.letters(), PROMPTS)
    picture, label = (0.1 * pictures(2)).requires_grad_(), torch.tensor([0, 1])
    before = scorer(picture, label).sum()
    (slope,) = torch.autograd.grad(before, picture)
    after = scorer(picture + 0.5 * slope / slope.norm(), label).sum()
    assert float(after.detach()) > float(before.detach())
    assert not any(value.requires_grad for value in model.parameters())


def test_a_head_scores_the_embedding(model):
    weight = torch.linspace(-1, 1, 16)
    scorer = Headed(model=model, head=lambda point: 5 + 100 * (point @ weight)[:, None], low=4.0, high=6.0)
    picture = pictures(6)
    with torch.no_grad():
        truth = (5 + 100 * embedded(model, picture) @ weight).clamp(4, 6)
        torch.testing.assert_close(scorer(picture, torch.zeros(6, dtype=torch.int64)), truth)
    assert scorer.range == (4.0, 6.0)
    torch.testing.assert_close(embedded(model, picture).norm(dim=1), torch.ones(6))


def test_what_does_not_fit_is_refused(model):
    scorer = prompt_match(model, pipelines.letters(), PROMPTS)
    with pytest.raises(SettingError, match="knows 3"):
        scorer(pictures(1), torch.tensor([3]))
    with pytest.raises(ShapeError, match="Decoded"):
        scorer(torch.zeros(1, 4, 8, 8), torch.tensor([0]))
    with pytest.raises(SettingError):
        prompt_match(model, pipelines.letters(), ())
    with pytest.raises(SettingError):
        prompt_match(model, pipelines.letters(), PROMPTS, scale=0.0)
    with pytest.raises(SettingError, match="no range"):
        Headed(model=model, head=lambda point: point, low=1.0, high=math.nan)


def test_a_picture_is_picked_where_no_other_prompt_fits_better(model):
    match = prompt_match(model, pipelines.letters(), PROMPTS)
    picture = pictures(6)
    with torch.no_grad():
        fits = torch.stack([match(picture, torch.full((6,), number)) for number in range(3)], 1)
        for number in range(3):
            found = Picked(match=match)(picture, torch.full((6,), number))
            assert found.tolist() == (fits.argmax(1) == number).float().tolist()
