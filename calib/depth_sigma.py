"""What a calibration's uncertainty does to depth, pixel by pixel, and how well its rows agree.

A pixel of the left image and its counterpart in the right one are fixed; the rig's numbers vary as their covariance says. Then
the point in which the two rays come nearest varies, and to first order its depth by J Sigma J^T, every correlation included. What
moves the right pixel out of the epipolar plane is ignored, since a matcher looks along it only.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from calib.camera import Camera
from calib.errors import CalibrationError, UsageError
from calib.geometry import Array
from calib.rig import Mask, StereoRig
from calib.sensitivity import motion, parameter_count

USUAL_DEPTHS_M = (1.0, 2.0, 5.0, 10.0)
USUAL_DISPARITY_SIGMA_PX = 0.2
"""what a good matcher reaches on texture"""
_USUAL_BASELINES_M = (0.02, 1.0)  # rigs for which the usual depths are right
_BASELINES = (10.0, 20.0, 50.0, 100.0)  # depths of other rigs
_WIDEST = np.cos(np.radians(60.0))  # from the axis: farther out depth along the axis says little
_BATCH = 20_000  # pixels at once: bounds the memory for whole images
_STEPS = 20  # from an image's corner inwards, in search of a pixel that the right camera sees, too


@dataclass(frozen=True, slots=True, eq=False)
class DepthSigma:
    """One line of the table of depth errors, one standard deviation each; NaN where no such pixel is seen by both cameras."""

    depth_m: float
    centre_calibration_m: float
    """in the middle of the left image: the calibration's part"""
    centre_matching_m: float
    """the matcher's part"""
    corner_calibration_m: float
    """rms over the four corners of the left image, or the places next to them that the right camera sees and that lie within 60
    degrees of the axis"""
    corner_matching_m: float

    def __str__(self) -> str:
        return f"{self.depth_m:g} m: centre {self._part('centre')}; corner {self._part('corner')}"

    def _part(self, place: str) -> str:
        calibration, matching = (getattr(self, f"{place}_{part}_m") for part in ("calibration", "matching"))
        if np.isnan(calibration):
            return "not seen by both cameras"
        sure = f"+-{_length(calibration)}" if calibration < self.depth_m else "not known"
        return f"calibration {sure}, matching +-{_length(matching)}"


def depth_sigma(rig: StereoRig, left_uv: ArrayLike, depth_m: ArrayLike) -> Array:
    """Standard deviation of triangulated depth that the rig's covariance causes.

    Parameters
    ----------
    rig : StereoRig
        With its covariance. Any lens, any mounting.
    left_uv : (..., 2) array
        Pixels of the left image as it is taken (not rectified).
    depth_m : (...) array
        Depth along the left camera's axis; broadcast against the pixels.

    Returns
    -------
    (...) array, metres; NaN where the point lies outside one of the images.

    Raises
    ------
    CalibrationError
        A rig without covariance.
    UsageError
        Depths or pixels of impossible shape, or a depth that is not > 0.
    """
    if rig.covariance is None:
        raise CalibrationError(
            "rig: it carries no covariance, so that its depth errors are not known; calibrate it again with `calib solve`"
        )
    uv, depth = _paired(left_uv, depth_m)
    sigma = np.empty(depth.size)
    for first in range(0, depth.size, _BATCH):
        rows = slice(first, first + _BATCH)
        derivatives = depth_derivatives(rig, uv.reshape(-1, 2)[rows], depth.ravel()[rows])
        variance = ((derivatives @ rig.covariance.matrix) * derivatives).sum(-1)
        sigma[rows] = np.sqrt(np.maximum(variance, 0.0))
    return sigma.reshape(depth.shape)


def depth_derivatives(rig: StereoRig, left_uv: ArrayLike, depth_m: ArrayLike) -> Array:
    """How triangulated depth moves with the rig's numbers, the pixel pair held fixed.

    Parameters
    ----------
    rig, left_uv, depth_m
        See `depth_sigma`; needs no covariance.

    Returns
    -------
    (..., P) array
        Metres per unit of each number, in the order of `calib.covariance.parameter_names`; NaN where a camera does not see it.
    """
    points = seen_points(rig, left_uv, depth_m)
    flat = points.reshape(-1, 3)
    seen = np.isfinite(flat).all(-1)
    result = np.full((len(flat), parameter_count(rig)), np.nan)
    x = flat[seen]
    if len(x):
        left, right = (motion(rig, side, x, np.zeros(3)) for side in (0, 1))
        # The right pixel counts within the epipolar plane only: `along` is at right angles to what leaving the plane does to it.
        normal = np.cross(x, rig.centre_right_m)
        out = np.einsum("kij,kj->ki", right.by_point, normal)
        along = np.stack([-out[:, 1], out[:, 0]], -1)
        # Three conditions hold the point: both coordinates of the left pixel, and the right one along the epipolar line.
        held = np.concatenate([left.by_point, np.einsum("ki,kij->kj", along, right.by_point)[:, None]], 1)
        change = np.concatenate([left.by_rig, np.einsum("ki,kip->kp", along, right.by_rig)[:, None]], 1)
        scale = np.linalg.norm(held, axis=-1, keepdims=True)
        result[seen] = np.linalg.solve(held / scale, -change / scale)[:, 2]
    return result.reshape(*points.shape[:-1], -1)


