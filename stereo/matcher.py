"""`match`: a rectified pair to a signed disparity map with an error bar for every pixel."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from calib.errors import InputError, UsageError
from calib.images import to_grey
from calib.rig import Image, Mask, RectifiedPair
from stereo.kernels import clean, planes, select, sweeps
from stereo.maps import DisparityMap
from stereo.search_range import range_from_matches
from stereo.settings import DEFAULT_PRESET, MatcherSettings, preset_settings
from stereo.workspace import PathStates, Workspace, lease

MAX_LABELS = 16_384
"""widest search range, px"""
MAX_OFFSET_PX = 2**20
"""farthest candidate, px"""
MIN_SIZE = 5
"""smallest image side, px: one census window"""

_A = TypeVar("_A")
_B = TypeVar("_B")

_STRETCH_PERCENTILES, _STRETCH_BYTES = (0.5, 99.5), (13, 242)
# Gated plane fit: constants of the ablation in bench/accuracy.py; flat around these values.
_PLANE_RADIUS, _PLANE_STEP = 4, 2
_PLANE_GATE_PX, _PLANE_GATE_GREY, _PLANE_RIDGE = 1.5, 25.0, 0.5
# Error bar: what remains after the fit where the labels around agree perfectly (0.12 px rms: error against truth on Middlebury
# pairs, its quantum taken off), and the uncertainty of a pixel whose parabola has only one side.
_FLOOR_VARIANCE, _EDGE_VARIANCE = np.float32(0.12**2), np.float32(1.0)


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
        Candidates [min, max) in px, of any sign; found from sparse matches when not given.
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
        No range was given and the sparse matches are too few to find one.
    ResourceError
        The sums of the paths do not fit in memory.

    References
    ----------
    H. Hirschmueller, "Stereo Processing by Semiglobal Matching and Mutual Information", IEEE PAMI 30(2), 2008.
    """
    pair = _as_pair(left, right)
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
        found = range_from_matches(pair)
        search_range = (found.minimum, found.maximum)
    minimum, maximum = _checked_range(search_range)
    with lease(height, width, maximum - minimum) as space:
        disparity, sigma, reason = _match(space, pair, minimum, maximum - minimum, chosen, min(workers, 2))
    return DisparityMap(disparity, sigma, reason, (minimum, maximum), pair.rig)


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


def _as_pair(left: RectifiedPair | Image, right: Image | None) -> RectifiedPair:
    if isinstance(left, RectifiedPair):
        if right is not None:
            raise UsageError("match(pair) takes no second image; give either a RectifiedPair or two images")
        return left
    if right is None:
        raise UsageError("match needs two images, or one RectifiedPair")
    images = [np.asarray(left), np.asarray(right)]
    for name, image in zip(("left", "right"), images, strict=True):
        if image.ndim not in (2, 3):
            raise InputError(f"{name} has shape {image.shape}; use (H, W) grey or (H, W, 3) colour")
    valid = [_has_data(image) for image in images]
    return RectifiedPair(images[0], images[1], valid[0], valid[1])


def _has_data(image: Image) -> Mask:
    if image.dtype != np.float32:
        return np.ones(image.shape[:2], np.bool_)
    finite = np.isfinite(image)
    return np.asarray(finite if image.ndim == 2 else finite.all(-1))


def _grey_bytes(pair: RectifiedPair) -> tuple[planes.Bytes, planes.Bytes]:
    """8-bit grey images. 16-bit and float ones are stretched, both alike: the 0.5th and 99.5th percentile of the pair become 13
    and 242, so that a few hot or dead pixels do not decide the contrast.
    """  # fmt: skip
    grey = [to_grey(image) for image in (pair.left, pair.right)]
    if grey[0].dtype == np.uint8:
        return cast(planes.Bytes, grey[0]), cast(planes.Bytes, grey[1])
    known = np.concatenate([g[v] for g, v in zip(grey, (pair.left_valid, pair.right_valid), strict=True)])
    low, high = (float(v) for v in np.percentile(known, _STRETCH_PERCENTILES)) if len(known) else (0.0, 1.0)
    gain = (_STRETCH_BYTES[1] - _STRETCH_BYTES[0]) / (high - low) if high > low else 1.0
    left, right = (
        np.clip(np.rint((np.where(v, g, low).astype(np.float64) - low) * gain + _STRETCH_BYTES[0]), 0, 255).astype(np.uint8)
        for g, v in zip(grey, (pair.left_valid, pair.right_valid), strict=True)
    )
    return left, right


@cache
def _helper() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="stereo-match")


def _after_fork() -> None:
    """A forked child has no worker thread, and a lock taken while forking would stay taken."""
    _helper.cache_clear()
    lease.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _both(workers: int, here: Callable[[], _A], there: Callable[[], _B]) -> tuple[_A, _B]:
    """Run two halves; with two workers the caller takes the first itself (waking two sleeping threads costs more)."""
    if workers < 2:
        return here(), there()
    other = _helper().submit(there)
    mine = here()
    return mine, other.result()


