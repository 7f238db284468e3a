"""Depth errors against brute force: perturbed rigs, and many solutions of noisy captures."""

from dataclasses import replace

import numpy as np
import pytest

from calib.camera import Camera
from calib.covariance import RigCovariance, parameter_names
from calib.depth_sigma import (
    DepthSigma,
    depth_derivatives,
    depth_sigma,
    depth_table,
    matching_sigma,
    row_errors_px,
    seen_points,
    suitable_depths_m,
)
from calib.errors import CalibrationError, UsageError
from calib.geometry import Array
from calib.rig import StereoRig
from calib.sensitivity import free_directions
from calib.synthetic.capture import simulate
from calib.synthetic.rigs import simulated_rigs
from calib.target import Target
from tests.fitting import fit_capture

RIGS = simulated_rigs()
BOARD = Target("chessboard", 9, 6, 0.03)


def places(rig: StereoRig) -> Array:
    x, y = np.meshgrid([0.1, 0.35, 0.5, 0.8], [0.1, 0.5, 0.85])
    return np.stack([x, y], -1) * rig.left.size


def depth_of(rig: StereoRig, left_uv: Array, right_uv: Array) -> Array:
    """Depth of the point of the left ray next to the right one."""
    a, b, c = rig.left.unproject(left_uv), rig.right.unproject(right_uv) @ rig.R_right_left, rig.centre_right_m
    aa, bb, ab = (a * a).sum(-1), (b * b).sum(-1), (a * b).sum(-1)
    return np.asarray(((a @ c) * bb - (b @ c) * ab) / (aa * bb - ab * ab) * a[..., 2])


def pixel_pairs(rig: StereoRig, depth_m: float) -> tuple[Array, Array]:
    uv = places(rig)
    points = seen_points(rig, uv, depth_m)
    return uv, rig.right.project(points @ rig.R_right_left.T + rig.t_right_left_m)


def plain() -> StereoRig:
    """A rig of lenses without distortion."""
    camera = Camera(640, 480, 500.0, 501.0, 320.0, 240.0, np.zeros(0))
    return StereoRig(camera, camera, RIGS["normal"].R_right_left, RIGS["normal"].t_right_left_m)


@pytest.mark.parametrize("name", [*RIGS, "plain"])
def test_derivatives_are_those_of_perturbed_rigs(name: str) -> None:
    rig = plain() if name == "plain" else RIGS[name]
    depth = 12.0 * rig.baseline_m if name != "tele" else 4.0
    left_uv, right_uv = pixel_pairs(rig, depth)
    assert np.nanmax(np.abs(depth_of(rig, left_uv, right_uv) - depth)) < 1e-9
    found = depth_derivatives(rig, left_uv, depth)
    seen = np.isfinite(right_uv).all(-1)
    assert seen.sum() >= 3
    assert (np.isfinite(found).all(-1) == seen).all()
    count = len(rig.parameter_names)
    for i in range(count):
        step = np.zeros(count)
        step[i] = 1e-4 if rig.parameter_names[i].endswith("px") else 1e-5 if "." in rig.parameter_names[i] else 1e-7
        there, back = (depth_of(rig.perturbed(sign * step), left_uv, right_uv) for sign in (1.0, -1.0))
        expected = (there - back) / (2.0 * step[i])
        size = np.abs(expected[seen]).max()
        assert np.allclose(found[seen][:, i], expected[seen], rtol=2e-4, atol=2e-4 * size + 1e-9), rig.parameter_names[i]


def test_sigma_uses_every_correlation(rng: np.random.Generator) -> None:
    rig = RIGS["normal"]
    names = parameter_names(rig.left, rig.right)
    root = rng.standard_normal((len(names), len(names))) * np.where([n.endswith("px") for n in names], 0.3, 3e-4)[:, None]
    rig = replace(rig, covariance=RigCovariance(names, root @ root.T))
    left_uv, right_uv = pixel_pairs(rig, 1.0)
    sigma = depth_sigma(rig, left_uv, 1.0)
    drawn = [depth_of(rig.perturbed(root @ rng.standard_normal(len(names)) * 0.02), left_uv, right_uv) for _ in range(400)]
    seen = np.isfinite(sigma)
    assert seen.any()
    assert np.allclose(np.std(drawn, 0)[seen] / (0.02 * sigma[seen]), 1.0, atol=0.15)
    diagonal = replace(rig, covariance=RigCovariance(names, np.diag(np.diag(root @ root.T))))
    assert np.nanmax(np.abs(depth_sigma(diagonal, left_uv, 1.0) / sigma - 1.0)) > 0.05


