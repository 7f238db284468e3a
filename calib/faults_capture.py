"""Faults that show in the bare corners, before any camera is solved."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from calib.detection import BoardViews, Detection
from calib.faults_evidence import Side
from calib.geometry import Array
from calib.target import Target

_EXACT_PX = 1e-3
_STRAIGHTER = 4.0  # how much better the right order must fit than the given one


def detections(views: BoardViews, side: int) -> list[Detection | None]:
    """One camera's views."""
    return [pair.right if side else pair.left for pair in views.pairs]


def mirrored_share(found: Sequence[Detection | None], target: Target) -> float:
    """Share of the views in which the board is seen as in a mirror: right-handed axes that turn the wrong way."""
    points = target.object_points()[:, :2]
    signs = []
    for detection in found:
        if detection is not None and len(detection.ids) >= 4:
            a = points[detection.ids] - points[detection.ids].mean(0)
            slope = np.linalg.lstsq(a, detection.corners_uv - detection.corners_uv.mean(0), rcond=None)[0]
            signs.append(float(np.linalg.det(slope)))
    return float(np.mean(np.array(signs) < 0.0)) if signs else 0.0


def exchanged_share(found: Sequence[Detection | None], target: Target) -> float:
    """Share of the views whose corners make a straight grid when they are taken column by column, and none as they stand."""
    shape = target.shape
    if shape is None or target.has_ids or shape[0] == shape[1]:
        return 0.0
    points = target.object_points()
    order = np.arange(len(points)).reshape(shape).T.ravel()
    better = []
    for detection in found:
        if detection is not None and len(detection.ids) == len(points):
            given = _bend_px(points, detection.corners_uv[np.argsort(detection.ids)])
            other = _bend_px(points[order], detection.corners_uv[np.argsort(detection.ids)])
            better.append(other * _STRAIGHTER < given)
    return float(np.mean(better)) if better else 0.0


def duplicate_pairs(views: BoardViews) -> list[tuple[int, int]]:
    """(first, later) pairs whose corners are the same to a thousandth of a pixel in every image that they have."""
    same = []
    first: list[int] = []
    for i, pair in enumerate(views.pairs):
        if pair.left is None and pair.right is None:
            continue
        for j in first:
            if _same(views.pairs[j].left, pair.left) and _same(views.pairs[j].right, pair.right):
                same.append((j, i))
                break
        else:
            first.append(i)
    return same


def declared_scale(side: Side, size: tuple[int, int]) -> float:
    """Size of the image in which the corners were found over the declared one; 1 where they agree or nothing is certain.

    A lens looks through the middle of its image: where the principal point stands at the same share of width and height, far from
    a half, and no corner lies beyond twice that, the corners belong to another size.
    """
    uv = np.concatenate([view.uv for view in (*side.views.values(), *side.odd.values())])
    centre = 2.0 * np.array([side.camera.centre_x_px, side.camera.centre_y_px]) / size
    scale = float(centre.mean())
    reach = (uv.max(0) / size).max()
    if reach > 1.02:
        return max(scale, float(reach))
    alike = np.abs(centre - scale).max() < 0.12
    return scale if alike and scale < 0.8 and reach < 1.1 * scale else 1.0


def tilt_spread_deg(side: Side) -> float:
    """Greatest angle between two boards' normals, the least certain tenth left out, degrees."""
    normals = np.stack([view.R[:, 2] for view in side.views.values()])
    angles = np.degrees(np.arccos(np.clip(normals @ normals.T, -1.0, 1.0)))
    return float(np.quantile(angles.max(1), 0.9))


def rough_tilt_deg(found: Sequence[Detection | None], target: Target, size: tuple[int, int]) -> float:
    """Greatest tilt by perspective alone, for a lens of 60 degrees or so; without any camera. NaN without views."""
    points = target.object_points()
    tilts = []
    for detection in found:
        if detection is None or len(detection.ids) < 8:
            continue
        xy = points[detection.ids][:, :2] - points[detection.ids][:, :2].mean(0)
        extent = float(np.linalg.norm(np.ptp(xy, axis=0)))
        H: Any = cv2.findHomography(xy, detection.corners_uv)[0]
        if H is not None:
            span = float(np.linalg.norm(np.ptp(detection.corners_uv, axis=0)))
            tilts.append(float(np.hypot(*(H[2, :2] / H[2, 2]))) * extent * 0.9 * max(size) / span)
    return float(np.degrees(np.arctan(np.quantile(tilts, 0.9)))) if tilts else float("nan")


def _bend_px(points: Array, uv: Array) -> float:
    """How far corners lie from a plane's grid, px rms."""
    found: Any = cv2.findHomography(points[:, :2], uv)[0]
    if found is None:
        return float("inf")
    H = np.asarray(found, np.float64)
    p = np.column_stack([points[:, :2], np.ones(len(points))]) @ H.T
    with np.errstate(divide="ignore", invalid="ignore"):
        error = p[:, :2] / p[:, 2:] - uv
    value = float(np.sqrt((error**2).sum(1).mean()))
    return value if np.isfinite(value) else float("inf")


def _same(a: Detection | None, b: Detection | None) -> bool:
    if a is None or b is None:
        return a is b
    return (
        len(a.ids) == len(b.ids) and np.array_equal(a.ids, b.ids) and bool(np.abs(a.corners_uv - b.corners_uv).max() < _EXACT_PX)
    )