def _match(
    space: Workspace, pair: RectifiedPair, minimum: int, labels: int, settings: MatcherSettings, workers: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint16]]:
    left, right = _grey_bytes(pair)
    left_valid, right_valid = pair.left_valid, pair.right_valid
    height, width = left.shape
    textured = _fill_planes(space, left, right, left_valid, right_valid, minimum, settings, workers)
    _aggregate(space, minimum, settings, workers)
    if not textured:  # all candidates cost the same; what the borders leave is no answer
        space.ambiguous[:] = True
    reason = np.empty((height, width), np.uint16)
    disparity, sigma = (np.empty((height, width), np.float32) for _ in range(2))
    half = height // 2
    tolerance = np.float32(settings.left_right_px)

    def choose(y0: int, y1: int) -> None:
        select.select(
            space.winner, space.winner_sums, space.ambiguous, space.right_winner, right_valid, minimum, labels, tolerance,
            space.label, reason, y0, y1,
        )  # fmt: skip

    _both(workers, lambda: choose(0, half), lambda: choose(half, height))
    if settings.speckle_pixels > 1:
        _drop_speckles(space, reason, np.float32(settings.speckle_px), settings.speckle_pixels, workers)
    grey = space.grey[select.MARGIN :, select.MARGIN : select.MARGIN + width]

    def refine(y0: int, y1: int) -> None:
        clean.fit_planes(
            space.label, space.grey, _PLANE_RADIUS, _PLANE_STEP, _PLANE_GATE_PX, _PLANE_GATE_GREY, _PLANE_RIDGE,
            space.fitted, space.residual, y0, y1,
        )  # fmt: skip
        clean.finish(
            space.label, space.fitted, space.residual, reason, minimum, _FLOOR_VARIANCE, _EDGE_VARIANCE, disparity, sigma, y0, y1
        )

    grey[:height] = left
    _both(workers, lambda: refine(0, half), lambda: refine(half, height))
    return disparity, sigma, reason


def _drop_speckles(space: Workspace, reason: NDArray[np.uint16], step: np.float32, smallest: int, workers: int) -> None:
    height = len(reason)
    half = height // 2
    label, runs = space.label, (space.run, space.parent, space.size)
    ends = _both(
        workers,
        lambda: clean.find_patches(label, step, *runs, 0, half),
        lambda: clean.find_patches(label, step, *runs, half, height),
    )
    clean.sum_patches(label, step, *runs, half, *ends)
    _both(
        workers,
        lambda: clean.remove_speckles(label, reason, *runs, smallest, 0, half),
        lambda: clean.remove_speckles(label, reason, *runs, smallest, half, height),
    )


def _fill_planes(
    space: Workspace,
    left: planes.Bytes,
    right: planes.Bytes,
    left_valid: Mask,
    right_valid: Mask,
    minimum: int,
    settings: MatcherSettings,
    workers: int,
) -> bool:
    """The matching cost's planes and the penalties; False where an image has no texture at all."""
    height = len(left)
    (left_signed, left_mean), (right_signed, right_mean) = _both(
        workers, lambda: planes.gradient(left, left_valid), lambda: planes.gradient(right, right_valid)
    )
    left_gain, right_gain = (np.float32(g) for g in planes.gains(left_mean, right_mean))
    table = planes.penalty_table(settings.p1, settings.p2, settings.p2_contrast)

    def pack_left() -> None:
        planes.pack_left(planes.frame(left, left_valid), left_signed, left_gain, left_valid, space.left, 0, height)
        planes.fill_penalties(left, table, space.penalty)

    def pack_right() -> None:
        framed = planes.frame(right, right_valid)
        planes.pack_right(framed, right_signed, right_gain, right_valid, minimum, space.right, 0, height)

    _both(workers, pack_left, pack_right)
    return min(left_mean, right_mean) > 0.0


def _aggregate(space: Workspace, minimum: int, settings: MatcherSettings, workers: int) -> None:
    height = len(space.winner)
    half = height // 2
    uniqueness = int(1024 / (1.0 - settings.uniqueness_percent / 100.0))

    def sweep(final: bool, state: PathStates, y0: int, y1: int, dy: int) -> None:
        sweeps.kernel(space.vectors, final)(
            space.left, space.right, space.penalty, space.padding, *state.arrays(), space.sums, space.labels,
            space.winner, space.winner_sums, space.ambiguous, space.right_winner,
            space.vectors, minimum, settings.p1, uniqueness, y0, y1, dy,
        )  # fmt: skip

    down, up = space.states
    down.reset()
    up.reset()
    _both(workers, lambda: sweep(False, down, 0, half, 1), lambda: sweep(False, up, height - 1, half - 1, -1))
    _both(workers, lambda: sweep(True, down, half, height, 1), lambda: sweep(True, up, half - 1, -1, -1))
