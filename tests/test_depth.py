"""Disparity, inverse depth and depth: worked examples, then the laws."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calib.camera import Camera
from calib.errors import InputError, UsageError
from calib.rig import StereoRig
from stereo.depth import (
    depth_to_disparity,
    depth_to_inverse_depth,
    depth_to_points,
    disparity_to_depth,
    disparity_to_inverse_depth,
    inverse_depth_to_depth,
    inverse_depth_to_disparity,
    to_depth,
)
from stereo.maps import DepthMap, DisparityMap, Reason

FOCALS, BASELINES = st.floats(1.0, 1e5), st.floats(1e-4, 1e3)
PIXELS = st.floats(-1e4, 1e4)


def make_rig(
    width: int = 6, height: int = 4, *, doffs: float = 0.0, fx: float = 500.0, fy: float = 500.0, baseline: float = 0.12
) -> StereoRig:
    left = Camera(width, height, fx, fy, 2.25, 1.5, np.zeros(0))
    return StereoRig(left, replace(left, centre_x_px=2.25 + doffs), np.eye(3), np.array([-baseline, 0.0, 0.0]))


def make_map(d: np.ndarray, rig: StereoRig | None, *, sigma: float = 0.25) -> DisparityMap:
    values = np.asarray(d, np.float32)
    missing = np.isnan(values)
    return DisparityMap(
        values,
        np.where(missing, np.nan, sigma).astype(np.float32),
        np.where(missing, Reason.AMBIGUOUS, 0).astype(np.uint16),
        (-10_000, 10_000),
        rig,
    )


def same_bits(a: DepthMap, b: DepthMap) -> bool:
    names = ("depth_m", "inverse_depth_per_m", "inverse_depth_sigma_per_m", "reason")
    return all(getattr(a, n).tobytes() == getattr(b, n).tobytes() for n in names)


def test_a_worked_example() -> None:
    """f = 500 px, B = 0.12 m: f B = 60 px m. 30 px are 2 m; with doffs = 10 px, 20 px are."""
    depth = to_depth(make_map(np.full((4, 6), 20.0), make_rig(doffs=10.0)))
    np.testing.assert_allclose(depth.depth_m, 2.0, rtol=1e-7)
    np.testing.assert_allclose(depth.inverse_depth_per_m, 0.5, rtol=1e-7)
    np.testing.assert_allclose(depth.inverse_depth_sigma_per_m, 0.25 / 60.0, rtol=1e-7)
    np.testing.assert_allclose(depth.depth_sigma_m, 4.0 * 0.25 / 60.0, rtol=1e-6)
    assert not depth.reason.any()


def test_infinity_and_what_lies_beyond_it() -> None:
    d = np.full((4, 6), 1.0, np.float32)
    d[0, :4] = [-10.0, -10.5, np.nan, -9.999]
    depth = to_depth(make_map(d, make_rig(doffs=10.0)))
    assert depth.depth_m[0, 0] == np.inf
    assert depth.inverse_depth_per_m[0, 0] == 0.0
    assert not np.signbit(depth.inverse_depth_per_m[0, 0])
    assert depth.reason[0, 0] == 0
    assert np.isnan(depth.depth_m[0, 1])
    assert depth.inverse_depth_per_m[0, 1] == pytest.approx(-0.5 / 60.0)
    assert depth.inverse_depth_sigma_per_m[0, 1] == pytest.approx(0.25 / 60.0)
    assert depth.reason[0, 1] == Reason.BEYOND_INFINITY
    for values in (depth.depth_m, depth.inverse_depth_per_m, depth.inverse_depth_sigma_per_m):
        assert np.isnan(values[0, 2])
    assert depth.reason[0, 2] == Reason.AMBIGUOUS
    assert depth.depth_m[0, 3] == pytest.approx(60.0 / 0.001, rel=1e-3)
    assert np.isnan(depth.depth_sigma_m[0, :3]).all()


def test_infinity_is_met_with_principal_points_in_decimals() -> None:
    """281.9 - 250.9 is 30.99999999999997 in float64; the point at d = -31 is at infinity all the same."""
    assert 281.9 - 250.9 != 31.0
    left = Camera(6, 4, 500.0, 500.0, 250.9, 1.5, np.zeros(0))
    rig = StereoRig(left, replace(left, centre_x_px=281.9), np.eye(3), np.array([-0.12, 0.0, 0.0]))
    depth = to_depth(make_map(np.full((4, 6), -31.0), rig))
    assert (depth.depth_m == np.inf).all()
    assert not depth.reason.any()


def test_a_stale_beyond_infinity_bit_does_not_survive_another_rig() -> None:
    made = make_map(np.full((4, 6), 5.0), make_rig())
    marked = replace(made, reason=np.full((4, 6), Reason.BEYOND_INFINITY, np.uint16))
    assert not to_depth(marked).reason.any()


def test_sigma_without_disparity_is_nan() -> None:
    made = make_map(np.full((4, 6), np.nan), make_rig())
    assert np.isnan(to_depth(replace(made, sigma_px=np.ones((4, 6), np.float32))).inverse_depth_sigma_per_m).all()


def test_a_rig_is_needed_once() -> None:
    rig, bare = make_rig(), make_map(np.full((4, 6), 5.0), None)
    with pytest.raises(UsageError, match=r"carries no rig.*to_depth\(disparity, rig=\.\.\.\)"):
        to_depth(bare)
    carrying = replace(bare, rig=rig)
    assert same_bits(to_depth(bare, rig=rig), to_depth(carrying))
    assert same_bits(to_depth(carrying, rig=make_rig()), to_depth(carrying))  # equal numbers, another object
    for other in (make_rig(baseline=0.121), make_rig(doffs=1.0), make_rig(fx=501.0), rig.scale(2.0)):
        with pytest.raises(UsageError, match="another one was given"):
            to_depth(carrying, rig=other)


def test_a_rig_that_is_not_rectified_or_of_another_size_is_refused() -> None:
    bare, rig = make_map(np.full((4, 6), 5.0), None), make_rig()
    turned = StereoRig(rig.left, rig.right, np.eye(3), np.array([-0.12, 0.01, 0.0]))
    with pytest.raises(UsageError, match="not rectified"):
        to_depth(bare, rig=turned)
    with pytest.raises(InputError, match=r"6 x 4 px but the rig is for 12 x 8 px.*rig\.scale"):
        to_depth(bare, rig=rig.scale(2.0))


@given(d=PIXELS, doffs=PIXELS, f=FOCALS, b=BASELINES)
def test_formula_against_rational_arithmetic(d: float, doffs: float, f: float, b: float) -> None:
    exact = (Fraction(d) + Fraction(doffs)) / (Fraction(f) * Fraction(b))
    got = Fraction(float(disparity_to_inverse_depth(d, focal_px=f, baseline_m=b, doffs_px=doffs)))
    scale = Fraction(max(abs(d), abs(doffs), 1.0)) / (Fraction(f) * Fraction(b))
    assert abs(got - exact) <= Fraction(1, 10**15) * scale


@given(d=PIXELS, doffs=PIXELS, f=FOCALS, b=BASELINES)
def test_round_trips_of_disparity(d: float, doffs: float, f: float, b: float) -> None:
    tolerance = 1e-12 * max(abs(d), abs(doffs), 1.0)
    rho = disparity_to_inverse_depth(d, focal_px=f, baseline_m=b, doffs_px=doffs)
    assert inverse_depth_to_disparity(rho, focal_px=f, baseline_m=b, doffs_px=doffs) == pytest.approx(d, abs=tolerance, rel=0)
    z = disparity_to_depth(d, focal_px=f, baseline_m=b, doffs_px=doffs)
    if d + doffs < 0.0:
        assert np.isnan(z)
    else:
        assert depth_to_disparity(z, focal_px=f, baseline_m=b, doffs_px=doffs) == pytest.approx(d, abs=tolerance, rel=0)
        assert z >= 0.0


@given(rho=st.floats(-1e3, 1e3))
def test_round_trip_of_inverse_depth(rho: float) -> None:
    z = inverse_depth_to_depth(rho)
    if rho < 0.0:
        assert np.isnan(z)
    elif rho > 1e-300:
        assert depth_to_inverse_depth(z) == pytest.approx(rho, rel=1e-15)
    assert inverse_depth_to_depth(-0.0) == np.inf
    assert depth_to_inverse_depth(np.inf) == 0.0


def test_no_point_stands_at_or_behind_the_camera() -> None:
    z = np.array([0.0, -1.0, np.nan, -np.inf])
    assert np.isnan(depth_to_inverse_depth(z)).all()
    assert np.isnan(depth_to_disparity(z, focal_px=100.0, baseline_m=0.1)).all()


@settings(max_examples=60, deadline=None)
@given(
    k=st.integers(-200, 200),
    doffs=st.integers(-400_000, 400_000).map(lambda n: n / 1000.0),
    seed=st.integers(0, 2**32 - 1),
    cx=st.integers(0, 2_000_000).map(lambda n: n / 1000.0),
)
def test_shift_law(k: int, doffs: float, seed: int, cx: float) -> None:
    """Left and right image cropped k columns apart: d - k with doffs + k is the same depth, bit for bit."""
    rng = np.random.default_rng(seed)
    width, height = 64, 16
    d = (rng.integers(-100 * 256, 100 * 256, (height, width)) / 256.0 - np.round(doffs)).astype(np.float32)
    d[rng.random((height, width)) < 0.1] = np.nan
    left = Camera(width, height, 700.0 + rng.random(), 700.0, cx, 8.0, np.zeros(0))
    rig = StereoRig(left, replace(left, centre_x_px=cx + doffs), np.eye(3), np.array([-0.1 - rng.random(), 0.0, 0.0]))
    shifted = rig.crop(k, 0, width, height, x0_right=0)
    assert shifted.doffs_px == pytest.approx(rig.doffs_px + k, abs=1e-9)
    assert same_bits(to_depth(make_map(d, rig)), to_depth(make_map(d - np.float32(k), shifted)))


@settings(max_examples=60, deadline=None)
@given(factor=st.sampled_from([0.25, 0.5, 1.5, 2.0, 3.7]), doffs=st.floats(-50.0, 50.0), seed=st.integers(0, 2**32 - 1))
def test_resize_and_scale_laws(factor: float, doffs: float, seed: int) -> None:
    """Images resized by s: s d with the scaled rig is the same depth. A rig s times as large: depth s times as large."""
    rng = np.random.default_rng(seed)
    rig = make_rig(40, 20, doffs=doffs)
    d = (rng.uniform(0.5, 100.0, (20, 40)) - doffs).astype(np.float32)
    base = to_depth(make_map(d, rig))
    small = rig.scale(factor)
    sampled = np.resize(d, (small.left.height, small.left.width))
    same = to_depth(make_map(sampled.astype(np.float64) * factor, small)).depth_m
    expected = to_depth(make_map(sampled, replace_size(rig, sampled.shape))).depth_m
    np.testing.assert_allclose(same, expected, rtol=3e-5)  # float32 disparities, up to 200 times smaller after the sum with doffs
    larger = StereoRig(rig.left, rig.right, np.eye(3), rig.t_right_left_m * factor)
    np.testing.assert_allclose(to_depth(make_map(d, larger)).depth_m, base.depth_m * factor, rtol=3e-7)


def replace_size(rig: StereoRig, shape: tuple[int, ...]) -> StereoRig:
    return rig.crop(0, 0, shape[1], shape[0])


def test_cropping_both_images_alike_keeps_points(rng: np.random.Generator) -> None:
    rig = make_rig(40, 20, doffs=3.0)
    d = rng.uniform(1.0, 60.0, (20, 40)).astype(np.float32)
    whole = depth_to_points(to_depth(make_map(d, rig)).depth_m, rig)
    window = rig.crop(7, 5, 20, 10)
    part = depth_to_points(to_depth(make_map(d[5:15, 7:27], window)).depth_m, window)
    np.testing.assert_allclose(part, whole[5:15, 7:27], rtol=1e-12, atol=1e-12)


def test_points_project_onto_their_pixels_with_unequal_focal_lengths(rng: np.random.Generator) -> None:
    rig = make_rig(31, 17, doffs=-4.0, fx=400.0, fy=480.0)
    depth = to_depth(make_map(rng.uniform(6.0, 90.0, (17, 31)), rig)).depth_m.astype(np.float64)
    points = depth_to_points(depth, rig)
    v, u = np.mgrid[:17, :31]
    np.testing.assert_allclose(rig.left.project(points), np.stack([u, v], -1), atol=1e-9)
    right = rig.right.project(points @ rig.R_right_left.T + rig.t_right_left_m)
    d = depth_to_disparity(depth, focal_px=400.0, baseline_m=0.12, doffs_px=-4.0)
    np.testing.assert_allclose(d, u - right[..., 0], atol=1e-9)
    np.testing.assert_allclose(right[..., 1], v, atol=1e-9)


def test_points_are_nan_where_depth_is_not_finite_and_the_size_must_fit() -> None:
    rig = make_rig()
    depth = np.full((4, 6), 2.0)
    depth[0, :2] = np.inf, np.nan
    points = depth_to_points(depth, rig)
    assert np.isnan(points[0, :2]).all()
    assert np.isfinite(points[0, 2:]).all()
    with pytest.raises(InputError, match="6 x 4 px"):
        depth_to_points(np.ones((4, 5)), rig)


@pytest.mark.parametrize(("f", "b"), [(0.0, 0.1), (-1.0, 0.1), (100.0, 0.0), (np.nan, 0.1), (100.0, np.inf)])
def test_impossible_geometry_is_refused(f: float, b: float) -> None:
    with pytest.raises(UsageError, match="must be finite and > 0"):
        disparity_to_depth(1.0, focal_px=f, baseline_m=b)


@pytest.mark.realdata
def test_motorcycle_lies_where_it_was_measured(data_folder: Path) -> None:
    """Middlebury 2014 Motorcycle: the garage's back wall is about 5 m away, the front wheel a little over 2 m."""
    with np.load(data_folder / "mb2014" / "Motorcycle-perfect-Q" / "motorcycle_disp.npz") as file:
        d = np.where(np.isfinite(file["arr_0"]), file["arr_0"], np.nan).astype(np.float32)
    left = Camera(741, 500, 994.978, 994.978, 311.193, 254.877, np.zeros(0))
    right = replace(left, centre_x_px=311.193 + 31.086)
    rig = StereoRig(left, right, np.eye(3), np.array([-0.193001, 0.0, 0.0]))
    depth = to_depth(make_map(d, rig)).depth_m
    # f B = 192.03 px m; d runs from 7.19 to 59.91 px
    np.testing.assert_allclose([np.nanmin(depth), np.nanmax(depth)], [2.1103, 5.0168], rtol=1e-4)
