"""Rectification is proven by projecting points, not by looking: rows equal, depth by Z = f B / (d + doffs), maps exact."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calib.camera import Camera
from calib.errors import CalibrationError, InputError, UsageError
from calib.geometry import Array, rotation_from_vector
from calib.rectification import Interpolation, Rectification, plan_rectification, rectify
from calib.rig import StereoRig
from calib.synthetic import (
    Noise,
    Quad,
    Scene,
    Sphere,
    demo_rig,
    pixel_grid,
    render_pair,
    render_truth,
    toe_in_rig,
)


def random_camera(rng: np.random.Generator, *, focal_px: float = 500.0, coefficients: int = 5) -> Camera:
    width, height = 320, 240
    k = rng.uniform([-0.2, 0.0, -1e-3, -1e-3, -0.02], [0.05, 0.1, 1e-3, 1e-3, 0.02])
    fx = focal_px * rng.uniform(0.8, 1.25)
    cx, cy = 0.5 * width + rng.uniform(-15, 15), 0.5 * height + rng.uniform(-15, 15)
    return Camera(width, height, fx, fx * rng.uniform(0.98, 1.02), cx, cy, k[:coefficients])


def random_rig(rng: np.random.Generator, toe_in_deg: float) -> StereoRig:
    """Unequal distorted cameras, each turned inwards by `toe_in_deg`, pitched and rolled by a few degrees; slanting baseline."""
    left, right = random_camera(rng), random_camera(rng, coefficients=int(rng.choice([4, 5])))
    turn = np.radians(toe_in_deg)
    tilt = np.radians(rng.uniform(-4.0, 4.0, (2, 3)))
    R_left_rig = rotation_from_vector(tilt[0]) @ rotation_from_vector([0.0, -turn, 0.0])
    R_right_rig = rotation_from_vector(tilt[1]) @ rotation_from_vector([0.0, turn, 0.0])
    centre = float(rng.uniform(0.05, 0.6)) * np.array([1.0, rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2)])
    return StereoRig(left, right, R_right_rig @ R_left_rig.T, -R_right_rig @ centre)


def points_seen(rig: StereoRig, rng: np.random.Generator, count: int = 400) -> Array:
    """Points in the left camera's frame that both lenses can project (inside the image or not), 2 to 60 baselines away."""
    uv = rng.uniform([0.0, 0.0], [rig.left.width, rig.left.height], (20 * count, 2))
    points = rig.left.unproject(uv) * (rig.baseline_m * np.exp(rng.uniform(np.log(2.0), np.log(60.0), (len(uv), 1))))
    seen = np.isfinite(rig.right.project(points @ rig.R_right_left.T + rig.t_right_left_m)).all(-1)
    assert seen.sum() >= count
    return points[seen][:count]


def textured_scene(distance_m: float = 2.0) -> Scene:
    cloth = Noise((0.1, 0.1, 0.1), (0.9, 0.9, 0.9), 0.2, 0.025, seed=3)
    wall = Quad(np.array([0.0, 0.0, distance_m]), np.array([1.0, 0.0, 0.2]), np.array([0.0, 1.0, 0.1]), (9.0, 9.0), cloth)
    return Scene((wall, Sphere(np.array([0.1, 0.1, 0.75 * distance_m]), 0.25, cloth)), lamp_m=np.array([-4.0, -9.0, -4.0]))


@pytest.mark.parametrize("toe_in_deg", [0.0, 1.0, 5.0, 12.0, 20.0])
def test_rows_and_depth_of_projected_points(toe_in_deg: float, rng: np.random.Generator) -> None:
    for _ in range(6):
        rig = random_rig(rng, toe_in_deg)
        plan = plan_rectification(rig)
        points = points_seen(rig, rng)
        in_left = points @ plan.R_rect_left.T
        in_right = (points @ rig.R_right_left.T + rig.t_right_left_m) @ plan.R_rect_right.T
        left, right = plan.rig.left.project(in_left), plan.rig.right.project(in_right)
        assert np.abs(left[:, 1] - right[:, 1]).max() < 1e-9
        disparity = left[:, 0] - right[:, 0]
        depth = plan.rig.focal_px * plan.rig.baseline_m / (disparity + plan.rig.doffs_px)
        np.testing.assert_allclose(depth, in_left[:, 2], rtol=1e-9)
        np.testing.assert_allclose(in_left[:, 2], in_right[:, 2], rtol=1e-12)


