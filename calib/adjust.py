"""One camera alone, or both with the motion between them, from corners: OpenCV's solvers, and the checks that their numbers mean
something, for they return numbers from anything.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import ArrayLike

from calib.camera import Camera
from calib.corner_order import CornerOrder, Pose
from calib.errors import CalibrationError
from calib.geometry import Array, nearest_rotation, rotation_from_vector
from calib.rig import StereoRig

MODELS = {"radtan4": cv2.CALIB_FIX_K3, "radtan5": 0, "radtan8": cv2.CALIB_RATIONAL_MODEL}
"""lens models: k1 k2 p1 p2, then k3, then k4 k5 k6; and what OpenCV calls them"""
COEFFICIENTS = {"radtan4": 4, "radtan5": 5, "radtan8": 8}

_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 300, 1e-12)
_LEAST_TILT_DEG = 5.0
_MOST_FOCAL_SIGMA = 0.05  # of the focal length
_RMS_LIMIT = 1.25e-3  # of the image diagonal: 1 px at 640 x 480
_ADVICE_BOARD = "check that the board is as --target says, and that each image shows it whole"
_solves_lock = threading.Lock()  # OpenCV's number of threads is one for the whole process
_solves = 0  # running now: the first one changes the number, the last one restores it
_threads_before = 0
_ADVICE_TILT = "Take more pictures with the board tilted by 20 to 40 degrees to all sides"


@dataclass(slots=True)
class Mono:
    """One camera, solved alone."""

    rms_px: float
    K: Array
    distortion: Array
    poses: list[Pose]
    tilt_deg: float


@dataclass(slots=True)
class Joint:
    """Both cameras, solved together."""

    rig: StereoRig
    rms_px: float
    pair_rms_px: Array
    """(M, 3) left, right, both"""
    unseen: list[str]
    """names of pairs with corners that the lenses found do not reach"""


@dataclass(slots=True)
class Corners:
    """The corners of the pairs that both cameras saw."""

    board_m: Array
    names: list[str]
    """of the pairs, for messages"""
    left: list[Array]
    right: list[Array]
    sizes: tuple[tuple[int, int], tuple[int, int]]

    def only(self, rows: Sequence[int]) -> "Corners":
        """Those of some pairs."""
        names, left, right = [self.names[i] for i in rows], [self.left[i] for i in rows], [self.right[i] for i in rows]
        return Corners(self.board_m, names, left, right, self.sizes)

    def solve_each(self, model: str) -> tuple[Mono, Mono]:
        """Each camera alone; see `solve_camera`."""
        return solve_camera(self, "left", model), solve_camera(self, "right", model)


def rms_limit_px(sizes: Sequence[tuple[int, int]]) -> float:
    """Above this error the model is not that of the pictures: 1 px at 640 x 480, in proportion to the image."""
    return _RMS_LIMIT * max(float(np.hypot(*size)) for size in sizes)


def solve_camera(seen: Corners, side: Literal["left", "right"], model: str) -> Mono:
    """One camera of the pairs alone.

    Raises
    ------
    CalibrationError
        No solution, corners that miss it by more than `rms_limit_px`, boards held all alike, or a focal length that the pictures
        do not determine.
    """
    size = seen.sizes[side == "right"]
    images = [uv.astype(np.float32) for uv in (seen.left if side == "left" else seen.right)]
    points = [seen.board_m.astype(np.float32)] * len(images)
    unknown: Any = None  # for K and D; the type stubs do not know that they may be absent
    try:
        with _one_thread():
            rms, K, D, rotations, translations, sigma, _, each = cv2.calibrateCameraExtended(
                points, images, size, unknown, unknown, flags=MODELS[model], criteria=_CRITERIA
            )
    except cv2.error as error:
        raise CalibrationError(f"{side} camera: cannot be solved ({error.err}); {_ADVICE_BOARD}") from error
    if not (np.isfinite(rms) and np.isfinite(K).all() and np.isfinite(D).all()):
        raise CalibrationError(f"{side} camera: the solution is not finite; {_ADVICE_BOARD}")
    limit = rms_limit_px((size,))
    if rms > limit:
        worst = sorted(zip(np.ravel(each), seen.names, strict=True), reverse=True)[:3]
        raise CalibrationError(
            f"{side} camera: the corners miss their prediction by {rms:.2f} px rms (limit {limit:.2f} px); the worst pairs are"
            f" {'; '.join(f'{name}: {error:.1f} px' for error, name in worst)}. Is the board as --target says, flat, and sharp in"
            " every image?"
        )
    poses = [
        (rotation_from_vector(r), np.asarray(t, np.float64).reshape(3)) for r, t in zip(rotations, translations, strict=True)
    ]
    tilt = _tilt_spread_deg(poses)
    if tilt < _LEAST_TILT_DEG:
        raise CalibrationError(
            f"{side} camera: the boards are all held alike, their tilts differ by {tilt:.1f} degrees at most (limit"
            f" {_LEAST_TILT_DEG:g}, good: 30 and more); such pictures cannot tell the focal length. {_ADVICE_TILT}"
        )
    uncertainty = float(np.ravel(sigma)[:2].max() / K[0, 0])
    if not uncertainty < _MOST_FOCAL_SIGMA:
        raise CalibrationError(
            f"{side} camera: the focal length is uncertain by {uncertainty:.0%} ({K[0, 0]:.0f} px, limit"
            f" {_MOST_FOCAL_SIGMA:.0%}); the pictures do not determine it. {_ADVICE_TILT}"
        )
    return Mono(float(rms), np.asarray(K, np.float64), np.asarray(D, np.float64), poses, tilt)


def solve_both(seen: Corners, mono: tuple[Mono, Mono], agreed: CornerOrder, model: str) -> Joint:
    """Both cameras, the motion between them and all poses at once, from the single cameras and the motion the pairs agree on.

    The result is not judged here, so that a caller may look for the pairs to blame: see `check_joint`.

    All intrinsics are refined: measured on four real sets, pairs left out of the solution are predicted better than with the
    intrinsics of the single cameras (or as well), and OpenCV's divergence with eight coefficients is avoided.

    Raises
    ------
    CalibrationError
        No solution.
    """
    n = len(seen.left)
    flags = cv2.CALIB_USE_INTRINSIC_GUESS | cv2.CALIB_USE_EXTRINSIC_GUESS | MODELS[model]
    K, D = [camera.K.copy() for camera in mono], [camera.distortion.copy() for camera in mono]  # OpenCV writes into them
    try:
        with _one_thread():
            _, K_left, D_left, K_right, D_right, R, t, _, _, rotations, translations, each = cv2.stereoCalibrateExtended(
                [seen.board_m.astype(np.float32)] * n,
                [uv.astype(np.float32) for uv in seen.left],
                [uv.astype(np.float32) for uv in seen.right],
                K[0],
                D[0],
                K[1],
                D[1],
                seen.sizes[0],
                agreed.R_right_left.copy(),
                agreed.t_right_left_m.reshape(3, 1).copy(),
                flags=flags,
                criteria=_CRITERIA,
            )
    except cv2.error as error:
        raise CalibrationError(f"the two cameras cannot be solved together ({error.err}); {_ADVICE_BOARD}") from error
    if not (np.isfinite(R).all() and np.isfinite(t).all()):
        raise CalibrationError(f"the motion between the cameras is not finite; {_ADVICE_BOARD}")
    left, right = _camera(K_left, D_left, seen.sizes[0], model), _camera(K_right, D_right, seen.sizes[1], model)
    rig = StereoRig(left, right, nearest_rotation(R), np.ravel(t))
    squared = np.empty((n, 2))
    for i in range(n):
        in_left = seen.board_m @ rotation_from_vector(rotations[i]).T + np.ravel(translations[i])
        in_right = in_left @ rig.R_right_left.T + rig.t_right_left_m
        squared[i] = [
            ((camera.project(points) - uv) ** 2).sum(-1).mean()
            for camera, points, uv in ((left, in_left, seen.left[i]), (right, in_right, seen.right[i]))
        ]
    lost = np.isnan(squared)  # beyond the fold of the distortion; OpenCV goes on there
    squared = np.where(lost, np.asarray(each, np.float64).reshape(n, 2) ** 2, squared)
    unseen = [seen.names[i] for i in np.flatnonzero(lost.any(1))]
    return Joint(rig, float(np.sqrt(squared.mean())), np.sqrt(np.column_stack([squared, squared.mean(1)])), unseen)


@contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV's solvers add up in the order in which their threads finish; with one, equal corners give equal bytes."""
    global _solves, _threads_before
    with _solves_lock:
        if not _solves:
            _threads_before = cv2.getNumThreads()
            cv2.setNumThreads(1)
        _solves += 1
    try:
        yield
    finally:
        with _solves_lock:
            _solves -= 1
            if not _solves:
                cv2.setNumThreads(_threads_before)


