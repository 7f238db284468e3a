"""Pictures: near is warm and bright, scales are linear in inverse depth, nothing invalid looks like a value."""

import colorsys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calib.camera import Camera
from calib.errors import InputError, QualityError, UsageError
from calib.rig import StereoRig
from stereo.cloud import to_cloud
from stereo.cloud_picture import cloud_picture
from stereo.depth import to_depth
from stereo.drawing import SMALLEST_SIDE_PX, depth_ticks, diverging, inferno, linear_ticks, share, to_8_bit, viridis
from stereo.maps import DepthMap, DisparityMap, Float32, Reason
from stereo.picture import confidence_picture, disparity_picture, inverse_depth_picture, reason_picture, sigma_picture


def disparity_map(d: NDArray[Any]) -> DisparityMap:
    """f B = 100 px m: Z = 100 / d."""
    values = np.asarray(d, np.float32)
    camera = Camera(values.shape[1], values.shape[0], 500.0, 500.0, 200.0, 120.0, np.zeros(0))
    rig = StereoRig(camera, camera, np.eye(3), np.array([-0.2, 0.0, 0.0]))
    missing = np.isnan(values)
    sigma: Float32 = np.where(missing, np.nan, 0.2).astype(np.float32)
    return DisparityMap(values, sigma, np.where(missing, 8, 0).astype(np.uint16), (-500, 500), rig)


def depth_map(d: NDArray[Any]) -> DepthMap:
    return to_depth(disparity_map(d))


def ramp_map(height: int = 300, width: int = 400, low: float = 10.0, high: float = 100.0) -> NDArray[Any]:
    return np.broadcast_to(np.linspace(low, high, width), (height, width)).copy()


