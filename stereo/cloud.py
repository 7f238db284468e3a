"""`to_cloud`: a `DepthMap` becomes a coloured `PointCloud` that knows each point's pixel; `as_grid` makes it an image again."""

import numpy as np
from numpy.typing import NDArray

from calib.errors import InputError, UsageError
from stereo.depth import depth_to_points
from stereo.drawing import to_8_bit
from stereo.maps import DepthMap, Float32, PointCloud

FAR_FROM_INFINITY = 1.0 / 3.0
"""relative sigma of depth above which a point is less than three sigma away from infinity"""


def to_cloud(
    depth: DepthMap,
    *,
    colour: NDArray[np.generic] | None = None,
    min_depth_m: float | None = None,
    max_depth_m: float | None = None,
    max_relative_sigma: float | None = FAR_FROM_INFINITY,
) -> PointCloud:
    """Points of all pixels with a finite depth, in the frame of the rectified left camera (x right, y down, z forward).

    Parameters
    ----------
    depth : DepthMap, (H, W)
    colour : (H, W) or (H, W, 3 in BGR order), uint8, uint16 or float32, optional
        The rectified left image. 16 bits and floats are stretched to 8 as `stereo.drawing.to_8_bit` does.
    min_depth_m, max_depth_m : float, optional
        Limits of Z, both included.
    max_relative_sigma : float or None
        Points with sigma_Z / Z above it are dropped; smaller keeps fewer, surer points. The default, 1/3, drops the points that
        cannot be told from infinity by three sigma: their position means nothing, and a few of them make every viewer zoom out
        until the rest is a dot. None keeps all. Points without an error bar are kept.

    Returns
    -------
    PointCloud
        In row order; empty when no pixel qualifies.

    Raises
    ------
    InputError
        A colour image of another size or type.
    UsageError
        Limits that leave no room.
    """
    _check_limits(min_depth_m, max_depth_m, max_relative_sigma)
    height, width = depth.depth_m.shape
    z = depth.depth_m
    keep = np.isfinite(z)
    if min_depth_m is not None:
        keep &= z >= min_depth_m
    if max_depth_m is not None:
        keep &= z <= max_depth_m
    if max_relative_sigma is not None:  # sigma_Z / Z = Z sigma(1/Z)
        with np.errstate(invalid="ignore", over="ignore"):
            keep &= ~(z.astype(np.float64) * depth.inverse_depth_sigma_per_m > max_relative_sigma)
    rows, columns = np.nonzero(keep)
    points = depth_to_points(z, depth.rig)[rows, columns].astype(np.float32)
    return PointCloud(
        points,
        np.stack([columns, rows], -1).astype(np.int32),
        (width, height),
        None if colour is None else _colours(colour, (height, width))[rows, columns],
        depth.depth_sigma_m[rows, columns],
    )


def as_grid(cloud: PointCloud) -> Float32:
    """The cloud as an image: (H, W, 3) metres, NaN where the pixel has no point."""
    width, height = cloud.image_size
    grid = np.full((height, width, 3), np.nan, np.float32)
    grid[cloud.pixel_uv[:, 1], cloud.pixel_uv[:, 0]] = cloud.points_xyz_m
    return grid


def _check_limits(min_depth_m: float | None, max_depth_m: float | None, max_relative_sigma: float | None) -> None:
    low = 0.0 if min_depth_m is None else min_depth_m
    high = np.inf if max_depth_m is None else max_depth_m
    if not 0.0 <= low < high:
        raise UsageError(f"depth limits {low:g} m to {high:g} m leave no room; give 0 <= min_depth_m < max_depth_m")
    if max_relative_sigma is not None and not max_relative_sigma > 0.0:
        raise UsageError(f"max_relative_sigma is {max_relative_sigma:g}; it must be > 0 (None keeps every point)")


def _colours(image: NDArray[np.generic], shape: tuple[int, int]) -> NDArray[np.uint8]:
    if image.shape[:2] != shape:
        raise InputError(
            f"the colour image has shape {image.shape} but the depth map is {shape[1]} x {shape[0]} px;"
            " use the rectified left image (pair.left)"
        )
    picture = to_8_bit(image)
    return np.repeat(picture[..., None], 3, -1) if picture.ndim == 2 else picture
