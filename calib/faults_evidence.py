"""What the faults are judged by: each camera's corners against a board of its own pose in every view, with all derivatives.

Nothing here knows of the other camera, so that what is wrong between the cameras cannot spoil it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from calib.camera import Camera
from calib.corner_order import Pose
from calib.detection import Detection
from calib.geometry import Array, rotation_from_vector
from calib.lens import project
from calib.sensitivity import times_cross

Mask = NDArray[np.bool_]

_OUTLIER = 4.5  # sigmas, per axis
_PLACED_PX = 3.0  # a pose that misses by more than this (median) is sought anew
_POSE_STEPS = 3
_HOPELESS = 0.01  # of the image's diagonal: such errors tell nothing
_ODD, _ODD_PX = 12.0, 1.5  # times the median view's error, and least error, of a view that nothing explains
_BOW_ROUNDS = 3
_SAME = 2.5  # a view at its right scale misses by no more than so many times the others' noise, and so much less than before
_SCALES = (2.0, 0.5, 4.0, 0.25, 1.5, 2.0 / 3.0, 4.0 / 3.0, 0.75)
_BOW_SIGMAS = 8.0


@dataclass(slots=True, eq=False)
class Seen:
    """One view of one camera."""

    moment: int
    ids: NDArray[np.int64]
    uv: Array
    """(n, 2) px"""
    R: Array
    t: Array
    """the board in the camera's frame"""
    error_px: Array
    """(n, 2) seen - predicted"""
    good: Mask
    """(n,) False for outliers"""
    middle: Array
    """(3,) the board's middle in the camera's frame; poses turn about it"""
    by_pose: Array
    """(2n, 6) by a turn exp([w]x) and a shift, both in the camera's frame"""
    by_lens: Array
    """(2n, P)"""
    by_bow: Array
    """(2n, 2)"""
    blur_px: float

    @property
    def rows(self) -> Mask:
        """(2n,) `good`, once for each coordinate."""
        return np.repeat(self.good, 2)

    @property
    def rms_px(self) -> float:
        """Per axis, without outliers."""
        e = self.error_px[self.good]
        return float(np.sqrt((e * e).sum() / max(2.0 * len(e) - 6.0, 1.0)))


@dataclass(slots=True, eq=False)
class Side:
    """One camera and all its views."""

    camera: Camera
    board_m: Array
    views: dict[int, Seen]
    noise_px: float
    """per axis, without outliers"""
    information: Array
    """(P + 2, P + 2) on intrinsics and bow with all poses free, for a noise of 1 px"""
    gradient: Array
    """(P + 2,)"""
    odd: dict[int, Seen] = field(default_factory=dict)
    """views that no pose of the board explains; not among `views`"""
    bow_m: Array = field(default_factory=lambda: np.zeros(2))
    """what `fit_bow` has put into the board"""

    @property
    def outlier_share(self) -> float:
        """Corners that miss by more than 4.5 sigmas, over all."""
        good = np.concatenate([view.good for view in self.views.values()])
        return float((~good).mean())


def lens_name(camera: Camera) -> str:
    """The camera's model in the words of `calib.lens`."""
    return "fisheye" if camera.model == "fisheye" else f"radtan{max(4, len(camera.distortion))}"


def side_of(camera: Camera, board_m: Array, detections: Sequence[Detection | None], poses: Sequence[Pose | None]) -> Side | None:
    """Everything known of one camera, or None where fewer than two of its views can be explained."""
    views = {}
    for moment, (detection, pose) in enumerate(zip(detections, poses, strict=True)):
        if detection is None or len(detection.ids) < 4:
            continue
        view = _placed(camera, board_m, moment, detection, pose)
        if view is not None:
            views[moment] = view
    if len(views) < 2:
        return None
    rms = {moment: float(np.median(np.abs(view.error_px))) for moment, view in views.items()}
    limit = max(_ODD * float(np.median(list(rms.values()))), _ODD_PX)
    odd = {moment: view for moment, view in views.items() if rms[moment] > limit}
    kept = {moment: view for moment, view in views.items() if moment not in odd}
    if len(kept) < 2:
        return None
    side = replace(_judged(camera, board_m, kept), odd=odd)
    return side if side.noise_px < _HOPELESS * float(np.hypot(*camera.size)) else None


