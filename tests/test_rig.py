"""`StereoRig` and `RectifiedPair`: depth is what scaling and cropping must not change; impossible ones are refused."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import cv2
import numpy as np
import pytest

from calib.camera import Camera
from calib.errors import CalibrationError, InputError
from calib.geometry import rotation_from_vector
from calib.rig import RectifiedPair, StereoRig

NO_LENS = np.array([])


def rectified(doffs: float = 31.086) -> StereoRig:
    """The figures of Middlebury's Motorcycle at quarter size."""
    left = Camera(741, 500, 994.978, 994.978, 311.193, 254.877, NO_LENS)
    return StereoRig(left, replace(left, centre_x_px=311.193 + doffs), np.eye(3), np.array([-0.193001, 0.0, 0.0]))


def toe_in() -> StereoRig:
    left = Camera(640, 480, 520.0, 521.0, 318.0, 243.0, np.array([-0.2, 0.05, 1e-4, -2e-4]))
    right = Camera(640, 480, 524.0, 523.0, 322.0, 238.0, np.array([-0.21, 0.06, 0.0, 1e-4]))
    return StereoRig(left, right, rotation_from_vector([0.01, 0.12, -0.02]), np.array([-0.15, 0.002, 0.01]))


POINTS = np.array([[0.1, -0.2, 2.0], [-0.4, 0.3, 1.5], [0.0, 0.0, 6.0], [0.7, 0.1, 3.0]])


def pixels(rig: StereoRig) -> tuple[np.ndarray, np.ndarray]:
    """Where the left and the right camera see `POINTS` (given in the left frame)."""
    return rig.left.project(POINTS), rig.right.project(POINTS @ rig.R_right_left.T + rig.t_right_left_m)


def depth(rig: StereoRig, disparity: np.ndarray) -> np.ndarray:
    return rig.focal_px * rig.baseline_m / (disparity + rig.doffs_px)


@pytest.mark.parametrize("doffs", [31.086, 0.0, -7.5])
def test_depth_from_projected_points_with_doffs(doffs: float) -> None:
    """Z = f B / (d + doffs) with doffs = cx_right - cx_left gives back the depth of the points that were projected."""
    rig = rectified(doffs)
    left, right = pixels(rig)
    np.testing.assert_allclose(left[:, 1], right[:, 1], atol=1e-12)  # rows are epipolar lines
    np.testing.assert_allclose(depth(rig, left[:, 0] - right[:, 0]), POINTS[:, 2], rtol=1e-12)
    assert rig.doffs_px == pytest.approx(doffs, abs=1e-12)
    assert rig.baseline_m == 0.193001


@pytest.mark.parametrize("factor", [0.25, 0.5, 2.0])
def test_scale_multiplies_disparity_and_doffs_and_keeps_depth(factor: float) -> None:
    rig = rectified()
    small = rig.scale(factor)
    d = np.subtract(*pixels(rig))[:, 0]
    d_small = np.subtract(*pixels(small))[:, 0]
    across = small.left.width / rig.left.width  # of 741 px, half is 370
    np.testing.assert_allclose(d_small, d * across, rtol=1e-12)
    assert small.doffs_px == pytest.approx(rig.doffs_px * across, rel=1e-12)
    assert small.focal_px == pytest.approx(rig.focal_px * across, rel=1e-12)
    np.testing.assert_allclose(depth(small, d_small), POINTS[:, 2], rtol=1e-12)
    assert small.is_rectified


def test_a_resized_pair_keeps_its_depth_where_sizes_are_rounded() -> None:
    """The fractional position of a peak in the images themselves, resized to the sizes that the scaled rig states."""
    rig = rectified()
    d = rig.focal_px * rig.baseline_m / 2.0 - rig.doffs_px  # at 2 m
    small = rig.scale(0.37)
    ramp = np.tile(np.arange(741.0), (500, 1))
    found = []
    for shift in (0.0, d):  # the same surface: the ramp crosses 400 at x = 400 on the left, at 400 - d on the right
        row = cv2.resize(ramp + shift, small.left.size, interpolation=cv2.INTER_LINEAR)[90]
        found.append(np.interp(400.0, row, np.arange(len(row))))
    assert depth(small, np.array(found[0] - found[1])) == pytest.approx(2.0, rel=1e-9)


