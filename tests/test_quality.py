"""Judging a calibration: coverage, patterns in what remains, and the verdict."""

from dataclasses import replace

import numpy as np
import pytest

from calib.coverage import coverage, diversity, fit_coverage
from calib.depth_sigma import row_errors_px
from calib.fit import Fit
from calib.geometry import Array
from calib.quality import judge
from calib.residual_structure import structures
from calib.residual_tables import corner_errors, view_errors
from calib.synthetic.capture import Capture, bowed, simulate
from calib.synthetic.rigs import simulated_rigs
from calib.target import Target
from tests.fitting import fit_capture

RIGS = simulated_rigs()
BOARD = Target("chessboard", 9, 6, 0.03)


@pytest.fixture(scope="module")
def capture() -> Capture:
    return simulate(RIGS["normal"], BOARD, 12, noise_px=0.1, seed=7)


@pytest.fixture(scope="module")
def fit(capture: Capture) -> Fit:
    return fit_capture(capture)


def held_out_errors(fit: Fit) -> Array:
    return row_errors_px(fit.rig, fit.left.seen_uv, fit.right.seen_uv)


def test_coverage_of_known_corners() -> None:
    quarter = np.stack(np.meshgrid(np.linspace(0.0, 319.0, 40), np.linspace(0.0, 239.0, 30)), -1).reshape(-1, 2)
    found = coverage(quarter, (640, 480))
    assert found.counts.shape == (8, 10)
    assert found.counts.sum() == 1200
    assert found.share == 0.25
    assert found.hull_share == pytest.approx(319.0 * 239.0 / (640 * 480), rel=1e-6)
    assert found.counts[:4, :5].min() > 0
    nothing = coverage(np.zeros((0, 2)), (640, 480))
    assert (nothing.share, nothing.hull_share, len(nothing.hull_uv)) == (0.0, 0.0, 0)


def test_tilt_and_distances_are_those_of_the_poses(fit: Fit) -> None:
    angle = np.radians(30.0)
    turned = np.array([[np.cos(angle), 0.0, np.sin(angle)], [0.0, 1.0, 0.0], [-np.sin(angle), 0.0, np.cos(angle)]])
    poses = list(fit.poses)
    poses[0], poses[1] = (np.eye(3), np.array([0.0, 0.0, 0.5])), (turned, np.array([0.0, 0.0, 2.0]))
    poses[2:] = [None] * (len(poses) - 2)
    found = diversity(replace(fit, poses=tuple(poses)))
    assert found.tilt_deg == pytest.approx(30.0)
    assert found.nearest_m == pytest.approx(0.5)
    assert found.farthest_m == pytest.approx(np.linalg.norm(fit.board_m @ turned.T + [0.0, 0.0, 2.0], axis=1).max())
    assert np.isnan(diversity(replace(fit, poses=(None,) * len(poses))).depth_ratio)


def test_coverage_of_a_fit_counts_kept_corners_only(fit: Fit) -> None:
    left, right = fit_coverage(fit)
    assert left.counts.sum() == right.counts.sum() == 12 * 54
    kept = fit.left.kept & (fit.left.moment != 3)
    assert fit_coverage(replace(fit, left=replace(fit.left, kept=kept)))[0].counts.sum() == 11 * 54


def test_noise_has_no_structure(capture: Capture) -> None:
    z = []
    for seed in range(8):
        for name in ("normal", "fisheye"):
            still = capture if name == "normal" else simulate(RIGS[name], BOARD, 8, seed=11)
            noisy = simulate(RIGS[name], BOARD, 1, noise_px=0.3, seed=100 + seed, poses=still.poses_left)
            z += [pattern.z for pattern in structures(fit_capture(noisy, iterations=2))]
    assert len(z) == 48
    assert abs(np.mean(z)) < 0.4
    assert 0.75 < np.std(z) < 1.3
    assert np.max(z) < 3.7


def test_a_bent_board_and_a_poor_lens_model_are_told_apart(capture: Capture) -> None:
    bent = simulate(RIGS["normal"], BOARD, 12, noise_px=0.1, bow_m=(3e-4, 1e-4), seed=7)
    left, right, board = structures(fit_capture(bent))
    assert board.is_clear
    assert board.z > max(left.z, right.z)
    assert board.rms_px == pytest.approx(0.1, abs=0.05)
    known = fit_capture(bent, board_m=bowed(BOARD.object_points(), (3e-4, 1e-4)))
    assert not any(pattern.is_clear for pattern in structures(known))
    rig = RIGS["normal"]
    poor = replace(capture, rig=replace(rig, left=replace(rig.left, distortion=rig.left.distortion[:1].tolist() + [0.0] * 3)))
    left, right, board = structures(fit_capture(poor, frozen=("left.k2", "left.p1", "left.p2"), iterations=8))
    assert left.is_clear
    assert left.z > max(right.z, board.z)
    assert left.rms_px > 0.2


