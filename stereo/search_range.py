"""The signed disparity range [MIN, MAX): from depth limits, or found in the pair itself, by sparse matches and a coarse pass."""

import math
import re
from dataclasses import dataclass, replace

import numpy as np

from calib.errors import QualityError, UsageError
from calib.rig import RectifiedPair, StereoRig
from calib.units import parse_length_m
from stereo.coarse_range import CoarsePass, coarse_pass
from stereo.maps import DisparityMap, Reason
from stereo.matcher_input import GreyPair, grey_pair, trim
from stereo.sparse_range import SparseRange, sparse_range

_SMALLEST_SIDE = 5
"""px; what the matcher needs"""
_COARSE_JOINS, _COARSE_ALONE = 0.1, 0.35
"""reliable part of the coarse pass from which it is heard beside sparse matches, and believed without them"""
_COARSE_CHANCE = 2.5
"""a coarse pass alone must answer this many times as often as one whose rows cannot correspond"""
_CORNERS_THAT_SPEAK = 480
"""left corners beyond which the silence of the sparse matches is believed more than a coarse pass"""
_REACH_ALONE = 0.5
"""candidates on either side of zero, as a part of the width, where sparse matches do not guide the coarse pass"""
_BULK_PERCENT, _TAIL_PERCENT = 0.5, 0.1
"""answers of the coarse pass beyond each end of what most and of what nearly all of them tell"""
_NEAR_MARGIN = 0.25
"""part of the span of most answers added to them: near things are often occluded and cut by the frame"""
_MARGIN_PX, _COARSE_MARGIN = 1.0, 0.5
"""beyond nearly all answers: px of the images and of the coarse pass, which is no finer"""
_SPARSE_MARGIN_PX, _SPARSE_FAR_MARGIN, _SPARSE_NEAR_MARGIN = 4.0, 0.15, 0.25
"""px and parts of the span added to sparse matches alone: corners seldom lie on the outermost things"""

LIMIT_PX = 2**20
"""no disparity is larger: no image is as wide"""
LARGEST_END_SHARE = 0.01
"""part of the measured pixels that may choose one end of a range; more, and there is probably something beyond"""
_SMALLEST_STEP_PX = 16
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
    limits: tuple[int, int] = (-LIMIT_PX, LIMIT_PX)
    """[min, max) that any two pixels with data can have, px; the range is never widened beyond"""

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


def find_range(pair: RectifiedPair, *, threads: int | None = None) -> SearchRange:
    """Find the range in the pair itself: sparse matches joined with a dense pass over the shrunken images.

    The sparse matches tell wrong pairs from right ones, by what chance alone would give, and by how much rows are off; they lead
    the coarse pass to disparities beyond its usual reach. The coarse pass sees surfaces without corners, and is the more exact.
    Either may be enough; where both answer, the range is that of the coarse pass and of each group of sparse matches beyond it.

    Parameters
    ----------
    pair : RectifiedPair
        Any image type; pixels outside the masks are not used.
    threads : int, optional
        1 or more; default 2. The range does not depend on it.

    Returns
    -------
    SearchRange
        Signed, with a margin; its lower end stops at infinity (d = -doffs) where the pair has a rig, unless the images say
        otherwise. A pair shifted by k px, with nodata where nothing is known, gets this range shifted by k.

    Raises
    ------
    QualityError
        Neither source is enough.
    """
    workers = 2 if threads is None else threads
    if workers < 1:
        raise UsageError(f"threads is {threads}; it must be at least 1")
    grey, place = trim(grey_pair(pair), _SMALLEST_SIDE)
    sparse = sparse_range(grey, workers)
    coarse = _coarse(grey, sparse, workers)
    if coarse is None and not sparse.enough:
        raise QualityError(
            f"the disparity range cannot be told from this pair: {sparse.count} consistent matches, {sparse.needed} needed"
            f" ({sparse.corners[0]} and {sparse.corners[1]} corners; chance alone gives {sparse.chance}), and a coarse matching"
            " is no surer; check that the images belong together and are rectified, or give --range MIN:MAX or --depth NEAR:FAR"
            " (search_range=(MIN, MAX) in Python)"
        )
    low, high, seen, evidence = _joined(sparse, coarse, place.shift)
    if pair.rig is not None:
        # Nothing lies behind infinity; noise there may, by a pixel or two. Images that do say more than the rig does.
        low = max(low, min(-pair.rig.doffs_px, seen) - _MARGIN_PX)
    limits = place.shift + 1 - grey.shape[1], place.shift + grey.shape[1]
    return SearchRange(
        max(math.floor(low), limits[0]),
        min(math.ceil(high) + 1, limits[1]),
        evidence,
        match_count=sparse.count if sparse.enough else 0,
        row_offset_px=sparse.row_offset_px if sparse.enough else math.nan,
        row_error_px=sparse.row_error_px if sparse.enough else math.nan,
        limits=limits,
    )