@pytest.mark.parametrize("name", ["normal", "fisheye"])
def test_prediction_against_many_solutions(name: str) -> None:
    rig = RIGS[name]
    board = Target("chessboard", 6, 4, 0.048)
    still = simulate(rig, board, 10, seed=2)
    w, h = rig.left.size
    uv = np.array([[0.5, 0.5], [0.2, 0.2], [0.8, 0.2], [0.2, 0.8], [0.8, 0.8]]) * [w, h]
    depths = np.array([1.0, 2.0, 5.0, 10.0])[:, None]
    right_uv = rig.right.project(seen_points(rig, uv, depths) @ rig.R_right_left.T + rig.t_right_left_m)
    inverse, predicted = [], []
    for k in range(30):
        solved = fit_capture(simulate(rig, board, 10, noise_px=0.1, seed=100 + k, poses=still.poses_left), iterations=2).rig
        inverse.append(1.0 / depth_of(solved, np.broadcast_to(uv, right_uv.shape), right_uv))
        if k < 3:
            predicted.append(depth_sigma(solved, uv, depths) / depths**2)
    ratio = np.std(inverse, 0) / np.mean(predicted, 0)  # of inverse depths: theirs are normal even where errors are large
    seen = np.isfinite(ratio)
    assert seen[:, 0].all()
    assert seen.sum() >= 12
    # 30 solutions tell a standard deviation to 13 %
    assert ratio[seen].min() > 0.65
    assert ratio[seen].max() < 1.4
    assert abs(ratio[seen].mean() - 1.0) < 0.15


def test_unseen_places_are_nan_and_bad_arguments_refused() -> None:
    rig = fit_capture(simulate(RIGS["normal"], BOARD, 6, seed=1), iterations=1).rig
    sigma = depth_sigma(rig, [[5.0, 480.0], [640.0, 480.0], [-3.0, 480.0]], 0.5)
    assert np.isnan(sigma[[0, 2]]).all()  # the right camera does not see the left edge at half a metre
    assert sigma[1] > 0.0
    assert depth_sigma(rig, places(rig)[None], np.array([1.0, 2.0])[:, None, None]).shape == (2, 3, 4)
    x, y = np.meshgrid(np.arange(0.0, 1280.0, 8.0), np.arange(0.0, 960.0, 6.0))
    whole = depth_sigma(rig, np.stack([x, y], -1), 2.0)  # more than one batch
    assert whole.shape == (160, 160)
    assert whole[80, 80] == pytest.approx(float(depth_sigma(rig, [640.0, 480.0], 2.0)))
    with pytest.raises(UsageError, match="must be > 0"):
        depth_sigma(rig, [[640.0, 480.0]], 0.0)
    with pytest.raises(UsageError, match=r"must be \(\.\.\., 2\)"):
        depth_sigma(rig, [640.0], 1.0)
    with pytest.raises(UsageError, match="do not fit"):
        depth_sigma(rig, np.ones((3, 2)), np.ones(2))
    with pytest.raises(CalibrationError, match="no covariance"):
        depth_sigma(RIGS["normal"], [[640.0, 480.0]], 1.0)


def test_matching_sigma_is_that_of_a_rectified_rig() -> None:
    camera = Camera(640, 480, 500.0, 500.0, 320.0, 240.0, np.zeros(0))
    rig = StereoRig(camera, camera, np.eye(3), np.array([-0.1, 0.0, 0.0]))
    uv = places(rig)
    sigma = matching_sigma(rig, uv, 2.0, 0.2)
    seen = np.isfinite(sigma)
    assert seen.any()
    assert np.allclose(sigma[seen], 4.0 / 50.0 * 0.2, rtol=1e-12)
    # a right ray turned by a small angle moves the point of a fisheye rig as predicted
    fisheye = RIGS["fisheye"]
    point = seen_points(fisheye, np.array([800.0, 300.0]), 2.0)
    ray = point - fisheye.centre_right_m
    axis = np.cross(fisheye.centre_right_m, point)
    axis /= np.linalg.norm(axis)
    angle = 0.2 / 482.25
    turned = ray + np.cross(axis, ray) * np.tan(angle)
    right_uv = fisheye.right.project(turned @ fisheye.R_right_left.T)
    moved = depth_of(fisheye, np.array([800.0, 300.0]), right_uv)
    assert abs(abs(moved - 2.0) / matching_sigma(fisheye, [800.0, 300.0], 2.0, 0.2) - 1.0) < 0.03