def matching_sigma(rig: StereoRig, left_uv: ArrayLike, depth_m: ArrayLike, sigma_disparity_px: float) -> Array:
    """Standard deviation of depth that the matcher causes, for a standard deviation of its disparities.

    Pinholes: Z^2 / (f B) sigma, Z along the rectified axis, f the mean focal length. With a fisheye a pixel is 1 / f of an angle:
    |v|^2 / (f |v x a|) sigma along the left ray a, v being the right ray.

    Parameters
    ----------
    rig, left_uv, depth_m
        See `depth_sigma`; needs no covariance.
    sigma_disparity_px : float
        In pixels of the mean focal length.

    Returns
    -------
    (...) array, metres along the left camera's axis; NaN where a camera does not see the point.
    """
    points = seen_points(rig, left_uv, depth_m)
    angle = sigma_disparity_px / mean_focal_px(rig)
    if _is_wide(rig):
        from_right = points - rig.centre_right_m
        cross = np.linalg.norm(np.cross(from_right, points), axis=-1)
        return np.asarray((from_right * from_right).sum(-1) * points[..., 2] * angle / cross)
    rectified_m = points @ common_axes(rig)[2]
    return np.asarray(points[..., 2] * rectified_m * angle / rig.baseline_m)


def seen_points(rig: StereoRig, left_uv: ArrayLike, depth_m: ArrayLike) -> Array:
    """Points (..., 3) in the left camera's frame at pixels and depths, m; NaN where one of the cameras does not see them."""
    uv, depth = _paired(left_uv, depth_m)
    ray = rig.left.unproject(np.where(_inside(rig.left, uv)[..., None], uv, np.nan))
    z = np.where(ray[..., 2] > 0.0, ray[..., 2], np.nan)  # a fisheye's ray to the side or behind has no such depth
    points = ray / z[..., None] * depth[..., None]
    with np.errstate(invalid="ignore"):
        in_right = rig.right.project(points @ rig.R_right_left.T + rig.t_right_left_m)
    return np.where(_inside(rig.right, in_right)[..., None], points, np.nan)


def has_useful_depth(rig: StereoRig, left_uv: ArrayLike, depth_m: ArrayLike) -> Mask:
    """True for pixels (..., 2) whose points both cameras see, not more than 60 degrees from the left camera's axis.

    Farther out, in fisheye images, a point one metre deep is far away, and depth along the axis says little.
    """
    points = seen_points(rig, left_uv, depth_m)
    with np.errstate(invalid="ignore"):
        return np.asarray(points[..., 2] >= _WIDEST * np.linalg.norm(points, axis=-1))


def row_errors_px(rig: StereoRig, left_uv: ArrayLike, right_uv: ArrayLike) -> Array:
    """Difference of the rows (left - right) in which pairs of pixels come to lie after rectification.

    Both cameras' rays are turned into a frame whose x axis is the baseline and whose z axis is as near as that allows to the mean
    of the optical axes. Row: f y / z for pinholes; the angle of the epipolar plane times f where one lens is a fisheye.

    Parameters
    ----------
    rig : StereoRig
    left_uv, right_uv : (N, 2) arrays, px

    Returns
    -------
    (N,) array, in pixels of the mean focal length; NaN where a lens cannot have seen the pixel.
    """
    axes = common_axes(rig)
    rays = rig.left.unproject(left_uv) @ axes.T, rig.right.unproject(right_uv) @ rig.R_right_left @ axes.T
    focal = mean_focal_px(rig)
    if _is_wide(rig):
        angles = [np.arctan2(ray[..., 1], ray[..., 2]) for ray in rays]
        turn = np.angle(np.exp(1j * (angles[0] - angles[1])))
        return np.asarray(focal * turn)
    rows = [focal * ray[..., 1] / np.where(ray[..., 2] > 0.0, ray[..., 2], np.nan) for ray in rays]
    return np.asarray(rows[0] - rows[1])