def lightness(bgr: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(cv2.cvtColor(np.asarray(bgr, np.uint8).reshape(1, -1, 3), cv2.COLOR_BGR2LAB)[0, :, 0], np.float64)


def test_near_is_warm_and_bright_far_is_dark() -> None:
    picture = inverse_depth_picture(depth_map(ramp_map()), legend=False)
    row = picture[0]
    assert lightness(row[-1])[0] > 230.0 > 60.0 > lightness(row[0])[0]
    assert (np.diff(lightness(row)) > -3.0).all()
    hue, saturation, _ = colorsys.rgb_to_hsv(*(row[300, ::-1] / 255.0))
    assert hue < 0.17
    assert saturation > 0.5


@pytest.mark.parametrize("ramp", [inferno(), viridis()])
def test_ramps_grow_in_lightness(ramp: NDArray[np.uint8]) -> None:
    assert (np.diff(lightness(ramp)) >= -2.0).all()
    assert lightness(ramp)[-1] - lightness(ramp)[0] > 150.0


def test_colours_are_linear_in_inverse_depth() -> None:
    """A plane in inverse depth makes an even ramp: the middle of the range shows the middle colour."""
    picture = inverse_depth_picture(depth_map(ramp_map(width=401)), near_m=1.0, far_m=10.0, legend=False)
    np.testing.assert_array_equal(picture[0, 200], inferno()[round((len(inferno()) - 1) / 2)])
    np.testing.assert_array_equal(picture[0, [0, 400]], inferno()[[0, -1]])


def test_a_few_wild_pixels_do_not_spoil_the_scale() -> None:
    d = ramp_map()
    wild = d.copy()
    wild[:2, :50] = 5000.0
    calm_picture, wild_picture = (inverse_depth_picture(depth_map(m), legend=False) for m in (d, wild))
    difference = np.abs(calm_picture[5:].astype(int) - wild_picture[5:].astype(int))
    assert difference.max() < 12


def test_pixels_without_an_answer_are_neutral_grey_and_nothing_else_is() -> None:
    d = ramp_map()
    d[100:200, 100:200] = np.nan
    pictures = {
        "depth": inverse_depth_picture(depth_map(d), legend=False),
        "sigma": sigma_picture(np.where(np.isnan(d), np.nan, d / 100.0).astype(np.float32), legend=False),
        "disparity": disparity_picture(disparity_map(d), legend=False),
    }
    for name, picture in pictures.items():
        grey = (np.ptp(picture.astype(int), axis=-1) == 0) & (picture[..., 0] > 90) & (picture[..., 0] < 180)
        np.testing.assert_array_equal(grey, np.isnan(d), err_msg=name)
        assert len(np.unique(picture[100:200, 100:200])) == 2, name  # stripes


def test_beyond_infinity_has_a_colour_of_its_own_and_infinity_is_far() -> None:
    d = ramp_map(low=-20.0, high=80.0)
    d[:, 150] = 0.0
    picture = inverse_depth_picture(depth_map(d), legend=False)
    beyond = d < 0.0
    assert len(np.unique(picture[beyond], axis=0)) == 1
    assert not (picture[~beyond] == picture[0, 0]).all(-1).any()
    np.testing.assert_array_equal(picture[0, 150], inferno()[0])


def test_fixed_limits_make_pictures_comparable() -> None:
    near, far = depth_map(np.full((300, 400), 50.0)), depth_map(np.full((300, 400), 20.0))
    a, b = (inverse_depth_picture(m, near_m=1.0, far_m=np.inf, legend=False)[0, 0] for m in (near, far))
    np.testing.assert_array_equal(a, inferno()[round(0.5 * (len(inferno()) - 1))])
    np.testing.assert_array_equal(b, inferno()[round(0.2 * (len(inferno()) - 1))])


@pytest.mark.parametrize(("near", "far"), [(0.0, 5.0), (-1.0, None), (5.0, 5.0), (5.0, 2.0), (None, 0.0)])
def test_impossible_limits_are_refused(near: float | None, far: float | None) -> None:
    with pytest.raises(UsageError, match="0 < near_m < far_m"):
        inverse_depth_picture(depth_map(ramp_map()), near_m=near, far_m=far)


@pytest.mark.parametrize(("near", "far"), [(0.001, None), (None, 1e6), (900.0, None), (None, 0.01), (None, np.inf)])
def test_a_limit_that_no_pixel_meets_still_gives_a_picture(near: float | None, far: float | None) -> None:
    assert inverse_depth_picture(depth_map(ramp_map()), near_m=near, far_m=far).shape[0] == 300


def test_zero_disparity_is_white_positive_warm_negative_cold() -> None:
    picture = disparity_picture(disparity_map(ramp_map(width=401, low=-20.0, high=20.0)), legend=False).astype(int)
    np.testing.assert_array_equal(picture[0, 200], 255)
    blue, red = picture[..., 0], picture[..., 2]
    assert (red[0, 230:] > blue[0, 230:] + 20).all()
    assert (blue[0, :170] > red[0, :170] + 20).all()


def test_both_signs_of_disparity_share_one_scale() -> None:
    np.testing.assert_array_equal(diverging()[255], 255)
    picture = disparity_picture(disparity_map(ramp_map(width=401, low=-10.0, high=40.0)), legend=False)
    assert lightness(picture[0, 0])[0] > lightness(picture[0, -1])[0] + 60.0  # 10 px are paler than 40 px


def test_reasons_have_distinct_colours_and_the_first_one_wins() -> None:
    bits = [int(reason) for reason in Reason if reason]
    reason = np.zeros((320, 20 * (len(bits) + 1)), np.uint16)
    for i, bit in enumerate(bits):
        reason[:, 20 * i : 20 * (i + 1)] = bit
    picture = reason_picture(reason, legend=False)
    assert len(np.unique(picture[0], axis=0)) == len(bits) + 1
    both = np.full_like(reason, Reason.AMBIGUOUS | Reason.SPECKLE)
    alone = np.full_like(reason, Reason.AMBIGUOUS)
    np.testing.assert_array_equal(reason_picture(both, legend=False), reason_picture(alone, legend=False))


def test_an_occlusion_counts_more_than_what_follows_from_it_and_warnings_least() -> None:
    def shown(reason: Reason) -> NDArray[np.uint8]:
        return reason_picture(np.full((320, 320), reason, np.uint16), legend=False)

    occluded = shown(Reason.OCCLUDED)
    for also in (Reason.AMBIGUOUS, Reason.SPECKLE, Reason.CUT_RANGE, Reason.RANGE_EDGE, Reason.LEFT_RIGHT):
        np.testing.assert_array_equal(shown(Reason.OCCLUDED | also), occluded)
    np.testing.assert_array_equal(shown(Reason.LOW_CONFIDENCE | Reason.CUT_RANGE), shown(Reason.LOW_CONFIDENCE))
    assert lightness(shown(Reason.CUT_RANGE)).min() > 200.0  # measured: pale


def filled_map() -> DisparityMap:
    d = ramp_map(low=5.0, high=40.0)
    reason = np.zeros(d.shape, np.uint16)
    reason[100:200] = Reason.AMBIGUOUS | Reason.FILLED_MISMATCH
    ones = np.ones(d.shape, np.float32)
    return DisparityMap(d.astype(np.float32), ones, reason, (0, 64), None, ones * 0.9)


def test_filled_pixels_are_veiled_and_counted() -> None:
    made = filled_map()
    measured = DisparityMap(made.disparity_px, made.sigma_px, np.zeros_like(made.reason), (0, 64), None, made.confidence)
    for draw in (disparity_picture, confidence_picture):
        filled, bare = draw(made, legend=False), draw(measured, legend=False)
        same = (filled == bare).all(-1)
        assert same[:100].all()
        assert same[200:].all()
        assert not same[100:200].any()
        expected = np.rint(0.6 * bare[100:200] + 0.4 * 150)
        np.testing.assert_array_equal(filled[100:200], expected)
        assert draw(made).shape != draw(measured).shape or (draw(made) != draw(measured))[:, 400:].any()  # a line in the legend
    reasons = reason_picture(made.reason, legend=False)
    plain = reason_picture(made.reason & np.uint16(Reason.AMBIGUOUS), legend=False)
    assert lightness(reasons[150]).min() > lightness(plain[150]).max()


def test_confidence_is_bright_where_sure() -> None:
    d = np.full((300, 401), 5.0, np.float32)
    d[:50] = np.nan
    sure = np.where(np.isnan(d), 0.0, np.linspace(0.5, 1.0, 401)).astype(np.float32)
    made = DisparityMap(d, d, np.zeros(d.shape, np.uint16), (0, 8), None, sure)
    light = lightness(confidence_picture(made, legend=False)[100])
    assert (np.diff(light) > -3.0).all()
    assert light[-1] > light[0] + 100.0
    with pytest.raises(UsageError, match="no confidence"):
        confidence_picture(disparity_map(d.astype(np.float64)))


def test_reason_picture_shows_the_image_where_there_is_an_answer() -> None:
    reason = np.zeros((320, 400), np.uint16)
    reason[:, 200:] = Reason.LEFT_RIGHT
    image = np.broadcast_to(np.linspace(0, 65535, 400).astype(np.uint16), (320, 400))
    picture = reason_picture(reason, image=image, legend=False)
    assert picture[0, 150, 0] > picture[0, 20, 0] + 10
    assert picture[:, :200].min() >= 160  # pale
    with pytest.raises(InputError, match="rectified left image"):
        reason_picture(reason, image=image[:-1])
    with pytest.raises(InputError, match="uint16"):
        reason_picture(np.zeros((3, 3), np.int32))
    with pytest.raises(InputError, match=r"\(H, W\)"):
        sigma_picture(np.zeros((3, 3, 3)))


@pytest.mark.parametrize("content", ["ramp", "constant", "nothing", "infinity", "beyond"])
@pytest.mark.parametrize("size", [(1, 1), (48, 64), (40, 2000), (1200, 30), (300, 400)])
def test_every_size_and_content_gives_a_picture_with_a_legend(size: tuple[int, int], content: str) -> None:
    height, width = size
    fill = {"constant": 20.0, "nothing": np.nan, "infinity": 0.0, "beyond": -5.0}
    d = ramp_map(height, width, -10.0, 60.0) if content == "ramp" else np.full(size, fill[content])
    disparity, depth = disparity_map(d), depth_map(d)
    for picture, bare in (
        (inverse_depth_picture(depth), inverse_depth_picture(depth, legend=False)),
        (disparity_picture(disparity), disparity_picture(disparity, legend=False)),
        (sigma_picture(disparity.sigma_px), sigma_picture(disparity.sigma_px, legend=False)),
        (reason_picture(depth.reason), reason_picture(depth.reason, legend=False)),
    ):
        assert picture.dtype == np.uint8
        assert picture.ndim == 3
        assert picture.shape[2] == 3
        h, w = bare.shape[:2]
        assert max(h, w) >= SMALLEST_SIDE_PX
        assert h % height == 0
        assert h // height == w // width
        np.testing.assert_array_equal(picture[:h, :w], bare)
        legend = picture[h:] if w > 1.8 * h else picture[:, w:]
        assert (legend.max(-1) < 90).sum() > 40  # ink


def test_pictures_are_deterministic() -> None:
    d = ramp_map()
    d[:50, :50] = np.nan
    assert inverse_depth_picture(depth_map(d)).tobytes() == inverse_depth_picture(depth_map(d.copy())).tobytes()


@pytest.mark.parametrize(("near", "far"), [(2.1, 5.0), (0.3, 0.35), (0.5, np.inf), (1.0, 3000.0), (40.0, 41.0), (1e-3, 2e-3)])
def test_depth_ticks_are_round_in_place_and_apart(near: float, far: float) -> None:
    low, high = 1.0 / far, 1.0 / near
    ticks = depth_ticks(low, high)(400.0, 30.0)
    assert len(ticks) >= 4
    places = np.array([place for place, _ in ticks])
    assert (np.diff(places) >= 30.0 / 400.0 - 1e-12).all()
    for place, text in ticks:
        z = np.inf if text == "∞" else float(text.removesuffix(" m"))
        assert place == pytest.approx((1.0 / z - low) / (high - low), abs=1e-6)
        assert len(text) <= 8
    assert (ticks[0][1] == "∞") == np.isinf(far)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.7), (-20.0, 44.0), (-0.5, 0.0), (0.0, 12345.0)])
