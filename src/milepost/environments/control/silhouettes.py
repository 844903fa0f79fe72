"""A MuJoCo scene as a small picture, drawn from its geometry: no graphics driver, and the same bytes on every machine.

Every body is the polygon of its farthest points in some directions of the screen, painted from back to front. So what
is hollow looks filled, and light and shadow are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from milepost import checks

PLANE, SPHERE, CAPSULE, ELLIPSOID, CYLINDER, BOX, MESH = 0, 2, 3, 4, 5, 6, 7
"""MuJoCo's kinds of geometry."""
_SKY, _FLOOR = np.array((238.0, 241.0, 245.0)), np.array(((205.0, 211.0, 218.0), (218.0, 223.0, 229.0)))
_LIT, _DARK = 0.92, 0.55
_HIDDEN_GROUP, _HIDDEN_ALPHA = 3, 0.1


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Where a scene is looked at from: parallel rays, around its middle."""

    azimuth: float = 120.0
    """Degrees around the vertical axis, as MuJoCo counts them: 90 looks along y."""
    elevation: float = -28.0
    """Degrees; -90 looks straight down."""
    width: int = 160
    """Of the picture, in pixels."""
    height: int = 120
    around: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Middle of the picture, in metres, where `reach` is given."""
    reach: float = 0.0
    """Half of the picture's shorter side, in metres; 0 shows everything."""

    def __post_init__(self) -> None:
        """Check the size."""
        checks.at_least("width", self.width, 1)
        checks.at_least("height", self.height, 1)
        checks.non_negative("reach", self.reach)

    def axes(self) -> NDArray[np.float64]:
        """Right, up and towards the eye, as rows.

        Returns:
            An orthonormal matrix of 3 x 3.
        """
        turn, lift = np.radians(self.azimuth), np.radians(self.elevation)
        ahead = np.array((np.cos(lift) * np.cos(turn), np.cos(lift) * np.sin(turn), np.sin(lift)))
        right = np.array((np.sin(turn), -np.cos(turn), 0.0))
        return np.stack((right, np.cross(right, ahead), -ahead))