def end_shares(disparity: DisparityMap) -> tuple[float, float]:
    """Parts of the measured pixels that chose the first and the last candidate of the range; 0 where nothing was measured."""
    (low, high), d = disparity.search_range, disparity.disparity_px
    measured = disparity.valid & ~disparity.filled
    at_end = measured & (disparity.reason & np.uint16(Reason.RANGE_EDGE) != 0)
    lower = d < 0.5 * (low + high)
    count = max(int(np.count_nonzero(measured)), 1)
    return float(np.count_nonzero(at_end & lower)) / count, float(np.count_nonzero(at_end & ~lower)) / count


def widened(found: SearchRange, low_share: float, high_share: float) -> SearchRange | None:
    """The range with those ends moved out that too many pixels chose, for another matching; None where there are none.

    Parameters
    ----------
    found : SearchRange
        What was matched with.
    low_share, high_share : float
        Parts of the measured pixels at its ends: `end_shares`. A range that holds everything has about none there; wrong answers
        spread over all candidates and stay below `LARGEST_END_SHARE`.

    Returns
    -------
    SearchRange or None
        Wider by half its width, at least 16 px, at each such end, within `found.limits`.
    """
    step = max(_SMALLEST_STEP_PX, (found.maximum - found.minimum + 1) // 2)
    low = max(found.minimum - step, found.limits[0]) if low_share > LARGEST_END_SHARE else found.minimum
    high = min(found.maximum + step, found.limits[1]) if high_share > LARGEST_END_SHARE else found.maximum
    moved = []
    if low < found.minimum:
        moved.append(f"{100.0 * low_share:.1f} % of the pixels chose {found.minimum} px, so the lower end moved to {low}")
    if high > found.maximum:
        moved.append(f"{100.0 * high_share:.1f} % of the pixels chose {found.maximum - 1} px, so the upper end moved to {high}")
    if not moved:
        return None
    return replace(
        found, minimum=min(low, found.minimum), maximum=max(high, found.maximum), evidence="; ".join((found.evidence, *moved))
    )


def _coarse(grey: GreyPair, sparse: SparseRange, workers: int) -> CoarsePass | None:
    """The coarse pass, if its answers can be believed."""
    if sparse.enough:
        found = coarse_pass(grey, rows=round(sparse.row_offset_px), include=sparse.extent_px, workers=workers)
        return found if found is not None and found.share >= _COARSE_JOINS else None
    if sparse.corners[0] > _CORNERS_THAT_SPEAK:  # a texture that repeats itself has corners, but no clear matches
        return None
    found = coarse_pass(grey, reach=_REACH_ALONE, workers=workers)
    if found is None or found.share < _COARSE_ALONE:
        return None
    # The same with rows that cannot correspond: what repeats itself from row to row answers as often.
    chance = coarse_pass(grey, reach=_REACH_ALONE, rows=len(grey.left) // 3, workers=workers)
    return found if chance is not None and found.share >= _COARSE_CHANCE * chance.share else None


def _joined(sparse: SparseRange, coarse: CoarsePass | None, shift: int) -> tuple[float, float, float, str]:
    """Ends of the range with margins, its lower end without, and what they rest on; `shift` is added to all disparities."""
    told = f"{sparse.count} sparse matches from {sparse.extent_px[0] + shift:.0f} to {sparse.extent_px[1] + shift:.0f} px"
    told = f"{told} (chance gives {sparse.chance})" if sparse.enough else f"too few sparse matches ({sparse.count})"
    if coarse is None:
        far, near = sparse.extent_px
        span = near - far
        low = far - max(_SPARSE_MARGIN_PX, _SPARSE_FAR_MARGIN * span)
        high = near + max(_SPARSE_MARGIN_PX, _SPARSE_NEAR_MARGIN * span)
        return low + shift, high + shift, far + shift, f"{told}; the coarse pass was not sure"
    percent = [_TAIL_PERCENT, _BULK_PERCENT, 100.0 - _BULK_PERCENT, 100.0 - _TAIL_PERCENT]
    far, most_far, most_near, near = (float(v) for v in np.percentile(coarse.disparity_px, percent))
    told += f" and a coarse pass from {far + shift:.0f} to {near + shift:.0f} px (in {100.0 * coarse.share:.0f} % of the pixels)"
    if coarse.reruns:
        told += f", its candidates widened to {coarse.ends[0] + shift}:{coarse.ends[1] + shift + 1}"
    margin = _MARGIN_PX + _COARSE_MARGIN * coarse.scale
    low, high = far - margin, max(near + margin, most_near + _NEAR_MARGIN * (most_near - most_far))
    if sparse.enough:
        low, high = sparse.beyond(low, high)
        far = min(far, sparse.beyond(far, near)[0])
    return low + shift, high + shift, far + shift, told


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
