"""The tree of pictures: what it shows at forks and ends, what it leaves out, and when it is not drawn."""

import re

import numpy as np

from milepost.report.drawing import latents
from milepost.report.stored.steps import Steps


def forked(wide=2, *, side=8, **columns):
    """A noise, a step, a fork into `wide` chains of two steps."""
    parent = [-1, 0, 1]
    for _ in range(wide):
        parent += [2, len(parent)]
    size = len(parent)
    ends = np.array([row not in parent for row in range(size)])
    numbers = {
        "latent": np.zeros((size, side, side), dtype=np.float32),
        "time": np.array([np.nan, 1.0, 0.5, *[0.25, 0.0] * wide]),
        "end": ends.astype(np.int8),
        "reward.total": np.where(ends, np.arange(size), np.nan),
        "ok.total": ends,
        **columns,
    }
    return Steps(parent=np.array(parent), numbers=numbers)


def drawing(steps, scale=0.0):
    found = latents.tree(steps, 0, scale)
    assert found is not None
    return str(found)


def test_forks_and_ends_have_pictures():
    """One fork with the mean reward below it, (4 + 6) / 2, and two ends; rows between have none."""
    text = drawing(forked())
    assert text.count("<image") == 3
    assert "t 0.5 · 5.00" in text
    assert ">4.00<" in text
    assert ">6.00<" in text
    assert 'class="edge"' in text


def test_a_fork_shows_what_is_foreseen_there():
    plain = drawing(forked())
    foreseen = np.ones((7, 8, 8), dtype=np.float32)
    seen = drawing(forked(estimate=foreseen))
    assert plain != seen
    assert drawing(forked(completion=foreseen)) == seen
    images = re.findall(r"base64,([^\"]+)", seen)
    assert len(set(images)) == 1


def test_of_many_images_the_likeliest_and_a_few_of_the_worst():
    size = 3 + 2 * 40
    weight = np.linspace(0, 1, size)
    text = drawing(forked(40, weight=weight))
    assert text.count("<image") == 1 + latents.MOST_LEAVES
    assert f"{40 - latents.MOST_LEAVES} more images not shown" in text
    assert ">82.00<" in text  # the last, with the largest weight
    assert ">4.00<" in text  # the first, with the smallest


def test_credit_colours_the_frame():
    text = drawing(forked(advantage=np.array([0, 0, 0, 1.0, 1.0, -1.0, -1.0])), scale=1.0)
    assert 'class="c p5"' in text
    assert 'class="c m5"' in text
    assert "credit +1.00" in text


def test_pruned_ends_are_not_shown():
    end = np.array([0, 0, 0, 0, 1, 0, 6], dtype=np.int8)
    assert drawing(forked(end=end)).count("<image") == 2


def test_nothing_to_draw():
    assert latents.tree(Steps(parent=np.array([-1, 0, 0])), 0, 0.0) is None
    assert latents.tree(forked(1), 0, 0.0) is None
    assert latents.tree(forked(side=200), 0, 0.0) is None
    flat = Steps(parent=np.array([-1, 0, 0]), numbers={"latent": np.zeros((3, 8, 8), dtype=np.float32)})
    assert latents.tree(flat, 0, 0.0) is None


def test_a_latent_with_channels_is_drawn_in_colour():
    grey, coloured = forked(), forked(latent=np.ones((7, 4, 8, 8), dtype=np.float32))
    assert drawing(coloured).count("<image") == drawing(grey).count("<image")
    assert drawing(coloured) != drawing(grey)
