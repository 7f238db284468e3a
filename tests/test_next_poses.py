"""Proposed poses: what is promised comes true, and it takes fewer pairs than chance does."""

from dataclasses import replace

import numpy as np
import pytest

from calib.corner_order import Pose
from calib.covariance import RigCovariance
from calib.depth_sigma import depth_sigma
from calib.errors import CalibrationError
from calib.fit import Fit
from calib.geometry import rotation_from_vector
from calib.next_poses import NextPose, _random_places, _Search, _tilt, _where, next_poses
from calib.synthetic.capture import simulate
from calib.synthetic.rigs import simulated_rigs
from calib.target import Target
from tests.fitting import fit_capture, information

RIGS = simulated_rigs()
BOARD = Target("chessboard", 9, 6, 0.03)
START = 4
NOISE_PX = 0.1


def started(name: str, seed: int) -> Fit:
    return fit_capture(simulate(RIGS[name], BOARD, START, noise_px=NOISE_PX, seed=seed))


def grown(fit: Fit, poses: list[Pose]) -> Fit:
    """The fit with more views, by the covariance that they lead to."""
    assert fit.rig.covariance is not None
    told = np.linalg.inv(fit.rig.covariance.matrix) + information(fit.rig, fit.board_m, poses) / fit.noise_px**2
    matrix = np.linalg.inv(told)
    rig = replace(fit.rig, covariance=RigCovariance(fit.rig.covariance.names, 0.5 * (matrix + matrix.T)))
    return replace(fit, rig=rig, poses=(*fit.poses, *poses))


def error(fit: Fit) -> float:
    """Mean over image and depths of sigma over depth."""
    w, h = fit.rig.left.size
    x, y = np.meshgrid((np.arange(6) + 0.5) * w / 6 - 0.5, (np.arange(5) + 0.5) * h / 5 - 0.5)
    depths = np.array([1.0, 2.0, 5.0, 10.0])[:, None, None]
    return float(np.nanmean(depth_sigma(fit.rig, np.stack([x, y], -1), depths) / depths))


def test_the_promise_is_kept_by_the_information_and_by_a_new_solution() -> None:
    fit = started("normal", 3)
    found = next_poses(fit, count=3)
    assert len(found) == 3
    assert found[0].sigma_before == pytest.approx(error(fit))
    added: list[Pose] = []
    for number, pose in enumerate(found):
        added.append((pose.R, pose.t))
        assert pose.sigma_after == pytest.approx(error(grown(fit, added)), rel=1e-3)
        assert pose.sigma_after < 0.95 * pose.sigma_before
        assert number == 0 or pose.sigma_before == found[number - 1].sigma_after
        assert pose.gain == pytest.approx(1.0 - pose.sigma_after / pose.sigma_before)
    poses = [pose for pose in fit.poses if pose is not None] + added
    again = fit_capture(simulate(RIGS["normal"], BOARD, len(poses), noise_px=NOISE_PX, seed=9, poses=poses))
    assert error(again) == pytest.approx(found[-1].sigma_after, rel=0.15)


@pytest.mark.parametrize(("name", "seed"), [("normal", 0), ("tele", 1), ("vertical", 2), ("fisheye", 0)])
def test_proposals_need_fewer_pairs_than_chance(name: str, seed: int) -> None:
    fit = started(name, seed)
    search = _Search(fit, np.array([2.0]))
    R, t = search.poses(_random_places(3000, np.random.default_rng(seed)))
    visible, _ = search.visibility(R, t)
    chance = [(R[i], t[i]) for i in np.flatnonzero(visible)[: 20 - START]]
    assert len(chance) == 20 - START
    goal = error(grown(fit, chance))
    pairs = START
    while error(fit) > goal:
        for pose in next_poses(fit, least_gain=0.0, seed=pairs):
            fit = grown(fit, [(pose.R, pose.t)])
            pairs += 1
            if error(fit) <= goal:
                break
    assert pairs <= 12  # of 20