def _camera(K: ArrayLike, D: ArrayLike, size: tuple[int, int], model: str) -> Camera:
    return Camera.from_matrix(K, np.ravel(D)[: COEFFICIENTS[model]], size)


def check_joint(joint: Joint, seen: Corners, model: str) -> None:
    """Refuse a rig that does not explain its corners, or whose lenses cannot be inverted all over the image.

    Raises
    ------
    CalibrationError
    """
    limit = rms_limit_px(seen.sizes)
    worst = sorted(zip(joint.pair_rms_px[:, 2], seen.names, strict=True), reverse=True)[:3]
    if not joint.rms_px <= limit:
        raise CalibrationError(
            f"no rig explains all pairs: {joint.rms_px:.2f} px rms (limit {limit:.2f} px), while each camera alone is fine; the"
            f" worst are {'; '.join(f'{name}: {error:.1f} px' for error, name in worst)}. Was each pair taken at one moment, by"
            " the same two cameras, and do the names pair up?"
        )
    if joint.unseen:
        raise CalibrationError(
            f"the lenses found ({model}) do not reach the corners of {joint.unseen[0]}; try another --model, or leave this pair"
            " out"
        )
    check_invertible(joint.rig.left, "left", model)
    check_invertible(joint.rig.right, "right", model)


def check_invertible(camera: Camera, side: str, model: str) -> None:
    """The distortion must be invertible all over the image: what folds back sends two directions to one pixel."""
    x, y = np.linspace(0.0, camera.width - 1.0, 33), np.linspace(0.0, camera.height - 1.0, 33)
    edge = np.concatenate(
        [np.stack([x, 0 * x + v], -1) for v in (0.0, y[-1])] + [np.stack([0 * y + u, y], -1) for u in (0.0, x[-1])]
    )
    radius = np.linalg.norm(camera.unproject(edge)[:, :2], axis=-1)
    fold = camera.fold_radius()
    if not (radius < fold).all():
        raise CalibrationError(
            f"{side} camera: the distortion found ({model}) folds back {np.degrees(np.arctan(fold)):.1f} degrees off the axis,"
            " inside the image; hold the board into the corners of the image too, or try another --model"
        )


def _tilt_spread_deg(poses: Sequence[Pose]) -> float:
    """Greatest angle between two boards' normals, degrees."""
    normals = np.stack([R[:, 2] for R, _ in poses])
    return float(np.degrees(np.arccos(np.clip((normals @ normals.T).min(), -1.0, 1.0))))
