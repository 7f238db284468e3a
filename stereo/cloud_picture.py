"""A picture of a point cloud from a slightly raised viewpoint, without a window, a display or a graphics library.

Each point becomes a small square whose size follows its distance (so that surfaces close), a z-buffer decides which one is seen,
and eye-dome lighting (Boucheny, "Interactive scientific visualisation of large datasets", 2009) darkens pixels that lie behind
their neighbours, which makes depth edges visible. Drawn at twice the size and averaged.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from calib.errors import QualityError, UsageError
from calib.geometry import Array, rotation_from_vector
from stereo.drawing import Picture, inferno
from stereo.maps import PointCloud

_OVERSAMPLING = 2
_LARGEST_SPLAT_PX = 6
_EYE_DOME = 6.0
_BACKGROUND_TOP, _BACKGROUND_BOTTOM = (58, 50, 44), (30, 26, 24)


def cloud_picture(
    cloud: PointCloud, *, width: int = 960, height: int = 640, yaw_deg: float = 16.0, pitch_deg: float = 12.0
) -> Picture:
    """The cloud on a dark ground, seen from beside and above the camera that took it.

    Parameters
    ----------
    cloud : PointCloud, (N,)
        Points without colour are coloured by inverse depth: near is warm and bright.
    width, height : int
        px of the picture, 16 to 8000
    yaw_deg, pitch_deg : float
        How far the viewpoint moves around the middle of the cloud: to the left and up, as seen by the camera; |yaw| <= 80,
        |pitch| <= 80. With both 0 the cloud is seen as the left camera saw it.

    Returns
    -------
    (height, width, 3) uint8, BGR

    Raises
    ------
    QualityError
        An empty cloud.
    UsageError
        A size or an angle out of range.
    """
    if not (16 <= width <= 8000 and 16 <= height <= 8000):
        raise UsageError(f"picture size {width} x {height} px; each side must be in 16 to 8000")
    if not (abs(yaw_deg) <= 80.0 and abs(pitch_deg) <= 80.0):
        raise UsageError(f"view angles {yaw_deg:g} and {pitch_deg:g} degrees; each must be in -80 to 80")
    if not len(cloud.points_xyz_m):
        raise QualityError("the cloud has no points, so there is nothing to draw")
    points = cloud.points_xyz_m.astype(np.float64)
    seen = _turn(points, yaw_deg, pitch_deg)
    ahead = seen[:, 2] > 0.02 * float(np.median(points[:, 2]))
    if not ahead.any():
        raise QualityError("no point of the cloud lies in front of the viewpoint; choose smaller angles")
    seen, size = seen[ahead], (width * _OVERSAMPLING, height * _OVERSAMPLING)
    uv, focal = _fit(seen, size)
    side = focal * _spacing(cloud, points)[ahead] / seen[:, 2]
    index, depth = _splat(uv, seen[:, 2], side, size)
    colours = _colours(cloud, points)[ahead]
    picture = _background(size)
    hit = index >= 0
    shade = _eye_dome(depth, hit)
    picture[hit] = colours[index[hit]] * shade[hit][:, None]
    return np.asarray(cv2.resize(np.rint(picture).astype(np.uint8), (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _turn(points: Array, yaw_deg: float, pitch_deg: float) -> Array:
    """Coordinates in the camera after it has moved left and up on a sphere around the cloud's middle, still looking at it."""
    near, median = np.percentile(points[:, 2], (5.0, 50.0))
    middle = np.array([*np.median(points[:, :2], axis=0), 0.7 * near + 0.3 * median])
    turn = rotation_from_vector([np.radians(pitch_deg), 0.0, 0.0]) @ rotation_from_vector([0.0, np.radians(-yaw_deg), 0.0])
    return np.asarray((points - middle) @ turn.T + middle)


def _fit(seen: Array, size: tuple[int, int]) -> tuple[Array, float]:
    """Pixels of the points, scaled and moved so that nearly all of them (percentiles 1 to 99) fill the picture."""
    xy = seen[:, :2] / seen[:, 2:]
    low, high = np.percentile(xy, (1.0, 99.0), axis=0)
    span = np.maximum(high - low, 1e-6)
    focal = float((0.94 * np.array(size) / span).min())
    return np.asarray((xy - 0.5 * (low + high)) * focal + (np.array(size) - 1.0) / 2.0), focal


