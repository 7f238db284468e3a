"""Rows of a rectified pair that do not quite agree: the vertical residual, measured and undone before matching.

L(x, y) = R(x - d, y + v): a point in row y of the left image lies in row y + v of the right one. v > 0: the right image shows it
lower. v is a quadratic in the coordinates of the right image, u = (x - (W - 1) / 2) / W and w = (y - (H - 1) / 2) / H, px:

    v = c0 + c1 u + c2 w + c3 u^2 + c4 u w + c5 w^2.

That is what small errors of rotation, focal length and distortion leave. Even 0.2 px cost matches on fine horizontal texture
(imperfect rectification: D. Scharstein et al., "High-resolution stereo datasets with subpixel-accurate ground truth", GCPR 2014).
A coarse match gives d; the brightness left over says v, by linearised brightness constancy (B. Lucas and T. Kanade, "An iterative
image registration technique with an application to stereo vision", IJCAI 1981), robustly weighted.
"""

from dataclasses import dataclass, replace
from math import nan

import cv2
import numpy as np
from numpy.typing import NDArray

from stereo.dense import match_grey
from stereo.kernels import rows
from stereo.kernels.planes import Bytes, Mask
from stereo.kernels.simd import FLOAT_LANES
from stereo.maps import RowResidual
from stereo.matcher_input import GreyPair, flipped, is_mirrored
from stereo.settings import MatcherSettings
from stereo.threads import run_both

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

LEVELS = (4,)
"""shrinking factor of each round. A second one at 2 comes 0.02-0.05 px nearer to the truth for four times the time"""
_EXTRA_ROUNDS = 4
_SETTLED = 0.08
"""coarse px rms: a larger update asks for another round with a new match (0.3 px at a quarter)"""
_SMALLEST_SIDE = 24
"""coarse px"""
_SMALLEST_EVIDENCE = 500
"""coarse pixels"""
_SMALLEST_SHARE = 0.4
"""share of the coarse pixels with a consistent match: with fewer the images hardly belong together, or the rows are off by more
than can be seen"""
_SMALLEST_GAIN = 0.03
"""share of the squared brightness differences that v must explain. Below it the estimate's own error, 0.05 to 0.1 px at a
quarter, is as large as v (0.01 to 0.04 measure alike on 11 pairs; perfect rendered ones stay below
0.025)"""
_SMALLEST_RMS_PX = 0.05
"""less harms no match, and every resampling blurs"""
_LARGEST_TRUSTED_PX = 4.0
"""rms: beyond a coarse px the first match saw little of the pair"""
_LOST_SHARE = 0.01
"""a share of matches that falls by more after an update speaks against it"""
_WINDOW = 9
"""coarse px, side of the mean that is taken off: brightness of its own in each image (7 to 15 measure alike)"""
_CONTRAST, _CONTRAST_WINDOW = 6.0, 61
"""grey levels rms around every pixel, and coarse px: exposure, gamma and vignetting of its own in each image. Without it a right
image of 0.6 times the brightness moves v by 0.15 px, with it by 0.02 (31 measures alike)"""
_BLUR = 0.7
"""coarse px: against what shrinking leaves above its limit (0.6 to 1 measure alike)"""
_SLOPE, _ONE = np.array([8, -64, 0, 64, -8], np.float32) / 12, np.ones(1, np.float32)
"""8 times the derivative, of fourth order: a central difference is too small on fine texture, and makes v too large"""
_SMALLEST_SLOPE = 1.0
"""grey levels per coarse px: flatter pixels say nothing (1 to 3 measure alike)"""
_INNER_ROUNDS = 3
_RIDGE = 1e-3
_GRID = 4096.0
_SETTINGS = MatcherSettings(refinement="plane", speckle_pixels=6)
"""of the coarse matches: what the user asks of the answers says nothing about the rows"""
_TERMS = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
"""powers of u and w"""
_MIRROR = np.array([1.0, -1.0, 1.0, 1.0, -1.0, 1.0])


