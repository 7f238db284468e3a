"""The fisheye lens of Kannala and Brandt: the angle from the axis against the distance from the centre of the image.

theta_d = theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8), angles in radians, as `cv2.fisheye` has it. (Kannala,
Brandt: "A generic camera model and calibration method for conventional, wide-angle, and fish-eye lenses", PAMI 2006, equation 6.)
"""

import numpy as np
from numpy.typing import ArrayLike

from calib.geometry import Array

_ITERATIONS = 100  # bisection alone would need 60
_TOLERANCE = 4e-16  # of theta


def project(points_xyz: ArrayLike, k: ArrayLike) -> Array:
    """Image positions in units of the focal length, from the principal point: theta_d along the direction of (x, y).

    Parameters
    ----------
    points_xyz : (..., 3) array
        In the camera's frame, any unit; z may be negative.
    k : (4,) array

    Returns
    -------
    (..., 2) array; NaN from the fold of the lens on, for the camera's own centre, and straight behind (a circle, no position).
    """
    p = np.asarray(points_xyz, np.float64)
    r = np.hypot(p[..., 0], p[..., 1])
    theta = np.arctan2(r, p[..., 2])
    is_seen = (theta < fold_angle_rad(k)) & ((r > 0.0) | (p[..., 2] > 0.0)) & np.isfinite(p).all(-1)
    along = np.where(is_seen[..., None], p[..., :2], np.nan) / np.where(r > 0.0, r, 1.0)[..., None]
    return np.asarray(along * distorted_angle(theta, k)[..., None])


def unproject(xy: ArrayLike, k: ArrayLike) -> Array:
    """Unit vectors towards image positions: the inverse of `project`.

    Parameters
    ----------
    xy : (..., 2) array, in units of the focal length
    k : (4,) array

    Returns
    -------
    (..., 3) array; NaN beyond the fold of the lens.
    """
    at = np.asarray(xy, np.float64)
    theta_d = np.hypot(at[..., 0], at[..., 1])
    theta = undistorted_angle(theta_d, k)
    along = at / np.where(theta_d > 0.0, theta_d, 1.0)[..., None]
    return np.concatenate([along * np.sin(theta)[..., None], np.cos(theta)[..., None]], -1)


def fold_angle_rad(k: ArrayLike) -> float:
    """The angle at which theta_d stops growing; pi, the whole sphere, where it grows all the way.

    The smallest positive root of d theta_d / d theta = 1 + 3 k1 u + 5 k2 u^2 + 7 k3 u^3 + 9 k4 u^4, u = theta^2.

    Parameters
    ----------
    k : (4,) array
    """
    # In w = 1 / u the polynomial is monic, and its largest root well conditioned even where the last coefficients are tiny.
    w = np.polynomial.Polynomial([*(np.array([9.0, 7.0, 5.0, 3.0]) * np.asarray(k, np.float64)[::-1]), 1.0]).roots()
    real = w[np.abs(w.imag) < 1e-9 * np.maximum(np.abs(w), 1.0)].real
    return float(min(np.pi, 1.0 / np.sqrt(real.max(initial=1e-300))))


def distorted_angle(theta: ArrayLike, k: ArrayLike) -> Array:
    """theta_d of angles from the axis, radians; any shape."""
    t = np.asarray(theta, np.float64)
    k1, k2, k3, k4 = np.asarray(k, np.float64)
    u = t * t
    return np.asarray(t * (1.0 + u * (k1 + u * (k2 + u * (k3 + u * k4)))))


def undistorted_angle(theta_d: ArrayLike, k: ArrayLike) -> Array:
    """Angles from the axis whose distorted angle is `theta_d`: Newton's method kept between bounds that bisection narrows.

    Parameters
    ----------
    theta_d : array of any shape, radians, >= 0
    k : (4,) array

    Returns
    -------
    array of the same shape, in [0, fold_angle_rad(k)); NaN for theta_d that the lens does not reach before its fold, and for NaN.
    """
    given = np.asarray(theta_d, np.float64)
    k1, k2, k3, k4 = np.asarray(k, np.float64)
    fold = fold_angle_rad(k)
    seen = (given >= 0.0) & (given < distorted_angle(fold, k))  # False for NaN
    wanted = given[seen]
    theta, low, high = np.minimum(wanted, 0.5 * fold), np.zeros_like(wanted), np.full_like(wanted, fold)
    active = np.arange(len(wanted))
    for _ in range(_ITERATIONS):
        t, a, b = theta[active], low[active], high[active]
        error = distorted_angle(t, k) - wanted[active]
        a, b = np.where(error < 0.0, t, a), np.where(error > 0.0, t, b)
        u = t * t
        slope = 1.0 + u * (3.0 * k1 + u * (5.0 * k2 + u * (7.0 * k3 + u * 9.0 * k4)))
        newton = t - error / np.where(slope > 0.0, slope, 1.0)
        is_near = np.abs(newton - t) <= _TOLERANCE * t
        good = is_near | ((newton > a) & (newton < b))
        new = np.where(good & (slope > 0.0), newton, 0.5 * (a + b))
        theta[active], low[active], high[active] = np.clip(new, a, b), a, b
        active = active[~((is_near & (slope > 0.0)) | (b - a <= _TOLERANCE * b) | (error == 0.0))]
        if not len(active):
            break
    result = np.full(given.shape, np.nan)
    result[seen] = theta
    return result
