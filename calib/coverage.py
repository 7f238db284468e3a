"""How much of both images the board has reached, how differently it was held, and how near and far."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib.fit import Fit, Residuals
from calib.geometry import Array, frozen

_COLUMNS = 10  # cells across an image; they are about square


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """Where in one image corners were seen."""

    size: tuple[int, int]
    """(width, height) of the image, px"""
    counts: NDArray[np.int64]
    """(rows, columns) corners in each cell of a grid over the image"""
    hull_uv: Array
    """(M, 2) convex hull of the corners, px; (0, 2) where there are none"""
    hull_share: float
    """area of the hull over that of the image"""

    @property
    def share(self) -> float:
        """Cells with a corner over all cells."""
        return float((self.counts > 0).mean())


@dataclass(frozen=True, slots=True, eq=False)
class Diversity:
    """How differently the board was held."""

    tilt_deg: float
    """greatest angle between the normals of two boards, degrees; NaN without poses"""
    nearest_m: float
    """distance of the nearest kept corner from the left camera, metres"""
    farthest_m: float

    @property
    def depth_ratio(self) -> float:
        """Farthest over nearest."""
        return self.farthest_m / self.nearest_m


def coverage(uv: ArrayLike, size: tuple[int, int]) -> Coverage:
    """Where corners lie in an image.

    Parameters
    ----------
    uv : (N, 2) array, px
        Corners outside the image count for the nearest cell.
    size : (width, height), px

    Returns
    -------
    Coverage
    """
    points = np.asarray(uv, np.float64).reshape(-1, 2)
    width, height = size
    cells = np.array([_COLUMNS, max(1, round(_COLUMNS * height / width))])
    counts = np.zeros((cells[1], cells[0]), np.int64)
    hull, share = np.zeros((0, 2)), 0.0
    if len(points):
        column, row = np.clip((points + 0.5) / size * cells, 0, cells - 1).astype(np.int64).T
        np.add.at(counts, (row, column), 1)
        hull = cv2.convexHull(points.astype(np.float32)).reshape(-1, 2).astype(np.float64)
        share = _area(hull) / (width * height)
    frozen(counts)
    frozen(hull)
    return Coverage(size, counts, hull, share)


def fit_coverage(fit: Fit) -> tuple[Coverage, Coverage]:
    """Where the corners that the solution rests on lie in the left and in the right image."""
    left, right = (_seen(side) for side in fit.sides)
    return coverage(left, fit.rig.left.size), coverage(right, fit.rig.right.size)


def diversity(fit: Fit) -> Diversity:
    """Tilts and distances of the boards that the solution rests on."""
    normals = np.array([R[:, 2] for R, _ in (pose for pose in fit.poses if pose is not None)]).reshape(-1, 3)
    if not len(normals):
        return Diversity(float("nan"), float("nan"), float("nan"))
    # cross and dot: the arc cosine alone is blind to small angles
    sine = np.linalg.norm(np.cross(normals[:, None], normals[None]), axis=-1)
    tilt = np.degrees(np.arctan2(sine, normals @ normals.T).max())
    distances = _distances(fit)
    return Diversity(float(tilt), float(distances.min()), float(distances.max()))


def _distances(fit: Fit) -> Array:
    """From the left camera to every kept corner, m."""
    parts = []
    for side in fit.sides:
        for moment in np.unique(side.moment[side.kept]):
            pose = fit.poses[moment]
            if pose is not None:
                R, t = pose
                points = fit.board_m[side.ids[side.kept & (side.moment == moment)]] @ R.T + t
                parts.append(np.linalg.norm(points, axis=-1))
    return np.concatenate(parts) if parts else np.full(1, np.nan)


def _seen(side: Residuals) -> Array:
    return side.seen_uv[side.kept]


def _area(polygon: Array) -> float:
    """Shoelace formula."""
    x, y = polygon.T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))