def test_rectified_rig_is_exact_in_form(rng: np.random.Generator) -> None:
    for toe_in in (0.0, 8.0, 20.0):
        rig = replace(random_rig(rng, toe_in), provenance={"tool": "test"})
        plan = plan_rectification(rig)
        out = plan.rig
        assert out.is_rectified
        np.testing.assert_array_equal(out.R_right_left, np.eye(3))
        np.testing.assert_array_equal(out.t_right_left_m, [-rig.baseline_m, 0.0, 0.0])
        assert out.left.size == out.right.size == rig.left.size
        focal = [rig.left.focal_x_px, rig.left.focal_y_px, rig.right.focal_x_px, rig.right.focal_y_px]
        assert {out.left.focal_x_px, out.left.focal_y_px, out.right.focal_x_px, out.right.focal_y_px} == {float(np.mean(focal))}
        assert out.left.centre_y_px == out.right.centre_y_px
        assert out.provenance["tool"] == "test"
        for R in (plan.R_rect_left, plan.R_rect_right):
            np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
            assert np.linalg.det(R) > 0.0
        # x of the frame runs from the left centre to the right one; z is as near to the mean axis as that allows
        np.testing.assert_allclose(plan.R_rect_left @ rig.centre_right_m, [rig.baseline_m, 0.0, 0.0], atol=1e-12)
        mean_axis = np.array([0.0, 0.0, 1.0]) + rig.R_right_left[2]
        assert abs((plan.R_rect_left @ mean_axis)[1]) < 1e-12


def test_toe_in_gives_both_signs_around_the_meeting_distance() -> None:
    camera = Camera(320, 240, 300.0, 300.0, 159.5, 119.5, np.zeros(0))
    rig = toe_in_rig(camera, camera, baseline_m=0.2, meeting_m=2.0)
    out = plan_rectification(rig).rig
    disparity = out.focal_px * out.baseline_m / np.array([1.0, 2.0, 4.0]) - out.doffs_px
    assert disparity[0] > 20.0
    assert abs(disparity[1]) < 10.0  # centring the content puts zero a little nearer than the meeting point
    assert disparity[2] < -20.0
    toe_in, half_view = np.arctan(0.1 / 2.0), np.arctan(159.5 / 300.0)
    middle = 0.5 * (np.tan(toe_in + half_view) + np.tan(toe_in - half_view))
    np.testing.assert_allclose(out.doffs_px, 2 * 300.0 * middle, rtol=1e-9)


def test_contents_are_centred(rng: np.random.Generator) -> None:
    for toe_in in (3.0, 15.0):
        plan = plan_rectification(random_rig(rng, toe_in))
        for mask in (plan.left_valid, plan.right_valid):
            columns = np.flatnonzero(mask.mean(0) > 0.5)
            assert abs(columns.mean() - 159.5) < 0.06 * 320
            assert mask.mean() > 0.6


def test_maps_lead_back_to_their_pixels(rng: np.random.Generator) -> None:
    for toe_in in (0.0, 10.0, 20.0):
        rig = random_rig(rng, toe_in)
        plan = plan_rectification(rig)
        for source_map, source, target, R, valid in (
            (plan.left_map, rig.left, plan.rig.left, plan.R_rect_left, plan.left_valid),
            (plan.right_map, rig.right, plan.rig.right, plan.R_rect_right, plan.right_valid),
        ):
            assert source_map is not None
            assert source_map.dtype == np.float32
            back = target.project(source.unproject(source_map[valid]) @ R.T)
            assert (
                np.abs(back - pixel_grid(target)[valid]).max() < 2e-4
            )  # float32 positions up to 320 px, stretched up to 3 times


