"""What sparse matches say of a pair: the disparities of corners, by how much rows are off, and whether chance explains it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stereo.matcher_input import GreyPair
from stereo.sparse_matches import Points, match_corners, row_offsets, supported
from stereo.threads import run_both

Float64 = NDArray[np.float64]

MATCHES_NEEDED = 24
"""supported matches below which they say nothing: a percentile of fewer is a guess"""
_CHANCE_FACTOR = 3.0
"""supported matches must outnumber those found on rows that cannot correspond by this much"""
_SMALLEST_MATCHED_PART = 0.05
"""part of the left corners that must be matched; real pairs reach 0.2 to 0.75, a checkerboard matched at random 0.02"""

_DETECTION_PIXELS = 300_000
_CORNERS_PER_CELL = (4, 8)
"""left, right: more on the right, since the cells of one point differ between the views"""
_WIDE_ROWS, _NARROW_ROWS = 20, 2
_ROUGH_STEP = 4
"""every so many-th left corner tells by how much rows are off"""
_CHANCE_ROWS = (-47, 47)
"""rows between a point and those of the chance tests: farther than a patch is tall"""
_CHANCE_WINDOW_PX, _GROUP_PX = 16.0, 3.0
"""half widths of the windows in which matches by chance, and matches, are counted"""
_SMALLEST_GROUP, _SMALLEST_GROUP_PART = 6.0, 0.004
"""matches at about one disparity that count as an end of the range: their number, and their part of all matches"""
_SMALLEST_GROUP_BEYOND, _SMALLEST_PART_BEYOND = 8, 0.01
"""the same for matches beyond what surfaces tell"""


@dataclass(frozen=True, slots=True, eq=False)
class SparseRange:
    """Supported matches of a pair, and what chance alone would give."""

    disparity_px: Float64
    """(N,) ascending"""
    extent_px: tuple[float, float]
    """lowest and highest disparity around which there are clearly more matches than chance gives; NaN where N is 0"""
    chance_px: Float64
    """(M,) ascending: what the two searches on rows that cannot correspond found together"""
    chance: int
    """matches of the larger of the two"""
    needed: int
    """matches that tell a range"""
    corners: tuple[int, int]
    """found in the left and right image"""
    row_offset_px: float
    """median of y_left - y_right, px; NaN where N is 0"""
    row_error_px: float
    """median of |y_left - y_right|, px"""

    @property
    def count(self) -> int:
        """N."""
        return len(self.disparity_px)

    @property
    def enough(self) -> bool:
        """True where chance does not explain the matches."""
        return self.count >= self.needed

    def beyond(self, low: float, high: float) -> tuple[float, float]:
        """`low` and `high`, px, moved out to where enough matches lie beyond each of them.

        Wrong matches come in groups where a texture repeats itself, so that all that chance gives on that side is counted.
        """
        group = max(_SMALLEST_GROUP_BEYOND, math.ceil(_SMALLEST_PART_BEYOND * self.count))
        tests = len(_CHANCE_ROWS) / _CHANCE_FACTOR
        below = group + math.ceil(np.searchsorted(self.chance_px, low) / tests)
        above = group + math.ceil((len(self.chance_px) - np.searchsorted(self.chance_px, high)) / tests)
        if below <= self.count:
            low = min(low, max(self.extent_px[0], float(self.disparity_px[below - 1])))
        if above <= self.count:
            high = max(high, min(self.extent_px[1], float(self.disparity_px[-above])))
        return low, high


def sparse_range(grey: GreyPair, workers: int = 2) -> SparseRange:
    """Match corners along rows.

    Corners spread over the image (Shi and Tomasi 1994; the best few of each grid cell, so that sparse regions count too) are
    matched by the correlation of small patches: mutual best, clearly better than the second best, and agreeing with neighbours.
    Rows may be off by a constant, up to 20 px of the shrunken images, which is measured first. The same search on rows that
    cannot correspond tells how many such matches chance alone would give.
    """
    height, width = grey.shape
    factor = min(1.0, math.sqrt(_DETECTION_PIXELS / (height * width)))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    scale_x, scale_y = width / size[0], height / size[1]
    left, right = run_both(
        workers,
        lambda: Points.find(grey.left, grey.left_valid, size, _CORNERS_PER_CELL[0]),
        lambda: Points.find(grey.right, grey.right_valid, size, _CORNERS_PER_CELL[1]),
    )
    rough = match_corners(left, right, band=_WIDE_ROWS, offset=0, step=_ROUGH_STEP)
    offset = round(float(np.median(rough.row_offset))) if len(rough.x) else 0
    matches = supported(match_corners(left, right, band=_NARROW_ROWS, offset=offset))
    tests = [supported(match_corners(left, right, band=_NARROW_ROWS, offset=offset + rows)) for rows in _CHANCE_ROWS]
    chance, count = max(len(test.x) for test in tests), len(matches.x)
    d = np.sort(matches.disparity).astype(np.float64)
    by_chance = np.sort(np.concatenate([test.disparity for test in tests])).astype(np.float64)
    extent, rows = (math.nan, math.nan), np.full(1, math.nan)
    if count:
        extent = _extent(d, by_chance)
        rows = row_offsets(left, right, matches) * scale_y
    return SparseRange(
        disparity_px=d * scale_x,
        extent_px=(extent[0] * scale_x, extent[1] * scale_x),
        chance_px=by_chance * scale_x,
        chance=chance,
        needed=max(MATCHES_NEEDED, math.ceil(_CHANCE_FACTOR * chance), math.ceil(_SMALLEST_MATCHED_PART * len(left.x))),
        corners=(len(left.x), len(right.x)),
        row_offset_px=float(np.median(rows)),
        row_error_px=float(np.median(np.abs(rows))),
    )


def _extent(d: Float64, chance: Float64) -> tuple[float, float]:
    """Ends of the matches `d`, ascending; `chance` holds those of all chance tests, one for each of `_CHANCE_ROWS`."""
    count = _count_within(d, d, _GROUP_PX)
    by_chance = _count_within(chance, d, _CHANCE_WINDOW_PX) * (_GROUP_PX / _CHANCE_WINDOW_PX) / len(_CHANCE_ROWS)
    sure = d[count >= max(_SMALLEST_GROUP, _SMALLEST_GROUP_PART * len(d)) + _CHANCE_FACTOR * by_chance]
    if not len(sure):  # supported one by one, but scattered
        return float(d[0]), float(d[-1])
    return float(sure[0]), float(sure[-1])


def _count_within(values: Float64, centres: Float64, radius: float) -> Float64:
    """How many of the sorted `values` lie within `radius` of each centre."""
    return (np.searchsorted(values, centres + radius, "right") - np.searchsorted(values, centres - radius, "left")).astype(
        np.float64
    )
