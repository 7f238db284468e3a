"""Sub-pixel refinement of the labels, and their error bars."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stereo.arena import Arena
from stereo.kernels import planes, surface
from stereo.kernels.confide import FAR_GREY
from stereo.kernels.select import MARGIN, NO_LABEL
from stereo.kernels.simd import FLOAT_LANES
from stereo.maps import INFORMING
from stereo.matcher_input import GreyPair
from stereo.second_pass import match_again
from stereo.settings import MatcherSettings
from stereo.threads import run_rows
from stereo.workspace import Workspace

# Constants of the ablation in bench/constants.py; flat around these values on every data set.
_SUPPORT_PX, _SUPPORT_PIXELS = 2.0, 10
_EDGE_RADIUS, _EDGE_STEP, _EDGE_SHARE = 6, 2, 0.4
_RADIUS, _GATE_GREY = 4, 25.0
_COARSE_STEP, _COARSE_GATE_PX = 2, 2.0
_FINE_STEP, _FINE_GATE_PX = 1, 1.5
_PLANE_RIDGE, _SHIFT_RIDGE = 0.5, 4.0
_SHIFT_LIMIT_PX, _LAST_SHIFT_LIMIT_PX = 0.2, 0.1
# Error bar (`bench.sigma`): a floor, px^2, and weights of the variance of the labels around the fitted plane and of the shift's
# uncertainty. Without the shift the floor is what pixel-locking leaves. At the edge of the range a parabola has only one side.
_VARIANCE = {
    name: np.array(weights, np.float32)
    for name, weights in {"plane": (0.0174, 0.2, 0), "photometric": (0, 0.18, 0.08), "second pass": (0, 0.085, 0.225)}.items()
}
_EDGE_VARIANCE = np.float32(1.0)
_INVALIDATING = np.uint16(0xFFFF & ~INFORMING)

Float32 = NDArray[np.float32]


def refine(
    space: Workspace,
    grey: GreyPair,
    minimum: int,
    reason: NDArray[np.uint16],
    settings: MatcherSettings,
    systematic_px: float,
    workers: int,
) -> tuple[Float32, Float32, Float32]:
    """The final labels (a map with a margin), disparity and its sigma, (H, W) px, from the labels in `space.label`.

    Pixels that lose their answer get their reason. systematic_px: one standard deviation of an error that pixels share.
    """
    height, width = grey.shape
    label, left, residual = space.label, space.grey, space.residual
    put_grey(left, grey)
    arena = Arena(space.sums)
    uncertainty = arena.take(residual.shape, np.float32)
    weights = _VARIANCE[settings.refinement].copy()
    weights[0] += np.float32(systematic_px**2)
    other, usable = (_map(space, arena, NO_LABEL) for _ in range(2))
    difference, slope = (_map(space, arena, 0.0) for _ in range(2))

    def on_rows(job: Callable[[int, int], None]) -> None:
        run_rows(workers, height, job)

    def fit(source: Float32, step: int, gate: float, target: Float32) -> None:
        on_rows(
            lambda y0, y1: surface.fit_planes(
                source, left, _RADIUS, step, gate, _GATE_GREY, _PLANE_RIDGE, target, residual, y0, y1
            )
        )

    def shift(limit_px: float) -> None:
        """Compare the images along the surface in `label`, shift it and fit it again."""
        on_rows(
            lambda y0, y1: surface.compare(
                label, left, grey.right, grey.right_valid, gain, minimum, difference, slope, usable, y0, y1
            )
        )
        gates = _RADIUS, _COARSE_STEP, _FINE_GATE_PX, _GATE_GREY, _SHIFT_RIDGE
        on_rows(
            lambda y0, y1: surface.shift(label, usable, left, difference, slope, *gates, limit_px, other, uncertainty, y0, y1)
        )
        fit(other, _FINE_STEP, _FINE_GATE_PX, label)

    on_rows(lambda y0, y1: surface.smooth(label, np.float32(_SUPPORT_PX), _SUPPORT_PIXELS, other, y0, y1))
    fit(other, _COARSE_STEP, _COARSE_GATE_PX, label)
    _drop_unsupported(label, left, residual.shape, other, workers)
    label, other = other, label
    if settings.refinement == "plane":
        uncertainty[:] = 0.0
    else:
        gain = _gain(grey)
        shift(_SHIFT_LIMIT_PX)
        if settings.refinement == "second pass":
            match_again(space, arena, grey, minimum, label, gain, workers)
            fit(label, _FINE_STEP, _FINE_GATE_PX, other)
            label, other = other, label
            shift(_LAST_SHIFT_LIMIT_PX)
    disparity, sigma = (np.empty((height, width), np.float32) for _ in range(2))
    on_rows(
        lambda y0, y1: surface.finish(
            label, residual, uncertainty, reason, minimum, _INVALIDATING, weights, _EDGE_VARIANCE, disparity, sigma, y0, y1
        )
    )
    return label, disparity, sigma


def _drop_unsupported(label: Float32, left: Float32, shape: tuple[int, ...], out: Float32, workers: int) -> None:
    """Copy `label` to `out` but for what spread over an edge of depth; shape: (H, W rounded up to whole vectors)."""
    count, columns = -(-shape[0] // surface.BLOCK), shape[1] // FLOAT_LANES
    low, high = (np.empty((count, columns), np.float32) for _ in range(2))
    gates = _EDGE_RADIUS, _EDGE_STEP, np.float32(_SUPPORT_PX), _GATE_GREY, _EDGE_SHARE
    run_rows(workers, count, lambda b0, b1: surface.extents(label, low, high, b0, b1))
    run_rows(workers, count, lambda b0, b1: surface.support(label, left, low, high, *gates, out, b0, b1))


def put_grey(left: Float32, grey: GreyPair) -> None:
    """The left image, with a margin; what holds no data looks like nothing else."""
    height, width = grey.shape
    inner = np.s_[MARGIN : MARGIN + height, MARGIN : MARGIN + width]
    left[:MARGIN] = left[MARGIN + height :] = FAR_GREY
    left[:, :MARGIN] = left[:, MARGIN + width :] = FAR_GREY
    left[inner] = grey.left
    if not grey.left_valid.all():
        left[inner][~grey.left_valid] = FAR_GREY


def _gain(grey: GreyPair) -> np.float32:
    """Contrast of the left image over that of the right one, from the x-gradients of every fourth row."""
    means = []
    for image, valid in ((grey.left, grey.left_valid), (grey.right, grey.right_valid)):
        rows, known = image[::4], valid[::4]
        steps = np.abs(np.diff(rows.astype(np.int16), axis=1))[known[:, 1:] & known[:, :-1]]
        means.append(float(steps.mean()) if steps.size else 0.0)
    left, right = planes.gains(*means)
    return np.float32(right / left)


def _map(space: Workspace, arena: Arena, outside: float) -> Float32:
    """A map with a margin like `space.label`; `outside` stands around the image."""
    out = arena.take(space.label.shape, np.float32)
    height, width = space.winner.shape
    out[:MARGIN] = out[MARGIN + height :] = outside
    out[:, :MARGIN] = out[:, MARGIN + width :] = outside
    return out