@pytest.mark.parametrize(("method", "before", "after"), [("lanczos", 3, 4), ("cubic", 1, 2), ("linear", 0, 1)])
def test_masks_are_exact(method: Interpolation, before: int, after: int, rng: np.random.Generator) -> None:
    rig = random_rig(rng, 6.0)
    plan = plan_rectification(rig, interpolation=method)
    for source_map, R, target, source, valid in (
        (plan.left_map, plan.R_rect_left, plan.rig.left, rig.left, plan.left_valid),
        (plan.right_map, plan.R_rect_right, plan.rig.right, rig.right, plan.right_valid),
    ):
        assert source_map is not None
        exact = source.project(target.unproject(pixel_grid(target)) @ R)
        whole = np.floor(exact)
        expected = ((whole >= before) & (whole + after <= np.array([319.0, 239.0]))).all(-1)
        differ = expected != valid
        near_whole = (np.abs(exact - np.rint(exact)) < 1e-4).any(-1)  # there float32 may fall to the other side
        assert not (differ & ~near_whole).any()
        assert 0.5 < valid.mean() < 1.0


def test_folded_lens_is_masked() -> None:
    barrel = Camera(320, 240, 180.0, 180.0, 159.5, 119.5, np.array([-0.35, 0.0, 0.0, 0.0]))
    assert barrel.fold_radius() < 1.0
    rig = StereoRig(barrel, barrel, np.eye(3), np.array([-0.1, 0.0, 0.0]))
    plan = plan_rectification(rig, focal_px=100.0)
    rays = plan.rig.left.unproject(pixel_grid(plan.rig.left))
    beyond = np.linalg.norm(rays[..., :2], axis=-1) >= barrel.fold_radius()
    assert beyond.mean() > 0.2
    assert not plan.left_valid[beyond].any()
    assert plan.left_valid.any()


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_fisheye_is_refused_by_name(side: str) -> None:
    pinhole = Camera(320, 240, 300.0, 300.0, 159.5, 119.5, np.zeros(4))
    wide = replace(pinhole, model="fisheye")
    left, right = (wide, pinhole) if side == "left" else (pinhole, wide)
    rig = StereoRig(left, right, np.eye(3), np.array([-0.1, 0.0, 0.0]))
    with pytest.raises(CalibrationError, match=f"the {side} camera has a fisheye .* degrees: rectification .* not available yet"):
        plan_rectification(rig)


def test_rectified_rig_passes_through(rng: np.random.Generator) -> None:
    left, right = (Camera(64, 48, 100.0, 99.0, cx, 23.0, np.zeros(0)) for cx in (31.0, 44.5))
    rig = StereoRig(left, right, np.eye(3), np.array([-0.2, 0.0, 0.0]))
    photos = rng.integers(0, 256, (2, 48, 64, 3)).astype(np.uint8)
    pair = rectify(rig, photos[0], photos[1])
    np.testing.assert_array_equal(pair.left, photos[0])
    np.testing.assert_array_equal(pair.right, photos[1])
    assert pair.rig is rig
    assert pair.rig.doffs_px == 13.5
    assert pair.left_valid.all()
    assert pair.right_valid.all()
    assert plan_rectification(rig).left_map is None


