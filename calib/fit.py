"""`Fit`: a capture explained by a rig. What `calib.solve` finds, and what faults, quality and reports look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib.camera import Camera
from calib.corner_order import Pose
from calib.geometry import Array
from calib.rig import StereoRig
from calib.target import Target

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """Every corner that one camera saw, against its prediction."""

    moment: NDArray[np.int64]
    """(K,) index of the pair"""
    ids: NDArray[np.int64]
    """(K,) rows of the board's points"""
    seen_uv: Array
    """(K, 2) px"""
    error_px: Array
    """(K, 2) seen - predicted, px; NaN where the moment has no pose"""
    sigma_px: Array
    """(K,) expected standard deviation along each axis: the detector's, and what it cannot know; right up to
    `Fit.noise_scale`"""
    kept: Mask
    """(K,) False for corners left out of the solution"""
    reasons: NDArray[np.str_]
    """(K,) why a corner was left out: "" | "outlier" | "pair" (its whole pair or view is out)"""

    def rms_px(self, mask: Mask | None = None) -> float:
        """Root of the mean squared distance (both axes together) of the kept corners, or of those under a mask; NaN for none."""
        chosen = self.error_px[self.kept if mask is None else mask]
        return float(np.sqrt((chosen * chosen).sum(1).mean())) if len(chosen) else float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class CameraFit:
    """One camera solved alone, from all its views."""

    camera: Camera
    rms_px: float
    """per corner, kept ones"""
    poses: Sequence[Pose | None]
    """the board in this camera's frame at each moment; None where it was not seen"""
    rejected_share: float
    tilt_deg: float
    """greatest angle between two boards' normals, degrees"""
    focal_sigma_px: float
    """standard deviation of the focal length (the larger of x and y)"""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A rig, the bow of the board, the pose of the board at each moment, and the errors that remain."""

    target: Target
    names: Sequence[str]
    """of the pairs"""
    rig: StereoRig
    """with its covariance"""
    model: str
    """lens model of both cameras: "radtan4" ... "radtan12", "fisheye" """
    warp_m: Array
    """(2,) bow of the board along x and y: z = warp_x (1 - u^2) + warp_y (1 - v^2), u and v from -1 to 1 over the board; of a
    free one the bow that comes nearest; zeros where it was taken as flat"""
    board_m: Array
    """(N, 3) the board's points as they were found to lie"""
    board_shape: str
    """what the board was taken for: "flat", "bowed", or "free" (every point where the pictures want it)"""
    poses: Sequence[Pose | None]
    """the board in the left camera's frame at each moment; None where it was left out"""
    left: Residuals
    right: Residuals
    mono: tuple[CameraFit, CameraFit]
    """each camera alone"""
    noise_scale: float
    """the corners' standard deviations are the stated ones times this"""
    noise_px: float
    """standard deviation of a kept corner along one axis, px"""
    disagreement: float
    """>= 1: how much more the pairs disagree about the rig than the noise of their corners explains; 1 where that may be chance.
    The sigmas of the rig contain it: blur, motion and bad light spoil all corners of a view alike"""
    pair_scatter: Array
    """(pairs,) what a motion between the cameras of its own would gain each pair: about 1 where noise is all there is; NaN for
    pairs without one"""
    unsteady: float
    """the corners' noise with all pairs together over that of each camera alone: about 1 for a rig that stood still and pictures
    of one moment"""
    repaired: Mapping[int, str]
    """pairs that were re-indexed, and how"""
    dropped: Mapping[int, str]
    """pairs that were left out, and why"""

    @property
    def sides(self) -> tuple[Residuals, Residuals]:
        """Left and right."""
        return self.left, self.right

    @property
    def rms_px(self) -> float:
        """Per corner, both cameras, kept corners."""
        errors = np.concatenate([side.error_px[side.kept] for side in self.sides])
        return float(np.sqrt((errors * errors).sum(1).mean()))

    @property
    def rejected_share(self) -> float:
        """Corners left out over corners seen, whole pairs included."""
        kept = np.concatenate([side.kept for side in self.sides])
        return float((~kept).mean())
