"""Simulated captures: exact where they are said to be exact, and noisy as they are said to be noisy."""

import numpy as np
import pytest

from calib.errors import UsageError
from calib.rig import StereoRig
from calib.synthetic.capture import Capture, bowed, simulate
from calib.synthetic.rigs import simulated_rigs, tilt_limit_deg
from calib.target import Target

BOARD = Target("chessboard", 9, 6, 0.03)
RIGS = simulated_rigs()


def errors_px(capture: Capture, side: int) -> np.ndarray:
    """(K, 2) seen minus projected corners of one camera, by OpenCV-free arithmetic of the test's own."""
    found = []
    for pair, (R, t) in zip(capture.views.pairs, capture.poses_left, strict=True):
        detection = pair.right if side else pair.left
        if detection is None:
            continue
        points = capture.board_m[detection.ids] @ R.T + t
        if side:
            points = points @ capture.rig.R_right_left.T + capture.rig.t_right_left_m
        camera = capture.rig.right if side else capture.rig.left
        found.append(detection.corners_uv - camera.project(points))
    return np.concatenate(found)


def seen(capture: Capture) -> list[tuple[bool, bool]]:
    return [(pair.left is not None, pair.right is not None) for pair in capture.views.pairs]


@pytest.mark.parametrize("name", RIGS)
def test_every_rig_sees_whole_boards_in_both_images(name: str) -> None:
    rig = RIGS[name]
    capture = simulate(rig, BOARD, 20, noise_px=0.0, tilt_deg=tilt_limit_deg(name), seed=3)
    assert seen(capture) == [(True, True)] * 20
    for side, camera in enumerate((rig.left, rig.right)):
        assert np.abs(errors_px(capture, side)).max() < 1e-9
        uv = np.concatenate([(p.right if side else p.left).corners_uv for p in capture.views.pairs])  # type: ignore[union-attr]
        assert (uv >= 0).all()
        assert (uv <= np.array(camera.size) - 1).all()
        assert (np.ptp(uv, axis=0) > 0.6 * np.array(camera.size)).any()
    tilts = np.degrees(np.arccos([R[2, 2] for R, _ in capture.poses_left]))
    if rig.left.focal_x_px > 600.0:  # wide lenses see boards that are turned towards them besides
        assert tilts.max() <= tilt_limit_deg(name) + 15.1


@pytest.mark.parametrize("name", RIGS)
def test_every_lens_can_be_inverted_all_over_its_image(name: str) -> None:
    rig: StereoRig = RIGS[name]
    for camera in (rig.left, rig.right):
        u, v = np.meshgrid(np.linspace(0, camera.width - 1, 17), np.linspace(0, camera.height - 1, 13))
        uv = np.stack([u, v], -1)
        assert np.abs(camera.project(camera.unproject(uv)) - uv).max() < 1e-6


def test_noise_and_outliers_are_as_ordered() -> None:
    capture = simulate(RIGS["normal"], BOARD, 40, noise_px=0.3, outlier_share=0.05, seed=1)
    for side in (0, 1):
        wrong = np.concatenate([masks[side] for masks in capture.outliers])
        error = errors_px(capture, side)
        assert 0.03 < wrong.mean() < 0.07
        assert error[~wrong].std() == pytest.approx(0.3, rel=0.05)
        assert abs(error[~wrong].mean()) < 0.03
        length = np.linalg.norm(error[wrong], axis=1)
        assert length.min() > 1.0
        assert length.max() < 32.0
        assert np.median(length) > 10.0


def test_bow_is_the_one_of_the_model() -> None:
    board = bowed(BOARD.object_points(), (0.001, -0.002))
    z = board[:, 2].reshape(6, 9)
    assert z[0, 0] == pytest.approx(0.0)
    assert z[-1, -1] == pytest.approx(0.0)
    assert z[0, 4] == pytest.approx(0.001)  # the middle of the first row: u = 0, v = -1
    assert z[2, 0] == pytest.approx(-0.002 * (1 - 0.2**2))
    capture = simulate(RIGS["normal"], BOARD, 4, noise_px=0.0, bow_m=(0.001, -0.002))
    assert np.array_equal(capture.board_m, board)
    assert np.abs(errors_px(capture, 1)).max() < 1e-9


def test_one_sided_pairs_follow_the_whole_ones() -> None:
    capture = simulate(RIGS["normal"], BOARD, 3, one_sided=3)
    assert seen(capture) == [(True, True)] * 3 + [(True, False), (False, True), (True, False)]
    assert "right image" in capture.views.pairs[3].problem
    assert "left image" in capture.views.pairs[4].problem


def test_equal_seeds_give_equal_captures_and_places_can_be_given() -> None:
    one, two, other = (simulate(RIGS["toe-in"], BOARD, 5, seed=seed) for seed in (7, 7, 8))
    assert np.array_equal(errors_px(one, 0), errors_px(two, 0))
    assert not np.array_equal(one.poses_left[0][1], other.poses_left[0][1])
    again = simulate(RIGS["toe-in"], BOARD, 5, noise_px=0.0, poses=one.poses_left)
    assert again.poses_left == one.poses_left
    assert np.abs(errors_px(again, 1)).max() < 1e-9


def test_cameras_that_look_apart_are_refused() -> None:
    rig = RIGS["normal"]
    apart = StereoRig(rig.left, rig.right, np.diag([-1.0, 1.0, -1.0]), rig.t_right_left_m)
    with pytest.raises(UsageError, match="hardly overlap"):
        simulate(apart, BOARD, 2)