@pytest.mark.parametrize("name", ["toe-in", "unequal", "fisheye"])
def test_both_cameras_see_the_whole_board(name: str) -> None:
    fit = started(name, 5)
    found = next_poses(fit)
    assert found
    nearest, farthest = (f(np.linalg.norm(R @ [0.12, 0.075, 0.0] + t) for R, t in fit.poses) for f in (min, max))  # type: ignore[misc]
    for pose in found:
        outline = np.column_stack([BOARD.outline_m(), np.zeros(4)]) @ pose.R.T + pose.t
        assert np.allclose(pose.left_outline_uv, fit.rig.left.project(outline))
        in_right = outline @ fit.rig.R_right_left.T + fit.rig.t_right_left_m
        assert np.allclose(pose.right_outline_uv, fit.rig.right.project(in_right))
        for uv, camera in ((pose.left_outline_uv, fit.rig.left), (pose.right_outline_uv, fit.rig.right)):
            assert (uv > 0.0).all()
            assert (uv < camera.size).all()
        assert np.allclose(pose.R @ pose.R.T, np.eye(3))
        slack = fit.rig.baseline_m  # places in the right image are that far from the right camera
        assert 0.84 * nearest - slack < np.linalg.norm(pose.R @ [0.12, 0.075, 0.0] + pose.t) < 1.31 * farthest + slack
        assert pose.words.startswith("board ")
        assert " of the left image, " in pose.words


def test_boards_with_ids_may_reach_out_of_the_image() -> None:
    board = Target("charuco", 9, 6, 0.04, 0.03, "DICT_5X5_100")
    fit = fit_capture(simulate(RIGS["normal"], board, 6, noise_px=NOISE_PX, seed=2))
    found = next_poses(fit)
    assert found
    size = np.array(fit.rig.left.size)
    assert any(((pose.left_outline_uv < 0.0) | (pose.left_outline_uv > size)).any() for pose in found)
    for pose in found:
        uv = fit.rig.left.project(board.object_points() @ pose.R.T + pose.t)
        assert ((uv > 0.0) & (uv < size)).all(-1).mean() >= 0.5


def test_it_stops_when_nothing_helps_and_is_the_same_each_time() -> None:
    fit = started("normal", 3)
    assert next_poses(fit, least_gain=0.9) == ()
    assert len(next_poses(fit, count=2)) == 2
    first, second = next_poses(fit, count=1)[0], next_poses(fit, count=1)[0]
    assert isinstance(first, NextPose)
    assert first.words == second.words
    assert (first.R == second.R).all()
    assert next_poses(replace(fit, poses=(None,) * len(fit.poses))) == ()
    assert next_poses(fit, depths_m=[0.01]) == ()  # no camera sees what the other does, so near
    with pytest.raises(CalibrationError, match="no covariance"):
        next_poses(replace(fit, rig=replace(fit.rig, covariance=None)))


def test_noise_and_disagreement_lower_what_a_view_tells() -> None:
    fit = started("normal", 3)
    clean, noisy, torn = (
        next_poses(each, count=1, least_gain=0.0)[0].gain
        for each in (fit, replace(fit, noise_px=2.0 * fit.noise_px), replace(fit, disagreement=2.0))
    )
    assert noisy < 0.95 * clean
    assert torn == pytest.approx(noisy)


def test_words() -> None:
    assert _where(np.array([0.1, 0.9])) == "near the lower left corner"
    assert _where(np.array([0.5, 0.1])) == "near the upper edge"
    assert _where(np.array([0.9, 0.5])) == "near the right edge"
    assert _where(np.array([0.5, 0.5])) == "in the middle"
    ahead = np.array([0.0, 0.0, 1.0])
    assert _tilt(np.eye(3), ahead) == "facing the camera"
    # about y by a positive angle the right side comes nearer; about x by a positive angle the lower side goes away
    assert _tilt(rotation_from_vector([0.0, np.radians(30.0), 0.0]), ahead) == "tilted by 30 degrees, its left side farther away"
    assert _tilt(rotation_from_vector([np.radians(20.0), 0.0, 0.0]), ahead) == "tilted by 20 degrees, its lower side farther away"
    both = rotation_from_vector([np.radians(25.0), np.radians(-25.0), 0.0])
    assert _tilt(both, ahead) == "tilted by 35 degrees, its lower right corner farther away"
