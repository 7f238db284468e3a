"""Metrics of a disparity map against truth, defined as the benchmarks' own programs define them.

Every figure comes in two forms, and coverage stands beside both:

- `sparse`: the map as it is. How its holes count differs from benchmark to benchmark; see `score`.
- `dense`: the map after `fill_background`, the fill of KITTI's development kit, with every known pixel counted.

Truth and disparity are signed: 0 and negative values are measurements, NaN alone means unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from calib.errors import InputError, UsageError
from stereo.maps import Float32

Benchmark = Literal["middlebury", "kitti", "eth3d"]
BENCHMARKS: tuple[Benchmark, ...] = get_args(Benchmark)
BAD_PX = (0.5, 1.0, 2.0, 4.0)
"""thresholds of Middlebury v3 and ETH3D, px"""
OUT_PX = (2.0, 3.0, 4.0, 5.0)
"""thresholds of KITTI 2012, px"""
D1_PX, D1_PART = 3.0, 0.05
"""KITTI 2015: an outlier is off by more than both"""
QUANTILES_PERCENT = (50, 90, 95, 99)

Mask = NDArray[np.bool_]
_Errors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Region:
    """The figures over one set of pixels; the keys are the benchmark's own names, percentages in %, lengths in px."""

    pixels: int
    """with known truth"""
    coverage_percent: float
    """part of them that the map answers"""
    sparse: Mapping[str, float]
    dense: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Score:
    """What `score` found."""

    benchmark: Benchmark
    regions: Mapping[str, Region]
    """`all` always; `nonocc` where a mask was given; `bg` and `fg` where a foreground was"""
    enlarged: int = 1
    """factor by which the map was enlarged to the size of the truth"""

    def as_json(self) -> dict[str, Any]:
        """Plain values; figures that do not exist (no pixel was answered) are None."""
        regions = {
            name: {
                "pixels": region.pixels,
                "coverage_percent": region.coverage_percent,
                "sparse": _finite(region.sparse),
                "dense": _finite(region.dense),
            }
            for name, region in self.regions.items()
        }
        return {"benchmark": self.benchmark, "enlarged": self.enlarged, "regions": regions}


