"""Boards with markers, ChArUco and AprilGrid: found by their markers, also in part, and understood even where they differ from
the board that was asked for (old layout, columns and rows exchanged, another dictionary).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib import corners
from calib.detection import Detection
from calib.errors import UsageError
from calib.finders import markers as reading
from calib.finders.found import NOTHING, Found, is_late
from calib.finders.markers import Markers, agreeing, apply_homographies, families, find_markers, homographies
from calib.finders.prepare import eight_bit
from calib.finders.saddle import Clear, Saddles, edge_width_px, fit_saddles
from calib.geometry import Array
from calib.images import Image
from calib.markers import dictionary
from calib.target import APRILGRID_BORDER, Target

LEAST_CORNERS = 6
"""fewer say too little of a pose"""
_LEAST_WIDTH = 0.5  # pitches between the corners and the straight line through them
_LEAST_SHARE = 0.7  # of the neighbours must agree with the layout asked for
_MOVE, _WORST, _MISFIT = 0.2, 0.12, 0.5  # of a square; of a square; of the contrast
_GUESS_OF_SQUARE = 0.05  # a corner foretold by its markers is about so uncertain
_TAGS = ("DICT_APRILTAG_36h11", "DICT_APRILTAG_25h9", "DICT_APRILTAG_16h5", "DICT_APRILTAG_36h10")


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """A board that explains the markers of an image."""

    target: Target
    seen: Markers
    friends: int
    foes: int
    border: int


def find_marked(grey: Image, target: Target, *, deadline: float | None = None, strict: bool = False) -> Found:
    """A ChArUco board or AprilGrid, whole or in part.

    Markers only say where to look; the corners, where black squares (of an AprilGrid: a tag and a square in the gap) touch, are
    fitted like those of a chessboard, in windows that keep clear of the markers.

    Parameters
    ----------
    grey : (H, W) array, uint8, uint16 or float32
    target : Target
        Of kind "charuco" or "aprilgrid".
    deadline : float, optional
        `time.monotonic()` after which no further attempt is made.
    strict : bool
        Look for just this board, and not for other layouts and dictionaries.

    Returns
    -------
    Found
        Its `target` may differ in columns, rows, legacy and dictionary; then `note` says so.
    """
    flat = eight_bit(grey)
    seen_any = 0
    late = False
    # The board asked for comes first in the positive and the negative, then others.
    for others in (False,) if strict else (False, True):
        for inverted in (False, True):
            if late := is_late(deadline):
                break
            image = 255 - flat if inverted else flat
            best, count = _understand(image, target, others)
            seen_any = max(seen_any, count)
            if best is not None:
                return _measure(grey, best, target, inverted)
    if not late and _is_mirrored(flat, target):
        return Found(None, "mirrored: the board is found only after flipping the image", target)
    if seen_any:
        return Found(None, f"{NOTHING}: {seen_any} markers of {target.dictionary}, but not where the board has them", target)
    return Found(None, NOTHING, target)


def marker_places(target: Target, *, count: int | None = None) -> Array:
    """(K, 4, 2) corners of the markers 0 ... K - 1 on a board, metres, clockwise from the marker's own top left."""
    if target.kind == "aprilgrid":
        return target.object_points()[:, :2].reshape(-1, 4, 2)
    rows, columns = np.mgrid[0 : target.rows, 0 : target.columns].reshape(2, -1)
    white = is_white(target, rows, columns)
    middle = (np.stack([columns[white], rows[white]], -1) - 0.5) * target.square_m
    corner = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.5 * target.marker_m
    return np.asarray(middle[:, None] + corner)


