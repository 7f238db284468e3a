"""What is printed of a board, as dark boxes and discs on white."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib import markers
from calib.geometry import Array
from calib.target import APRILGRID_BORDER, Target


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """Dark shapes; boxes touch, but none overlaps another one."""

    boxes: Array
    """(N, 4) left, top, right, bottom"""
    discs: Array
    """(M, 3) centre x, centre y, radius"""

    def placed(self, scale: float, left: float, top: float) -> "Pattern":
        """The shapes after multiplication by `scale`, then moved by (left, top)."""
        return Pattern(self.boxes * scale + [left, top, left, top], self.discs * scale + [left, top, 0.0])


def pattern(target: Target) -> Pattern:
    """The dark shapes of a board in its own frame, metres."""
    boxes, discs = np.empty((0, 4)), np.empty((0, 3))
    if target.kind == "chessboard":
        boxes = _squares(target.columns + 1, target.rows + 1, target.square_m)
    elif target.kind == "charuco":
        boxes = _charuco(target)
    elif target.kind == "aprilgrid":
        boxes = _aprilgrid(target)
    else:
        centres = target.object_points()[:, :2]
        discs = np.column_stack([centres, np.full(len(centres), target.radius_m)])
    return Pattern(boxes, discs)


def _squares(columns: int, rows: int, side_m: float, *, first_dark: int = 0) -> Array:
    """The dark squares of columns x rows; the first inner corner is the origin; first_dark = 1: the top left one is white."""
    y, x = np.mgrid[0:rows, 0:columns]
    dark = (x + y) % 2 == first_dark
    return _boxes((x[dark] - 1) * side_m, (y[dark] - 1) * side_m, side_m)


def _charuco(target: Target) -> Array:
    """Markers stand in the white squares, counted row by row (cv2.aruco.CharucoBoard).

    Until OpenCV 4.6 boards with an even count of rows began with a white square; boards with an odd one never changed.
    """
    first_dark = 1 if target.legacy and target.rows % 2 == 0 else 0
    y, x = np.mgrid[0 : target.rows, 0 : target.columns]
    light = (x + y) % 2 != first_dark
    inset = 0.5 * (target.square_m - target.marker_m)
    parts = [_squares(target.columns, target.rows, target.square_m, first_dark=first_dark)]
    for number, (row, column) in enumerate(zip(y[light], x[light], strict=True)):
        corner = np.array([column - 1, row - 1]) * target.square_m + inset
        parts.append(_cells(markers.marker_cells(target.dictionary, number), corner, target.marker_m))
    return np.concatenate(parts)


def _aprilgrid(target: Target) -> Array:
    """Tags as Kalibr prints them: turned by half a turn against OpenCV's, and dark squares between their corners."""
    corners = target.object_points()[2::4, :2]  # the third corner is top left
    parts = [
        _cells(np.rot90(markers.marker_cells(target.dictionary, tag, border=APRILGRID_BORDER), 2), corner, target.marker_m)
        for tag, corner in enumerate(corners)
    ]
    gap = target.square_m - target.marker_m
    y, x = np.mgrid[0 : target.rows + 1, 0 : target.columns + 1]
    parts.append(_boxes(x.ravel() * target.square_m - gap, y.ravel() * target.square_m - gap, gap))
    return np.concatenate(parts)


def _boxes(left: Array, top: Array, side: float) -> Array:
    return np.stack([left, top, left + side, top + side], -1)


def _cells(dark: NDArray[np.bool_], corner: Array, side_m: float) -> Array:
    """Few boxes that cover the dark cells: runs along rows, joined with equal runs of the row above."""
    found: list[list[int]] = []
    open_runs: dict[tuple[int, int], list[int]] = {}
    for row, cells in enumerate(dark):
        steps = np.flatnonzero(np.diff(np.concatenate([[0], cells.astype(np.int8), [0]])))
        runs: dict[tuple[int, int], list[int]] = {}
        for start, stop in zip(steps[::2].tolist(), steps[1::2].tolist(), strict=True):
            box = open_runs.get((start, stop))
            if box is None:
                box = [start, row, stop, row]
                found.append(box)
            box[3] = row + 1
            runs[start, stop] = box
        open_runs = runs
    return np.array(found, np.float64) * (side_m / len(dark)) + np.tile(corner, 2)