def test_pass_through_blanks_nan(rng: np.random.Generator) -> None:
    camera = Camera(64, 48, 100.0, 100.0, 31.0, 23.0, np.zeros(0))
    rig = StereoRig(camera, camera, np.eye(3), np.array([-0.2, 0.0, 0.0]))
    photo = rng.uniform(0, 1, (48, 64)).astype(np.float32)
    photo[5, 7] = np.nan
    photo[6, 8] = np.inf
    pair = rectify(rig, photo, photo)
    assert np.isnan(photo[5, 7])  # the caller's array stays
    assert np.argwhere(~pair.left_valid).tolist() == [[5, 7], [6, 8]]
    assert pair.left[5, 7] == pair.left[6, 8] == 0.0
    np.testing.assert_array_equal(pair.left[pair.left_valid], photo[pair.left_valid])


def test_identity_rotation_with_another_size_or_focal_is_warped() -> None:
    camera = Camera(64, 48, 100.0, 100.0, 31.5, 23.5, np.zeros(0))
    rig = StereoRig(camera, camera, np.eye(3), np.array([-0.2, 0.0, 0.0]))
    plan = plan_rectification(rig, size=(32, 24), focal_px=50.0)
    assert plan.rig.left.size == (32, 24)
    assert plan.left_map is not None
    np.testing.assert_allclose(plan.left_map[0, :2], [[0.5, 0.5], [2.5, 0.5]], atol=1e-5)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
def test_values_follow_the_map(kind: str, channels: int, rng: np.random.Generator) -> None:
    """A slow wave, sampled where the map points: right in every type, in every channel."""
    rig = random_rig(rng, 5.0)
    plan = plan_rectification(rig)
    assert plan.left_map is not None
    scale = {"uint8": 1.0, "uint16": 257.0, "float32": 0.01}[kind]

    def wave(xy: NDArray[np.floating]) -> Array:
        x, y = xy[..., 0], xy[..., 1]
        return scale * np.stack(
            [120 + 90 * np.sin(2 * np.pi * (x * a + y * b)) for a, b in ((0.05, 0.02), (0.01, 0.06), (0.04, -0.04))], -1
        )

    photo = wave(pixel_grid(rig.left))
    expected = wave(plan.left_map.astype(np.float64))
    if channels == 1:
        photo, expected = photo[..., 0], expected[..., 0]
    photo = (photo if kind == "float32" else np.rint(photo)).astype(kind)
    pair = plan.apply(photo, photo)
    assert pair.left.dtype == np.dtype(kind)
    assert pair.left.shape == photo.shape
    error = np.abs(pair.left.astype(np.float64) - expected)[plan.left_valid]
    assert error.max() < 2.5 * scale  # of 180 levels: rounding of both images, and positions in 1/32 px
    assert not pair.left[~plan.left_valid].any()


def test_interpolation_keeps_contrast_and_position() -> None:
    """Textures of 4 px period lose less than 3 % of contrast and move by less than 0.01 px (linear: 19 %, 0.024 px)."""
    camera = Camera(200, 160, 400.0, 400.0, 99.5, 79.5, np.zeros(0))
    rig = toe_in_rig(camera, camera, baseline_m=0.1, meeting_m=1.0, roll_deg=1.0)
    plan = plan_rectification(rig)
    assert plan.left_map is not None
    grid, at = pixel_grid(rig.left), plan.left_map.astype(np.float64)
    for angle in (0.0, 0.5, 1.2):
        k = 2 * np.pi / 4.0 * np.array([np.cos(angle), np.sin(angle)])
        photo = (100.0 * np.sin(grid @ k)).astype(np.float32)
        seen = plan.apply(photo, photo).left.astype(np.float64)[plan.left_valid]
        sine, cosine = 100.0 * np.sin(at @ k)[plan.left_valid], 100.0 * np.cos(at @ k)[plan.left_valid]
        gain, shift = seen @ sine / (sine @ sine), seen @ cosine / (cosine @ cosine) / np.linalg.norm(k)
        assert abs(gain - 1.0) < 0.03
        assert abs(shift) < 0.01