def estimate_rows(
    grey: GreyPair,
    minimum: int,
    labels: int,
    workers: int,
    *,
    levels: tuple[int, ...] = LEVELS,
) -> RowResidual:
    """The vertical residual of a pair whose disparities lie in `minimum` ... `minimum` + `labels` - 1 px.

    Each round shrinks the pair (the right image with v so far undone), matches it and adds what is left. A pair whose rows agree
    ends after one round; one that is far off gets up to four more. levels: powers of 2, one per round.
    """
    height, width = grey.shape
    if min(height, width) // max(levels) < _SMALLEST_SIDE:
        return _unmeasured(f"the images are {width} x {height} px, too small")
    mirrored = is_mirrored(grey)
    if mirrored:  # one of a pair and its mirror image is worked on, so that both give the same numbers to the last bit
        grey = flipped(grey)
        minimum = 1 - minimum - labels
    try:
        found = _rounds(grey, minimum, labels, workers, levels)
    except _NoEvidence as why:
        return _unmeasured(str(why))
    v = np.rint(found.v * _GRID) / _GRID
    residual = _judge(replace(found, v=v), grey.shape)
    return replace(residual, coefficients_px=_coefficients(v * _MIRROR)) if mirrored else residual


def undo_rows(grey: GreyPair, residual: RowResidual, workers: int) -> GreyPair:
    """The pair with the right image resampled along its columns so that rows agree; the same pair where `applied` is False.

    A pixel of the new right image is valid where the two rows between which it lies hold data.
    """
    return _undo(grey, np.array(residual.coefficients_px), workers) if residual.applied else grey


@dataclass(frozen=True, slots=True)
class _Estimate:
    v: Float64
    """coefficients, px"""
    gain: float
    """share of the squared differences that the first round's v explained"""
    settled: bool


class _NoEvidence(Exception):  # noqa: N818 (a result, not an error)
    """Nothing can be said; the message says why."""


def _rounds(grey: GreyPair, minimum: int, labels: int, workers: int, levels: tuple[int, ...]) -> _Estimate:
    size = grey.shape
    v = np.zeros(6)
    gain = 0.0
    shares: dict[int, float] = {}
    for turn, factor in enumerate([*levels, *[levels[-1]] * _EXTRA_ROUNDS]):
        small = _shrink(_undo(grey, v, workers) if turn else grey, factor, workers)
        disparity = _match_coarse(small, minimum, labels, factor, workers)
        share = _share(disparity, small)
        if turn == 0 and share < _SMALLEST_SHARE:
            raise _NoEvidence(f"only {100 * share:.0f} % of the left image finds a match, too few (rows far off, or not a pair?)")
        if share < shares.get(factor, 0.0) - _LOST_SHARE:
            return _Estimate(v, gain, False)  # the last update led astray
        shares[factor] = share
        update, explained, count = _solve(small, disparity, factor, size, workers)
        if count < _SMALLEST_EVIDENCE:
            raise _NoEvidence("there is too little texture")
        rms, largest = _extent(update, size)
        v = v + update * min(1.0, factor / max(largest, 1e-9))  # brightness is linear over a coarse px at most
        gain = explained if turn == 0 else gain
        if gain < _SMALLEST_GAIN or (turn + 1 >= len(levels) and rms <= _SETTLED * factor):
            return _Estimate(v, gain, True)
    return _Estimate(v, gain, False)


def _judge(found: _Estimate, size: tuple[int, int]) -> RowResidual:
    rms, largest = _extent(found.v, size)
    numbers = f"{rms:.2f} px rms (largest {largest:.2f} px)"
    sure = found.settled and found.gain >= _SMALLEST_GAIN
    trusted = found.settled and rms <= _LARGEST_TRUSTED_PX
    applied = sure and rms >= _SMALLEST_RMS_PX
    if not found.settled and rms < 1.0:
        note = f"rows not corrected: they seem off by {numbers}, but the measurement does not settle"
    elif not found.settled:
        note = f"rows are off by some {rms:.0f} px or more, too much to measure and undo: calibrate or rectify again"
    elif not applied:
        note = f"rows agree: what was measured, {numbers}, is within its own error"
    elif trusted:
        note = f"rows are off by {numbers}: corrected"
    else:
        note = f"rows are off by {numbers}: corrected, but calibrate or rectify again before you trust the result"
    return RowResidual(_coefficients(found.v), rms, largest, applied, trusted, note)


