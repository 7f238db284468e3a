"""Grids of circles, symmetric and asymmetric, seen whole."""

import time
from collections.abc import Iterator

import cv2
import numpy as np

from calib import corners
from calib.detection import Detection
from calib.finders.discs import Discs, fit_discs
from calib.finders.found import NOTHING, Found, is_late
from calib.finders.neighbours import foretell, quadratic
from calib.finders.prepare import eight_bit, full_size, resized, working_scale
from calib.finders.saddle import edge_width_px
from calib.geometry import Array
from calib.images import Image
from calib.target import Target

_LEAST_RADIUS_PX = 2.2
_MOST_STRAY = 0.15  # of the distance of neighbours: how far a centre may lie from where those around it foretell it
_MOST_STRAYING = 0.05
_RIM_POINTS, _AROUND = 48, 14
_WORST_SHARE = 0.1
_MOST_BLOBS, _BLOBS_SHARE = 400, 1.25  # of those asked for: the search through neighbours takes n^3 ...
_SECONDS = 2.5e-8  # ... times this
_MOST_TO_CLUSTER = 2000
_UNSURE_SHIFT = 0.12  # of what is taken off for perspective and lens


def find_circles(grey: Image, target: Target, *, deadline: float | None = None) -> Found:
    """A grid of circles.

    OpenCV's search gives the order; each centre is then that of an ellipse fitted to the pixels (`calib.finders.discs`).

    The centre of an ellipse is not the image of the circle's centre: under perspective it lies farther from the camera's side by
    about r^2 sin(t) cos(t) f / Z^2 for a circle of radius r at distance Z on a board tilted by t (0.05 px for r = 5 mm, t = 35
    degrees, f = 1000 px, Z = 0.5 m), and a lens that bends lines moves it too. What follows from the places of the circles around
    is taken off; about a tenth of it remains, for which corners of squares are to be preferred.

    Parameters
    ----------
    grey : (H, W) array, uint8, uint16 or float32
    target : Target
        Of kind "circles" or "acircles".
    deadline : float, optional
        `time.monotonic()` after which no further attempt is made.

    Returns
    -------
    Found
    """
    raw = corners.finite(grey)
    board = target.object_points()[:, :2]
    ids = np.arange(len(board))
    for name, uv, inverted in _attempts(grey, target, deadline):
        ordered = _in_order(board, uv, target)
        if ordered is None:
            continue
        spacing = _spacing(board, ordered)
        discs = fit_discs(raw, ordered, _radii(raw, ordered, spacing), 0.62 * spacing)
        good = (
            np.isfinite(discs.sigma_px) & (discs.is_dark != inverted) & (discs.sigma_px < np.maximum(_WORST_SHARE * spacing, 1.0))
        )
        if (~good).mean() > _MOST_STRAYING:
            continue
        centres = np.where(good[:, None], discs.uv, ordered)
        foretold, _ = foretell(board, ids, centres, ids)
        if (np.linalg.norm(centres - foretold, axis=1) > _MOST_STRAY * spacing).mean() > _MOST_STRAYING:
            continue
        shift = _eccentricity(board, centres, discs)
        sigma = np.where(good, discs.sigma_px, np.maximum(0.06 * spacing, np.max(discs.sigma_px[good], initial=0.5)))
        sigma = np.hypot(sigma, _UNSURE_SHIFT * np.linalg.norm(shift, axis=1))
        found = Detection(centres - shift, name, sigma_px=sigma, is_inverted=inverted, blur_px=edge_width_px(discs.blur_px[good]))
        return Found(found, "", target)
    return Found(None, NOTHING, target)


def _attempts(grey: Image, target: Target, deadline: float | None) -> Iterator[tuple[str, Array, bool]]:
    """What OpenCV finds, and whether in the negative; each is tried only when it is asked for."""
    flat = eight_bit(grey)
    for suffix, times in (("", 1.0), ("-inverted", 1.0), ("-x2", 2.0), ("-half", 0.5)):
        inverted = suffix == "-inverted"
        image, scale = resized(255 - flat if inverted else flat, times * working_scale(grey))
        if is_late(deadline):
            return
        blobs = blob_detector(max(image.shape) / max(target.columns, target.rows)).detect(image)
        places = np.array([blob.pt for blob in blobs], np.float64).reshape(-1, 2)
        for clustered in (False, True):
            uv = grid_among(places, target.kind, target.columns, target.rows, clustered=clustered, deadline=deadline)
            if uv is not None:
                yield f"{target.kind}{'-clustering' * clustered}{suffix}", full_size(uv, scale), inverted


def grid_among(
    places: Array, kind: str, columns: int, rows: int, *, clustered: bool = False, deadline: float | None = None
) -> Array | None:
    """(columns * rows, 2) px: a grid of "circles" or "acircles" among the places (N, 2) of blobs, or None.

    Tries nothing that the count of the blobs forbids, or that would outlast the deadline: OpenCV's search takes minutes for a
    thousand blobs.
    """
    count, wanted = len(places), columns * rows
    if is_late(deadline) or not wanted <= count <= _MOST_TO_CLUSTER:
        return None
    if not clustered:
        takes_s = _SECONDS * count**3
        if count > max(_MOST_BLOBS, _BLOBS_SHARE * wanted) or (deadline is not None and time.monotonic() + takes_s > deadline):
            return None
    flags = cv2.CALIB_CB_SYMMETRIC_GRID if kind == "circles" else cv2.CALIB_CB_ASYMMETRIC_GRID
    flags |= cv2.CALIB_CB_CLUSTERING if clustered else 0
    points = places.astype(np.float32).reshape(-1, 1, 2)
    found, uv = cv2.findCirclesGrid(points, (columns, rows), flags, None, cv2.CirclesGridFinderParameters())  # type: ignore[call-overload]
    return np.asarray(uv, np.float64).reshape(-1, 2) if found and np.size(uv) == 2 * wanted else None


