"""`Entry`: one pair of a data set and where everything about it lies. Reading its truth and its visible pixels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from calib.errors import InputError
from calib.images import read_image
from stereo.encodings import Encoding, one_channel, read_disparity, read_mask
from stereo.maps import Float32
from stereo.score import Benchmark

Mask = NDArray[np.bool_]
_SAME_POINT_PX = 1.0
"""a point is seen by both images where the two truths differ by at most this"""


@dataclass(frozen=True, slots=True)
class NonOcc:
    """Which pixels both images see, as the data set says it."""

    kind: Literal["mask", "known", "occluded", "right truth"]
    """`mask`: 255 is visible; `known`: a truth that knows visible pixels only (KITTI); `occluded`: pixels that are not 0 in any
    of the files are hidden (Sintel, SceneFlow); `right truth`: the disparities of the right image, compared with the left ones"""
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One pair. Nothing but paths: the files are read when they are needed."""

    name: str
    """unique in its folder: the path of its scene or frame below the folder that was searched"""
    dataset: str
    benchmark: Benchmark
    """whose metrics are usual for it"""
    left: Path
    right: Path
    truth: Path | None
    """disparities of the left image; None in test sets"""
    encoding: Encoding
    """of the truths"""
    nonocc: NonOcc | None = None
    foreground: Path | None = None
    """KITTI 2015: objects, not 0"""
    calibration: Path | None = None
    """for `calib.load_rig`"""
    search_range: tuple[int, int] | None = None
    """[min, max) px, from what the data set states: its ndisp, or the largest value that its files can hold"""
    limits: tuple[float, float] | None = None
    """px; the benchmark's program clips answers to them"""


def load_truth(entry: Entry) -> Float32:
    """The truth of the left image, px, NaN where unknown.

    SceneFlow's cameras are parallel, so its disparities cannot be negative; a copy that stores them with the other sign
    (x_right - x_left) is turned round.

    Raises
    ------
    InputError
        There is none, or it cannot be read.
    """
    if entry.truth is None:
        raise InputError(f"{entry.name}: has no truth in this folder (a test set?); there is nothing to measure against")
    return _signed(entry, read_disparity(entry.truth, entry.encoding))


def load_nonocc(entry: Entry, truth_px: Float32) -> Mask | None:
    """The pixels that both images see; None where the data set does not tell.

    Parameters
    ----------
    entry : Entry
    truth_px : (H, W) array
        From `load_truth`.

    Raises
    ------
    InputError
    """
    if entry.nonocc is None:
        return None
    kind, files = entry.nonocc.kind, entry.nonocc.files
    if kind == "mask":
        return read_mask(files[0])
    if kind == "known":
        return np.isfinite(read_disparity(files[0], entry.encoding))
    if kind == "occluded":
        hidden = [one_channel(read_image(file), file) != 0 for file in files]
        return np.asarray(~np.logical_or.reduce(hidden))
    return visible_from_both(truth_px, _signed(entry, read_disparity(files[0], entry.encoding), right=True))


def load_foreground(entry: Entry) -> Mask | None:
    """KITTI 2015's objects; None elsewhere."""
    if entry.foreground is None:
        return None
    return np.asarray(one_channel(read_image(entry.foreground), entry.foreground) != 0)


def visible_from_both(left_px: Float32, right_px: Float32) -> Mask:
    """Pixels whose match in the right image has the same disparity, within 1 px.

    Parameters
    ----------
    left_px, right_px : (H, W) arrays
        x_left - x_right of the left and of the right image's pixels, NaN unknown
    """
    if left_px.shape != right_px.shape:
        raise InputError(f"the left truth is {left_px.shape[::-1]} px, but the right one {right_px.shape[::-1]}")
    height, width = left_px.shape
    rows, columns = np.mgrid[:height, :width]
    x_right = np.round(columns - np.nan_to_num(left_px)).astype(int)
    inside = np.isfinite(left_px) & (x_right >= 0) & (x_right < width)
    there = np.full_like(left_px, np.nan)
    there[inside] = right_px[rows[inside], x_right[inside]]
    return np.asarray(inside & (np.abs(there - left_px) <= _SAME_POINT_PX))


def first(folder: Path, *names: str) -> Path | None:
    """The first of these files that exists in a folder."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _signed(entry: Entry, disparity: Float32, *, right: bool = False) -> Float32:
    if entry.dataset == "sceneflow" and np.isfinite(disparity).any():
        low, high = np.nanmin(disparity), np.nanmax(disparity)
        if high <= 0.0:
            return -disparity
        if low < 0.0:
            side = "right" if right else "left"
            raise InputError(f"{entry.name}: its {side} truth runs from {low:g} to {high:g} px; parallel cameras give one sign")
    return disparity