def common_axes(rig: StereoRig) -> Array:
    """(3, 3) from the left camera's frame to one along the baseline: rows x (to the right camera), y, z (the mean view).

    Raises
    ------
    CalibrationError
        Cameras that look along the baseline: no plane of view is common to them.
    """
    x = rig.centre_right_m / rig.baseline_m
    view = np.array([0.0, 0.0, 1.0]) + rig.R_right_left[2]
    y = np.cross(view, x)
    length = float(np.linalg.norm(y))
    if length < 1e-6:
        raise CalibrationError("rig: the cameras look along their baseline; rows cannot be compared; check the rig's translation")
    y /= length
    return np.stack([x, y, np.cross(x, y)])


def mean_focal_px(rig: StereoRig) -> float:
    """Mean of both cameras' focal lengths in x and y, px."""
    return float(np.mean([(camera.focal_x_px, camera.focal_y_px) for camera in (rig.left, rig.right)]))


def suitable_depths_m(rig: StereoRig) -> tuple[float, ...]:
    """1, 2, 5 and 10 m; for tiny or giant rigs about 10, 20, 50 and 100 baselines, rounded."""
    low, high = _USUAL_BASELINES_M
    if low <= rig.baseline_m <= high:
        return USUAL_DEPTHS_M
    return tuple(float(f"{rig.baseline_m * times:.1g}") for times in _BASELINES)


def depth_table(
    rig: StereoRig,
    depths_m: ArrayLike | None = None,
    *,
    sigma_disparity_px: float = USUAL_DISPARITY_SIGMA_PX,
) -> tuple[DepthSigma, ...]:
    """Depth errors in the middle and in the corners of the left image.

    Parameters
    ----------
    rig : StereoRig
        With its covariance.
    depths_m : (D,) array, optional
        Default: `suitable_depths_m`.
    sigma_disparity_px : float
        Standard deviation of the matcher's disparities.

    Returns
    -------
    tuple of DepthSigma, one for each depth
    """
    rows = []
    for depth in np.atleast_1d(np.asarray(suitable_depths_m(rig) if depths_m is None else depths_m, np.float64)):
        values = []
        for uv in _places(rig, float(depth)):
            for sigma in (depth_sigma(rig, uv, depth), matching_sigma(rig, uv, depth, sigma_disparity_px)):
                known = sigma[np.isfinite(sigma)]
                values.append(float(np.sqrt((known * known).mean())) if len(known) else float("nan"))
        rows.append(DepthSigma(float(depth), *values))
    return tuple(rows)


def _paired(left_uv: ArrayLike, depth_m: ArrayLike) -> tuple[Array, Array]:
    """Pixels (..., 2) and depths (...), broadcast against each other."""
    uv, depth = np.asarray(left_uv, np.float64), np.asarray(depth_m, np.float64)
    if uv.shape[-1:] != (2,):
        raise UsageError(f"left_uv has shape {uv.shape}; it must be (..., 2) pixels")
    if not (depth > 0.0).all():
        raise UsageError(f"depth_m: {depth.min():g} m; depths must be > 0")
    try:
        shape = np.broadcast_shapes(uv.shape[:-1], depth.shape)
    except ValueError:
        raise UsageError(f"left_uv of shape {uv.shape} and depth_m of shape {depth.shape} do not fit each other") from None
    return np.broadcast_to(uv, (*shape, 2)), np.broadcast_to(depth, shape)


def _places(rig: StereoRig, depth_m: float) -> tuple[Array, Array]:
    """Pixels of the left image that both cameras see: (1, 2) next to its middle, (4, 2) next to its corners."""
    far = np.array(rig.left.size) - 1.0
    y, x = np.mgrid[0:9, 0:9].reshape(2, -1) / 8.0
    grid = np.stack([x, y], -1) * far
    seen = has_useful_depth(rig, grid, depth_m)
    distance = np.where(seen, np.linalg.norm(grid - 0.5 * far, axis=-1), np.inf)
    nearest = grid[[int(distance.argmin())]]
    share = np.linspace(0.0, 1.0, _STEPS, endpoint=False)[:, None, None]
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]) * far
    lines = corners + share * (nearest[0] - corners)
    first = has_useful_depth(rig, lines, depth_m).argmax(0)
    return nearest, lines[first, np.arange(4)]


def _inside(camera: Camera, uv: Array) -> Mask:
    with np.errstate(invalid="ignore"):
        return np.asarray(((uv >= -0.5) & (uv <= np.array(camera.size) - 0.5)).all(-1))


def _is_wide(rig: StereoRig) -> bool:
    return rig.left.is_fisheye or rig.right.is_fisheye


def _length(metres: float) -> str:
    """A length with two significant digits in the unit that suits it."""
    value = float(f"{metres:.2g}")
    return f"{value:g} m" if value >= 1.0 else f"{float(f'{value * 1e3:.2g}'):g} mm"
