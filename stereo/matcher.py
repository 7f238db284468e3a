"""`match`: a rectified pair to a signed disparity map with an error bar for every pixel."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib.errors import InputError, UsageError
from calib.rig import Image, RectifiedPair
from stereo.dense import Answers, match_grey
from stereo.kernels import surface
from stereo.maps import DisparityMap, Reason, RowResidual
from stereo.matcher_input import GreyPair, Trim, as_pair, flipped, grey_pair, is_mirrored, trim
from stereo.row_residual import estimate_rows, undo_rows
from stereo.search_range import end_shares, find_range, widened
from stereo.settings import DEFAULT_PRESET, MatcherSettings, preset_settings
from stereo.threads import run_rows

MAX_LABELS = 16_384
"""widest search range, px"""
MAX_OFFSET_PX = 2**20
"""farthest candidate, px"""
Float32 = NDArray[np.float32]

MIN_SIZE = 5
"""smallest image side, px: one census window"""

_ALONG_OVER_ACROSS, _ROWS_NOISE_PX = 1.3, 0.03
"""error along the rows over that across them (`bench.sigma`), and what is measured across them on perfect pairs"""


def match(
    left: RectifiedPair | Image,
    right: Image | None = None,
    *,
    search_range: tuple[int, int] | None = None,
    preset: str | None = None,
    settings: MatcherSettings | None = None,
    threads: int | None = None,
) -> DisparityMap:
    """Disparity of every pixel of the left image, by semi-global matching over 8 paths.

    Parameters
    ----------
    left, right
        A `RectifiedPair` alone, or two rectified images of one size and type: (H, W) or (H, W, 3) in BGR order, uint8, uint16 or
        float32; NaN in a float image means "no data".
    search_range
        Candidates [min, max) in px, of any sign; found by `stereo.search_range.find_range` when not given.
    preset
        "fast", "balanced" (the default) or "accurate".
    settings
        Constants instead of a preset's.
    threads
        1 or more; default 2. The result is the same, bit for bit, for any number; more than 2 do not help yet.

    Returns
    -------
    DisparityMap
        d = x_left - x_right, px; NaN where there is no answer, with the `Reason`. A pixel at the edge of the search range keeps
        its value and carries `Reason.RANGE_EDGE` as a warning. The plane fit may move a value out of the range by a part of a px.
        The map does not depend on the place of the range: a pair shifted by k px gives the same map, shifted, bit for bit, for
        disparities up to 8192 px. Where one image has no texture at all every pixel is `Reason.AMBIGUOUS`.

    Raises
    ------
    UsageError
        An empty or too wide range, an unknown preset, a preset beside settings, or fewer than 1 thread.
    InputError
        Images of different size or type, or smaller than 5 x 5.
    QualityError
        No range was given and the pair does not tell one.
    ResourceError
        The sums of the paths do not fit in memory.

    References
    ----------
    H. Hirschmueller, "Stereo Processing by Semiglobal Matching and Mutual Information", IEEE PAMI 30(2), 2008.
    """
    pair = as_pair(left, right)
    if preset is not None and settings is not None:
        raise UsageError(f"preset {preset!r} and settings are both given; give one of them")
    chosen = settings if settings is not None else preset_settings(preset or DEFAULT_PRESET)
    workers = 2 if threads is None else threads
    if workers < 1:
        raise UsageError(f"threads is {workers}; it must be at least 1")
    height, width = pair.left.shape[:2]
    if min(height, width) < MIN_SIZE:
        raise InputError(f"images are {width} x {height} px; the matcher needs at least {MIN_SIZE} x {MIN_SIZE}")
    grey, place = trim(grey_pair(pair), MIN_SIZE)
    if search_range is not None:
        return _match(pair, grey, place, _checked_range(search_range), chosen, workers)
    automatic = find_range(pair, threads=threads)
    found = _match(pair, grey, place, (automatic.minimum, automatic.maximum), chosen, workers)
    again = widened(automatic, *end_shares(found))
    return found if again is None else _match(pair, grey, place, (again.minimum, again.maximum), chosen, workers)


def _match(
    pair: RectifiedPair, grey: GreyPair, place: Trim, search_range: tuple[int, int], settings: MatcherSettings, workers: int
) -> DisparityMap:
    minimum, labels = search_range[0] - place.shift, search_range[1] - search_range[0]
    # Of a pair and its mirror image the same one is worked on: sums that are equal would else be told apart by their order.
    mirrored = is_mirrored(grey)
    if mirrored:
        grey, minimum = flipped(grey), 1 - minimum - labels
    rows = None
    if settings.rows == "aligned":
        rows = estimate_rows(grey, minimum, labels, settings, workers)
        grey = undo_rows(grey, rows, workers)
    found = match_grey(grey, minimum, labels, settings, workers, systematic_px=_systematic_px(rows))
    if mirrored:
        run_rows(workers, len(found.reason), lambda y0, y1: surface.turn_back(*found, y0, y1))
        rows = None if rows is None else rows.flipped()
    disparity, sigma, reason, confidence = _put_back(found, place, pair.left_valid.shape)
    return DisparityMap(disparity, sigma, reason, search_range, pair.rig, confidence, rows)


def _systematic_px(rows: RowResidual | None) -> float:
    """What calibration may have left along the rows, px rms.

    It cannot be seen in a pair; what it left across them can, and has the same causes. So much was found on real pairs.
    """
    if rows is None or math.isnan(rows.rms_px):
        return 0.0
    return _ALONG_OVER_ACROSS * math.sqrt(max(rows.rms_px**2 - _ROWS_NOISE_PX**2, 0.0))


def _put_back(found: Answers, place: Trim, shape: tuple[int, ...]) -> Answers:
    """The maps of the trimmed pair in the frame of the whole left image."""
    if found.reason.shape == shape and place == Trim(0, 0, 0):
        return found
    height, width = found.reason.shape
    rows, columns = min(height, shape[0] - place.y), min(width, shape[1] - place.x_left)
    window = np.s_[place.y : place.y + rows, place.x_left : place.x_left + columns]

    def put(values: NDArray[Any], outside: float) -> NDArray[Any]:
        out = np.full(shape, outside, values.dtype)
        out[window] = values[:rows, :columns]
        return out

    return Answers(
        put(found.disparity_px + np.float32(place.shift), np.nan),
        put(found.sigma_px, np.nan),
        put(found.reason, Reason.LEFT_NODATA),
        put(found.confidence, 0.0),
    )


def _checked_range(search_range: tuple[int, int]) -> tuple[int, int]:
    try:
        minimum, maximum = (int(v) for v in search_range)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"search_range is {search_range!r}; it must be two whole numbers (min, max), in px") from None
    if (minimum, maximum) != tuple(search_range):
        raise UsageError(f"search_range is {search_range!r}; it must be two whole numbers (min, max), in px")
    if minimum >= maximum:
        raise UsageError(f"search range {minimum}:{maximum} is empty; the range is [MIN, MAX) with MIN < MAX")
    if maximum - minimum > MAX_LABELS:
        raise UsageError(f"search range {minimum}:{maximum} spans {maximum - minimum} px; the limit is {MAX_LABELS}")
    if max(abs(minimum), abs(maximum)) > MAX_OFFSET_PX:
        raise UsageError(f"search range {minimum}:{maximum} reaches beyond {MAX_OFFSET_PX} px; no image is as wide")
    return minimum, maximum
