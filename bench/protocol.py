"""How accuracy is measured: one fill for every matcher, OpenCV's modes as the peers.

dens: % of visible pixels answered. b05, b1, b2: % of visible pixels off by more than 0.5, 1, 2 px after the fill.
all2: % of all known pixels off by more than the case's threshold (2 px; KITTI 3).
s1, s2: % of the answered visible ones off by more than 1, 2 px. The px are those of the truth as it was published: photos that
are larger than it (`Case.unit_px`) count in its px.
"""

import time
from collections.abc import Callable

import cv2
import numpy as np

from bench.cases import Case, Float32
from stereo import match
from stereo.score import score as benchmark_score

Matcher = Callable[[Case], tuple[Float32, float]]


def fill(disparity: Float32) -> Float32:
    """Nearest answer on the row, the farther of left and right; borders copied; the median where a row has none."""
    width = disparity.shape[1]
    missing = ~np.isfinite(disparity)
    columns = np.arange(width)
    before = np.maximum.accumulate(np.where(missing, -1, columns), 1)
    after = np.minimum.accumulate(np.where(missing, width, columns)[:, ::-1], 1)[:, ::-1]
    rows = np.arange(len(disparity))[:, None]
    left = np.where(before >= 0, disparity[rows, np.clip(before, 0, width - 1)], np.inf)
    right = np.where(after < width, disparity[rows, np.clip(after, 0, width - 1)], np.inf)
    value = np.minimum(left, right)
    value[~np.isfinite(value)] = np.nanmedian(disparity) if not missing.all() else 0.0
    return np.where(missing, value, disparity).astype(np.float32)


def opencv(mode: int, block_size: int) -> Matcher:
    """StereoSGBM in colour; the images padded so that its lost left band is measured like everyone's."""

    def run(case: Case) -> tuple[Float32, float]:
        labels = -(-(case.maximum - case.minimum) // 16) * 16
        before, after = max(0, case.maximum), max(0, -case.minimum)
        left, right = (cv2.copyMakeBorder(i, 0, 0, before, after, cv2.BORDER_REPLICATE) for i in (case.left, case.right))
        area = 3 * block_size * block_size
        sgbm = cv2.StereoSGBM.create(case.minimum, labels, block_size, 8 * area, 32 * area, 1, 63, 10, 100, 2, mode)
        start = time.perf_counter()
        fixed = sgbm.compute(left, right)
        seconds = time.perf_counter() - start
        disparity = fixed[:, before : fixed.shape[1] - after].astype(np.float32) / np.float32(16)
        disparity[disparity < case.minimum] = np.nan
        return disparity, seconds

    return run


def ours(preset: str) -> Matcher:
    """`stereo.match` with a preset."""

    def run(case: Case) -> tuple[Float32, float]:
        start = time.perf_counter()
        found = match(case.left, case.right, search_range=(case.minimum, case.maximum), preset=preset)
        return found.disparity_px.copy(), time.perf_counter() - start

    return run


def score(case: Case, disparity: Float32) -> dict[str, float]:
    """The figures of one case, %: those of ETH3D (shares of what is answered), before and after the protocol's own fill."""
    unit = np.float32(case.unit_px)
    truth, limit = case.truth_px / unit, case.threshold_px
    sparse = benchmark_score(disparity / unit, truth, benchmark="eth3d", nonocc=case.visible).regions["nonocc"]
    whole = fill(disparity) / unit
    filled = benchmark_score(whole, truth, benchmark="eth3d", nonocc=case.visible).regions["nonocc"].sparse
    known = np.isfinite(truth)
    return {
        "dens": sparse.coverage_percent,
        "b05": filled["bad-0.5"],
        "b1": filled["bad-1"],
        "b2": filled["bad-2"],
        "all2": 100.0 * float(np.mean(np.abs(whole - truth)[known] > limit)),
        "s1": sparse.sparse["bad-1"],
        "s2": sparse.sparse["bad-2"],
    }
