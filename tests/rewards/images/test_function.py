"""A user's own score of pictures: what it is given, and what it may answer."""

import pytest
import torch

from milepost.errors import FormatError, SettingError
from milepost.rewards.images.function import PictureFunction

PROMPTS = ("a red cat", "a dog")
SOURCE = """
def bright(images, prompts):
    assert images.shape[1:] == (3, 4, 4) and 0 <= images.min() and images.max() <= 1
    return [float(image.mean()) + len(prompt) for image, prompt in zip(images, prompts)]

def none(prompts):
    return [None if prompt == "a dog" else 1 for prompt in prompts]

def short(images):
    return [1.0]

def words(images):
    return ["good"] * len(images)

def other(pixels):
    return pixels
"""


@pytest.fixture
def of(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SOURCE, encoding="utf-8")
    return lambda name: PictureFunction(source=f"{path}:{name}", prompts=PROMPTS)


def test_it_is_given_colours_from_0_to_1_and_the_prompts(of):
    pictures = torch.full((2, 3, 4, 4), -1.0)
    pictures[1] = 1.0
    found = of("bright")(pictures, torch.tensor([1, 0]))
    assert found.tolist() == [0.0 + len("a dog"), 1.0 + len("a red cat")]
    assert of("bright").name == "bright"


def test_none_is_no_number(of):
    found = of("none")(torch.zeros(2, 3, 4, 4), torch.tensor([0, 1]))
    assert float(found[0]) == 1
    assert bool(found[1].isnan())


@pytest.mark.parametrize(("name", "says"), [("short", "1 values for 2 pictures"), ("words", "'good' for 2 pictures")])
def test_another_answer_is_refused(of, name, says):
    with pytest.raises(FormatError, match=says):
        of(name)(torch.zeros(2, 3, 4, 4), torch.tensor([0, 1]))


def test_a_function_that_does_not_fit_is_found_early(of):
    with pytest.raises(SettingError, match=r"\['pixels'\].*images, prompts"):
        of("other").load()
    with pytest.raises(SettingError, match="nothing"):
        of("nothing").load()
