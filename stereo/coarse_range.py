"""A dense pass over the shrunken pair: where its disparities lie, and whether the two images belong together at all."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stereo.dense import match_grey
from stereo.maps import Reason
from stereo.matcher_input import GreyPair
from stereo.settings import MatcherSettings

Float32 = NDArray[np.float32]

_PIXELS = 75_000
"""of the shrunken images: 365 x 205 for a 16:9 pair"""
_SMALLEST_SIDE = 16
"""px; smaller images give no pass: the matching windows would see little but borders"""
REACH = 1.0 / 3.0
"""candidates on either side of zero, as a part of the width"""
_LARGEST_REACH = 256
"""px of the shrunken images; it bounds the memory for very wide ones"""
_SLACK = 8
"""candidates beyond what the sparse matches say, px of the shrunken images"""
_BORDER = 2
"""px of the shrunken images around them whose windows are cut; their answers are not heard"""
_LARGEST_END_SHARE = 0.01
"""part of the answers that may lie at one end of the candidates; more, and there is probably something beyond"""
_RERUNS = 2
"""each moves an end by the reach: two take it to the width"""
_SETTINGS = MatcherSettings(speckle_pixels=150, refinement="plane")
"""wrong answers of a wide range come in patches of up to 130 px, at 0.7 of the correlation that right ones have"""


@dataclass(frozen=True, slots=True, eq=False)
class CoarsePass:
    """Answers of the pass, in px of the full images."""

    disparity_px: Float32
    """(N,) reliable answers: left-right consistent, unique, not part of a speckle, not at an end of the candidates"""
    share: float
    """N over the number of left pixels with data: 0.5 to 0.97 for real pairs, below 0.04 for photos of two different scenes"""
    scale: float
    """full px per px of the pass"""
    ends: tuple[int, int]
    """first and last candidate of the pass, full px"""
    reruns: int
    """how often an end was widened because too many answers lay there"""


def coarse_pass(
    grey: GreyPair, *, rows: int = 0, reach: float = REACH, include: tuple[float, float] | None = None, workers: int = 2
) -> CoarsePass | None:
    """Match the shrunken pair over a wide, signed range.

    Parameters
    ----------
    grey : GreyPair
    rows : int
        y_left - y_right of corresponding rows, px; undone before matching.
    reach : float
        Candidates on either side of zero, as a part of the width.
    include : (low, high), optional
        Disparities, px, that the candidates must hold besides the usual ones.
    workers : int

    Returns
    -------
    CoarsePass
        None where the images are too small.
    """
    small, scale = _shrunken(_rows_undone(grey, rows))
    height, width = small.shape
    if min(height, width) < _SMALLEST_SIDE:
        return None
    step = min(math.ceil(reach * width), _LARGEST_REACH)
    low, high = -step, step
    if include is not None:
        low = min(low, math.floor(include[0] / scale) - _SLACK)
        high = max(high, math.ceil(include[1] / scale) + _SLACK)
    for reruns in range(_RERUNS + 1):
        low, high = max(low, 1 - width), min(high, width - 1)
        disparity, _, reason, _ = match_grey(small, low, high - low + 1, _SETTINGS, workers)
        answered = np.isfinite(disparity)
        at_end = answered & (reason & np.uint16(Reason.RANGE_EDGE) != 0)
        middle, most = np.float32(0.5 * (low + high)), _LARGEST_END_SHARE * np.count_nonzero(answered)
        beyond_low = low > 1 - width and np.count_nonzero(at_end & (disparity < middle)) > most
        beyond_high = high < width - 1 and np.count_nonzero(at_end & (disparity >= middle)) > most
        if reruns == _RERUNS or not (beyond_low or beyond_high):
            break
        low, high = low - (step if beyond_low else 0), high + (step if beyond_high else 0)
    inner = np.s_[_BORDER:-_BORDER, _BORDER:-_BORDER]
    reliable = disparity[inner][answered[inner] & ~at_end[inner]]
    known = int(np.count_nonzero(small.left_valid[inner]))
    ends = math.floor(low * scale), math.ceil(high * scale)
    return CoarsePass(reliable * np.float32(scale), len(reliable) / max(known, 1), scale, ends, reruns)


def _rows_undone(grey: GreyPair, rows: int) -> GreyPair:
    """Corresponding rows at equal heights; the rows without a partner are left out."""
    if rows == 0:
        return grey
    height = len(grey.left)
    left, right = slice(max(rows, 0), height + min(rows, 0)), slice(max(-rows, 0), height - max(rows, 0))
    return GreyPair(grey.left[left], grey.right[right], grey.left_valid[left], grey.right_valid[right])


def _shrunken(grey: GreyPair) -> tuple[GreyPair, float]:
    """The pair at about `_PIXELS`, and full px per px of it."""
    height, width = grey.shape
    factor = math.sqrt(_PIXELS / max(height * width, 1))
    if factor >= 1.0:
        return GreyPair(
            np.ascontiguousarray(grey.left), np.ascontiguousarray(grey.right),
            np.ascontiguousarray(grey.left_valid), np.ascontiguousarray(grey.right_valid),
        ), 1.0  # fmt: skip
    size = max(1, round(width * factor)), max(1, round(height * factor))
    left, right = (np.asarray(cv2.resize(v, size, interpolation=cv2.INTER_AREA), np.uint8) for v in (grey.left, grey.right))
    masks = (_shrunken_mask(v, size) for v in (grey.left_valid, grey.right_valid))
    return GreyPair(left, right, *masks), width / size[0]


def _shrunken_mask(valid: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """True where all pixels below hold data."""
    if valid.all():
        return np.ones(size[::-1], np.bool_)
    return np.asarray(cv2.resize(valid.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.999)