def test_too_few_corners_say_nothing() -> None:
    one = simulate(RIGS["normal"], Target("chessboard", 4, 3, 0.06), 1, seed=3)
    truth = fit_capture(one, iterations=0)
    assert all(np.isnan(pattern.p_value) and not pattern.is_clear for pattern in structures(truth))


def test_tables_add_up(fit: Fit) -> None:
    kept = fit.left.kept.copy()
    kept[:5] = False
    changed = replace(fit, left=replace(fit.left, kept=kept))
    rows = view_errors(changed)
    assert [row.name for row in rows] == list(fit.names)
    assert (rows[0].left_kept, rows[0].left_rejected, rows[0].right_kept, rows[0].right_rejected) == (49, 5, 54, 0)
    mean_square = np.average([row.left_rms_px**2 for row in rows], weights=[row.left_kept for row in rows])
    assert np.sqrt(mean_square) == pytest.approx(changed.left.rms_px())
    left, right = corner_errors(changed)
    assert left.counts.sum() == kept.sum()
    assert left.rejected[:5].tolist() == [1] * 5
    assert np.sqrt(np.average(right.rms_px**2, weights=right.counts)) == pytest.approx(changed.right.rms_px())
    assert np.average(right.mean_px, axis=0, weights=right.counts) == pytest.approx(fit.right.error_px.mean(0))


def test_a_good_calibration_is_called_good(fit: Fit) -> None:
    quality = judge(fit, held_out_errors(fit), folds=5)
    assert quality.grade == "good"
    assert quality.reasons == ()
    assert quality.verdict.startswith("good: depth at 2 m +-")
    assert quality.verdict.endswith("(calibration), rows agree within 0.15 px on pairs left out")
    assert quality.row_errors is not None
    assert quality.row_errors.count == 12 * 54
    assert quality.row_errors.median_px < quality.held_out_row_error_px < quality.row_errors.p95_px
    assert 0.0 < quality.baseline_sigma_m < 1e-3
    assert [row.depth_m for row in quality.depth] == [1.0, 2.0, 5.0, 10.0]


def test_what_limits_is_said(fit: Fit) -> None:
    errors = held_out_errors(fit)
    for changed, held_out, grade, words in (
        (fit, None, "usable", "too few pairs to leave any out"),
        (fit, 5.0 * errors, "usable", "rows differ by 0.7"),
        (fit, 20.0 * errors, "poor", "rows differ by 3 px"),
        (replace(fit, poses=(*fit.poses[:5], *[None] * 7)), errors, "usable", "only 5 pairs could be used; take 12 or more"),
        (replace(fit, poses=(*fit.poses[:4], *[None] * 8)), errors, "poor", "only 4 pairs could be used; take 12 or more"),
        (replace(fit, unsteady=2.0), errors, "usable", "motion of its own"),
        (replace(fit, noise_px=2.0), errors, "poor", "corners scatter by 2 px"),
        (replace(fit, disagreement=4.0), errors, "usable", "the pairs disagree 4 times"),
        (replace(fit, rig=replace(fit.rig, covariance=None)), errors, "usable", "no covariance"),
    ):
        quality = judge(changed, held_out, folds=5)
        assert quality.grade == grade
        assert words in quality.reasons[0].text
        assert quality.verdict.startswith(f"{grade}: ")
        assert f"; limit: {quality.reasons[0].text}" in quality.verdict
    assert fit.rig.covariance is not None
    unsure = replace(fit, rig=replace(fit.rig, covariance=fit.rig.covariance.scaled(np.full(24, 60.0))))
    quality = judge(unsure, errors, folds=5)
    assert quality.grade == "poor"
    assert "depth at 2 m is known to" in quality.reasons[0].text


def test_boards_held_alike_are_no_good() -> None:
    rig = RIGS["normal"]
    alike = [(np.eye(3), np.array([-0.1 + 0.01 * i, -0.08, 0.8])) for i in range(8)]
    quality = judge(fit_capture(simulate(rig, BOARD, 8, poses=alike, seed=1), iterations=0), np.full(100, 0.1), folds=4)
    assert quality.grade == "poor"
    texts = " ".join(reason.text for reason in quality.reasons)
    assert "never tilted by more than 0 degrees to each other" in texts
    assert "of the left image only" in texts


def test_other_depths_and_other_matchers(fit: Fit) -> None:
    quality = judge(fit, depths_m=[0.5, 3.0], sigma_disparity_px=0.4)
    assert [row.depth_m for row in quality.depth] == [0.5, 3.0]
    assert quality.reference_m == 3.0
    usual = judge(fit, depths_m=[0.5, 3.0])
    assert quality.depth[0].centre_matching_m == pytest.approx(2.0 * usual.depth[0].centre_matching_m)