def test_linear_ticks_are_round_in_place_and_few(low: float, high: float) -> None:
    ticks = linear_ticks(low, high, "px", signed=True)(400.0, 20.0)
    assert 4 <= len(ticks) <= 9
    for place, text in ticks:
        value = float(text.removesuffix(" px").replace("\N{MINUS SIGN}", "-"))
        assert low + place * (high - low) == pytest.approx(value, abs=1e-6 * (high - low))
        assert text[0] in "+0\N{MINUS SIGN}"


def test_shares_are_never_rounded_to_none_or_all() -> None:
    assert [share(*pair) for pair in ((0, 9), (9, 9), (1, 10_000), (9_999, 10_000), (1, 8))] == [
        "0 %",
        "100 %",
        "< 0.1 %",
        "> 99.9 %",
        "12.5 %",
    ]


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_images_of_many_bits_are_stretched(kind: type[Any], rng: np.random.Generator) -> None:
    twelve_bit = rng.integers(200, 4096, (100, 120, 3)).astype(kind)
    shown = to_8_bit(twelve_bit)
    assert shown.dtype == np.uint8
    assert shown.min() == 0
    assert shown.max() == 255
    assert abs(float(np.corrcoef(shown.ravel(), twelve_bit.ravel())[0, 1]) - 1.0) < 1e-3


