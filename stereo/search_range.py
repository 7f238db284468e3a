"""The signed disparity range [MIN, MAX): from depth limits, or from sparse matches of the pair itself."""

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib.errors import QualityError, UsageError
from calib.rig import RectifiedPair, StereoRig
from calib.units import parse_length_m
from stereo.sparse_matches import Index, Points, match_corners, row_offsets, supported

MATCHES_NEEDED = 24
"""supported matches below which no range is given: a percentile of fewer is a guess"""
_CHANCE_FACTOR = 3.0
"""supported matches must outnumber those found on rows that cannot correspond by this much"""
_SMALLEST_MATCHED_PART = 0.05
"""part of the left corners that must be matched; real pairs reach 0.2 to 0.75, a checkerboard matched at random 0.02"""

_DETECTION_PIXELS = 1_200_000
_CORNERS_PER_CELL = (6, 12)
"""left, right: more on the right, since the cells of one point differ between the views"""
_WIDE_ROWS, _NARROW_ROWS = 20, 2
_CHANCE_ROWS = (-47, 47)
"""rows between a point and those of the chance tests: farther than a patch is tall"""
_CHANCE_WINDOW_PX, _GROUP_PX = 16.0, 3.0
"""half widths of the windows in which matches by chance, and matches, are counted"""
_SMALLEST_GROUP, _SMALLEST_GROUP_PART = 6.0, 0.004
"""matches at about one disparity that count as an end of the range: their number, and their part of all matches"""
_SMALLEST_MARGIN_PX = 4
_FAR_MARGIN, _NEAR_MARGIN = 0.15, 0.25
"""parts of the measured span added on each side: near things are smaller, more often occluded and cut by the frame"""

LIMIT_PX = 2**20
"""no disparity is larger: no image is as wide"""
_NEAREST_M = 1e-9
"""a smaller NEAR is a slip of the pen, and f B / NEAR could overflow"""


@dataclass(frozen=True, slots=True)
class SearchRange:
    """A range of candidate disparities [minimum, maximum) and what it rests on."""

    minimum: int
    """px, signed"""
    maximum: int
    """px, signed, not a candidate itself"""
    evidence: str
    """one line for people: where the range comes from"""
    match_count: int = 0
    """sparse matches behind it; 0 where it was given"""
    row_offset_px: float = math.nan
    """median of y_left - y_right over the matches, px: 0 in a well rectified pair; NaN where it was not measured"""
    row_error_px: float = math.nan
    """median of |y_left - y_right|, px"""

    def __post_init__(self) -> None:
        if self.minimum >= self.maximum:
            raise UsageError(f"search range {self.minimum}:{self.maximum} is empty; it is [MIN, MAX) with MIN < MAX")
        if max(abs(self.minimum), abs(self.maximum)) > LIMIT_PX:
            raise UsageError(f"search range {self.minimum}:{self.maximum} reaches beyond {LIMIT_PX} px; no image is as wide")


def parse_range(text: str) -> tuple[int, int]:
    """Read `MIN:MAX` in whole pixels, of either sign; MAX is not a candidate itself.

    Raises
    ------
    UsageError
        Another form, MIN >= MAX, or disparities beyond `LIMIT_PX`.
    """
    found = re.fullmatch(r"\s*([+-]?\d+)\s*:\s*([+-]?\d+)\s*", text)
    if not found:
        raise UsageError(f"range {text!r}: write MIN:MAX in whole pixels, for example -40:88")
    if max(len(digits.lstrip("+-0")) for digits in found.groups()) > len(str(LIMIT_PX)):  # int() refuses thousands of digits
        raise _too_far(text)
    low, high = int(found[1]), int(found[2])
    if max(abs(low), abs(high)) > LIMIT_PX:
        raise _too_far(text)
    if low >= high:
        raise UsageError(f"range {text!r} is empty: MIN {low} must be < MAX {high}; swap them or widen the range")
    return low, high


def _too_far(text: str) -> UsageError:
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return UsageError(f"range {shown!r} reaches beyond {LIMIT_PX} px; no image is as wide; write for example -40:88")


def parse_depth(text: str) -> tuple[float, float]:
    """Read `NEAR:FAR` with units (mm, cm, m, in); FAR may be `inf`.

    Returns
    -------
    (near_m, far_m)

    Raises
    ------
    UsageError
        A missing or unknown unit, another form, or limits that `range_from_depth` would refuse.
    """
    parts = text.split(":")
    if len(parts) != 2:
        raise UsageError(f"depth {text!r}: write NEAR:FAR with units, for example 0.5m:20m or 30cm:inf")
    near, far = (_length_m(part.strip(), text) for part in parts)
    _check_depths(near, far)
    return near, far


def range_from_depth(rig: StereoRig, near_m: float, far_m: float) -> tuple[int, int]:
    """The candidates that measure every depth from `near_m` to `far_m`, and one more on each side.

    d = f B / Z - doffs; the matcher marks pixels that choose the outermost candidates of a range (the truth may lie beyond
    them), hence the guard. Disparities that no pixel of the image can have (|d| >= width) are left out.

    Parameters
    ----------
    rig : StereoRig
        Rectified.
    near_m, far_m : float
        Metres, 0 < near_m < far_m; `far_m` may be infinite.

    Returns
    -------
    (minimum, maximum) : tuple of int
        [minimum, maximum), px, signed.

    Raises
    ------
    UsageError
        Limits out of order, not positive, or not visible in an image this wide.
    CalibrationError
        A rig that is not rectified.
    """
    _check_depths(near_m, far_m)
    scale, doffs, width = rig.focal_px * rig.baseline_m, rig.doffs_px, rig.left.width
    nearest, farthest = scale / near_m - doffs, scale / far_m - doffs
    if not (math.isfinite(nearest) and math.isfinite(farthest)):
        raise UsageError(f"depth {near_m:g} m to {far_m:g} m means disparities without end for this rig; give farther limits")
    low, high = _floor(farthest) - 1, -_floor(-nearest) + 2
    low, high = max(low, 1 - width), min(high, width)
    if low >= high:
        raise UsageError(
            f"depth {near_m:g} m to {far_m:g} m means disparities {farthest:.1f} to {nearest:.1f} px, but the image is only"
            f" {width} px wide; give farther limits"
        )
    return low, high