def blob_detector(most: float) -> cv2.SimpleBlobDetector:
    """A detector of dark discs of diameters up to `most` px."""
    settings = cv2.SimpleBlobDetector.Params()
    settings.filterByArea, settings.minArea, settings.maxArea = True, np.pi * _LEAST_RADIUS_PX**2, max(most**2, 100.0)
    settings.filterByCircularity, settings.minCircularity = True, 0.6
    settings.filterByConvexity, settings.minConvexity = True, 0.85
    settings.filterByInertia, settings.minInertiaRatio = True, 0.1
    settings.filterByColor, settings.blobColor = True, 0
    settings.minDistBetweenBlobs = 2.0 * _LEAST_RADIUS_PX
    settings.minThreshold, settings.maxThreshold, settings.thresholdStep = 20.0, 230.0, 15.0
    settings.minRepeatability = 2
    return cv2.SimpleBlobDetector.create(settings)


def _in_order(board: Array, uv: Array, target: Target) -> Array | None:
    """The centres read so that they are an image of the board seen from its front: the reading that fits a homography best."""
    grid = uv.reshape(target.rows, target.columns, 2)
    readings = [grid, grid[::-1, ::-1], grid[:, ::-1], grid[::-1]]
    if target.rows == target.columns:
        readings += [np.swapaxes(reading, 0, 1) for reading in readings]
    best, least = None, np.inf
    for reading in readings:
        points = np.ascontiguousarray(reading.reshape(-1, 2))
        H, _ = cv2.findHomography(board.astype(np.float64), points, 0)
        if H is None or np.linalg.det(H[:2, :2]) <= 0.0:
            continue
        mapped = board @ H[:, :2].T + H[:, 2]
        error = float(np.abs(mapped[:, :2] / mapped[:, 2:] - points).mean())
        if error < least * 0.999:
            best, least = points, error
    return best


def _spacing(board: Array, uv: Array) -> Array:
    """(N,) px from each circle to the nearest other one."""
    distance = np.linalg.norm(uv[:, None] - uv[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    return np.asarray(distance.min(1))


def _radii(raw: corners.Float32, uv: Array, spacing: Array) -> Array:
    """(N,) rough radii: how far from the centre the light has changed by half, on rays to all sides."""
    share = np.linspace(0.02, 0.6, 30)
    angle = np.linspace(0.0, 2.0 * np.pi, 16, endpoint=False)
    rays = np.stack([np.cos(angle), np.sin(angle)], -1)
    places = (uv[:, None, None] + (spacing[:, None] * share)[:, :, None, None] * rays[None, None]).astype(np.float32)
    seen = cv2.remap(raw, places[..., 0].reshape(len(uv), -1), places[..., 1].reshape(len(uv), -1), cv2.INTER_LINEAR)
    profile = np.asarray(seen, np.float64).reshape(len(uv), len(share), len(angle)).mean(2)
    inside, outside = profile[:, :3].mean(1), profile[:, -6:].mean(1)
    beyond = np.abs(profile - inside[:, None]) > 0.5 * np.abs(outside - inside)[:, None]
    return np.asarray(np.maximum(share[np.argmax(beyond, axis=1)] * spacing, 1.5))


def _eccentricity(board: Array, uv: Array, discs: Discs) -> Array:
    """(N, 2) px from the image of each circle's centre to the centre of its ellipse.

    Quadratics through the centres around tell how the image bends, by perspective and by the lens.
    """
    angle = np.linspace(0.0, 2.0 * np.pi, _RIM_POINTS, endpoint=False)
    rim = np.stack([np.cos(angle), np.sin(angle)], -1)
    distance = np.linalg.norm(board[:, None] - board[None], axis=-1)
    nearest = np.argsort(distance, axis=1)[:, :_AROUND]
    unit = float(distance[distance > 0.0].min())
    terms = quadratic((board[nearest] - board[:, None]) / unit)
    bend = np.linalg.pinv(terms) @ (uv[nearest] - uv[:, None])  # (N, 6, 2)
    area = _polygon(quadratic(0.25 * rim)[None] @ bend)[0]
    radius = 0.25 * np.sqrt(np.nanmedian(discs.area_px / np.maximum(area, 1e-9)))
    return np.asarray(_polygon(quadratic(radius * rim)[None] @ bend)[1] - bend[:, 0])


def _polygon(points: Array) -> tuple[Array, Array]:
    """Areas (N,) and centres of gravity (N, 2) of polygons (N, K, 2)."""
    middle = points.mean(1, keepdims=True)
    a = points - middle
    b = np.roll(a, -1, axis=1)
    cross = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    area = 0.5 * cross.sum(1)
    centre = ((a + b) * cross[..., None]).sum(1) / np.where(area == 0.0, 1.0, 6.0 * area)[:, None]
    return np.abs(area), centre + middle[:, 0]
