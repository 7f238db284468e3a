"""Lens models with their derivatives: directions in a camera's frame to pixels.

Intrinsics are one vector: fx fy cx cy, then the coefficients. "radtan4" k1 k2 p1 p2, "radtan5" with k3, "radtan8" with k4 k5 k6,
"radtan12" with s1 s2 s3 s4, in OpenCV's order ("Camera Calibration and 3D Reconstruction", detailed description); "fisheye" k1 to
k4 of Kannala and Brandt, "A Generic Camera Model ...", PAMI 2006, eq. 6 as `cv2.fisheye` has it:
theta_d = theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8).
"""

import numpy as np

from calib.errors import UsageError
from calib.geometry import Array

COEFFICIENTS = {"radtan4": 4, "radtan5": 5, "radtan8": 8, "radtan12": 12, "fisheye": 4}
"""lens models and their number of coefficients"""
_ON_AXIS = 1e-9


def check_model(model: str) -> None:
    """Refuse a lens model that is not known."""
    if model not in COEFFICIENTS:
        raise UsageError(f"unknown lens model {model!r}; known are {', '.join(COEFFICIENTS)}")


def is_fisheye(model: str) -> bool:
    """True for the model whose rays are angles, not tangents."""
    return model == "fisheye"


def project(model: str, intrinsics: Array, points: Array) -> tuple[Array, Array, Array]:
    """Pixels of points, and how they move with the points and with the intrinsics.

    Parameters
    ----------
    model : str
        One of `COEFFICIENTS`.
    intrinsics : (P,) array
    points : (K, 3) array
        In the camera's frame. What lies behind a pinhole is projected, too, as the formulas have it: callers that care look at z.

    Returns
    -------
    uv : (K, 2) array, px
    by_point : (K, 2, 3) array
    by_intrinsics : (K, 2, P) array
    """
    normalised = _fisheye if is_fisheye(model) else _radtan
    xy, by_point, by_coefficients = normalised(intrinsics[4:], points)
    focal = intrinsics[:2]
    by_intrinsics = np.zeros((len(points), 2, len(intrinsics)))
    by_intrinsics[:, 0, 0], by_intrinsics[:, 1, 1] = xy[:, 0], xy[:, 1]
    by_intrinsics[:, 0, 2] = by_intrinsics[:, 1, 3] = 1.0
    by_intrinsics[:, :, 4:] = by_coefficients * focal[:, None]
    return xy * focal + intrinsics[2:4], by_point * focal[:, None], by_intrinsics


def _radtan(coefficients: Array, points: Array) -> tuple[Array, Array, Array]:
    count = len(coefficients)
    full = np.zeros(12)
    full[:count] = coefficients
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4 = full
    inverse = 1.0 / points[:, 2]
    x, y = points[:, 0] * inverse, points[:, 1] * inverse
    xx, yy, xy = x * x, y * y, x * y
    r2 = xx + yy
    numerator = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
    denominator = 1.0 + r2 * (k4 + r2 * (k5 + r2 * k6))
    radial = numerator / denominator
    slope = ((k1 + r2 * (2.0 * k2 + 3.0 * r2 * k3)) - radial * (k4 + r2 * (2.0 * k5 + 3.0 * r2 * k6))) / denominator
    bent = np.stack(
        [
            x * radial + 2.0 * p1 * xy + p2 * (r2 + 2.0 * xx) + r2 * (s1 + r2 * s2),
            y * radial + p1 * (r2 + 2.0 * yy) + 2.0 * p2 * xy + r2 * (s3 + r2 * s4),
        ],
        -1,
    )
    prism_x, prism_y = 2.0 * (s1 + 2.0 * r2 * s2), 2.0 * (s3 + 2.0 * r2 * s4)
    xx_ = radial + 2.0 * slope * xx + 2.0 * p1 * y + 6.0 * p2 * x + prism_x * x
    xy_ = 2.0 * slope * xy + 2.0 * p1 * x + 2.0 * p2 * y + prism_x * y
    yx_ = 2.0 * slope * xy + 2.0 * p1 * x + 2.0 * p2 * y + prism_y * x
    yy_ = radial + 2.0 * slope * yy + 6.0 * p1 * y + 2.0 * p2 * x + prism_y * y
    by_point = np.empty((len(points), 2, 3))
    by_point[:, 0, 0], by_point[:, 0, 1] = xx_ * inverse, xy_ * inverse
    by_point[:, 1, 0], by_point[:, 1, 1] = yx_ * inverse, yy_ * inverse
    by_point[:, 0, 2] = -(xx_ * x + xy_ * y) * inverse
    by_point[:, 1, 2] = -(yx_ * x + yy_ * y) * inverse
    rays = np.stack([x, y], -1)
    r4, r6 = r2 * r2, r2 * r2 * r2
    zero = np.zeros_like(r2)
    columns = [rays * (r2 / denominator)[:, None], rays * (r4 / denominator)[:, None]]
    columns += [np.stack([2.0 * xy, r2 + 2.0 * yy], -1), np.stack([r2 + 2.0 * xx, 2.0 * xy], -1)]
    if count > 4:
        columns.append(rays * (r6 / denominator)[:, None])
    if count > 5:
        columns += [rays * (-radial * power / denominator)[:, None] for power in (r2, r4, r6)]
    if count > 8:
        columns += [np.stack(pair, -1) for pair in ((r2, zero), (r4, zero), (zero, r2), (zero, r4))]
    return bent, by_point, np.stack(columns, -1)


def _fisheye(coefficients: Array, points: Array) -> tuple[Array, Array, Array]:
    k1, k2, k3, k4 = coefficients
    x, y, z = points.T
    flat = np.hypot(x, y)
    on_axis = flat < _ON_AXIS * np.abs(z)
    safe = np.where(on_axis, 1.0, flat)
    theta = np.arctan2(flat, z)
    square = theta * theta
    bent = theta * (1.0 + square * (k1 + square * (k2 + square * (k3 + square * k4))))
    slope = 1.0 + square * (3.0 * k1 + square * (5.0 * k2 + square * (7.0 * k3 + square * 9.0 * k4)))
    scale = np.where(on_axis, 1.0 / np.where(on_axis, z, 1.0), bent / safe)  # of (x, y)
    norm2 = flat * flat + z * z
    across = slope * z / norm2  # d theta_d / d flat
    along = -slope * flat / norm2  # d theta_d / d z
    bend = np.where(on_axis, 0.0, (across - scale) / (safe * safe))
    by_point = np.empty((len(points), 2, 3))
    by_point[:, 0, 0], by_point[:, 0, 1] = scale + x * x * bend, x * y * bend
    by_point[:, 1, 0], by_point[:, 1, 1] = x * y * bend, scale + y * y * bend
    push = np.where(on_axis, -scale / np.where(on_axis, z, 1.0), along / safe)
    by_point[:, 0, 2], by_point[:, 1, 2] = x * push, y * push
    direction = points[:, :2] / safe[:, None]
    powers = np.stack([theta * square**n for n in (1, 2, 3, 4)], -1)
    return points[:, :2] * scale[:, None], by_point, direction[:, :, None] * powers[:, None, :]