def score(
    disparity_px: Float32,
    truth_px: Float32,
    *,
    benchmark: Benchmark = "middlebury",
    nonocc: Mask | None = None,
    foreground: Mask | None = None,
    limits: tuple[float, float] | None = None,
) -> Score:
    """Measure a disparity map as a benchmark does.

    Parameters
    ----------
    disparity_px : (H, W) float array
        NaN or infinity where there is no answer. For "middlebury" it may be a half or a quarter of the truth's size; it is then
        enlarged (`enlarge`).
    truth_px : (H, W) float array
        NaN or infinity where unknown.
    benchmark : {"middlebury", "kitti", "eth3d"}
        Whose definitions, n being the known pixels of the region and k those of them that are answered:

        middlebury (v3)
            `bad-t`: % of n that are answered and off by more than t = 0.5, 1, 2, 4 px; `invalid`: % of n without answer, which
            do not count as bad; `totbad-t`: the sum of the two. `avgerr`, `rms` and the quantiles `A50` ... `A99` (px) over k.
        eth3d
            `bad-t`: % of k; `avgerr`, `rms`, `A50` ... `A99` over k. An answer beyond the image's width is none.
        kitti
            `out-t`: % of k off by more than t = 2, 3, 4, 5 px; `D1`: % of k off by more than 3 px and by more than 5 % of the
            truth; `avgerr` over k.

        A quantile Aq is the sorted error at index floor(k q / 100). In the dense form k = n. Without any answer `bad`, `out` and
        `D1` of k are 100 % and errors infinite, as in ETH3D's program; Middlebury's `bad` is then 0 % and `invalid` 100 %.
    nonocc : (H, W) bool array, optional
        Pixels that both images see: the region `nonocc`.
    foreground : (H, W) bool array, optional
        KITTI 2015's objects: the regions `fg` and `bg`.
    limits : (float, float), optional
        Clip answers to [low, high] px first, as Middlebury's program does with [0, ndisp].

    Raises
    ------
    InputError
        Shapes that differ, or a region without a known pixel.
    UsageError
        An unknown benchmark.

    References
    ----------
    Middlebury v3: evaldisp.cpp of MiddEval3's SDK (its tables add rms and quantiles, taken here over the same pixels as avgErr).
    ETH3D: main.cc of ETH3D/two-view-evaluation. KITTI: evaluate_stereo.cpp (2012), evaluate_scene_flow.cpp (2015).
    """
    if benchmark not in BENCHMARKS:
        raise UsageError(f"benchmark {benchmark!r} is not known; use one of {', '.join(BENCHMARKS)}")
    truth = _as_map(truth_px, "the truth")
    found = _as_map(disparity_px, "the disparity")
    factor = 1
    if benchmark == "middlebury" and found.shape != truth.shape:
        found, factor = enlarge(found, (truth.shape[0], truth.shape[1]))
    for what, array in (("the disparity", found), ("the mask", nonocc), ("the foreground", foreground)):
        if array is not None and array.shape != truth.shape:
            raise InputError(f"{what} is {_size(array)} px, but the truth {_size(truth)}; they must be of one size")
    if benchmark == "eth3d":
        found = np.where(np.abs(found) <= truth.shape[1], found, np.float32(np.nan))
    if limits is not None:
        found = np.clip(found, np.float32(limits[0]), np.float32(limits[1]))
    filled = fill_background(found)
    known = np.isfinite(truth)
    regions = {"all": known}
    if nonocc is not None:
        regions["nonocc"] = known & nonocc
    if foreground is not None:
        regions |= {"bg": known & ~foreground, "fg": known & foreground}
    measured: dict[str, Region] = {}
    for name, pixels in regions.items():
        count = int(np.count_nonzero(pixels))
        if count == 0:
            if name in ("bg", "fg"):  # a frame without objects is nobody's mistake
                continue
            raise InputError(f"the truth knows no pixel{' of the mask' if name == 'nonocc' else ''}; there is nothing to measure")
        sparse, dense = (_figures(benchmark, map_px[pixels], truth[pixels]) for map_px in (found, filled))
        answered = int(np.count_nonzero(np.isfinite(found[pixels])))
        measured[name] = Region(count, 100.0 * answered / count, sparse, dense)
    return Score(benchmark, measured, factor)


def fill_background(disparity_px: Float32) -> Float32:
    """KITTI's fill: a hole takes the lower of its two neighbours on the row; rows extend to both sides, columns up and down.

    A map without any answer stays as it is.

    References
    ----------
    `interpolateBackground` in io_disp.h of KITTI's development kits.
    """
    rows = _lower_of_neighbours(_as_map(disparity_px, "the disparity"))
    return _nearest_of_column(rows)


def enlarge(disparity_px: Float32, shape: tuple[int, int]) -> tuple[Float32, int]:
    """A map of a half or a quarter of `shape` at that shape: pixels repeated, values multiplied (evaldisp.cpp of MiddEval3).

    Returns
    -------
    ((H, W) float32 array, factor)

    Raises
    ------
    InputError
        Another ratio.
    """
    for factor in (1, 2, 4):
        if tuple(factor * side for side in disparity_px.shape) == shape:
            return np.repeat(np.repeat(disparity_px * np.float32(factor), factor, 0), factor, 1), factor
    raise InputError(
        f"the disparity is {_size(disparity_px)} px, but the truth {shape[1]} x {shape[0]}; it must be of that size, or exactly"
        " a half or a quarter of it"
    )