@pytest.mark.parametrize(("method", "before", "after"), [("lanczos", 3, 4), ("cubic", 1, 2), ("linear", 0, 1)])
def test_nan_spoils_exactly_what_reads_it(method: Interpolation, before: int, after: int, rng: np.random.Generator) -> None:
    rig = random_rig(rng, 6.0)
    plan = plan_rectification(rig, interpolation=method)
    assert plan.left_map is not None
    photo = rng.uniform(0.0, 1.0, (240, 320, 3)).astype(np.float32)
    clean = plan.apply(photo, photo)
    holes = [(100, 120), (101, 250), (3, 4), (239, 319)]
    for i, (y, x) in enumerate(holes):
        photo[y, x, i % 3] = (np.nan, np.inf)[i % 2]
    spoilt = plan.apply(photo, photo)
    x0, y0 = np.floor(plan.left_map[..., 0]), np.floor(plan.left_map[..., 1])
    reads = np.zeros((240, 320), np.bool_)
    for y, x in holes:
        reads |= (x0 - before <= x) & (x <= x0 + after) & (y0 - before <= y) & (y <= y0 + after)
    np.testing.assert_array_equal(spoilt.left_valid, plan.left_valid & ~reads)
    assert (plan.left_valid & reads).sum() >= 4 * before * after + 4
    assert np.isfinite(spoilt.left).all()
    assert not spoilt.left[~spoilt.left_valid].any()
    np.testing.assert_array_equal(spoilt.left[spoilt.left_valid], clean.left[spoilt.left_valid])


def grey_levels(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(np.array(image, np.uint8), cv2.COLOR_BGR2GRAY), np.uint8)


