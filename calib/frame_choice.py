"""Which frames of a pair of videos a calibration is made from: still ones, of all kinds of views.

A board that moves is smeared, bent by a rolling shutter, and seen at two places where the cameras are not exactly synchronous;
neighbouring frames say nothing new. So frames are taken one after the other, each as unlike all those taken before as possible.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calib.detection import Detection
from calib.geometry import Array
from calib.images import Image, to_grey
from calib.target import Target

MOST_PAIRS = 48
MOST_ONE_SIDED = 12
STILL_PX = 0.5
"""of motion to the next frame: less is as good as none"""
_LEAST_STILL = 24  # pairs; where fewer are still, the stillest are taken
_SAME_VIEW = 0.004  # distance of two views that are taken for one (a board of 300 px: about 1 px)
_LEAST_TRACKED = 0.5
# how much a change of each kind counts: position (image diagonals), size (octaves), shape, perspective
_WEIGHTS = np.array([1.0, 1.0, 0.25, *[0.25] * 4, 1.0, 1.0])


@dataclass(frozen=True, slots=True)
class Choice:
    """Frames by their place in the sequences given."""

    pairs: tuple[int, ...]
    """rising"""
    left_only: tuple[int, ...]
    right_only: tuple[int, ...]
    limit_px: float
    """frames in which corners move by more were left out"""
    moving: int
    """pairs of frames left out because of that"""


def motion_px(image: Image, neighbour: Image, corners_uv: Array) -> float:
    """Median distance by which corners move from one frame to the next, followed by optical flow.

    Parameters
    ----------
    image, neighbour : (H, W) or (H, W, 3) uint8 arrays
    corners_uv : (M, 2) px in `image`

    Returns
    -------
    float
        px; infinite where less than half of the corners can be followed.

    References
    ----------
    Bouguet, "Pyramidal Implementation of the Lucas Kanade Feature Tracker", 2000.
    """
    start = corners_uv.astype(np.float32).reshape(-1, 1, 2)
    end, found, _ = cv2.calcOpticalFlowPyrLK(to_grey(image), to_grey(neighbour), start, np.empty_like(start), maxLevel=4)
    followed = np.asarray(found).ravel() > 0
    if followed.mean() < _LEAST_TRACKED:
        return float("inf")
    return float(np.median(np.linalg.norm((np.asarray(end) - start).reshape(-1, 2)[followed], axis=1)))


def choose_frames(
    left: Sequence[tuple[Detection, float] | None],
    right: Sequence[tuple[Detection, float] | None],
    target: Target,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    *,
    most_pairs: int = MOST_PAIRS,
    most_one_sided: int = MOST_ONE_SIDED,
) -> Choice:
    """The frames to calibrate from.

    Parameters
    ----------
    left, right : sequences of (detection, motion in px) or None
        One entry for each frame; unknown motion (NaN) counts as none.
    target : Target
    sizes : ((width, height), (width, height))
        Of the left and right frames, px.
    most_pairs : int
    most_one_sided : int
        Of frames in which one camera only sees the board, both cameras together.

    Returns
    -------
    Choice
    """
    sides = [
        {
            i: (_view(seen[0], target, size), 0.0 if np.isnan(seen[1]) else seen[1])
            for i, seen in enumerate(side)
            if seen is not None
        }
        for side, size in zip((left, right), sizes, strict=True)
    ]
    both = sorted(sides[0].keys() & sides[1].keys())
    motion = {i: max(side[i][1] for side in sides) for i in both}
    limit_px = _limit(list(motion.values()))
    still = [i for i in both if motion[i] <= limit_px]
    views = {i: np.concatenate([side[i][0] for side in sides]) for i in still}
    pairs = _unlike(views, motion, [], most_pairs)
    alone: list[tuple[int, ...]] = []
    for side, other in (sides, sides[::-1]):
        only = {i: side[i][0] for i in sorted(side.keys() - other.keys()) if side[i][1] <= limit_px}
        shares = most_one_sided // 2
        alone.append(_unlike(only, {i: side[i][1] for i in only}, [side[i][0] for i in pairs], shares))
    return Choice(pairs, alone[0], alone[1], limit_px, len(both) - len(still))


def _limit(motion: list[float]) -> float:
    """The motion up to which frames are used: none to speak of, or that of the stillest few."""
    if len(motion) <= _LEAST_STILL:
        return float("inf")
    return max(STILL_PX, sorted(motion)[_LEAST_STILL - 1])


def _unlike(views: dict[int, Array], motion: dict[int, float], known: list[Array], most: int) -> tuple[int, ...]:
    """Places of the views that differ most from each other and from known ones, rising (farthest point sampling)."""
    places = np.array(sorted(views), np.intp)
    if not len(places) or most < 1:
        return ()
    points = np.stack([views[int(i)] for i in places])
    # of two views alike the stiller one is taken
    worth = 1.0 / (1.0 + np.array([motion[int(i)] for i in places]) / STILL_PX)
    distance: NDArray[np.float64] = np.full(len(places), np.inf)
    for view in known:
        distance = np.minimum(distance, np.linalg.norm(points - view, axis=1))
    taken: list[int] = []
    while len(taken) < most:
        best = int(np.argmax(worth if np.isinf(distance).all() else np.where(distance > _SAME_VIEW, distance * worth, -1.0)))
        if distance[best] <= _SAME_VIEW:
            break
        taken.append(int(places[best]))
        distance = np.minimum(distance, np.linalg.norm(points - points[best], axis=1))
    return tuple(sorted(taken))


def _view(detection: Detection, target: Target, size: tuple[int, int]) -> Array:
    """(9,) where and how the board is seen: position, size, shape (turn and foreshortening), perspective; weighted."""
    diagonal = float(np.hypot(*size))
    points = target.object_points()
    plane = points[detection.ids, :2]
    middle, extent = points[:, :2].mean(0), float(np.ptp(points[:, :2], axis=0).max())
    H = None
    if len(plane) >= 4 and np.linalg.matrix_rank(plane - plane.mean(0), tol=1e-6 * extent) == 2:
        H, _ = cv2.findHomography((plane - middle) / extent, detection.corners_uv / diagonal)
    if H is None or not np.isfinite(H).all() or abs(H[2, 2]) < 1e-9:
        centre = detection.corners_uv.mean(0) / diagonal
        return np.asarray(np.concatenate([centre, np.zeros(7)]) * _WEIGHTS)
    H = H / H[2, 2]
    centre = H[:2, 2]
    shape = H[:2, :2] - np.outer(centre, H[2, :2])  # derivative at the middle
    scale = np.sqrt(max(abs(float(np.linalg.det(shape))), 1e-12))
    view = np.concatenate([centre, [np.log2(scale)], (shape / scale).ravel(), np.clip(H[2, :2], -1.0, 1.0)])
    return np.asarray(view * _WEIGHTS)