def _unmeasured(why: str) -> RowResidual:
    return RowResidual(_coefficients(np.zeros(6)), nan, nan, False, False, f"rows not checked: {why}")


def _coefficients(v: Float64) -> tuple[float, float, float, float, float, float]:
    c0, c1, c2, c3, c4, c5 = (float(c) + 0.0 for c in v)
    return c0, c1, c2, c3, c4, c5


def _axes(shape: tuple[int, int], factor: int, size: tuple[int, int]) -> tuple[Float32, Float64]:
    """Coordinates u of the columns and w of the rows of an image shrunk by `factor` from `size`, (H, W)."""
    u, w = (
        (np.arange(n) * factor + (factor - 1) / 2 - (full - 1) / 2) / full
        for n, full in zip(shape[::-1], size[::-1], strict=True)
    )
    return u.astype(np.float32), w


def _row_terms(v: Float64, w: Float64, factor: int) -> Float64:
    """a, b, c of each row, (3, H), in px of the image shrunk by `factor`: v = a + b u + c u^2."""
    a, b, c = v[0] + w * (v[2] + w * v[5]), v[1] + w * v[4], np.full_like(w, v[3])
    return np.stack([a, b, c]) / factor


def _extent(v: Float64, size: tuple[int, int]) -> tuple[float, float]:
    """Rms and largest |v| over an image of `size`, by a grid that holds its corners."""
    u, w = (np.linspace(-(n - 1) / 2 / n, (n - 1) / 2 / n, 33) for n in size[::-1])
    a, b, c = _row_terms(v, w, 1)[:, :, None]
    field = a + u * (b + u * c)
    return float(np.sqrt((field**2).mean())), float(np.abs(field).max())


