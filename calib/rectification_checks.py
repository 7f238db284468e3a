"""What `calib.rectification` refuses, and why: rigs that are not left-and-right, views without common content, wrong photos."""

import numpy as np

from calib.camera import Camera
from calib.errors import CalibrationError, InputError
from calib.geometry import Array
from calib.rig import Image, Mask, StereoRig

_MAX_AXIS_DEG = 40.0  # at 40 degrees off axis a pinhole image is stretched by 1 / cos^2 = 1.7 in its middle
_MAX_ROLL_DEG = 45.0
_MIN_COMMON = 0.2  # share of the smaller view that the other sees too, at the best distance
_WIDEST_PINHOLE_DEG = 120.0
_MIN_FILLED = 0.1  # share of a rectified image that holds content


def check_lenses(rig: StereoRig) -> None:
    """Refuse lenses whose view no flat image can hold."""
    for side, camera in (("left", rig.left), ("right", rig.right)):
        if camera.is_fisheye:
            wide, high = camera.view_deg
            advice = "; calibrate it again with --model radtan8" if max(wide, high) < _WIDEST_PINHOLE_DEG else ""
            raise CalibrationError(
                f"rig: the {side} camera has a fisheye lens that sees {wide:.0f} x {high:.0f} degrees: rectification of fisheye"
                f" lenses is not available yet, only that of pinholes (model: radtan){advice}"
            )


def check_arrangement(rig: StereoRig) -> None:
    """Refuse rigs that are not left-and-right, and cameras that are turned about their axes: nothing is rotated in silence."""
    x, y, z = (float(v) for v in rig.centre_right_m)
    where = f"the right camera stands at x {x:+.4g}, y {y:+.4g}, z {z:+.4g} m from the left one (x right, y down, z forward)"
    ahead = float(rig.centre_right_m @ mean_axis(rig)) / rig.baseline_m
    if abs(ahead) > np.sqrt(0.5):
        raise CalibrationError(
            f"rig: {where}: one camera is ahead of the other, {abs(ahead) * 100:.0f} % of the baseline lies along the view"
            " (limit 71 %); such a pair has no rows to match along; place the cameras side by side"
        )
    if abs(y) > abs(x):
        raise CalibrationError(
            f"rig: {where}: it is vertical (|y| must not exceed |x|), which is not supported yet; turn all photos by 90 degrees"
            " and calibrate again"
        )
    if x < 0.0:
        raise CalibrationError(
            f"rig: {where}: left and right are swapped (its x must be > 0, t_right_left's x < 0); exchange the"
            " cameras in the rig and the order of the photos"
        )
    R = rig.R_right_left  # the angle of the rotation about z that is nearest to R
    roll = float(np.degrees(np.arctan2(R[1, 0] - R[0, 1], R[0, 0] + R[1, 1])))
    if abs(roll) > _MAX_ROLL_DEG:
        raise CalibrationError(
            f"rig: the right camera is rolled by {roll:.0f} degrees against the left one (limit {_MAX_ROLL_DEG:g}); turn its"
            " photos upright and calibrate again, or look for a board whose corners were counted from the wrong end"
        )


def mean_axis(rig: StereoRig) -> Array:
    """(3,) mean of the two optical axes in the left camera's frame, unit length."""
    mean = np.array([0.0, 0.0, 1.0]) + rig.R_right_left[2]  # row 2 of R is the right optical axis in the left frame
    length = float(np.linalg.norm(mean))
    if length < 0.5:
        raise CalibrationError(
            f"rig: the optical axes are {np.degrees(np.arccos(np.clip(rig.R_right_left[2, 2], -1.0, 1.0))):.0f} degrees apart"
            f" (limit {2 * _MAX_AXIS_DEG:g}); the cameras look in opposite directions; check the rig's rotation"
        )
    return np.asarray(mean / length)


def check_axes(R_rect_left: Array, R_rect_right: Array) -> None:
    """Refuse cameras that are turned too far away from the rectified axis."""
    angles = [float(np.degrees(np.arccos(np.clip(R[2, 2], -1.0, 1.0)))) for R in (R_rect_left, R_rect_right)]
    if max(angles) > _MAX_AXIS_DEG:
        raise CalibrationError(
            f"rig: the optical axes are {angles[0]:.1f} (left) and {angles[1]:.1f} (right) degrees off the rectified one (limit"
            f" {_MAX_AXIS_DEG:g}): a flat image would be stretched beyond use; turn the cameras to look more nearly the same way"
        )


def check_common_view(left: Mask, right: Mask, doffs_px: float) -> None:
    """Refuse views that share too little at every distance.

    A point at inverse depth q has x_left - x_right = f B q - doffs, so a shift below -doffs would be behind the cameras.
    """
    step = max(1, left.shape[1] // 160)
    a, b = left[::step, ::step].astype(np.float32), right[::step, ::step].astype(np.float32)
    smaller = float(min(a.sum(), b.sum()))
    width = a.shape[1]
    first = max(int(np.ceil(-doffs_px / step)), -width + 1)
    best = 0.0
    for d in range(first, width):
        here = a[:, max(d, 0) : width + min(d, 0)]
        there = b[:, max(-d, 0) : width - max(d, 0)]
        best = max(best, float((here * there).sum()))
    share = best / smaller if smaller > 0.0 else 0.0
    if share < _MIN_COMMON or smaller < _MIN_FILLED * a.size:
        raise CalibrationError(
            f"rig: the two views share at best {100 * share:.0f} % of the smaller one (at least {100 * _MIN_COMMON:.0f} % needed)"
            f" and fill {100 * a.mean():.0f} % (left) and {100 * b.mean():.0f} % (right) of the rectified images (at least"
            f" {100 * _MIN_FILLED:.0f} %); turn the cameras to look at the same things, or check the rig's rotation"
        )


def check_image(name: str, image: Image, camera: Camera) -> None:
    """Refuse a photo whose shape, type or size is not that of its camera."""
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise InputError(f"{name} image has shape {image.shape}; use (H, W) grey or (H, W, 3) colour")
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(f"{name} image has type {image.dtype}; use uint8, uint16 or float32")
    height, width = image.shape[:2]
    if (width, height) != camera.size:
        raise InputError(
            f"{name} image is {width} x {height} px, but the rig's {name} camera is {camera.width} x {camera.height} px; use"
            " photos of the size that was calibrated, or change the rig (in Python: StereoRig.scale() or crop())"
        )