def range_from_matches(pair: RectifiedPair) -> SearchRange:
    """Estimate the range from sparse matches of the pair.

    Corners spread over the image (Shi and Tomasi 1994; the best few of each grid cell, so that sparse regions count too) are
    matched along rows by the correlation of small patches: mutual best, clearly better than the second best, and agreeing with
    neighbours. The same search on rows that cannot correspond tells how many such matches chance alone would give.

    Parameters
    ----------
    pair : RectifiedPair
        Any image type; pixels outside the masks are not used.

    Returns
    -------
    SearchRange
        Signed, with a margin around the matches; its lower end stops at infinity (d = -doffs) where the pair has a rig.

    Raises
    ------
    QualityError
        Too few matches, or no more than chance gives.
    """
    height, width = pair.left.shape[:2]
    factor = min(1.0, math.sqrt(_DETECTION_PIXELS / (height * width)))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    scale_x, scale_y = width / size[0], height / size[1]
    left = Points.find(pair.left, pair.left_valid, size, _CORNERS_PER_CELL[0])
    right = Points.find(pair.right, pair.right_valid, size, _CORNERS_PER_CELL[1])
    rough = match_corners(left, right, band=_WIDE_ROWS, offset=0)
    offset = round(float(np.median(rough.row_offset))) if len(rough.x) else 0
    matches = supported(match_corners(left, right, band=_NARROW_ROWS, offset=offset))
    tests = [supported(match_corners(left, right, band=_NARROW_ROWS, offset=offset + rows)) for rows in _CHANCE_ROWS]
    chance = max(len(test.x) for test in tests)
    count = len(matches.x)
    needed = max(MATCHES_NEEDED, math.ceil(_CHANCE_FACTOR * chance), math.ceil(_SMALLEST_MATCHED_PART * len(left.x)))
    if count < needed:
        raise QualityError(
            f"the disparity range cannot be told from this pair: {count} consistent matches, {needed} needed"
            f" ({len(left.x)} and {len(right.x)} corners; chance alone gives {chance}); check that the images belong together and"
            " are rectified, or give --range MIN:MAX or --depth NEAR:FAR (search_range=(MIN, MAX) in Python)"
        )
    far, near = (float(v) * scale_x for v in _extent(matches.disparity, np.concatenate([test.disparity for test in tests])))
    span = near - far
    smallest = _SMALLEST_MARGIN_PX + 2.0 * (scale_x - 1.0)
    low, high = far - max(smallest, _FAR_MARGIN * span), near + max(smallest, _NEAR_MARGIN * span)
    if pair.rig is not None:
        # Nothing lies behind infinity; noise there may, by a pixel or two. Matches that do say more than the rig does.
        low = max(low, min(-pair.rig.doffs_px, far) - _SMALLEST_MARGIN_PX / 2)
    rows = row_offsets(left, right, matches) * scale_y
    return SearchRange(
        max(math.floor(low), 1 - width),
        min(math.ceil(high) + 1, width),
        f"{count} sparse matches from {far:.0f} to {near:.0f} px (chance gives {chance})",
        match_count=count,
        row_offset_px=float(np.median(rows)),
        row_error_px=float(np.median(np.abs(rows))),
    )


def _extent(disparity: Index, chance: Index) -> tuple[float, float]:
    """Lowest and highest disparity around which there are clearly more matches than chance gives.

    `chance` holds the disparities of all chance tests together, one test for each of `_CHANCE_ROWS`.
    """
    d, c = np.sort(disparity).astype(np.float64), np.sort(chance).astype(np.float64)
    count = _count_within(d, d, _GROUP_PX)
    by_chance = _count_within(c, d, _CHANCE_WINDOW_PX) * (_GROUP_PX / _CHANCE_WINDOW_PX) / len(_CHANCE_ROWS)
    sure = d[count >= max(_SMALLEST_GROUP, _SMALLEST_GROUP_PART * len(d)) + _CHANCE_FACTOR * by_chance]
    if not len(sure):  # supported one by one, but scattered
        return float(d[0]), float(d[-1])
    return float(sure[0]), float(sure[-1])


def _count_within(values: NDArray[np.float64], centres: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """How many of the sorted `values` lie within `radius` of each centre."""
    return (np.searchsorted(values, centres + radius, "right") - np.searchsorted(values, centres - radius, "left")).astype(
        np.float64
    )


def _length_m(text: str, whole: str) -> float:
    if text == "inf":
        return math.inf
    return parse_length_m(text, what=f"depth {whole!r}", example="write NEAR:FAR with units, for example 0.5m:20m or 30cm:inf")


def _check_depths(near_m: float, far_m: float) -> None:
    if not (near_m >= _NEAREST_M and math.isfinite(near_m)):
        raise UsageError(f"depth: NEAR is {near_m:g} m; it must be a finite length > 0 (at least {_NEAREST_M:g} m)")
    if not far_m > near_m:
        raise UsageError(f"depth: NEAR {near_m:g} m must be less than FAR {far_m:g} m; swap them or widen the limits")


def _floor(value: float) -> int:
    """floor(), but a value within rounding error of a whole number is that number."""
    nearest = round(value)
    return nearest if abs(value - nearest) < 1e-6 else math.floor(value)
