"""Maps: places and sizes by hand."""

import re

import pytest

from milepost.report.drawing import maps

SCENE = {
    "low": [0, 0], "high": [2, 1], "start": [0.5, 0.5], "goal": [1.5, 0.5], "boxes": [[[0.9, 0.4], [1.1, 0.6]]],
    "links": [], "discs": [], "least": 1.0, "path": [[0.5, 0.5], [1.0, 0.7], [1.5, 0.5]],
}  # fmt: skip


def test_the_plane_by_hand():
    text = str(maps.plane(SCENE, 1.25, [[0.5, 0.5], [1.0, 0.7]], [-1, 0]))
    half = maps.WIDTH / 2
    assert f'width="{0.2 * half:.2f}" height="{0.2 * half:.2f}"' in text
    assert f"M{half:.2f} {0.3 * half:.2f}L{half / 2:.2f} {half / 2:.2f}" in text  # y upwards
    assert f'rx="{0.625 * half:.2f}" ry="{0.375 * half:.2f}"' in text  # 3-4-5 triangle
    assert text.count("<circle") == 2
    assert "ellipse " not in str(maps.plane(SCENE, None, [[0.5, 0.5]], [-1])).partition("aria-label")[2][60:]


def test_a_small_ellipse_is_enlarged():
    wide = {**SCENE, "low": [-50, -50], "high": [50, 50]}
    found = re.search(r'rx="([0-9.]+)"', str(maps.plane(wide, 1.25, [], [])))
    assert float(found.group(1)) == pytest.approx(maps.WIDTH / 3, abs=0.1)


def test_edges_are_thinned():
    assert maps.edges([[0, 0]] * 3, [-1, 0, 1]) == [(1, 0), (2, 1)]
    assert len(maps.edges([[0, 0]] * 1001, [-1, *range(1000)], most=300)) == 250


def test_along_a_path():
    assert maps.along([[0, 0], [1, 0], [1, 3]], 5) == [[0, 0], [1, 0], [1, 1], [1, 2], [1, 3]]
    assert maps.along([[2, 2]], 2) == [[2, 2], [2, 2]]


def test_an_arm():
    scene = {**SCENE, "links": [1.0, 1.0], "discs": [[1.0, 1.0, 0.2]], "path": [[0.0, 0.0], [1.5, 0.0]]}
    text = str(maps.arm(scene))
    assert text.count("<polyline") == maps.POSES
    assert text.count('class="pose"') == maps.POSES - 2
    assert str(maps.arm({**scene, "path": []})).count("<polyline") == 2
