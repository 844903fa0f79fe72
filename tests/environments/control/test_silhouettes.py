"""Pictures of MuJoCo's scenes: farthest points by their closed forms, areas, what hides what, and the floor."""

import mujoco
import numpy as np
import pytest

from milepost.environments.control import silhouettes
from milepost.environments.control.silhouettes import BOX, CAPSULE, CYLINDER, ELLIPSOID, MESH, SPHERE, Camera, farthest
from milepost.errors import SettingError

ABOVE = Camera(azimuth=90, elevation=-90, width=80, height=80, reach=1.0)


def scene(bodies, camera=ABOVE):
    text = f"<mujoco><worldbody>{bodies}</worldbody></mujoco>"
    model = mujoco.MjModel.from_xml_string(text)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return silhouettes.drawn(model, data, camera)


def red(image):
    return (image[..., 0] > 100) & (image[..., 1] < 60)


@pytest.mark.parametrize(
    ("kind", "reach"),
    [
        (SPHERE, lambda d, s: s[0]),
        (CAPSULE, lambda d, s: s[0] + s[1] * abs(d[2])),
        (ELLIPSOID, lambda d, s: np.linalg.norm(s * d)),
        (CYLINDER, lambda d, s: s[0] * np.hypot(d[0], d[1]) + s[1] * abs(d[2])),
        (BOX, lambda d, s: np.abs(s * d).sum()),
    ],
)
def test_the_farthest_point_has_the_value_of_the_support_function(kind, reach):
    directions = np.random.default_rng(0).standard_normal((50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    size = np.array([0.3, 0.7, 0.5])
    found = (farthest(kind, size, directions) * directions).sum(1)
    assert np.allclose(found, [reach(d, size) for d in directions], atol=1e-12)


def test_a_mesh_has_its_corners():
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]])
    found = farthest(MESH, np.zeros(3), np.array([[1.0, 0, 0], [0, 1, 0], [-1, -1, 0]]), corners)
    assert found.tolist() == [[1, 0, 0], [0, 2, 0], [0, 0, 0]]


def test_axes_are_orthonormal_and_the_eye_is_above():
    axes = Camera(azimuth=37, elevation=-28).axes()
    assert np.allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.isclose(np.linalg.det(axes), 1)
    assert axes[2][2] > 0
    assert axes[1][2] > 0


def test_a_ball_is_a_disc_of_its_area():
    image = scene('<geom type="sphere" size="0.5" rgba="1 0 0 1"/>')
    assert image.shape == (80, 80, 3)
    assert red(image).mean() == pytest.approx(np.pi * 0.25 / 4, rel=0.05)
    ball = np.argwhere(red(image))
    assert abs(ball.mean(0) - 39.5).max() < 0.6


def test_right_is_right_and_the_nearer_body_hides_the_other():
    bodies = '<geom type="sphere" size="0.2" pos="0.5 0.6 0" rgba="1 0 0 1"/>'
    place = np.argwhere(red(scene(bodies))).mean(0)
    assert place[1] > 50  # x to the right
    assert place[0] < 30  # y upwards
    lid = '<geom type="box" size="0.3 0.3 0.01" pos="0.5 0.6 {}" rgba="0 0 1 1"/>'
    assert red(scene(bodies + lid.format(0.5))).sum() == 0
    assert red(scene(bodies + lid.format(-0.5))).sum() > 100


def test_the_floor_shows_what_moves():
    floor, ball = '<geom type="plane" size="9 9 1"/>', '<geom type="sphere" size="0.2" pos="{} 0 0.2"/>'
    camera = Camera(width=60, height=40)
    one, other = (scene(floor + ball.format(x), camera) for x in (0.0, 0.1))
    assert (one != other).any()
    assert np.array_equal(one, scene(floor + ball.format(0.0), camera))
    with pytest.raises(SettingError):
        Camera(width=0)


def test_what_is_see_through_is_left_out():
    assert red(scene('<geom type="sphere" size="0.5" rgba="1 0 0 0.05"/>')).sum() == 0