def _spacing(cloud: PointCloud, points: Array) -> Array:
    """(N,) metres between neighbours of the pixel grid: Z / f, with f read off the points themselves (X/Z = (u - cx)/f)."""
    u, ratio = cloud.pixel_uv[:, 0].astype(np.float64), points[:, 0] / points[:, 2]
    spread = float(np.var(u))
    slope = float(np.cov(u, ratio, bias=True)[0, 1]) / spread if spread > 0.0 else 0.0
    return np.asarray(points[:, 2] * (abs(slope) if slope else 1.0 / max(cloud.image_size)))


def _splat(uv: Array, z: Array, side: Array, size: tuple[int, int]) -> tuple[NDArray[np.int64], Array]:
    """z-buffer: for each pixel the index of the nearest point that covers it (-1: none) and its z."""
    width, height = size
    # One integer holds depth and index, so that the minimum decides both, the same on every machine.
    quantised = np.rint((z - z.min()) / max(float(np.ptp(z)), 1e-300) * (2**31 - 1)).astype(np.int64)
    key = (quantised << 32) | np.arange(len(z))
    empty = np.int64(2**63 - 1)
    buffer = np.full(width * height, empty)
    # 1.7: a surface seen at a slant spreads its points.
    pixels = np.clip(np.ceil(1.7 * side), 1, _LARGEST_SPLAT_PX * _OVERSAMPLING).astype(np.int64)
    left, top = (np.floor(uv[:, i] - (pixels - 1) / 2.0 + 0.5) for i in (0, 1))
    near = (left > -64) & (left < width + 64) & (top > -64) & (top < height + 64)
    key, pixels, x0, y0 = key[near], pixels[near], left[near].astype(np.int64), top[near].astype(np.int64)
    for dy in range(int(pixels.max(initial=0))):
        for dx in range(int(pixels.max(initial=0))):
            x, y = x0 + dx, y0 + dy
            use = (pixels > max(dx, dy)) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
            np.minimum.at(buffer, y[use] * width + x[use], key[use])
    index = np.where(buffer == empty, -1, buffer & 0xFFFFFFFF).reshape(height, width)
    return index, np.where(index >= 0, z[index], np.inf)


def _eye_dome(depth: Array, hit: NDArray[np.bool_]) -> Array:
    """(H, W) factor in 0..1: how little a pixel lies behind its eight neighbours, in log depth."""
    log = np.where(hit, np.log2(np.where(hit, depth, 1.0)), 0.0)
    floor = np.where(hit, log, np.inf)
    total = np.zeros_like(log)
    radius = _OVERSAMPLING
    padded = np.pad(floor, radius, constant_values=np.inf)
    height, width = log.shape
    for dy in (-radius, 0, radius):
        for dx in (-radius, 0, radius):
            neighbour = padded[radius + dy : radius + dy + height, radius + dx : radius + dx + width]
            total += np.minimum(np.maximum(0.0, log - neighbour), 0.15)  # an empty neighbour (inf) casts no shadow
    return np.asarray(np.exp(-_EYE_DOME * total / 8.0))


def _colours(cloud: PointCloud, points: Array) -> Array:
    if cloud.colour_bgr is not None:
        return cloud.colour_bgr.astype(np.float64)
    rho = 1.0 / points[:, 2]
    low, high = np.percentile(rho, (2.0, 98.0))
    ramp = inferno()
    t = np.clip((rho - low) / max(float(high - low), 1e-12), 0.0, 1.0)
    return np.asarray(ramp[np.rint((0.15 + 0.85 * t) * (len(ramp) - 1)).astype(np.intp)], np.float64)


def _background(size: tuple[int, int]) -> Array:
    blend = np.linspace(0.0, 1.0, size[1])[:, None, None]
    rows = (1.0 - blend) * np.array(_BACKGROUND_TOP) + blend * np.array(_BACKGROUND_BOTTOM)
    return np.broadcast_to(rows, (size[1], size[0], 3)).copy()
