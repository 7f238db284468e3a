"""Chessboards: several detectors, the first one whose corners prove to be those of the board.

Accuracy does not depend on the detector, for every corner is fitted afterwards in a window of its own (`calib.finders.saddle`):
the quickest comes first, those that find boards under worse conditions follow.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from calib import corners
from calib.detection import Detection
from calib.finders.found import NOTHING, Found, is_late
from calib.finders.prepare import eight_bit, full_size, resized, working_scale
from calib.finders.saddle import polished
from calib.geometry import Array
from calib.images import Image, to_grey
from calib.target import Target

_SB = cv2.CALIB_CB_ACCURACY
_CLASSIC = cv2.CALIB_CB_ADAPTIVE_THRESH | cv2.CALIB_CB_NORMALIZE_IMAGE
_GUESSES = ((3, 3), (4, 3), (5, 4), (6, 4), (7, 5), (8, 5), (8, 6))


def find_chessboard(grey: Image, target: Target, *, deadline: float | None = None) -> Found:
    """A chessboard seen whole.

    Parameters
    ----------
    grey : (H, W) array, uint8, uint16 or float32
    target : Target
        Of kind "chessboard".
    deadline : float, optional
        `time.monotonic()` after which no further attempt is made.

    Returns
    -------
    Found
    """
    sharp = corners.smooth(grey)
    reason = NOTHING
    for detector, points, inverted in _attempts(grey, target, deadline):
        grid = corners.refine(sharp, points.reshape(target.rows, target.columns, 2))
        if not corners.is_board(sharp, grid):
            continue
        if corners.goes_on(sharp, grid):
            reason = f"a board of more than {target.columns} x {target.rows} inner corners"
            continue
        ordered = corners.first_corner_first(sharp, grid)
        uv, sigma_px, blur_px = polished(ordered, corners.finite(grey))
        return Found(Detection(uv, detector, sigma_px=sigma_px, is_inverted=inverted, blur_px=blur_px), "", target)
    return Found(None, reason, target)


def guess_chessboard(image: Image, *, deadline: float | None = None) -> tuple[int, int] | None:
    """(columns, rows) of the chessboard in an image, whatever its size, or None: for telling a user what the board really is."""
    grey = to_grey(image)
    sharp = corners.smooth(grey)
    small, scale = resized(eight_bit(grey), working_scale(grey))
    for guess in _GUESSES:
        if is_late(deadline):
            break
        found, uv, meta = cv2.findChessboardCornersSBWithMeta(small, guess, cv2.CALIB_CB_ACCURACY | cv2.CALIB_CB_LARGER)
        rows, columns = np.shape(meta) if found else (0, 0)
        if min(rows, columns) < 3 or np.size(uv) != 2 * rows * columns:
            continue
        grid = corners.refine(sharp, full_size(uv, scale).reshape(rows, columns, 2))
        if corners.is_board(sharp, grid) and not corners.goes_on(sharp, grid):
            return max(columns, rows), min(columns, rows)
    return None


def _attempts(grey: Image, target: Target, deadline: float | None) -> Iterator[tuple[str, Array, bool]]:
    """What the detectors find, and whether in the negative; each is tried only when it is asked for.

    The negative is for boards with black and white exchanged, whose rim is black: detectors need a white one.
    """
    size, flat = (target.columns, target.rows), eight_bit(grey)
    for suffix, times in (("", 1.0), ("-x2", 2.0), ("-inverted", 1.0)):
        inverted = suffix == "-inverted"
        image, scale = resized(255 - flat if inverted else flat, times * working_scale(grey))
        for name, flags in (("classic", _CLASSIC), ("sb", _SB), ("sb-exhaustive", _SB | cv2.CALIB_CB_EXHAUSTIVE)):
            if name == "sb-exhaustive" and suffix:
                continue  # slow, and it finds no more
            if is_late(deadline):
                return
            find = cv2.findChessboardCorners if name == "classic" else cv2.findChessboardCornersSB
            found, uv = find(image, size, flags=flags)
            if found and np.size(uv) == 2 * target.corner_count:
                yield name + suffix, full_size(uv, scale), inverted