def fit_bow(side: Side, flat_m: Array) -> tuple[Side, float]:
    """The side with the board's bow taken into account where it is beyond doubt, and its significance in sigmas."""
    significance, best = _bow_sigmas(side), side
    if significance < _BOW_SIGMAS:
        return side, significance
    for _ in range(_BOW_ROUNDS):
        step = np.linalg.pinv(best.information, hermitian=True) @ best.gradient
        bow = best.bow_m + step[-2:]
        count = len(step) - 2
        camera = _moved(best.camera, step[:count])
        board = side.board_m + bow_columns(flat_m) @ bow[:, None] * np.array([0.0, 0.0, 1.0])
        views = {m: _refined(camera, board, view) for m, view in best.views.items()}
        if any(view is None for view in views.values()):
            break
        trial = _judged(camera, board, {m: view for m, view in views.items() if view is not None})
        if not trial.noise_px < 1.02 * best.noise_px:
            break
        best = replace(trial, bow_m=bow, odd=side.odd)
    return best, significance


def inverse_of(m: Array) -> Array:
    """Inverse of a positive matrix, or what comes next to it."""
    try:
        return np.asarray(np.linalg.inv(m), np.float64)
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.pinv(m, hermitian=True))


def bow_columns(flat_m: Array) -> Array:
    """(N, 2): 1 - u^2 and 1 - v^2, u and v from -1 to 1 over the board's points."""
    low, high = flat_m[:, :2].min(0), flat_m[:, :2].max(0)
    uv = (2.0 * flat_m[:, :2] - low - high) / (high - low)
    return np.asarray(1.0 - uv * uv)


def _bow_sigmas(side: Side) -> float:
    covariance: Array = np.asarray(np.linalg.pinv(side.information, hermitian=True), np.float64)
    bow: Array = (covariance @ side.gradient)[-2:]
    part: Array = covariance[-2:, -2:] * side.noise_px**2
    return float(np.sqrt(max(float(bow @ (inverse_of(part) @ bow)), 0.0)))


def _judged(camera: Camera, board_m: Array, views: dict[int, Seen]) -> Side:
    """With noise, outliers and what the views together say of the lens."""
    noise = 0.0
    for _ in range(3):
        errors = np.concatenate([view.error_px[view.good].ravel() for view in views.values()])
        count = views[next(iter(views))].by_lens.shape[1]
        unknowns = 6 * len(views) + count
        spread = float(np.sqrt((errors**2).mean())) if noise else 1.4826 * float(np.median(np.abs(errors)))
        noise = max(spread * float(np.sqrt(len(errors) / max(len(errors) - unknowns, 0.1 * len(errors)))), 1e-4)
        for view in views.values():
            view.good = np.abs(view.error_px).max(1) < _OUTLIER * noise
            if view.good.sum() < 4:
                view.good = np.ones(len(view.ids), np.bool_)
    size = count + 2
    information, gradient = np.zeros((size, size)), np.zeros(size)
    for view in views.values():
        rows = view.rows
        j, p, e = np.hstack([view.by_lens, view.by_bow])[rows], view.by_pose[rows], view.error_px.ravel()[rows]
        inverse = inverse_of(p.T @ p)
        j, e = j - p @ (inverse @ (p.T @ j)), e - p @ (inverse @ (p.T @ e))
        information += j.T @ j
        gradient += j.T @ e
    return Side(camera, board_m, views, noise, information, gradient)


def _placed(camera: Camera, board_m: Array, moment: int, detection: Detection, pose: Pose | None) -> Seen | None:
    view = None
    if pose is not None:
        view = _linearised(camera, board_m, moment, detection, pose)
        view = None if view is None else _refined(camera, board_m, view)
    if view is None or np.median(np.abs(view.error_px)) > _PLACED_PX:
        found = _pose_from_rays(camera, board_m, detection)
        again = None if found is None else _linearised(camera, board_m, moment, detection, found)
        again = None if again is None else _refined(camera, board_m, again)
        if again is not None and (view is None or np.median(np.abs(again.error_px)) < np.median(np.abs(view.error_px))):
            view = again
    return view


