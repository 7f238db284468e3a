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
from calib.finders.markers import USUAL_COUNT, Markers, agreeing, apply_homographies, families, find_markers, homographies
from calib.finders.neighbours import foretell
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
_GUESS_OF_SQUARE, _FORETOLD_OF_SQUARE = 0.05, 0.02  # so uncertain is a corner foretold by its markers, by its neighbours
_OUTLYING = 12.0
_MORE_ROUNDS, _LEAST_GROWTH = 3, 4
_STRAY, _REACH, _SMALL_MISFIT = 0.05, 1.7, 0.03  # of a square; squares; of the contrast
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
            best, count = _understand(image, layouts(target)[:1] if strict else layouts(target), others)
            seen_any = max(seen_any, count)
            if best is not None:
                return _measure(grey, best, target, inverted)
    if not late and not strict and _is_mirrored(flat, target):
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


def _understand(image: Image, boards: list[Target], others: bool) -> tuple[_Reading | None, int]:
    """That of the boards which explains the markers best, and how many markers of the given dictionary there are."""
    target = boards[0]
    names = [target.dictionary]
    if others:
        names = list(_TAGS) if target.kind == "aprilgrid" else families()
    readings, count = [], 0
    needed = max(target.marker_total, USUAL_COUNT) if others else target.marker_total
    for border in (APRILGRID_BORDER, 1) if target.kind == "aprilgrid" else (1,):
        for name, seen in zip(names, find_markers(image, names, border=border, count=needed), strict=True):
            count = max(count, len(seen.ids) if not others else 0)
            readings += list(_explained(boards, name, seen, border))
        if readings:
            break
    best = max(readings, key=lambda r: r.friends - r.foes, default=None)
    if best is None:
        return None, count
    given = [r for r in readings if r.target == target and r.friends >= best.friends and r.foes <= best.foes]
    return (given[0] if given else best), count


def _explained(boards: list[Target], name: str, seen: Markers, border: int) -> Iterator[_Reading]:
    """The layouts that agree with markers of a dictionary."""
    if len(seen.ids) < 2:
        return
    for board in boards:
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
    return any(_understand(image, layouts(target), False)[0] is not None for image in (mirrored, 255 - mirrored))


def _measure(grey: Image, best: _Reading, asked: Target, inverted: bool) -> Found:
    """The corners of a board whose markers are known."""
    board, sharp = best.target, corners.finite(grey)
    ids, uv = (_charuco_corners if board.kind == "charuco" else _tag_corners)(best)
    first = _fit(sharp, best, ids, uv, None, inverted, _GUESS_OF_SQUARE)
    # Markers' outlines mislead where black touches black; corners and blur of one round foretell those of the next better, and
    # those of markers that were not read.
    final = first
    for _ in range(_MORE_ROUNDS):
        more = _fit(sharp, best, *_foretold(board, final), inverted, _FORETOLD_OF_SQUARE, final.blur_px)
        if len(more.ids) < len(final.ids) // 2:
            break
        grown, final = len(more.ids) - len(final.ids), more
        if grown < _LEAST_GROWTH:
            break
    if len(final.ids) < LEAST_CORNERS or _width(board.object_points()[final.ids, :2]) < _LEAST_WIDTH * board.square_m:
        return Found(None, f"only {len(final.ids)} corners of the board can be measured", asked)
    order = np.argsort(final.ids)
    found = Detection(
        final.uv[order],
        board.kind,
        ids=final.ids[order],
        sigma_px=final.sigma_px[order],
        is_inverted=inverted,
        blur_px=edge_width_px(np.array([final.blur_px])),
    )
    return Found(found, "", board, difference(asked, board))


@dataclass(frozen=True, slots=True, eq=False)
class _Corners:
    ids: NDArray[np.int64]
    uv: Array
    sigma_px: Array
    misfit: Array
    blur_px: float


