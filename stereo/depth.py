"""Disparity, inverse depth and depth: the exact conversions, and `to_depth`, which makes a `DepthMap` of a `DisparityMap`.

With d = x_left - x_right in rectified pixels, f the focal length in x, B the baseline and doffs = cx_right - cx_left::

    1/Z = (d + doffs) / (f B)        finite for every d; 0 at infinity, negative beyond it
    Z   = f B / (d + doffs)

(Middlebury 2014, calibration file format; Hartley and Zisserman, "Multiple View Geometry", 2nd ed., section 11.12.) Inverse depth
is linear in d, so its error bar does not depend on range: average, align and fuse there, never in Z, whose mean is biased.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib.errors import InputError, UsageError
from calib.rig import StereoRig
from stereo.maps import DepthMap, DisparityMap, Reason

Float64 = NDArray[np.float64]

_DOFFS_STEPS_PER_PX = 2.0**36


def to_depth(disparity: DisparityMap, *, rig: StereoRig | None = None) -> DepthMap:
    """Metric depth, inverse depth and their error bars from a disparity map.

    d + doffs = 0 is a measurement: Z = +inf, 1/Z = 0. Where d + doffs < 0 the point lies beyond infinity: Z is NaN, 1/Z is kept
    and `Reason.BEYOND_INFINITY` is set. Where there is no disparity all three are NaN. The arithmetic is in float64.

    Parameters
    ----------
    disparity : DisparityMap, (H, W)
    rig : StereoRig, optional
        The rectified rig, for a map that carries none.

    Returns
    -------
    DepthMap, (H, W)
        `inverse_depth_sigma_per_m` is the matcher's part, sigma_px / (f B).

    Raises
    ------
    UsageError
        No rig at all, two different rigs, or a rig that is not rectified.
    InputError
        A rig of another image size.
    """
    rig = _choose_rig(disparity, rig)
    # Principal points are written in decimals, so their difference may be off: 281.9 - 250.9 is 30.99999999999997. That turns
    # infinity into "beyond" (or into a depth of 10^15 m). On a grid of 2^-36 px (1.5e-11) the sum with a float32 disparity
    # is exact: infinity is met, and d - k with doffs + k (images cropped or padded) gives the same bits.
    doffs = round(rig.doffs_px * _DOFFS_STEPS_PER_PX) / _DOFFS_STEPS_PER_PX
    d = disparity.disparity_px.astype(np.float64)
    inverse = disparity_to_inverse_depth(d, focal_px=rig.focal_px, baseline_m=rig.baseline_m, doffs_px=doffs)
    with np.errstate(over="ignore"):  # a depth above 3e38 m is infinite in float32
        depth = inverse_depth_to_depth(inverse).astype(np.float32)
    beyond = np.uint16(Reason.BEYOND_INFINITY)
    reason = np.where(inverse < 0.0, disparity.reason | beyond, disparity.reason & ~beyond)
    sigma = np.where(np.isnan(d), np.nan, disparity.sigma_px.astype(np.float64) / (rig.focal_px * rig.baseline_m))
    return DepthMap(depth, inverse.astype(np.float32), sigma.astype(np.float32), reason.astype(np.uint16), rig)


def disparity_to_inverse_depth(disparity_px: ArrayLike, *, focal_px: float, baseline_m: float, doffs_px: float = 0.0) -> Float64:
    """1/Z = (d + doffs) / (f B), 1 / metres; any shape, either sign, NaN stays NaN."""
    d = np.asarray(disparity_px, np.float64)
    return np.asarray((d + doffs_px) / _focal_times_baseline(focal_px, baseline_m))


def inverse_depth_to_disparity(
    inverse_depth_per_m: ArrayLike, *, focal_px: float, baseline_m: float, doffs_px: float = 0.0
) -> Float64:
    """Disparity d = f B / Z - doffs, px: the inverse of `disparity_to_inverse_depth` for either sign."""
    rho = np.asarray(inverse_depth_per_m, np.float64)
    return np.asarray(rho * _focal_times_baseline(focal_px, baseline_m) - doffs_px)


def inverse_depth_to_depth(inverse_depth_per_m: ArrayLike) -> Float64:
    """Z in metres: +inf where 1/Z = 0, NaN where it is negative (beyond infinity) or NaN."""
    rho = np.asarray(inverse_depth_per_m, np.float64)
    with np.errstate(divide="ignore", over="ignore"):
        depth = 1.0 / np.where(rho == 0.0, 0.0, rho)  # the `where` turns -0 into +0
    return np.where(rho >= 0.0, depth, np.nan)


def depth_to_inverse_depth(depth_m: ArrayLike) -> Float64:
    """1/Z in 1 / metres: 0 where Z = +inf, NaN where Z is NaN or not positive (no point stands there)."""
    z = np.asarray(depth_m, np.float64)
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / np.where(z > 0.0, z, np.nan))


def disparity_to_depth(disparity_px: ArrayLike, *, focal_px: float, baseline_m: float, doffs_px: float = 0.0) -> Float64:
    """Z = f B / (d + doffs), metres: +inf where d + doffs = 0, NaN where it is negative or NaN."""
    total = np.asarray(disparity_px, np.float64) + doffs_px
    with np.errstate(divide="ignore", over="ignore"):
        depth = _focal_times_baseline(focal_px, baseline_m) / np.where(total == 0.0, 0.0, total)
    return np.where(total >= 0.0, depth, np.nan)


def depth_to_disparity(depth_m: ArrayLike, *, focal_px: float, baseline_m: float, doffs_px: float = 0.0) -> Float64:
    """Disparity d = f B / Z - doffs, px: -doffs where Z = +inf, NaN where Z is NaN or not positive."""
    z = np.asarray(depth_m, np.float64)
    with np.errstate(over="ignore"):
        return np.asarray(_focal_times_baseline(focal_px, baseline_m) / np.where(z > 0.0, z, np.nan) - doffs_px)


def depth_to_points(depth_m: ArrayLike, rig: StereoRig) -> Float64:
    """(H, W, 3) points in metres in the frame of the rectified left camera: X = (u - cx) Z / fx, Y = (v - cy) Z / fy.

    All three coordinates are NaN where the depth is not finite.
    """
    z = np.asarray(depth_m, np.float64)
    camera = rig.left
    if z.shape != (camera.height, camera.width):
        raise InputError(f"depth has shape {z.shape}; the rig's images are {camera.width} x {camera.height} px")
    z = np.where(np.isfinite(z), z, np.nan)
    u = (np.arange(camera.width) - camera.centre_x_px) / camera.focal_x_px
    v = (np.arange(camera.height) - camera.centre_y_px) / camera.focal_y_px
    return np.stack([u[None, :] * z, v[:, None] * z, z], -1)


def _focal_times_baseline(focal_px: float, baseline_m: float) -> float:
    fb = float(focal_px) * float(baseline_m)
    if not (focal_px > 0.0 and baseline_m > 0.0 and np.isfinite(fb) and fb > 0.0):
        raise UsageError(f"focal_px is {focal_px:g} and baseline_m {baseline_m:g}; both must be finite and > 0")
    return fb


def _choose_rig(disparity: DisparityMap, rig: StereoRig | None) -> StereoRig:
    if rig is None:
        rig = disparity.rig
    elif disparity.rig is not None and not _same_geometry(rig, disparity.rig):
        raise UsageError(
            f"the disparity map carries a rig ({_describe(disparity.rig)}) and another one was given ({_describe(rig)});"
            " leave `rig` out, or match the images again with the rig you want"
        )
    if rig is None:
        raise UsageError(
            "the disparity map carries no rig, so it has no metric depth; match the pair that calib.rectify(rig, left, right)"
            " returns, or pass the rectified rig: to_depth(disparity, rig=...)"
        )
    if not rig.is_rectified:
        raise UsageError(
            "the rig given to to_depth is not rectified; pass the rig of the rectified pair: calib.rectify(rig, left, right).rig"
        )
    height, width = disparity.disparity_px.shape
    if rig.left.size != (width, height):
        raise InputError(
            f"the disparity map is {width} x {height} px but the rig is for {rig.left.width} x {rig.left.height} px;"
            " use rig.scale(factor) for resized images or rig.crop(x0, y0, width, height) for cropped ones"
        )
    return rig


def _same_geometry(a: StereoRig, b: StereoRig) -> bool:
    if a is b:
        return True
    for one, other in ((a.left, b.left), (a.right, b.right)):
        if one.size != other.size or len(one.distortion) != len(other.distortion):
            return False
        if not (np.allclose(one.K, other.K, rtol=1e-9, atol=1e-9) and np.allclose(one.distortion, other.distortion, rtol=1e-9)):
            return False
    motions = np.allclose(a.R_right_left, b.R_right_left, rtol=0.0, atol=1e-9)
    return bool(motions and np.allclose(a.t_right_left_m, b.t_right_left_m, rtol=1e-9, atol=0.0))


def _describe(rig: StereoRig) -> str:
    left = rig.left
    return f"{left.width} x {left.height} px, f {left.focal_x_px:.6g} px, baseline {rig.baseline_m:.6g} m"