def farthest(
    kind: int, size: NDArray[np.float64], direction: NDArray[np.float64], vertices: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """The point of a body that lies farthest in each direction, in the body's own frame.

        sphere r d;   capsule r d + h sign(d_z) e_z;   box s sign(d);   ellipsoid s^2 d / |s d|;
        cylinder r (d_x, d_y) / |(d_x, d_y)| + h sign(d_z) e_z;   mesh argmax_v v d

    Args:
        kind: one of `SPHERE`, `CAPSULE`, `ELLIPSOID`, `CYLINDER`, `BOX`, `MESH`.
        size: MuJoCo's three numbers: radius, half length, or half sides.
        direction: of length 1, shape (k, 3).
        vertices: of a mesh, shape (v, 3).

    Returns:
        Shape (k, 3).

    Source: support functions of convex bodies.
    """
    sign = np.where(direction >= 0, 1.0, -1.0)
    if kind == MESH and vertices is not None:
        return vertices[(direction @ vertices.T).argmax(1)]
    if kind == BOX:
        return sign * size
    if kind == ELLIPSOID:
        return size**2 * direction / np.linalg.norm(size * direction, axis=1, keepdims=True).clip(1e-12)
    tip = np.zeros_like(direction)
    if kind == SPHERE:
        return size[0] * direction
    tip[:, 2] = size[1] * sign[:, 2]
    if kind == CAPSULE:
        return size[0] * direction + tip
    flat = direction.copy()
    flat[:, 2] = 0
    return size[0] * flat / np.linalg.norm(flat, axis=1, keepdims=True).clip(1e-12) + tip


def drawn(model: Any, data: Any, camera: Camera | None = None) -> NDArray[np.uint8]:
    """Draw a scene.

    Args:
        model: `mujoco.MjModel`.
        data: `mujoco.MjData`, after a forward pass.
        camera: where from.

    Returns:
        Red, green and blue, shape (height, width, 3).
    """
    camera = camera or Camera()
    axes = camera.axes()
    shown = [geom for geom in range(model.ngeom) if _visible(model, geom)]
    outlines = [(geom, _outline(model, data, geom, axes)) for geom in shown]
    middle, reach = axes @ np.array(camera.around), camera.reach
    if not reach:
        middle, reach = _framing(model, [outline for _, outline in outlines], axes)
    scale = min(camera.width, camera.height) / (2 * reach)
    canvas = _ground(model, data, camera, axes, middle, scale)
    for geom, outline in sorted(outlines, key=lambda pair: pair[1][:, 2].min()):
        x = (outline[:, 0] - middle[0]) * 2 * scale + camera.width
        y = camera.height - (outline[:, 1] - middle[1]) * 2 * scale
        _paint(canvas, x, y, 255 * _colour(model, geom))
    half = canvas.reshape(camera.height, 2, camera.width, 2, 3).mean((1, 3))
    return np.round(half).clip(0, 255).astype(np.uint8)


def _visible(model: Any, geom: int) -> bool:
    kind, group = int(model.geom_type[geom]), int(model.geom_group[geom])
    alpha = model.mat_rgba[model.geom_matid[geom]][3] if model.geom_matid[geom] >= 0 else model.geom_rgba[geom][3]
    return kind >= SPHERE and kind <= MESH and group < _HIDDEN_GROUP and float(alpha) > _HIDDEN_ALPHA


def _colour(model: Any, geom: int) -> NDArray[np.float64]:
    rgba = model.mat_rgba[model.geom_matid[geom]] if model.geom_matid[geom] >= 0 else model.geom_rgba[geom]
    return np.asarray(rgba[:3], dtype=np.float64)


def _outline(model: Any, data: Any, geom: int, axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners of a body on the screen, and how near each is to the eye; lengths of the world."""
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    outward = np.cos(angle)[:, None] * axes[0] + np.sin(angle)[:, None] * axes[1]
    turn = np.asarray(data.geom_xmat[geom]).reshape(3, 3)
    vertices, mesh = None, int(model.geom_dataid[geom])
    if int(model.geom_type[geom]) == MESH:
        first = int(model.mesh_vertadr[mesh])
        vertices = np.asarray(model.mesh_vert[first : first + int(model.mesh_vertnum[mesh])], dtype=np.float64)
    size = np.asarray(model.geom_size[geom], dtype=np.float64)
    own = farthest(int(model.geom_type[geom]), size, outward @ turn, vertices)
    return (own @ turn.T + np.asarray(data.geom_xpos[geom])) @ axes.T


def _framing(model: Any, outlines: list[NDArray[np.float64]], axes: NDArray[np.float64]) -> tuple[Any, float]:
    """Middle of the screen and half of what it shows, in lengths of the world."""
    if not outlines:
        return axes @ np.asarray(model.stat.center), float(model.stat.extent)
    corners = np.concatenate(outlines)
    low, high = corners.min(0), corners.max(0)
    return (low + high) / 2, 0.58 * float((high - low)[:2].max())


def _ground(
    model: Any, data: Any, camera: Camera, axes: NDArray[np.float64], middle: NDArray[np.float64], scale: float
) -> NDArray[np.float64]:
    """The floor as a chequered plane, so that what moves is seen to move; the sky where there is none."""
    canvas = np.broadcast_to(_SKY, (2 * camera.height, 2 * camera.width, 3)).copy()
    floors = [geom for geom in range(model.ngeom) if int(model.geom_type[geom]) == PLANE]
    if not floors or abs(axes[2][2]) < 1e-6:
        return canvas
    across = (np.arange(2 * camera.width) - camera.width + 0.5) / (2 * scale)
    upward = (camera.height - np.arange(2 * camera.height) - 0.5) / (2 * scale)
    place = (middle @ axes)[None, None] + across[None, :, None] * axes[0] + upward[:, None, None] * axes[1]
    depth = (float(data.geom_xpos[floors[0]][2]) - place[..., 2]) / axes[2][2]
    ground = place + depth[..., None] * axes[2]
    side = 2.0 ** np.round(np.log2(min(camera.width, camera.height) / (5 * scale)))
    tile = np.floor(ground[..., 0] / side) + np.floor(ground[..., 1] / side)
    return _FLOOR[tile.astype(np.int64) % 2]


def _paint(
    canvas: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64], colour: NDArray[np.float64]
) -> None:
    """Fill a convex polygon, lighter above, with a dark rim of one pixel."""
    tall, wide = canvas.shape[:2]
    left, right = max(0, int(x.min()) - 1), min(wide, int(x.max()) + 2)
    top, bottom = max(0, int(y.min()) - 1), min(tall, int(y.max()) + 2)
    if left >= right or top >= bottom:
        return
    column, row = np.arange(left, right)[None, :] + 0.5, np.arange(top, bottom)[:, None] + 0.5
    inside = np.full((bottom - top, right - left), np.inf)
    for a, b in zip(range(len(x)), (*range(1, len(x)), 0), strict=True):
        length = float(np.hypot(x[b] - x[a], y[b] - y[a]))
        if length > 1e-9:  # the corners run against the clock on a screen whose rows go down
            away = ((y[a] - y[b]) * (column - x[a]) + (x[b] - x[a]) * (row - y[a])) / -length
            inside = np.minimum(inside, away)
    shade = (colour * _LIT)[None, None] + np.zeros((*inside.shape, 1))
    shade = np.where((inside < 1.2)[..., None], shade * _DARK, shade)
    canvas[top:bottom, left:right] = np.where((inside > 0)[..., None], shade, canvas[top:bottom, left:right])
