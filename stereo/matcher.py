"""`match`: a rectified pair to a signed disparity map with an error bar for every pixel."""

import numpy as np
from numpy.typing import NDArray

from calib.errors import InputError, UsageError
from calib.rig import Image, RectifiedPair
from stereo.dense import match_grey
from stereo.maps import DisparityMap, Reason
from stereo.matcher_input import Trim, as_pair, grey_pair, trim
from stereo.search_range import find_range
from stereo.settings import DEFAULT_PRESET, MatcherSettings, preset_settings

MAX_LABELS = 16_384
"""widest search range, px"""
MAX_OFFSET_PX = 2**20
"""farthest candidate, px"""
MIN_SIZE = 5
"""smallest image side, px: one census window"""

Float32 = NDArray[np.float32]


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
        "balanced" (the default, and the only one so far).
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
    if search_range is None:
        automatic = find_range(pair, threads=threads)
        search_range = (automatic.minimum, automatic.maximum)
    minimum, maximum = _checked_range(search_range)
    grey, place = trim(grey_pair(pair), MIN_SIZE)
    found = match_grey(grey, minimum - place.shift, maximum - minimum, chosen, min(workers, 2))
    disparity, sigma, reason = _put_back(found, place, (height, width))
    return DisparityMap(disparity, sigma, reason, (minimum, maximum), pair.rig)


def _put_back(
    found: tuple[Float32, Float32, NDArray[np.uint16]], place: Trim, shape: tuple[int, int]
) -> tuple[Float32, Float32, NDArray[np.uint16]]:
    """The maps of the trimmed pair in the frame of the whole left image."""
    disparity, sigma, reason = found
    if disparity.shape == shape and place == Trim(0, 0, 0):
        return found
    rows, columns = min(len(reason), shape[0] - place.y), min(reason.shape[1], shape[1] - place.x_left)
    out = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32), np.full(shape, Reason.LEFT_NODATA, np.uint16)
    window = np.s_[place.y : place.y + rows, place.x_left : place.x_left + columns]
    part = np.s_[:rows, :columns]
    out[0][window], out[1][window], out[2][window] = disparity[part] + np.float32(place.shift), sigma[part], reason[part]
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
