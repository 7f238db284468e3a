"""How pixels move with everything that a stereo calibration estimates: the rig's numbers, a board's pose, a board's points.

The rig's numbers are in the order of `calib.covariance.parameter_names`: left intrinsics, right intrinsics, the rotation vector w
(R_true = exp([w]x) R_right_left), the translation.
"""

from dataclasses import dataclass

import numpy as np

from calib import lens
from calib.camera import Camera
from calib.geometry import Array
from calib.rig import StereoRig

_LEAST_SHARE = 1e-13  # of the largest eigenvalue of the correlations: below, a direction is fixed, not estimated


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """Derivatives of K pixels of one camera, px per unit."""

    by_rig: Array
    """(K, 2, P)"""
    by_pose: Array
    """(K, 2, 6) rotation vector of the board about its origin in the left camera's frame, then its place, m"""
    by_point: Array
    """(K, 2, 3) the point itself, in the left camera's frame, m"""


def parameter_count(rig: StereoRig) -> int:
    """P: both cameras' intrinsics, and six for the motion between them."""
    return _intrinsics_count(rig.left) + _intrinsics_count(rig.right) + 6


def free_directions(rig: StereoRig) -> Array:
    """A square root of the rig's covariance without what was held fixed: B, (P, F), with B B^T = Sigma.

    A rig without covariance gives the identity: all numbers free, in their own units.
    """
    if rig.covariance is None:
        return np.eye(parameter_count(rig))
    matrix = rig.covariance.matrix
    sigma = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    safe = np.where(sigma > 0.0, sigma, 1.0)
    values, vectors = np.linalg.eigh(matrix / np.outer(safe, safe))
    free = values > _LEAST_SHARE * values.max(initial=0.0)
    return np.asarray(sigma[:, None] * vectors[:, free] * np.sqrt(values[free]))


def motion(rig: StereoRig, side: int, turned_m: Array, place_m: Array) -> Motion:
    """Derivatives of the pixels in which one camera sees points of boards.

    Parameters
    ----------
    rig : StereoRig
    side : int
        0 left, 1 right.
    turned_m : (K, 3) array
        R x: the points, turned as the board is, from the board's origin.
    place_m : (K, 3) or (3,) array
        t: the board's origin in the left camera's frame.

    Returns
    -------
    Motion
        Meaningless where the camera cannot see a point: callers look at `Camera.project`.
    """
    points = turned_m + place_m
    by_rig = np.zeros((len(points), 2, parameter_count(rig)))
    first = _intrinsics_count(rig.left)
    if side == 0:
        by_point, by_rig[:, :, :first] = pixel_derivatives(rig.left, points)
    else:
        rotated = points @ rig.R_right_left.T
        by_right, by_rig[:, :, first:-6] = pixel_derivatives(rig.right, rotated + rig.t_right_left_m)
        by_rig[:, :, -6:-3] = times_cross(by_right, rotated)
        by_rig[:, :, -3:] = by_right
        by_point = by_right @ rig.R_right_left
    return Motion(by_rig, np.concatenate([times_cross(by_point, turned_m), by_point], -1), by_point)


def pixel_derivatives(camera: Camera, points: Array) -> tuple[Array, Array]:
    """How the pixels of points (K, 3) in a camera's frame move with the points (K, 2, 3) and the intrinsics (K, 2, I)."""
    count = _intrinsics_count(camera)
    coefficients = camera.distortion if len(camera.distortion) else np.zeros(4)
    intrinsics = np.concatenate([[camera.focal_x_px, camera.focal_y_px, camera.centre_x_px, camera.centre_y_px], coefficients])
    model = "fisheye" if camera.is_fisheye else f"radtan{len(coefficients)}"
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # points in the plane of a pinhole; nobody sees them
        _, by_point, by_intrinsics = lens.project(model, intrinsics, points)
    return by_point, by_intrinsics[:, :, :count]


def times_cross(rows: Array, turned: Array) -> Array:
    """-J [v]x for J (K, 2, 3) and v (K, 3): how J moves when v is turned about its origin (d exp([w]x) v = -[v]x dw)."""
    return np.cross(turned[:, None], rows)


def _intrinsics_count(camera: Camera) -> int:
    return 4 + len(camera.distortion)
