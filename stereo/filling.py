"""`fill`: values for pixels that were not measured, for pictures. Measured pixels stay as they are; filled ones are marked."""

from dataclasses import replace
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from calib.errors import InputError, UsageError
from calib.rig import Image
from stereo.drawing import to_8_bit
from stereo.kernels import fill as kernel
from stereo.maps import FILLED, DisparityMap, Reason
from stereo.threads import run_both

_CONTRAST = 10.0
"""grey levels over which a neighbour's weight falls to 1 / e; 8 to 16 measure alike"""
# Error bars and confidence of filled pixels: errors against truth on the pairs of bench/accuracy.py. About three quarters lie
# within one error bar, nine tenths within two: the rest are on another object, as far off as that is.
_FLOOR_PX, _PER_PX = 0.5, 0.1
_BEST_CONFIDENCE, _HALF_DISTANCE_PX = 0.82, 28.0
_WIDEST_PX = 2**20
_HIDDEN = Reason.NO_CANDIDATE | Reason.OUTSIDE_RIGHT | Reason.RIGHT_NODATA | Reason.OCCLUDED

Bytes = NDArray[np.uint8]


def fill(disparity: DisparityMap, image: Image | None = None, *, threads: int | None = None) -> DisparityMap:
    """A map without holes, for pictures: not for measuring, for what is filled was not seen.

    A hole takes the lower (farther) of the nearest measured disparities to its left and right on the row, since what the right
    camera does not see is hidden by something nearer. That measures best for failed matches too. With `image`, the result is then
    the median of the values around, each weighted by its likeness in colour, so that edges follow those of the image.

    Parameters
    ----------
    disparity : DisparityMap, (H, W)
        Of any sign. Values that were filled before are filled anew from the measured ones.
    image : (H, W) or (H, W, 3), optional
        The rectified left image.
    threads : int, optional
        1 or more, default 2; the result is the same, bit for bit.

    Returns
    -------
    DisparityMap
        Measured pixels keep their disparity, sigma, reason and confidence, bit for bit. Filled ones keep the reason why they were
        not measured and have `Reason.FILLED_OCCLUSION` or `Reason.FILLED_MISMATCH` beside it; their sigma is large, grows with
        the distance from what was measured and with the spread of the values around. Pixels without data in the left image, and
        rows without any measurement, stay empty. The rule knows near from far, so that it is the same for a pair with a
        shifted range, but not for a mirrored pair, whose disparities have the opposite meaning.

    Raises
    ------
    InputError
        An image of another size, or disparities more than 1048576 px apart.
    UsageError
        Fewer than 1 thread.

    References
    ----------
    H. Hirschmueller, PAMI 30(2), 2008, section II-F (occlusions from the background). Z. Ma, K. He, Y. Wei, J. Sun and E. Wu,
    "Constant Time Weighted Median Filtering for Stereo Matching and Beyond", ICCV 2013 (the colour-weighted median).
    """
    workers = 2 if threads is None else threads
    if workers < 1:
        raise UsageError(f"threads is {workers}; it must be at least 1")
    if not isinstance(cast(object, disparity), DisparityMap):
        raise UsageError(f"fill takes a DisparityMap, as match gives it, not {type(disparity).__name__}")
    shape = disparity.disparity_px.shape
    if image is not None and np.shape(image)[:2] != shape:
        raise InputError(
            f"the image has shape {np.shape(image)} but the map is {shape[1]} x {shape[0]} px; use the rectified left image"
        )
    d, sigma, reason = disparity.disparity_px.copy(), disparity.sigma_px.copy(), disparity.reason.copy()
    known = disparity.confidence is not None
    confidence = np.array(disparity.confidence) if disparity.confidence is not None else np.zeros(shape, np.float32)
    again = disparity.filled
    if again.any():
        d[again], sigma[again], confidence[again] = np.nan, np.nan, 0.0
        reason[again] &= ~np.uint16(FILLED)
    lowest, highest = float(np.fmin.reduce(d, axis=None)), float(np.fmax.reduce(d, axis=None))
    if highest - lowest > _WIDEST_PX:
        raise InputError(f"disparities from {lowest:g} to {highest:g} px; they must lie within {_WIDEST_PX} px of each other")
    if lowest <= highest:  # something was measured
        _fill(d, sigma, reason, confidence, np.float32(np.floor(lowest)), int(highest - np.floor(lowest)) + 2, image, workers)
    return replace(disparity, disparity_px=d, sigma_px=sigma, reason=reason, confidence=confidence if known else None)


def _fill(
    d: NDArray[np.float32],
    sigma: NDArray[np.float32],
    reason: NDArray[np.uint16],
    confidence: NDArray[np.float32],
    offset: np.float32,
    bins: int,
    image: Image | None,
    workers: int,
) -> None:
    """Fill the holes of the four maps in place; values are handled as whole numbers above `offset`, px."""
    height = len(d)
    half = height // 2
    value, distance = (np.empty(d.shape, np.int32) for _ in range(2))
    empty = reason & np.uint16(Reason.LEFT_NODATA) != 0
    weighted = image is not None
    channels = [np.zeros((1, 1), np.uint8)] * 3 if image is None else _channels(image)
    weights = np.maximum(np.rint(kernel.WEIGHT * np.exp(-np.arange(256) / _CONTRAST)), 1.0).astype(np.int32)
    numbers = np.array([offset, _FLOOR_PX**2, _PER_PX**2, _BEST_CONFIDENCE, _HALF_DISTANCE_PX], np.float32)
    bits = [np.uint16(v) for v in (_HIDDEN, Reason.FILLED_OCCLUSION, Reason.FILLED_MISMATCH)]

    def rows(y0: int, y1: int) -> None:
        kernel.fill_rows(d, offset, empty, value, distance, y0, y1)

    def put(y0: int, y1: int) -> None:
        kernel.put(
            value, distance, weighted, *channels, weights, bins, numbers, *bits, d, sigma, reason, confidence, y0, y1
        )  # fmt: skip

    run_both(workers, lambda: rows(0, half), lambda: rows(half, height))  # all rows first: the medians look at those around
    run_both(workers, lambda: put(0, half), lambda: put(half, height))


def _channels(image: Image) -> list[Bytes]:
    """Three channels of 8 bits; grey is all three."""
    shown = to_8_bit(np.asarray(image))
    return [shown] * 3 if shown.ndim == 2 else [np.asarray(c, np.uint8) for c in cv2.split(shown)]