def _undo(grey: GreyPair, v: Float64, workers: int) -> GreyPair:
    height = len(grey.right)
    u, w = _axes(grey.shape, 1, grey.shape)
    terms = _row_terms(v, w, 1)
    # the kernel is compiled for one kind of array: contiguous and writable
    source, known = np.require(grey.right, requirements=["C", "W"]), np.require(grey.right_valid, requirements=["C", "W"])
    image, valid = np.empty(grey.shape, np.uint8), np.empty(grey.shape, np.bool_)
    whole = bool(known.all())

    def rows_between(y0: int, y1: int) -> None:
        rows.resample(source, known, whole, u, terms, image, valid, y0, y1)

    run_both(workers, lambda: rows_between(0, height // 2), lambda: rows_between(height // 2, height))
    return GreyPair(grey.left, image, grey.left_valid, valid)


def _shrink(grey: GreyPair, factor: int, workers: int) -> GreyPair:
    """Means of `factor` x `factor` px; what is left over at the right and below is cut off; valid where all of them are."""
    height, width = (n // factor * factor for n in grey.shape)

    def small(image: Bytes) -> Bytes:
        part = image[:height, :width]
        for _ in range(factor.bit_length() - 1):  # halving is much faster than one step
            part = np.asarray(cv2.resize(part, (part.shape[1] // 2, part.shape[0] // 2), interpolation=cv2.INTER_AREA), np.uint8)
        return part

    def pair(image: Bytes, valid: Mask) -> tuple[Bytes, Mask]:
        whole = np.ones((height // factor, width // factor), np.bool_)
        return small(image), whole if valid.all() else small(valid.view(np.uint8) * np.uint8(255)) == 255

    (left, left_valid), (right, right_valid) = run_both(
        workers, lambda: pair(grey.left, grey.left_valid), lambda: pair(grey.right, grey.right_valid)
    )
    return GreyPair(left, right, left_valid, right_valid)


def _match_coarse(small: GreyPair, minimum: int, labels: int, factor: int, workers: int) -> Float32:
    first, last = minimum // factor, -(-(minimum + labels) // factor)
    return match_grey(small, first, last + 1 - first, _SETTINGS, workers)[0]


def _share(disparity: Float32, small: GreyPair) -> float:
    """Share of pixels with a consistent match, of those that can have one: undoing v costs the right image rows at its border."""
    possible = min(int(np.count_nonzero(small.left_valid)), int(np.count_nonzero(small.right_valid)))
    return float(np.count_nonzero(disparity == disparity)) / max(possible, 1)


def _filtered(image: Bytes, valid: Mask) -> tuple[Float32, Float32, Float32, Mask]:
    """Band-passed image of one contrast everywhere, 8 times its derivatives in x and y, and where they rest on data alone."""
    bright, inner = image.astype(np.float32), valid
    around = (_CONTRAST_WINDOW, _CONTRAST_WINDOW)
    here: Float32 | None = None
    if not valid.all():
        here = valid.astype(np.float32)
        bright = np.where(valid, bright, cv2.blur(bright * here, around) / np.maximum(cv2.blur(here, around), np.float32(1e-3)))
        inner = np.asarray(cv2.erode(valid.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0)
    bright = np.asarray(cv2.GaussianBlur(bright, (5, 5), _BLUR), np.float32)
    bright -= cv2.blur(bright, (_WINDOW, _WINDOW))
    if here is None:
        power = cv2.blur(bright * bright, around)
    else:
        power = cv2.blur(bright * bright * here, around) / np.maximum(cv2.blur(here, around), np.float32(1e-3))
    bright *= np.float32(_CONTRAST) / (np.sqrt(power) + np.float32(1.0))
    across, down = (
        np.asarray(cv2.sepFilter2D(bright, cv2.CV_32F, *taps), np.float32) for taps in ((_SLOPE, _ONE), (_ONE, _SLOPE))
    )
    return bright, across, down, inner


def _solve(small: GreyPair, disparity: Float32, factor: int, size: tuple[int, int], workers: int) -> tuple[Float64, float, int]:
    """Coefficients of v, px of the full image, the share of the squared differences they explain, and the number of pixels."""
    height, width = small.shape
    (left, *left_slopes, left_known), (right, *right_slopes, right_known) = run_both(
        workers, lambda: _filtered(small.left, small.left_valid), lambda: _filtered(small.right, small.right_valid)
    )
    stride = -(-width // FLOAT_LANES) * FLOAT_LANES
    evidence = np.empty((rows.EVIDENCE, height, stride), np.float32)
    count = np.zeros(height, np.int64)

    def collect(y0: int, y1: int) -> None:
        rows.collect(
            left, right, *left_slopes, *right_slopes, left_known, right_known, disparity, np.float32(_SMALLEST_SLOPE),
            evidence, count, y0, y1,
        )  # fmt: skip

    run_both(workers, lambda: collect(1, height // 2), lambda: collect(height // 2, height - 1))
    number = int(count.sum())
    if number < _SMALLEST_EVIDENCE:
        return np.zeros(6), 0.0, number
    u, w = _axes(small.shape, factor, size)
    place = u[0], np.float32(factor / size[1])
    powers = w ** np.arange(5)[:, None]
    sums = np.empty((rows.SUMS, height, FLOAT_LANES), np.float32)
    v = np.zeros(6)
    for turn in range(_INNER_ROUNDS):
        terms = _row_terms(v, w, 1)
        if turn < 2:
            histogram = np.zeros(rows.BINS, np.int64)
            rows.absolute_histogram(evidence, count, *place, terms, histogram)
            middle = int(np.searchsorted(histogram.cumsum(), histogram.sum() / 2))
            spread = 1.4826 * (middle + 0.5) / rows.BINS_PER_LEVEL
        rows.add_up(evidence, count, *place, terms, np.float32(spread), sums)
        by_row = sums.astype(np.float64).sum(-1)  # in one order, whatever the number of threads
        matrix, vector = _normal_equations((by_row[: rows.SUMS - 1, None] * powers).sum(-1))
        v = np.linalg.solve(matrix + _RIDGE * np.trace(matrix) / 6 * np.eye(6), vector)
    explained = float(v @ matrix @ v)
    return v * factor, explained / (explained + float(by_row[-1].sum()) + 1e-9), number


def _normal_equations(moments: Float64) -> tuple[Float64, Float64]:
    """From moments[k, m], sums over w^m of `rows.add_up`'s k-th sum: the 6 x 6 matrix and the right side."""
    matrix = np.array([[moments[i + k, j + m] for k, m in _TERMS] for i, j in _TERMS])
    return matrix, np.array([moments[5 + i, j] for i, j in _TERMS])