def is_white(target: Target, row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether squares of a charuco are white, with a marker."""
    shift = 1 if target.legacy and target.rows % 2 == 0 else 0
    return np.asarray((row + column + shift) % 2 == 1)


def layouts(target: Target) -> list[Target]:
    """The board, and those for which it is easily mistaken, the likeliest first."""
    turned = replace(target, columns=target.rows, rows=target.columns)
    both = [target] if target.columns == target.rows else [target, turned]
    if target.kind != "charuco":
        return both
    flips = [replace(board, legacy=not board.legacy) for board in both if board.rows % 2 == 0]
    plain = [replace(board, legacy=False) if board.rows % 2 else board for board in both]
    return sorted([*plain, *flips], key=lambda board: board.columns != target.columns or board.rows != target.rows)


def _understand(image: Image, target: Target, others: bool) -> tuple[_Reading | None, int]:
    """The board that explains the markers best, and how many markers of the given dictionary there are."""
    names = [target.dictionary]
    if others:
        names = list(_TAGS) if target.kind == "aprilgrid" else families()
    readings, count = [], 0
    for border in (APRILGRID_BORDER, 1) if target.kind == "aprilgrid" else (1,):
        for name, seen in zip(names, find_markers(image, names, border=border), strict=True):
            count = max(count, len(seen.ids) if not others else 0)
            readings += list(_explained(target, name, seen, border))
        if readings:
            break
    best = max(readings, key=lambda r: r.friends - r.foes, default=None)
    if best is None:
        return None, count
    given = [r for r in readings if r.target == target and r.friends >= best.friends and r.foes <= best.foes]
    return (given[0] if given else best), count


def _explained(target: Target, name: str, seen: Markers, border: int) -> Iterator[_Reading]:
    """The layouts that agree with markers of a dictionary."""
    if len(seen.ids) < 2:
        return
    for board in layouts(target):
        try:
            other = board if _same(name, board.dictionary) else replace(board, dictionary=_named(name, board))
        except UsageError:
            continue  # too few markers in that dictionary
        pitch = other.square_m * (np.sqrt(2.0) if other.kind == "charuco" else 1.0)
        ok, friends, foes = agreeing(seen, marker_places(other), pitch)
        if friends and friends >= _LEAST_SHARE * (friends + foes):
            yield _Reading(other, seen[ok], friends, foes, border)


def _same(name: str, other: str) -> bool:
    return name.removeprefix("DICT_") == other.removeprefix("DICT_")


def _named(name: str, board: Target) -> str:
    return reading.smallest_of_family(name, board.marker_total)


def _is_mirrored(flat: Image, target: Target) -> bool:
    mirrored = np.ascontiguousarray(flat[:, ::-1])
    return any(_understand(image, target, False)[0] is not None for image in (mirrored, 255 - mirrored))


def _measure(grey: Image, best: _Reading, asked: Target, inverted: bool) -> Found:
    """The corners of a board whose markers are known."""
    board = best.target
    ids, uv, axes, clear, dark = (_charuco_guess if board.kind == "charuco" else _tag_guess)(best)
    sharp = corners.finite(grey)
    step = np.linalg.norm(axes, axis=-1).min(1) if len(ids) else np.empty(0)
    inside = ((uv >= 1.0) & (uv <= np.array(grey.shape[::-1]) - 2.0)).all(1)
    ids, uv, axes, clear, dark, step = (
        ids[inside],
        uv[inside],
        axes[inside],
        clear[np.flatnonzero(inside)],
        dark[inside],
        step[inside],
    )
    if len(ids):
        unsure = float(np.clip(_GUESS_OF_SQUARE * np.median(step), 0.7, 4.0))
        fit = fit_saddles(sharp, uv, axes, clear, unsure_px=unsure)
        good = _good(fit, uv, step, dark != inverted)
        ids, fit_uv, sigma, blur = ids[good], fit.uv[good], fit.sigma_px[good], fit.blur_px[good]
    else:
        fit_uv, sigma, blur = uv, step, step
    if len(ids) < LEAST_CORNERS or _width(board.object_points()[ids, :2]) < _LEAST_WIDTH * board.square_m:
        return Found(None, f"only {len(ids)} corners of the board can be measured", asked)
    order = np.argsort(ids)
    found = Detection(
        fit_uv[order],
        board.kind,
        ids=ids[order],
        sigma_px=sigma[order],
        is_inverted=inverted,
        blur_px=edge_width_px(blur),
    )
    return Found(found, "", board, difference(asked, board))


def _good(fit: Saddles, uv: Array, step: Array, dark: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which fits are those of a corner of the board."""
    moved = np.linalg.norm(fit.uv - uv, axis=1)
    good = np.isfinite(fit.sigma_px) & (fit.dark_first == dark) & (moved < np.maximum(_MOVE * step, 2.0))
    good &= fit.sigma_px < np.maximum(_WORST * step, 1.0)
    usual = float(np.median(fit.misfit[good])) if good.any() else 0.0
    return np.asarray(good & (fit.misfit < max(_MISFIT, 2.5 * usual)))


def difference(asked: Target, board: Target) -> str:
    """In what a board differs from the one asked for, in words; "" if in nothing."""
    words = []
    if not _same(asked.dictionary, board.dictionary):
        words.append(f"its markers are of {board.dictionary}, not {asked.dictionary}")
    if (asked.columns, asked.rows) != (board.columns, board.rows):
        words.append(f"it is {board.columns} x {board.rows}, not {asked.columns} x {asked.rows}: columns and rows were exchanged")
    even = asked.rows % 2 == 0 or board.rows % 2 == 0
    if even and (asked.legacy and asked.rows % 2 == 0) != (board.legacy and board.rows % 2 == 0) and board.rows % 2 == 0:
        words.append(
            "it has the old layout (before OpenCV 4.6)"
            if board.legacy
            else "it has the new layout (since OpenCV 4.6), not the old"
        )
    return f"the board differs from {asked}: {'; '.join(words)}; taken as {board}" if words else ""


_Guess = tuple[NDArray[np.int64], Array, Array, Clear, NDArray[np.bool_]]
"""ids, uv, axes, what is clear, whether the quadrant between the axes is dark"""


def _charuco_guess(best: _Reading) -> _Guess:
    """Where the corners next to a marker must be."""
    board, seen = best.target, best.seen
    points = board.object_points()[:, :2]
    places = marker_places(board)[seen.ids]
    H = homographies(places, seen.corners_uv)
    near = np.abs(points[None] - places.mean(1)[:, None]).max(-1) < 0.6 * board.square_m  # (M, N): those of its square
    right, down = np.array([[0.5, 0.0], [0.0, 0.5]]) * board.square_m
    samples = [points, points + right, points - right, points + down, points - down]
    mapped = np.stack([apply_homographies(H, np.broadcast_to(s, (len(H), *s.shape))) for s in samples])
    usable = near & np.isfinite(mapped).all((0, 3))
    weight = usable / np.maximum(usable.sum(0), 1)
    mean = (np.nan_to_num(mapped) * weight[None, ..., None]).sum(1)
    ids = np.flatnonzero(usable.any(0))
    axes = np.stack([mean[1] - mean[2], mean[3] - mean[4]], 1)[ids]
    row, column = np.divmod(ids, board.columns - 1)
    dark = ~is_white(board, row + 1, column + 1)
    step = np.linalg.norm(axes, axis=-1).min(1)
    margin = 0.5 * (1.0 - board.marker_m / board.square_m)
    strip = np.maximum(0.85 * margin, np.minimum(margin, 1.5 / np.maximum(step, 1e-9)))  # white beside the edges, in squares
    inner = np.full((len(ids), 4), np.inf)
    for quadrant, is_same in enumerate((True, False, False, True)):  # markers stand in the white ones
        inner[:, quadrant] = np.where(dark == is_same, np.inf, strip)
    share = np.clip(1.0 - 4.0 / np.maximum(step, 1e-9), 0.45, 0.7)
    limits = np.stack([-share, share, -share, share], -1)
    return ids, mean[0][ids], axes, Clear(limits, inner), dark


def _tag_guess(best: _Reading) -> _Guess:
    """The corners of tags: each touches a black square in the gap."""
    board, seen = best.target, best.seen
    ids = (4 * seen.ids[:, None] + np.arange(4)).ravel()
    uv = seen.corners_uv
    bits = int(dictionary(board.dictionary).markerSize)
    inside = 0.85 * best.border / (bits + 2 * best.border)
    gap = board.square_m / board.marker_m - 1.0
    axes = np.empty((len(uv), 4, 2, 2))
    inner, limits = np.full((len(uv), 4, 4), np.inf), np.empty((len(uv), 4, 4))
    for corner in range(4):
        # Axes into the tag, along its two sides: their quadrant (u, v > 0) is black only as far as the tag's border.
        axes[:, corner, 0] = uv[:, (corner + 1) % 4] - uv[:, corner]
        axes[:, corner, 1] = uv[:, (corner + 3) % 4] - uv[:, corner]
        inner[:, corner, 0] = inside
        limits[:, corner] = [-0.8 * gap, 0.6, -0.8 * gap, 0.6]
    dark = np.ones(len(ids), np.bool_)
    return ids, uv.reshape(-1, 2), axes.reshape(-1, 2, 2), Clear(limits.reshape(-1, 4), inner.reshape(-1, 4)), dark


def _width(points: Array) -> float:
    """How far points (N, 2) reach to the sides of the straight line through them: range across it, in their units."""
    centred = points - points.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    return float(np.ptp(centred @ axes[-1]))