def test_a_rectified_rig_that_rounding_would_spoil_is_not_scaled() -> None:
    rig = replace(rectified(), right=rectified().right.crop(0, 0, 740, 500))
    assert rig.scale(2.0).is_rectified
    with pytest.raises(CalibrationError, match=r"741 x 500 to 370 x 250 px and the right ones from 740 x 500 to 370 x 250 px"):
        rig.scale(0.5)


@pytest.mark.parametrize("right_shift", [0, 25, -40])
def test_crop_shifts_disparity_against_doffs_and_keeps_depth(right_shift: int) -> None:
    rig = rectified()
    x0, x0_right = 60, 60 - right_shift
    cropped = rig.crop(x0, 30, 500, 400, x0_right=x0_right)
    k = x0 - x0_right
    (left, right), (left_c, right_c) = pixels(rig), pixels(cropped)
    np.testing.assert_allclose(left_c, left - [x0, 30], atol=1e-9)
    np.testing.assert_allclose(right_c, right - [x0_right, 30], atol=1e-9)
    np.testing.assert_allclose(left_c[:, 0] - right_c[:, 0], left[:, 0] - right[:, 0] - k, atol=1e-9)
    assert cropped.doffs_px == pytest.approx(rig.doffs_px + k, abs=1e-9)
    np.testing.assert_allclose(depth(cropped, left_c[:, 0] - right_c[:, 0]), POINTS[:, 2], rtol=1e-12)
    assert cropped.left.size == cropped.right.size == (500, 400)


def test_crop_without_its_own_right_window_keeps_doffs() -> None:
    assert rectified().crop(60, 30, 500, 400).doffs_px == pytest.approx(31.086, abs=1e-12)


def test_scale_and_crop_of_a_rig_that_is_not_rectified_move_its_pixels() -> None:
    rig = toe_in()
    for a, b in zip(pixels(rig.scale(0.5)), pixels(rig), strict=True):
        np.testing.assert_allclose(a, (b + 0.5) * 0.5 - 0.5, atol=1e-9)
    for a, b, x0 in zip(pixels(rig.crop(10, 20, 300, 300, x0_right=4)), pixels(rig), (10, 4), strict=True):
        np.testing.assert_allclose(a, b - [x0, 20], atol=1e-9)


def test_centre_of_the_right_camera() -> None:
    """Its own origin in the left frame: R c + t = 0. A camera to the right has c_x > 0 and t_x < 0."""
    rig = toe_in()
    np.testing.assert_allclose(rig.R_right_left @ rig.centre_right_m + rig.t_right_left_m, 0.0, atol=1e-16)
    np.testing.assert_allclose(rectified().centre_right_m, [0.193001, 0.0, 0.0], atol=1e-16)
    assert rig.baseline_m == pytest.approx(np.linalg.norm(rig.centre_right_m), rel=1e-15)


@pytest.mark.parametrize(
    "change",
    [
        {"R_right_left": rotation_from_vector([0.0, 1e-7, 0.0])},
        {"t_right_left_m": np.array([-0.193, 1e-6, 0.0])},
        {"t_right_left_m": np.array([-0.193, 0.0, 1e-6])},
        {"t_right_left_m": np.array([0.193, 0.0, 0.0])},
        {"right": Camera(741, 500, 994.978, 994.978, 342.0, 254.878, NO_LENS)},
        {"right": Camera(741, 500, 994.979, 994.978, 342.0, 254.877, NO_LENS)},
        {"right": Camera(741, 500, 994.978, 994.979, 342.0, 254.877, NO_LENS)},
        {"left": Camera(741, 500, 994.978, 994.978, 311.193, 254.877, np.array([1e-9, 0, 0, 0]))},
    ],
)
def test_the_least_difference_makes_a_rig_not_rectified(change: dict[str, Any]) -> None:
    rig = replace(rectified(), **change)
    assert not rig.is_rectified
    for name in ("focal_px", "doffs_px"):
        with pytest.raises(CalibrationError, match=f"{name} is defined for a rectified rig only"):
            getattr(rig, name)