def shrunk(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """The pixels whose whole neighbourhood of `width` x `width` is in the mask."""
    return np.asarray(cv2.erode(mask.astype(np.uint8), np.ones((width, width), np.uint8), borderValue=0) > 0)


def _shift_between(a: NDArray[np.generic], b: NDArray[np.generic], use: NDArray[np.bool_]) -> Array:
    """Mean (x, y) shift of b against a by least squares on gradients (Lucas-Kanade), px."""
    one, two = (cv2.GaussianBlur(image.astype(np.float64), (0, 0), 1.5) for image in (a, b))
    gx, gy = (np.gradient(0.5 * (one + two), axis=axis)[use] for axis in (1, 0))
    difference = (two - one)[use]
    normal = np.array([[gx @ gx, gx @ gy], [gx @ gy, gy @ gy]])
    return -np.linalg.solve(normal, [gx @ difference, gy @ difference])


@pytest.mark.parametrize("toe_in_deg", [2.0, 15.0])
def test_rectified_photos_equal_photos_of_the_rectified_cameras(toe_in_deg: float, rng: np.random.Generator) -> None:
    """Distorted photos, rectified, lie on what ideal cameras in the rectified frame would see; rows of the two agree."""
    rig = random_rig(rng, toe_in_deg)
    scene = textured_scene(max(0.8, rig.baseline_m / (2 * np.tan(np.radians(toe_in_deg)))))
    plan = plan_rectification(rig)
    raw = render_pair(rig, scene, noise=0.0)
    pair = plan.apply(raw.left, raw.right)
    ideal = render_pair(plan.rig, scene, noise=0.0, R_left_scene=plan.R_rect_left)
    for seen, expected, valid in ((pair.left, ideal.left, pair.left_valid), (pair.right, ideal.right, pair.right_valid)):
        inner = shrunk(valid, 9)
        grey = [grey_levels(image) for image in (seen, expected)]
        assert grey[1][inner].std() > 15.0
        assert np.abs(grey[0].astype(float) - grey[1])[inner].mean() < 1.5
        assert np.abs(_shift_between(grey[0], grey[1], inner)).max() < 0.01
    # rows: bring the right image to the left one by the true disparity and look for a vertical shift
    truth = render_truth(plan.rig, scene, R_left_scene=plan.R_rect_left)
    assert truth.disparity_left_px is not None
    at = pixel_grid(plan.rig.left) - np.stack([truth.disparity_left_px, np.zeros_like(truth.disparity_left_px)], -1)
    map_x, map_y = (np.ascontiguousarray(at[..., i], np.float32) for i in (0, 1))
    left, right = (grey_levels(image).astype(np.float32) for image in (pair.left, pair.right))
    warped = cv2.remap(right, map_x, map_y, cv2.INTER_LANCZOS4)
    both = cv2.remap(pair.right_valid.astype(np.float32), map_x, map_y, cv2.INTER_LINEAR) > 0.99
    use = shrunk(both & pair.left_valid & ~truth.occluded_left, 13)
    assert use.sum() > 5000
    across, down = np.abs(_shift_between(left, warped, use))
    assert down < 0.01
    assert across < 0.05  # the two cameras foreshorten the slanted wall differently


def _refused(rig: StereoRig) -> str:
    with pytest.raises(CalibrationError) as caught:
        plan_rectification(rig)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def _turned(camera: Camera, yaw_deg: tuple[float, float], centre: tuple[float, float, float]) -> StereoRig:
    R_left, R_right = (rotation_from_vector([0.0, np.radians(a), 0.0]) for a in yaw_deg)
    return StereoRig(camera, camera, R_right @ R_left.T, -R_right @ np.array(centre))


def test_refusals_say_what_and_why() -> None:
    camera = Camera(320, 240, 300.0, 300.0, 159.5, 119.5, np.zeros(0))
    assert "vertical" in _refused(_turned(camera, (0.0, 0.0), (0.05, 0.2, 0.0)))
    assert "vertical" in _refused(_turned(camera, (0.0, 0.0), (0.05, -0.2, 0.0)))
    assert "swapped" in _refused(_turned(camera, (0.0, 0.0), (-0.2, 0.05, 0.0)))
    assert "ahead" in _refused(_turned(camera, (0.0, 0.0), (0.1, 0.0, 0.3)))
    assert "ahead" in _refused(_turned(camera, (0.0, 0.0), (0.1, 0.0, -0.3)))
    message = _refused(_turned(camera, (-50.0, 50.0), (0.3, 0.0, 0.0)))
    assert "50.0 (left)" in message
    assert "limit 40" in message
    assert "opposite" in _refused(_turned(camera, (0.0, 175.0), (0.3, 0.0, 0.0)))
    upside_down = StereoRig(camera, camera, np.diag([-1.0, -1.0, 1.0]), np.array([0.2, 0.0, 0.0]))
    assert "rolled by" in _refused(upside_down)


def test_views_without_common_content_are_refused() -> None:
    narrow = Camera(320, 240, 900.0, 900.0, 159.5, 119.5, np.zeros(0))
    assert plan_rectification(_turned(narrow, (-15.0, 15.0), (0.3, 0.0, 0.0))).rig.is_rectified  # inwards: they meet
    message = _refused(_turned(narrow, (15.0, -15.0), (0.3, 0.0, 0.0)))  # outwards: never
    assert "share at best 0 %" in message
    assert "at least 20 %" in message
    pitched = StereoRig(narrow, narrow, rotation_from_vector([np.radians(20.0), 0.0, 0.0]), np.array([-0.3, 0.0, 0.0]))
    assert "share" in _refused(pitched)


def test_impossible_wishes_are_usage_errors() -> None:
    rig = demo_rig()
    with pytest.raises(UsageError, match=r"focal_px is -3"):
        plan_rectification(rig, focal_px=-3.0)
    with pytest.raises(UsageError, match=r"size is 0 x 5"):
        plan_rectification(rig, size=(0, 5))
    with pytest.raises(UsageError, match=r"'nearest'.*lanczos"):
        plan_rectification(rig, interpolation="nearest")  # type: ignore[arg-type]


def test_photos_must_fit_the_rig() -> None:
    rig = demo_rig()
    good = np.zeros((480, 640), np.uint8)
    with pytest.raises(InputError, match=r"right image is 320 x 240 px.*640 x 480 px.*scale"):
        rectify(rig, good, good[::2, ::2])
    with pytest.raises(InputError, match="float64"):
        rectify(rig, good.astype(np.float64), good)
    with pytest.raises(InputError, match="shape"):
        rectify(rig, np.zeros((480, 640, 4), np.uint8), good)
    with pytest.raises(InputError, match="one size and kind"):
        rectify(rig, good, np.zeros((480, 640, 3), np.uint8))


def test_unequal_sizes_give_the_size_of_the_left(rng: np.random.Generator) -> None:
    left, right = random_camera(rng), random_camera(rng).scale(2.0)
    rig = StereoRig(left, right, rotation_from_vector([0.0, 0.05, 0.0]), np.array([-0.2, 0.0, 0.01]))
    pair = rectify(rig, np.full((240, 320), 9, np.uint8), np.full((480, 640), 9, np.uint8))
    assert pair.left.shape == pair.right.shape == (240, 320)


def test_plan_is_frozen_and_reusable(rng: np.random.Generator) -> None:
    plan: Rectification = plan_rectification(demo_rig())
    assert plan.left_map is not None
    for array in (plan.left_map, plan.left_valid, plan.R_rect_left):
        assert not array.flags.writeable
    photo = rng.integers(0, 256, (480, 640)).astype(np.uint8)
    first, second = plan.apply(photo, photo), rectify(demo_rig(), photo, photo)
    np.testing.assert_array_equal(first.left, second.left)


@pytest.mark.parametrize("roll_deg", [-30.0, -10.5, -9.5, 0.0, 9.5, 10.5, 30.0])
def test_a_roll_is_measured_and_told(roll_deg: float) -> None:
    """A rig whose right camera stands `roll_deg` below the rows of the left one: the views turn by as much the other way."""
    camera = Camera(320, 240, 300.0, 300.0, 159.5, 119.5, np.zeros(0))
    angle = np.radians(roll_deg)
    rig = StereoRig(camera, camera, np.eye(3), -0.1 * np.array([np.cos(angle), np.sin(angle), 0.0]))
    plan = plan_rectification(rig)
    assert plan.roll_deg == pytest.approx(-roll_deg, abs=1e-9)
    right_of_centre = plan.R_rect_left @ np.array([0.5, 0.0, 1.0])  # y points down: clockwise takes what is right downwards
    assert right_of_centre[1] == pytest.approx(-0.5 * np.sin(angle), abs=1e-12)
    if abs(roll_deg) < 10.0:
        assert plan.roll_note is None
    else:
        way = "anticlockwise" if roll_deg > 0.0 else "clockwise"
        assert f"turns the view by {abs(roll_deg):.1f} degrees {way}, because" in str(plan.roll_note)


def test_the_greater_roll_of_two_counts() -> None:
    camera = Camera(320, 240, 300.0, 300.0, 159.5, 119.5, np.zeros(0))
    rig = StereoRig(camera, camera, rotation_from_vector([0.0, 0.0, np.radians(15.0)]), np.array([-0.1, 0.0, 0.0]))
    baseline_deg = float(np.degrees(np.arctan2(rig.centre_right_m[1], rig.centre_right_m[0])))
    assert baseline_deg == pytest.approx(15.0 * -1.0)  # t is along x of the turned camera
    assert plan_rectification(rig).roll_deg == pytest.approx(15.0)  # left 15, right 0


def test_rectified_and_toe_in_rigs_are_not_rolled(rng: np.random.Generator) -> None:
    assert abs(plan_rectification(random_rig(rng, 20.0)).roll_deg) < 10.0
    camera = Camera(64, 48, 60.0, 60.0, 31.5, 23.5, np.zeros(0))
    assert plan_rectification(StereoRig(camera, camera, np.eye(3), np.array([-0.1, 0.0, 0.0]))).roll_deg == 0.0