def _pose_from_rays(camera: Camera, board_m: Array, detection: Detection) -> Pose | None:
    """IPPE on the undistorted corners (Collins and Bartoli, IJCV 2014); None where the rays do not allow it."""
    rays = camera.unproject(detection.corners_uv)
    with np.errstate(divide="ignore", invalid="ignore"):
        xy = rays[:, :2] / rays[:, 2:]
    usable = np.isfinite(xy).all(1) & (rays[:, 2] > 0.0)
    if usable.sum() < 6:
        return None
    points = board_m[detection.ids[usable]] * np.array([1.0, 1.0, 0.0])
    try:
        ok, r, t = cv2.solvePnP(points, xy[usable], np.eye(3), np.zeros(5), flags=cv2.SOLVEPNP_IPPE)
    except cv2.error:
        return None
    return (rotation_from_vector(r), np.asarray(t, np.float64).reshape(3)) if ok and np.isfinite(t).all() else None


def _refined(camera: Camera, board_m: Array, view: Seen) -> Seen | None:
    """A few robust Gauss-Newton steps of the pose."""
    detection = Detection(view.uv, "", view.ids, blur_px=view.blur_px)
    best: Seen | None = None
    now: Seen | None = _linearised(camera, board_m, view.moment, detection, (view.R, view.t))
    for _ in range(_POSE_STEPS + 1):
        if now is None or (best is not None and not np.median(np.abs(now.error_px)) < 1.2 * np.median(np.abs(best.error_px))):
            break
        best = now
        spread = max(2.0 * 1.4826 * float(np.median(np.abs(best.error_px))), 1e-6)
        weight = 1.0 / (1.0 + (best.error_px.ravel() / spread) ** 2)
        j = best.by_pose
        step = inverse_of(j.T @ (j * weight[:, None])) @ (j.T @ (weight * best.error_px.ravel()))
        turn = rotation_from_vector(step[:3])
        R = turn @ best.R
        t = best.middle + step[3:] - R @ (best.R.T @ (best.middle - best.t))
        now = _linearised(camera, board_m, view.moment, detection, (R, t))
    return best


def _linearised(camera: Camera, board_m: Array, moment: int, detection: Detection, pose: Pose) -> Seen | None:
    """The view at a pose; None where the lens does not see it."""
    R, t = pose
    arms = board_m[detection.ids] - board_m.mean(0)
    middle = R @ board_m.mean(0) + t
    arms = arms @ R.T
    coefficients = camera.distortion if len(camera.distortion) else np.zeros(4)
    lens = np.concatenate([[camera.focal_x_px, camera.focal_y_px, camera.centre_x_px, camera.centre_y_px], coefficients])
    with np.errstate(all="ignore"):
        uv, by_point, by_lens = project(lens_name(camera), lens, middle + arms)
    error = detection.corners_uv - uv
    if not np.isfinite(error).all() or not np.isfinite(by_point).all() or np.abs(error).max() > 1e5:
        return None
    n = len(arms)
    by_pose = np.concatenate([times_cross(by_point, arms), by_point], -1).reshape(2 * n, 6)
    by_bow = ((by_point @ R[:, 2])[..., None] * bow_columns(board_m)[detection.ids][:, None, :]).reshape(2 * n, 2)
    good = np.ones(n, np.bool_)
    by_lens = by_lens.reshape(2 * n, -1)
    return Seen(
        moment, detection.ids, detection.corners_uv, R, t, error, good, middle, by_pose, by_lens, by_bow, detection.blur_px
    )


def _moved(camera: Camera, step: Array) -> Camera:
    coefficients = camera.distortion if len(camera.distortion) else np.zeros(4)
    return replace(
        camera,
        focal_x_px=camera.focal_x_px + float(step[0]),
        focal_y_px=camera.focal_y_px + float(step[1]),
        centre_x_px=camera.centre_x_px + float(step[2]),
        centre_y_px=camera.centre_y_px + float(step[3]),
        distortion=coefficients + step[4:],
    )


def scale_of(side: Side, view: Seen) -> float:
    """The factor on its pixels that makes a view fit the camera of all others; 1 where none does."""
    noise_px = float(np.median([other.rms_px for other in side.views.values()]))
    for scale in _SCALES:
        uv = (view.uv + 0.5) * scale - 0.5
        placed = _placed(side.camera, side.board_m, view.moment, Detection(uv, "", view.ids), None)
        if placed is not None and placed.rms_px < min(_SAME * max(scale, 1.0) * noise_px, view.rms_px / _SAME):
            return scale
    return 1.0