@pytest.mark.parametrize("name", RIGS)
def test_rows_agree_for_exact_pairs_and_tell_shifts(name: str) -> None:
    rig = RIGS[name]
    left_uv, right_uv = (uv.reshape(-1, 2) for uv in pixel_pairs(rig, 2.0))
    seen = np.isfinite(right_uv).all(-1)
    left_uv, right_uv = left_uv[seen], right_uv[seen]
    assert np.abs(row_errors_px(rig, left_uv, right_uv)).max() < 1e-7
    across = [1.0, 0.0] if name == "vertical" else [0.0, 1.0]
    error = np.abs(row_errors_px(rig, left_uv, right_uv + 0.5 * np.array(across)))
    assert error.max() < 1.5
    assert error.min() > 0.1


def test_rows_are_those_of_rectification() -> None:
    from calib.rectification import plan_rectification

    rig = RIGS["normal"]
    left_uv, right_uv = (uv.reshape(-1, 2) for uv in pixel_pairs(rig, 2.0))
    seen = np.isfinite(right_uv).all(-1)
    left_uv, right_uv = left_uv[seen], right_uv[seen] + [0.3, -0.7]
    plan = plan_rectification(rig)
    rays = rig.left.unproject(left_uv) @ plan.R_rect_left.T, rig.right.unproject(right_uv) @ plan.R_rect_right.T
    rows = [ray[:, 1] / ray[:, 2] for ray in rays]
    focal = np.mean([1000.0, 1001.0, 1006.0, 1006.5])
    assert np.allclose(row_errors_px(rig, left_uv, right_uv), focal * (rows[0] - rows[1]), atol=1e-9)


def test_the_table_suits_the_rig_and_reads_well() -> None:
    rig = fit_capture(simulate(RIGS["normal"], BOARD, 12, seed=2), iterations=1).rig
    rows = depth_table(rig)
    assert [row.depth_m for row in rows] == [1.0, 2.0, 5.0, 10.0]
    assert all(row.corner_calibration_m > row.centre_calibration_m > 0.0 for row in rows)
    assert str(rows[1]).startswith("2 m: centre calibration +-")
    assert "matching +-6.6 mm; corner" in str(rows[1])
    tiny = replace(rig, t_right_left_m=rig.t_right_left_m / 50.0, covariance=None)
    assert suitable_depths_m(tiny) == (0.02, 0.05, 0.1, 0.2)
    giant = replace(rig, t_right_left_m=rig.t_right_left_m * 50.0, covariance=None)
    assert suitable_depths_m(giant) == (60.0, 100.0, 300.0, 600.0)


def test_fixed_numbers_are_no_free_directions() -> None:
    solved = fit_capture(simulate(RIGS["normal"], BOARD, 8, seed=4), iterations=1, frozen=("left.k3", "right.k3")).rig
    assert solved.covariance is not None
    free = free_directions(solved)
    assert free.shape == (24, 22)
    sigmas = np.where(solved.covariance.sigmas > 0.0, solved.covariance.sigmas, 1.0)
    assert np.allclose(free @ free.T / np.outer(sigmas, sigmas), solved.covariance.matrix / np.outer(sigmas, sigmas), atol=1e-9)


def test_lengths_read_well_and_hopeless_ones_are_not_stated() -> None:
    row = DepthSigma(2.0, 0.00234, 0.9996, 2.5, 0.05)
    assert str(row) == "2 m: centre calibration +-2.3 mm, matching +-1 m; corner calibration not known, matching +-50 mm"
    assert str(DepthSigma(2.0, 0.0123, 1.26, float("nan"), float("nan"))).endswith(
        "matching +-1.3 m; corner not seen by both cameras"
    )
