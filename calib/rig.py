"""`StereoRig`: two cameras and the motion between them; `RectifiedPair`: two images whose rows are epipolar lines."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib.camera import Camera
from calib.covariance import RigCovariance, parameter_names
from calib.errors import CalibrationError, InputError, UsageError
from calib.geometry import Array, frozen, orthonormality_error, rotation_from_vector

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
        Values that are not finite, a matrix that is no rotation, a baseline of zero length, or a covariance of other parameters.
    """

    left: Camera
    right: Camera
    R_right_left: Array
    """(3, 3) rotation"""
    t_right_left_m: Array
    """(3,) metres; a normal rig (right camera to the right) has x < 0"""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """where the numbers come from, in words: tool, date, source file, rms ..."""
    covariance: RigCovariance | None = None
    """how certain all numbers are, in the order of `parameter_names`; None where that is not known"""

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
        if self.covariance is not None:
            _check_names(self.covariance.names, self.parameter_names)
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
    def parameter_names(self) -> tuple[str, ...]:
        """(P,) names of all numbers of this rig: the order of `covariance` and of `perturbed`."""
        return parameter_names(self.left, self.right)

    def sigma(self, name: str) -> float:
        """Standard deviation of a number by its name, in the name's unit; NaN without a covariance.

        Raises
        ------
        CalibrationError
            A name that is not among `parameter_names`.
        """
        if self.covariance is not None:
            return self.covariance.sigma(name)
        if name not in self.parameter_names:
            raise CalibrationError(f"rig: there is no parameter {name!r}; known: {', '.join(self.parameter_names)}")
        return math.nan

    @property
    def baseline_sigma_m(self) -> float | None:
        """Standard deviation of `baseline_m`, metres: sqrt(J C J^T) with J = t / |t|; None without a covariance."""
        if self.covariance is None:
            return None
        J = self.t_right_left_m / self.baseline_m
        return math.sqrt(max(0.0, float(J @ self.covariance.block(("t_x_m", "t_y_m", "t_z_m")) @ J)))

    def perturbed(self, step: ArrayLike) -> "StereoRig":
        """The rig whose numbers differ by `step`, without covariance: for derivatives, and for drawing rigs from a covariance.

        Parameters
        ----------
        step : (P,) array
            In the order of `parameter_names`. Added to intrinsics and translation; the rotation becomes exp([w]x) R_right_left.

        Raises
        ------
        UsageError
            A step of another length or not finite.
        CalibrationError
            The step leads to an impossible rig.
        """
        d = np.asarray(step, np.float64)
        names = self.parameter_names
        if d.shape != (len(names),) or not np.isfinite(d).all():
            raise UsageError(f"step of shape {d.shape}; it must be {len(names)} finite numbers: {', '.join(names)}")
        split = 4 + len(self.left.distortion)
        left, right = _moved(self.left, d[:split]), _moved(self.right, d[split:-6])
        R, t = rotation_from_vector(d[-6:-3]) @ self.R_right_left, self.t_right_left_m + d[-3:]
        return replace(self, left=left, right=right, R_right_left=R, t_right_left_m=t, covariance=None)

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
        unchanged. The covariance is scaled as focal lengths and principal points are.

        Raises
        ------
        CalibrationError
            The images of a rectified rig differ in size, and rounding would scale them differently: crop one of them first.
        """
        left, right = self.left.scale(factor), self.right.scale(factor)
        covariance = self.covariance
        if covariance is not None:
            covariance = covariance.scaled([*_factors(self.left, left), *_factors(self.right, right), *np.ones(6)])
        scaled = replace(self, left=left, right=right, covariance=covariance)
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

        With k = x0 - x0_right a rectified rig's disparities become d - k and its doffs becomes doffs + k: depth is unchanged,
        and so is the covariance.
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


def _moved(camera: Camera, step: Array) -> Camera:
    """A camera with a step added to focal lengths, principal point and coefficients."""
    fx, fy, cx, cy = np.array([camera.focal_x_px, camera.focal_y_px, camera.centre_x_px, camera.centre_y_px]) + step[:4]
    return Camera(camera.width, camera.height, fx, fy, cx, cy, camera.distortion + step[4:], camera.model)


def _factors(old: Camera, new: Camera) -> list[float]:
    """What scaling multiplies the steps of each number of a camera by; the half pixel in c' = (c + 0.5) s - 0.5 drops out."""
    sx, sy = new.width / old.width, new.height / old.height
    return [sx, sy, sx, sy, *[1.0] * len(old.distortion)]


def _check_names(given: tuple[str, ...], needed: tuple[str, ...]) -> None:
    if given == needed:
        return
    missing, unknown = [n for n in needed if n not in given], [n for n in given if n not in needed]
    what = "; ".join(
        f"{words}: {', '.join(each)}" for words, each in (("missing", missing), ("not of this rig", unknown)) if each
    )
    raise CalibrationError(
        f"rig: the covariance has {len(given)} parameters, and the rig has {len(needed)}; {what or 'their order differs'}; they"
        f" must be {', '.join(needed)}"
    )


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
