"""`StereoRig`: two cameras and the motion between them; `RectifiedPair`: two images whose rows are epipolar lines."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from calib.camera import Camera
from calib.errors import CalibrationError, InputError
from calib.geometry import Array, frozen, orthonormality_error

_RECTIFIED_TOLERANCE = 1e-9
_ROTATION_TOLERANCE = 1e-6

Image = NDArray[np.generic]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class StereoRig:
    """Two cameras and where the right one stands: x_right = R_right_left x_left + t_right_left_m.

    Raises
    ------
    CalibrationError
        Values that are not finite, a matrix that is no rotation, or a baseline of zero length.
    """

    left: Camera
    right: Camera
    R_right_left: Array
    """(3, 3) rotation"""
    t_right_left_m: Array
    """(3,) metres; a normal rig (right camera to the right) has x < 0"""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """where the numbers come from, in words: tool, date, source file, rms ..."""

    def __post_init__(self) -> None:
        R = np.array(self.R_right_left, np.float64)
        t = np.array(self.t_right_left_m, np.float64).reshape(-1)
        error = orthonormality_error(R)
        if error > _ROTATION_TOLERANCE:
            what = (
                f"its R R^T differs from I by {error:.3g}"
                if np.isfinite(error)
                else "it has NaN, is a reflection or has another shape"
            )
            raise CalibrationError(
                f"rig: R_right_left is not a rotation: {what} (limit {_ROTATION_TOLERANCE:g}); check the file or calibrate again"
            )
        if t.shape != (3,) or not np.isfinite(t).all():
            raise CalibrationError(f"rig: t_right_left_m is {t.tolist()}; it must be three finite numbers in metres")
        if float(np.linalg.norm(t)) < 1e-9:
            raise CalibrationError(
                f"rig: the baseline is {float(np.linalg.norm(t)):g} m; two cameras in one place give no depth (limit 1e-9 m)"
            )
        frozen(R)
        frozen(t)
        object.__setattr__(self, "R_right_left", R)
        object.__setattr__(self, "t_right_left_m", t)
        object.__setattr__(self, "provenance", MappingProxyType({str(k): str(v) for k, v in self.provenance.items()}))

    @property
    def baseline_m(self) -> float:
        """Distance of the two camera centres, metres."""
        return math.hypot(*self.t_right_left_m)  # exact where the baseline lies along x

    @property
    def centre_right_m(self) -> Array:
        """(3,) the right camera's centre in the left camera's frame, metres."""
        return np.asarray(-self.R_right_left.T @ self.t_right_left_m)

    @property
    def is_rectified(self) -> bool:
        """True when rows are epipolar lines as they are: no rotation, no distortion, baseline along x, same focal lengths and cy.

        The principal points may differ in x: that is `doffs_px`.
        """
        t, left, right = self.t_right_left_m, self.left, self.right
        scale = max(1.0, left.focal_x_px)
        return bool(
            not len(left.distortion)
            and not len(right.distortion)
            and np.abs(self.R_right_left - np.eye(3)).max() < _RECTIFIED_TOLERANCE
            and t[0] < 0.0
            and np.abs(t[1:]).max() < _RECTIFIED_TOLERANCE * abs(t[0])
            and abs(left.focal_x_px - right.focal_x_px) < _RECTIFIED_TOLERANCE * scale
            and abs(left.focal_y_px - right.focal_y_px) < _RECTIFIED_TOLERANCE * scale
            and abs(left.centre_y_px - right.centre_y_px) < _RECTIFIED_TOLERANCE * scale
        )

    @property
    def focal_px(self) -> float:
        """Common focal length in x of a rectified rig, px."""
        self._require_rectified("focal_px")
        return self.left.focal_x_px

    @property
    def doffs_px(self) -> float:
        """cx_right - cx_left of a rectified rig, px: Z = focal_px * baseline_m / (d + doffs_px)."""
        self._require_rectified("doffs_px")
        return self.right.centre_x_px - self.left.centre_x_px

    def scale(self, factor: float) -> "StereoRig":
        """The rig of images resized by about `factor` to whole pixels; see `Camera.scale`, whose sizes to use.

        With s = new width / old width a rectified rig's disparities, focal length and doffs are multiplied by s: depth is
        unchanged.

        Raises
        ------
        CalibrationError
            The images of a rectified rig differ in size, and rounding would scale them differently: crop one of them first.
        """
        scaled = replace(self, left=self.left.scale(factor), right=self.right.scale(factor))
        if self.is_rectified and not scaled.is_rectified:
            sides = (self.left, scaled.left), (self.right, scaled.right)
            sizes = [f"{old.width} x {old.height} to {new.width} x {new.height} px" for old, new in sides]
            raise CalibrationError(
                f"rig: scaled by {factor:g}, the left images go from {sizes[0]} and the right ones from {sizes[1]}: not the same"
                " factor, so that rows would no longer agree; crop both to one size first"
            )
        return scaled

    def crop(self, x0: int, y0: int, width: int, height: int, *, x0_right: int | None = None) -> "StereoRig":
        """The rig of images cropped to a window of `width` x `height` at (x0, y0), the right one at (x0_right, y0).

        With k = x0 - x0_right a rectified rig's disparities become d - k and its doffs becomes doffs + k: depth is unchanged.
        """
        right = self.right.crop(x0 if x0_right is None else x0_right, y0, width, height)
        return replace(self, left=self.left.crop(x0, y0, width, height), right=right)

    def _require_rectified(self, what: str) -> None:
        if not self.is_rectified:
            raise CalibrationError(f"rig: {what} is defined for a rectified rig only; rectify the images first (calib.rectify)")


@dataclass(frozen=True, slots=True, eq=False)
class RectifiedPair:
    """Two images whose rows are epipolar lines, with masks of the pixels that hold image content, and the rig they belong to."""

    left: Image
    """(H, W) or (H, W, 3 in BGR order); uint8, uint16 or float32, finite where `left_valid`"""
    right: Image
    """same shape and type as `left`"""
    left_valid: Mask
    """(H, W) bool: False where rectification found no source pixel (or the source held NaN)"""
    right_valid: Mask
    """(H, W) bool"""
    rig: StereoRig | None = None
    """the rectified rig; None where the images came without one (no metric depth then)"""

    def __post_init__(self) -> None:
        if self.left.shape != self.right.shape:
            raise InputError(
                f"left is {_size(self.left)} but right is {_size(self.right)}; a rectified pair has one size and kind of image"
            )
        if self.left.ndim not in (2, 3) or (self.left.ndim == 3 and self.left.shape[2] != 3):
            raise InputError(f"images of shape {self.left.shape}; use (H, W) grey or (H, W, 3) colour")
        if self.left.dtype != self.right.dtype or self.left.dtype not in (np.uint8, np.uint16, np.float32):
            raise InputError(f"images of type {self.left.dtype} and {self.right.dtype}; use uint8, uint16 or float32 for both")
        for name in ("left_valid", "right_valid"):
            mask = getattr(self, name)
            if mask.shape != self.left.shape[:2] or mask.dtype != np.bool_:
                raise InputError(f"{name}: {mask.dtype} of shape {mask.shape}; it must be bool of shape {self.left.shape[:2]}")
            _refuse_not_finite(name.removesuffix("_valid"), getattr(self, name.removesuffix("_valid")), mask)
        if self.rig is not None:
            if not self.rig.is_rectified:
                raise CalibrationError("the rig of a RectifiedPair must be rectified; use calib.rectify(rig, left, right)")
            for side, camera in (("left", self.rig.left), ("right", self.rig.right)):
                if camera.size != (self.left.shape[1], self.left.shape[0]):
                    raise InputError(
                        f"images are {_size(self.left)}, but the rig's {side} camera is {camera.width} x {camera.height} px"
                    )
        for name in ("left", "right", "left_valid", "right_valid"):
            array = np.ascontiguousarray(getattr(self, name)).view()
            frozen(array)
            object.__setattr__(self, name, array)


def _refuse_not_finite(name: str, image: Image, valid: Mask) -> None:
    """NaN under a mask that says "valid" would spread through every sum over the image."""
    if image.dtype != np.float32:
        return
    finite = np.isfinite(image) if image.ndim == 2 else np.isfinite(image).all(-1)
    count = int(np.count_nonzero(valid & ~finite))
    if count:
        raise InputError(
            f"{name}: {count} pixel{'s are' if count > 1 else ' is'} NaN or infinite where {name}_valid is True; mark"
            f" {'them' if count > 1 else 'it'} as not valid: {name}_valid &= numpy.isfinite({name}), over all channels"
        )


def _size(image: Image) -> str:
    channels = "" if image.ndim == 2 else f" x {image.shape[2]} channels"
    return f"{image.shape[1]} x {image.shape[0]} px{channels}" if image.ndim >= 2 else f"of shape {image.shape}"