def test_a_plain_rectified_rig_is_rectified() -> None:
    assert rectified().is_rectified
    assert not toe_in().is_rectified


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"t_right_left_m": np.zeros(3)}, "the baseline is 0 m; two cameras in one place give no depth"),
        ({"t_right_left_m": np.array([np.nan, 0, 0])}, "three finite numbers"),
        ({"t_right_left_m": np.array([-0.1, 0.0])}, "three finite numbers"),
        ({"R_right_left": np.eye(3) * 2.0}, r"R_right_left is not a rotation: its R R\^T differs from I by 3"),
        ({"R_right_left": np.diag([1.0, 1.0, -1.0])}, "is a reflection"),
        ({"R_right_left": np.full((3, 3), np.nan)}, "it has NaN"),
        ({"R_right_left": np.zeros((3, 3))}, "not a rotation"),
        ({"R_right_left": np.eye(2)}, "another shape"),
    ],
)
def test_impossible_rigs_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(CalibrationError, match=words):
        replace(rectified(), **change)


def test_a_rig_is_frozen_and_holds_copies() -> None:
    t = np.array([-0.1, 0.0, 0.0])
    rig = replace(rectified(), t_right_left_m=t, provenance={"tool": "test"})
    t[0] = 5.0
    assert rig.t_right_left_m[0] == -0.1
    with pytest.raises(ValueError, match="read-only"):
        rig.R_right_left[0, 0] = 2.0
    with pytest.raises(TypeError):
        rig.provenance["tool"] = "other"  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        rig.left = rig.right  # type: ignore[misc]


def pair(**change: Any) -> RectifiedPair:
    image, valid = np.zeros((500, 741), np.uint8), np.ones((500, 741), bool)
    fields: dict[str, Any] = {"left": image, "right": image, "left_valid": valid, "right_valid": valid, "rig": rectified()}
    return RectifiedPair(**{**fields, **change})


def test_a_pair_is_read_only_without_locking_its_source() -> None:
    image = np.zeros((500, 741), np.uint8)
    made = pair(left=image)
    with pytest.raises(ValueError, match="read-only"):
        made.left[0, 0] = 1
    image[0, 0] = 1  # the caller's own array stays his
    assert made.left.flags.c_contiguous


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"right": np.zeros((500, 740), np.uint8)}, InputError, "left is 741 x 500 px but right is 740 x 500 px"),
        ({"right": np.zeros((500, 741), np.uint16)}, InputError, "images of type uint8 and uint16"),
        ({"left_valid": np.ones((500, 740), bool)}, InputError, "left_valid: bool of shape"),
        ({"right_valid": np.ones((500, 741), np.uint8)}, InputError, "right_valid: uint8"),
        ({"rig": rectified().crop(0, 0, 700, 500)}, InputError, "the rig's left camera is 700 x 500 px"),
        ({"rig": replace(rectified(), right=rectified().right.crop(0, 0, 741, 499))}, InputError, "right camera is 741 x 499 px"),
        ({"rig": replace(rectified(), t_right_left_m=np.array([0.1, 0.1, 0.0]))}, CalibrationError, "must be rectified"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(change: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        pair(**change)


@pytest.mark.parametrize("shape", [(500, 741, 4), (500, 741, 1), (741,)])
def test_images_of_odd_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"images of shape|use \(H, W\)"):
        pair(left=np.zeros(shape, np.uint8), right=np.zeros(shape, np.uint8))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_need_a_mask(side: str, channels: int, value: float) -> None:
    images = {name: np.zeros((500, 741) if channels == 1 else (500, 741, 3), np.float32) for name in ("left", "right")}
    images[side][3, 4:6] = value
    with pytest.raises(InputError, match=rf"^{side}: 2 pixels are NaN or infinite where {side}_valid is True; mark them"):
        pair(**images)
    masked = np.ones((500, 741), bool)
    masked[3, 4] = False
    with pytest.raises(InputError, match=rf"^{side}: 1 pixel is NaN"):
        pair(**images, **{f"{side}_valid": masked})
    masked[3, 5] = False
    assert not np.isfinite(getattr(pair(**images, **{f"{side}_valid": masked}), side)[3, 4:6]).any()


def test_float64_images_are_refused() -> None:
    with pytest.raises(InputError, match="images of type float64"):
        pair(left=np.zeros((500, 741)), right=np.zeros((500, 741)))