def _figures(benchmark: Benchmark, found: _Errors, truth: _Errors) -> dict[str, float]:
    """The figures of n known pixels, answered or not."""
    answered = np.isfinite(found)
    truth = truth[answered]
    error = np.abs(found[answered] - truth)
    n, k = len(answered), len(error)
    if benchmark == "kitti":
        figures = {f"out-{t:g}": _percent(error > t, k) for t in OUT_PX}
        with np.errstate(divide="ignore", invalid="ignore"):
            figures["D1"] = _percent((error > D1_PX) & (error / np.abs(truth) > D1_PART), k)
        return figures | {"avgerr": _mean(error)}
    if benchmark == "eth3d":
        return {f"bad-{t:g}": _percent(error > t, k) for t in BAD_PX} | _lengths(error)
    bad = {f"bad-{t:g}": 100.0 * float(np.count_nonzero(error > t)) / n for t in BAD_PX}
    invalid = 100.0 * (n - k) / n
    return bad | {"invalid": invalid} | {f"tot{name}": value + invalid for name, value in bad.items()} | _lengths(error)


def _lengths(error: _Errors) -> dict[str, float]:
    """Mean, root mean square and quantiles, px."""
    figures = {"avgerr": _mean(error), "rms": float(np.sqrt(_mean(np.square(error, dtype=np.float64))))}
    places = [min(int(np.float32(len(error)) * np.float32(q / 100.0)), len(error) - 1) for q in QUANTILES_PERCENT]
    ordered = np.partition(error, sorted(set(places))) if len(error) else error
    return figures | {
        f"A{q}": float(ordered[place]) if len(error) else float("inf") for q, place in zip(QUANTILES_PERCENT, places, strict=True)
    }


def _percent(of: Mask, count: int) -> float:
    return 100.0 * float(np.count_nonzero(of)) / count if count else 100.0


def _mean(of: NDArray[Any]) -> float:
    return float(np.mean(of, dtype=np.float64)) if of.size else float("inf")


def _lower_of_neighbours(disparity: Float32) -> Float32:
    """Each hole's lower neighbour on its row; the only one where there is one, NaN where there is none."""
    width = disparity.shape[1]
    missing = ~np.isfinite(disparity)
    columns = np.arange(width)
    before = np.maximum.accumulate(np.where(missing, -1, columns), 1)
    after = np.minimum.accumulate(np.where(missing, width, columns)[:, ::-1], 1)[:, ::-1]
    rows = np.arange(len(disparity))[:, None]
    left = np.where(before >= 0, disparity[rows, np.maximum(before, 0)], np.float32(np.nan))
    right = np.where(after < width, disparity[rows, np.minimum(after, width - 1)], np.float32(np.nan))
    return np.where(missing, np.fmin(left, right), disparity).astype(np.float32)


def _nearest_of_column(disparity: Float32) -> Float32:
    """Rows without any value take the first row below that has values, those at the bottom the last above.

    After `_lower_of_neighbours` a row has values everywhere or nowhere. KITTI extends columns to the top and the bottom only;
    empty rows between others, which it leaves invalid, are given the row above.
    """
    usable = np.flatnonzero(np.isfinite(disparity[:, 0]))
    if not len(usable) or len(usable) == len(disparity):
        return disparity
    place = np.searchsorted(usable, np.arange(len(disparity)), "right") - 1
    return disparity[usable[np.maximum(place, 0)]]


def _as_map(values: NDArray[Any], what: str) -> Float32:
    array = np.asarray(values)
    if array.ndim != 2 or not array.size:
        raise InputError(f"{what} has shape {array.shape}; it must be (H, W)")
    if array.dtype.kind not in "f":
        raise InputError(f"{what} holds {array.dtype}; it must hold floats in px, with NaN for unknown")
    return np.where(np.isfinite(array), array, np.nan).astype(np.float32)


def _size(array: NDArray[Any]) -> str:
    return " x ".join(str(side) for side in array.shape[::-1])


def _finite(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if np.isfinite(value) else None for name, value in figures.items()}