def _fit(
    sharp: NDArray[np.float32],
    best: _Reading,
    ids: NDArray[np.int64],
    uv: Array,
    bend: Array | None,
    inverted: bool,
    unsure: float,
    blur_px: float = 1.0,
) -> _Corners:
    """Those of the corners that are there, near where they should be."""
    board = best.target
    points = board.object_points()[:, :2]
    inside = ((uv >= 1.0) & (uv <= np.array(sharp.shape[::-1]) - 2.0)).all(1)  # False for NaN
    ids, uv = ids[inside], uv[inside]
    axes = _axes(best, ids, None if bend is None else bend[inside])
    known = np.isfinite(axes).all((1, 2))
    ids, uv, axes = ids[known], uv[known], axes[known]
    if not len(ids):
        return _Corners(ids, uv, np.empty(0), np.empty(0), float("nan"))
    step = np.linalg.norm(axes, axis=-1).min(1)
    clear, dark = (_charuco_clear if board.kind == "charuco" else _tag_clear)(best, ids, step, blur_px)
    fit = fit_saddles(sharp, uv, axes, clear, unsure_px=float(np.clip(unsure * np.median(step), 0.7, 4.0)))
    good = _good(fit, uv, step, dark != inverted)
    # A corner must fit to those around it.
    foretold, _ = foretell(points, ids[good], fit.uv[good], ids)
    off = np.linalg.norm(fit.uv - foretold, axis=1)
    usual = float(np.median(off[good & np.isfinite(off)])) if (good & np.isfinite(off)).any() else 0.0
    far = off > np.maximum(np.maximum(_STRAY * step, 1.0), 6.0 * usual) + 4.0 * np.where(good, fit.sigma_px, 0.0)
    sure = good & ~far  # NaN is not far
    return _Corners(ids[sure], fit.uv[sure], fit.sigma_px[sure], fit.misfit[sure], float(np.median(fit.blur_px[good], axis=None)))


def _foretold(board: Target, seen: _Corners) -> tuple[NDArray[np.int64], Array, Array]:
    """Where all corners of the board should be, those that are known where they are; far from any known corner: nowhere."""
    points = board.object_points()[:, :2]
    ids = np.arange(len(points))
    uv, bend = np.full((len(points), 2), np.nan), np.full((len(points), 2, 2), np.nan)
    if len(seen.ids):
        sound = seen.misfit <= 3.0 * np.median(seen.misfit) + _SMALL_MISFIT
        near = np.linalg.norm(points[:, None] - points[seen.ids][None], axis=-1).min(1) < _REACH * board.square_m
        uv[near], bend[near] = foretell(points, seen.ids[sound], seen.uv[sound], ids[near])
        keep = sound | ~np.isfinite(uv[seen.ids]).all(1)
        uv[seen.ids[keep]] = seen.uv[keep]
    return ids, uv, bend


def _axes(best: _Reading, ids: NDArray[np.int64], bend: Array | None) -> Array:
    """(N, 2, 2) steps at the corners, px: of a charuco one square, of an aprilgrid one tag, into the tag."""
    board = best.target
    points = board.object_points()[:, :2]
    if board.kind == "charuco":
        steps = np.broadcast_to(np.eye(2) * board.square_m, (len(ids), 2, 2))
    else:
        tag, corner = np.divmod(ids, 4)
        steps = np.stack([points[4 * tag + (corner + 1) % 4], points[4 * tag + (corner + 3) % 4]], 1) - points[ids][:, None]
    ends = points[ids][:, None] + np.concatenate([steps, -steps], 1) * 0.5
    places = marker_places(board)[best.seen.ids]
    H = homographies(places, best.seen.corners_uv)
    nearest = np.linalg.norm(points[ids][:, None] - places.mean(1)[None], axis=-1).argmin(1)
    mapped = apply_homographies(H[nearest], ends)
    axes = np.asarray(mapped[:, :2] - mapped[:, 2:])
    return axes if bend is None else np.where(np.isfinite(bend), steps @ np.nan_to_num(bend), axes)


