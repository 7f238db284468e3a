"""Pixels of a board: each one is as dark as the share of its area that is printed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib.board_drawing.pattern import Pattern, pattern
from calib.errors import UsageError
from calib.geometry import Array
from calib.target import Target

_BAND_ROWS = 1024
_SCANLINES = 16  # per pixel row of a disc
_MOST_PIXELS = 400_000_000


@dataclass(frozen=True, slots=True, eq=False)
class BoardImage:
    """A board drawn without perspective, with a white rim."""

    image: NDArray[np.uint8]
    """(H, W) 0 = dark, 255 = white; edges inside a pixel give the exact grey"""
    pixels_per_m: float
    """scale"""
    origin_uv: Array
    """(2,) where the origin of the board's frame lies, px; a pixel's centre has whole coordinates"""

    def to_pixels(self, points_m: Array) -> Array:
        """(N, 2) pixels of points (N, 2) or (N, 3) of the board's frame: origin_uv + pixels_per_m * (x, y)."""
        return np.asarray(self.origin_uv + self.pixels_per_m * np.asarray(points_m, np.float64)[:, :2])

    def to_board(self, uv: Array) -> Array:
        """(N, 2) metres in the board's frame of pixels (N, 2)."""
        return np.asarray((np.asarray(uv, np.float64) - self.origin_uv) / self.pixels_per_m)


def board_image(target: Target, pixels_per_m: float, *, rim_m: float | None = None) -> BoardImage:
    """Draw a board upright.

    Parameters
    ----------
    target : Target
    pixels_per_m : float
        scale, e.g. 4000 = 4 px per mm
    rim_m : float, optional
        width of white around the pattern (`Target.outline_m`), metres; default one square

    Returns
    -------
    BoardImage

    Raises
    ------
    UsageError
        A scale or rim that is impossible or gives more than 400 million pixels.
    """
    rim = target.square_m if rim_m is None else rim_m
    outline = target.outline_m()
    low, high = outline.min(0) - rim, outline.max(0) + rim
    extent = (high - low) * pixels_per_m
    if not (pixels_per_m > 0.0 and rim >= 0.0 and 1.0 <= extent.prod() <= _MOST_PIXELS):
        raise UsageError(
            f"board image: {pixels_per_m:g} px per metre and a rim of {rim:g} m give {max(extent.prod(), 0.0):.3g} pixels;"
            f" at most {_MOST_PIXELS:g} are possible"
        )
    width, height = (int(n) for n in np.ceil(extent - 1e-6))
    drawn = pattern(target).placed(pixels_per_m, *(-low * pixels_per_m))
    # A pixel with index 0 spans 0 ... 1 here, and its centre is called 0 outside.
    return BoardImage(fill(drawn, width, height), pixels_per_m, -low * pixels_per_m - 0.5)


def fill(shapes: Pattern, width: int, height: int) -> NDArray[np.uint8]:
    """(height, width) picture of shapes in pixels; the first pixel spans 0 ... 1 in both directions."""
    image = np.empty((height, width), np.uint8)
    for top in range(0, height, _BAND_ROWS):  # the whole sheet as floats would take four times the memory
        ink = np.zeros((min(_BAND_ROWS, height - top), width), np.float32)
        for x0, y0, x1, y1 in shapes.boxes.tolist():
            columns, rows = _span(x0, x1, width), _span(y0 - top, y1 - top, len(ink))
            ink[rows, columns] += np.outer(_share(y0 - top, y1 - top, rows), _share(x0, x1, columns))
        for x, y, radius in shapes.discs.tolist():
            _add_disc(ink, x, y - top, radius)
        image[top : top + len(ink)] = np.rint(255.0 * (1.0 - np.minimum(ink, 1.0)))
    return image


def _span(start: float, stop: float, size: int) -> slice:
    """The pixels that an interval touches."""
    first = min(max(int(np.floor(start)), 0), size)
    return slice(first, max(first, min(int(np.ceil(stop)), size)))


def _share(start: float, stop: float, pixels: slice) -> NDArray[np.float32]:
    """Which share of each of the pixels an interval covers."""
    at = np.arange(pixels.start, pixels.stop)
    return np.asarray(np.clip(np.minimum(at + 1, stop) - np.maximum(at, start), 0.0, 1.0), np.float32)


def _add_disc(ink: NDArray[np.float32], x: float, y: float, radius: float) -> None:
    """Each scanline covers an interval exactly; sixteen of them make a pixel row."""
    columns, rows = _span(x - radius, x + radius, ink.shape[1]), _span(y - radius, y + radius, len(ink))
    if columns.start == columns.stop or rows.start == rows.stop:
        return
    heights = (np.arange(rows.start * _SCANLINES, rows.stop * _SCANLINES) + 0.5) / _SCANLINES - y
    half = np.sqrt(np.maximum(radius**2 - heights**2, 0.0))[:, None]
    at = np.arange(columns.start, columns.stop)
    share = np.clip(np.minimum(at + 1, x + half) - np.maximum(at, x - half), 0.0, 1.0)
    ink[rows, columns] += share.reshape(-1, _SCANLINES, len(at)).mean(1).astype(np.float32)
