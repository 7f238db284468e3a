"""`match`: a rectified pair to a signed disparity map with an error bar for every pixel."""

import math
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from calib.errors import InputError, UsageError
from calib.rig import Image, RectifiedPair
from stereo.aggregation import Ranges
from stereo.dense import Answers, match_grey
from stereo.kernels import surface
from stereo.maps import DisparityMap, Reason, RowResidual
from stereo.matcher_input import GreyPair, Trim, as_pair, flipped, grey_pair, is_mirrored, trim
from stereo.row_residual import estimate_rows, undo_rows
from stereo.search_range import end_shares, find_range, widened
from stereo.settings import DEFAULT_PRESET, MatcherSettings, preset_settings
from stereo.threads import checked_threads, run_rows

Map = NDArray[np.signedinteger[Any]]

MAX_LABELS = 16_384
"""widest search range, px"""
MAX_OFFSET_PX = 2**20
"""farthest candidate, px"""
Float32 = NDArray[np.float32]

MIN_SIZE = 5
"""smallest image side, px: one census window"""

_ALONG_OVER_ACROSS, _ROWS_NOISE_PX, _LARGEST_SYSTEMATIC_PX = 1.3, 0.03, 0.15
"""error along the rows over that across them (`bench.sigma`), what is measured across them on perfect pairs, and the most that is
expected along the rows: rows that are far off have causes of their own, such as a camera that was knocked"""


def match(
    left: RectifiedPair | Image,
    right: Image | None = None,
    *,
    search_range: tuple[int, int] | tuple[Map, Map] | None = None,
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
        1 or more; by default the processors that the process may use, at most 8. The result is the same, bit for bit.

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
    workers = checked_threads(threads)
    height, width = pair.left.shape[:2]
    if min(height, width) < MIN_SIZE:
        raise InputError(f"images are {width} x {height} px; the matcher needs at least {MIN_SIZE} x {MIN_SIZE}")
    grey, place = trim(grey_pair(pair), MIN_SIZE)
    if search_range is not None and np.ndim(search_range[0]):
        own = _checked_ranges(search_range, (height, width))
        whole = _checked_range((int(own[0].min()), int(own[1].max())))
        ranges = _trimmed_ranges(own, whole, grey, place)
        return _match(pair, grey, place, whole, chosen, workers, ranges)
    if search_range is not None:
        return _match(pair, grey, place, _checked_range(cast(tuple[int, int], search_range)), chosen, workers)
    automatic = find_range(pair, threads=threads)
    found = _match(pair, grey, place, (automatic.minimum, automatic.maximum), chosen, workers)
    again = widened(automatic, *end_shares(found))
    return found if again is None else _match(pair, grey, place, (again.minimum, again.maximum), chosen, workers)


def _match(
    pair: RectifiedPair,
    grey: GreyPair,
    place: Trim,
    search_range: tuple[int, int],
    settings: MatcherSettings,
    workers: int,
    ranges: Ranges | None = None,
) -> DisparityMap:
    minimum, labels = search_range[0] - place.shift, search_range[1] - search_range[0]
    # Of a pair and its mirror image the same one is worked on: sums that are equal would else be told apart by their order.
    widths = place.left_width, place.right_width
    mirrored = is_mirrored(grey, widths)
    offset = widths[0] - widths[1]  # disparity of the one = offset - disparity of the other
    if mirrored:
        grey, minimum = flipped(grey, widths), offset + 1 - minimum - labels
        ranges = None if ranges is None else _mirrored_ranges(ranges, labels, widths[0])
    rows = None
    if settings.rows == "aligned":
        rows = estimate_rows(grey, minimum, labels, workers)
        grey = undo_rows(grey, rows, workers)
    found = match_grey(grey, minimum, labels, settings, workers, ranges=ranges, systematic_px=_systematic_px(rows))
    if mirrored:
        back = widths[0], np.float32(offset)
        run_rows(workers, len(found.reason), lambda y0, y1: surface.turn_back(*back, *found, y0, y1))
        rows = None if rows is None else rows.flipped()
    disparity, sigma, reason, confidence = _put_back(found, place, pair.left_valid.shape)
    return DisparityMap(disparity, sigma, reason, search_range, pair.rig, confidence, rows)


def _mirrored_ranges(ranges: Ranges, labels: int, width: int) -> Ranges:
    low, high = (part.copy() for part in ranges)
    low[:, :width], high[:, :width] = labels - ranges[1][:, :width][:, ::-1], labels - ranges[0][:, :width][:, ::-1]
    return low, high


def _systematic_px(rows: RowResidual | None) -> float:
    """What calibration may have left along the rows, px rms.

    It cannot be seen in a pair; what it left across them can, and has the same causes. So much was found on real pairs.
    """
    if rows is None or math.isnan(rows.rms_px):
        return 0.0
    across = math.sqrt(max(rows.rms_px**2 - _ROWS_NOISE_PX**2, 0.0))
    return min(_ALONG_OVER_ACROSS * across, _LARGEST_SYSTEMATIC_PX)


def _put_back(found: Answers, place: Trim, shape: tuple[int, ...]) -> Answers:
    """The maps of the trimmed pair in the frame of the whole left image."""
    if found.reason.shape == shape and (place.y, place.x_left, place.shift) == (0, 0, 0):
        return found
    height, width = found.reason.shape
    rows, columns = min(height, shape[0] - place.y), min(width, place.left_width)
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


def _checked_ranges(search_range: Any, shape: tuple[int, int]) -> Ranges:
    """Two maps of whole numbers."""
    low, high = (np.asarray(part) for part in search_range)
    for name, part in (("min", low), ("max", high)):
        if part.shape != shape or part.dtype.kind not in "iu":
            raise UsageError(
                f"search_range: the map of {name} is {part.dtype} of shape {part.shape}; it must hold whole numbers"
                f" and have the left image's shape {shape}"
            )
    if (low >= high).all():
        raise UsageError("search_range: min is not below max in any pixel; a pixel's range is [MIN, MAX) with MIN < MAX")
    used = low < high
    if max(-int(low[used].min()), int(high[used].max())) > MAX_OFFSET_PX:
        raise UsageError(f"search_range reaches beyond {MAX_OFFSET_PX} px; no image is as wide")
    # a pixel with an empty range has no candidate, wherever its ends are
    first = int(low[used].min())
    return np.where(used, low, first).astype(np.int32), np.where(used, high, first).astype(np.int32)


def _trimmed_ranges(own: Ranges, whole: tuple[int, int], grey: GreyPair, place: Trim) -> Ranges:
    """First label and the one behind the last of every pixel of the trimmed left image."""
    height, columns = grey.shape[0], place.left_width
    window = np.s_[place.y : place.y + height, place.x_left : place.x_left + columns]
    out = np.zeros(grey.shape, np.int32), np.zeros(grey.shape, np.int32)
    for part, values in zip(out, own, strict=True):
        part[:, :columns] = values[window] - whole[0]
    return out


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