def _good(fit: Saddles, uv: Array, step: Array, dark: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which fits are those of a corner of the board."""
    moved = np.linalg.norm(fit.uv - uv, axis=1)
    good = np.isfinite(fit.sigma_px) & (fit.dark_first == dark) & (moved < np.maximum(_MOVE * step, 2.0))
    good &= fit.sigma_px < np.maximum(_WORST * step, 1.0)
    good &= fit.sigma_px < _OUTLYING * (np.median(fit.sigma_px[good]) if good.any() else 1.0)  # covered, or at the image's edge
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


def _charuco_corners(best: _Reading) -> tuple[NDArray[np.int64], Array]:
    """Where the corners next to a marker must be."""
    board, seen = best.target, best.seen
    points = board.object_points()[:, :2]
    places = marker_places(board)[seen.ids]
    near = np.abs(points[None] - places.mean(1)[:, None]).max(-1) < 0.6 * board.square_m  # (M, N): those of its square
    mapped = apply_homographies(homographies(places, seen.corners_uv), np.broadcast_to(points, (len(places), *points.shape)))
    usable = near & np.isfinite(mapped).all(-1)
    ids = np.flatnonzero(usable.any(0))
    mean = (np.nan_to_num(mapped) * usable[..., None]).sum(0)[ids] / usable.sum(0)[ids, None]
    return ids, mean


def _charuco_clear(best: _Reading, ids: NDArray[np.int64], step: Array, blur_px: float) -> tuple[Clear, NDArray[np.bool_]]:
    """What the markers leave free, and whether the square right below each corner is dark."""
    board = best.target
    row, column = np.divmod(ids, board.columns - 1)
    dark = ~is_white(board, row + 1, column + 1)
    blur = np.nan_to_num(blur_px, nan=1.0) / np.maximum(step, 1e-9)
    margin = 0.5 * (1.0 - board.marker_m / board.square_m)
    strip = np.clip(margin - 1.5 * blur, np.minimum(margin, 1.2 / np.maximum(step, 1e-9)), 0.9 * margin)
    inner = np.full((len(ids), 4), np.inf)
    for quadrant, is_same in enumerate((True, False, False, True)):  # markers stand in the white ones
        inner[:, quadrant] = np.where(dark == is_same, np.inf, strip)
    share = np.clip(1.0 - np.maximum(4.0 / np.maximum(step, 1e-9), 2.5 * blur), 0.45, 0.7)
    return Clear(np.stack([-share, share, -share, share], -1), inner), dark


def _tag_corners(best: _Reading) -> tuple[NDArray[np.int64], Array]:
    """The corners of the tags as they were read."""
    return (4 * best.seen.ids[:, None] + np.arange(4)).ravel(), best.seen.corners_uv.reshape(-1, 2)


def _tag_clear(best: _Reading, ids: NDArray[np.int64], step: Array, blur_px: float) -> tuple[Clear, NDArray[np.bool_]]:
    """What is free around corners of tags, which touch a black square in the gap.

    The quadrant of the tag is black only as far as its border; the others end with the gap.
    """
    board = best.target
    blur = np.nan_to_num(blur_px, nan=1.0) / np.maximum(step, 1e-9)
    bits = int(dictionary(board.dictionary).markerSize)
    border = best.border / (bits + 2 * best.border)
    gap = board.square_m / board.marker_m - 1.0
    inner = np.full((len(ids), 4), np.inf)
    inner[:, 0] = np.clip(border - 1.5 * blur, np.minimum(border, 1.2 / np.maximum(step, 1e-9)), 0.9 * border)
    outer = np.clip(gap - 2.0 * blur, 0.5 * gap, 0.85 * gap)
    return Clear(np.stack([-outer, np.full(len(ids), 0.6), -outer, np.full(len(ids), 0.6)], -1), inner), np.ones(
        len(ids), np.bool_
    )


def _width(points: Array) -> float:
    """How far points (N, 2) reach to the sides of the straight line through them: range across it, in their units."""
    centred = points - points.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    return float(np.ptp(centred @ axes[-1]))