def test_to_8_bit_keeps_8_bits_and_survives_odd_content() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(to_8_bit(image), image)
    np.testing.assert_array_equal(to_8_bit(np.full((3, 4), np.nan, np.float32)), 0)
    assert np.ptp(to_8_bit(np.full((3, 4), 7.0, np.float32))) == 0
    holed = np.array([[0.0, 0.5, 1.0, np.nan, np.inf]], np.float32)
    np.testing.assert_array_equal(to_8_bit(holed)[0, 3:], 0)
    with pytest.raises(InputError, match="float64"):
        to_8_bit(np.zeros((3, 4)))
    with pytest.raises(InputError, match="shape"):
        to_8_bit(np.zeros((3, 4, 4), np.uint8))


def two_planes() -> tuple[DepthMap, NDArray[np.uint8]]:
    d = np.full((240, 400), 20.0)  # a wall at 5 m
    d[80:200, 150:250] = 50.0  # and a board at 2 m before it
    image = np.zeros((240, 400, 3), np.uint8)
    image[:] = (200, 60, 20)
    image[80:200, 150:250] = (20, 60, 220)
    return depth_map(d), image


def test_cloud_picture_from_the_camera_shows_the_image() -> None:
    depth, image = two_planes()
    picture = cloud_picture(to_cloud(depth, colour=image), width=400, height=240, yaw_deg=0.0, pitch_deg=0.0)
    red = (picture[..., 2] > 150) & (picture[..., 0] < 90)
    rows, columns = np.nonzero(red)
    assert 0.85 < red.sum() / (120 * 100) < 1.1
    assert abs(rows.mean() - 139.5) < 6.0
    assert abs(columns.mean() - 199.5) < 6.0


@pytest.mark.parametrize(("yaw", "side"), [(8.0, "left"), (-8.0, "right")])
def test_moving_the_viewpoint_uncovers_that_side(yaw: float, side: str) -> None:
    """Seen from further left, the near board moves to the right before the wall, and the gap behind it opens at its left."""
    depth, image = two_planes()
    picture = cloud_picture(to_cloud(depth, colour=image), width=400, height=240, yaw_deg=yaw, pitch_deg=0.0).astype(int)
    row = picture[130]
    red, wall = (row[:, 2] > 120) & (row[:, 0] < 90), row[:, 0] > 120
    gap = ~red & ~wall
    first, last = int(np.nonzero(red)[0].min()), int(np.nonzero(red)[0].max())
    left, right = gap[first - 30 : first].sum(), gap[last + 1 : last + 31].sum()
    assert (left > right + 10) if side == "left" else (right > left + 10)


def test_cloud_picture_is_deterministic_and_refuses_nonsense() -> None:
    depth, image = two_planes()
    cloud = to_cloud(depth, colour=image)
    assert cloud_picture(cloud, width=200, height=150).tobytes() == cloud_picture(cloud, width=200, height=150).tobytes()
    assert cloud_picture(to_cloud(depth), width=64, height=48).shape == (48, 64, 3)
    with pytest.raises(QualityError, match="no points"):
        cloud_picture(to_cloud(depth, max_depth_m=0.1))
    with pytest.raises(UsageError, match="0 x 48"):
        cloud_picture(cloud, width=0, height=48)
    with pytest.raises(UsageError, match="view angles"):
        cloud_picture(cloud, yaw_deg=120.0)


@pytest.mark.parametrize("points", [1, 2, 3])
def test_cloud_picture_of_a_handful_of_points(points: int) -> None:
    d = np.full((20, 30), np.nan)
    d[5, 5 : 5 + points] = 40.0
    assert cloud_picture(to_cloud(depth_map(d)), width=64, height=48).max() > 100


@pytest.mark.realdata
def test_real_depth_is_shown_near_bright(data_folder: Path) -> None:
    with np.load(data_folder / "mb2014" / "Motorcycle-perfect-Q" / "motorcycle_disp.npz") as file:
        d = np.where(np.isfinite(file["arr_0"]), file["arr_0"], np.nan)
    picture = inverse_depth_picture(depth_map(d), legend=False)
    light = lightness(picture).reshape(d.shape)
    assert light[d > 55].mean() > 200.0 > 60.0 > light[d < 12].mean()
