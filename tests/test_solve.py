from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib.adjust import _one_thread, check_invertible
from calib.camera import Camera
from calib.corner_order import Pose, agree_on_order
from calib.detect import detect_pairs
from calib.detection import Detection, PairView
from calib.errors import CalibrationError, UsageError
from calib.geometry import angle_deg, compose, rotation_from_vector
from calib.images import find_images
from calib.rig import StereoRig
from calib.solve import SolveResult, solve_rig
from calib.synthetic import Chessboard, board_views
from calib.target import Target

TARGET = Target("chessboard", 6, 4, 0.03)
LEFT = Camera(640, 480, 525.0, 527.0, 312.0, 247.0, np.array([-0.35, 0.16, 0.0003, -0.0004]))
RIGHT = Camera(640, 480, 531.0, 529.0, 325.0, 238.0, np.array([-0.34, 0.14, -0.0002, 0.0005]))
TOE_IN = StereoRig(LEFT, RIGHT, rotation_from_vector([0.01, 0.12, -0.008]), np.array([-0.119, 0.002, 0.006]))


def poses_of(rig: StereoRig, count: int, target: Target = TARGET) -> list[Pose]:
    return board_views(rig, count, Chessboard(target.columns, target.rows, target.square_m), seed=5)


def seen(
    rig: StereoRig,
    poses: Sequence[Pose],
    *,
    target: Target = TARGET,
    noise_px: float = 0.0,
    flipped: Sequence[int] = (),
    order: int = 1,
    moved_m: Sequence[float] = (),
) -> list[PairView]:
    """Projected corners of boards; in some pairs the right camera reads the board from another end, or sees it moved sideways."""
    rng = np.random.default_rng(11)
    pairs = []
    for i, (R, t) in enumerate(poses):
        late = np.array([moved_m[i], 0.0, 0.0]) if len(moved_m) else np.zeros(3)
        views = []
        for camera, (turn, shift) in (
            (rig.left, (R, t)),
            (rig.right, compose(rig.R_right_left, rig.t_right_left_m, R, t + late)),
        ):
            uv = camera.project(target.object_points() @ turn.T + shift)
            assert np.isfinite(uv).all()
            views.append(uv + rng.normal(0.0, noise_px, uv.shape))
        if i in flipped:
            views[1] = views[1][target.corner_orders()[order]]
        left, right = (Detection(uv, "truth") for uv in views)
        pairs.append(PairView(f"left{i + 1}.png, right{i + 1}.png", left, right))
    return pairs


def solve(pairs: Sequence[PairView], target: Target = TARGET, model: str = "auto") -> SolveResult:
    return solve_rig(pairs, target, (640, 480), model=model)


def assert_rig(found: StereoRig, truth: StereoRig, *, length_m: float, angle: float, focal_px: float) -> None:
    assert np.abs(found.t_right_left_m - truth.t_right_left_m).max() < length_m
    assert angle_deg(found.R_right_left @ truth.R_right_left.T) < angle
    for a, b in ((found.left, truth.left), (found.right, truth.right)):
        assert abs(a.focal_x_px - b.focal_x_px) < focal_px
        assert abs(a.centre_x_px - b.centre_x_px) < focal_px


def test_exact_corners_give_the_exact_rig() -> None:
    result = solve(seen(TOE_IN, poses_of(TOE_IN, 10)))
    assert result.stereo_rms_px < 1e-4  # OpenCV takes corners as float32
    assert_rig(result.rig, TOE_IN, length_m=1e-6, angle=1e-3, focal_px=0.02)
    np.testing.assert_allclose(result.rig.left.distortion, LEFT.distortion, atol=1e-4)
    assert result.notes == ()
    assert result.model == "radtan4"
    assert all(pair.used and not pair.repaired for pair in result.pairs)
    assert result.rig.provenance["target"] == "chessboard:6x4:30mm"
    assert result.rig.provenance["pairs"] == "10 of 10"


def test_the_error_of_noisy_corners_is_that_of_the_noise() -> None:
    """0.1 px in each axis are 0.141 px per corner, less the share that the free parameters explain."""
    result = solve(seen(TOE_IN, poses_of(TOE_IN, 20), noise_px=0.1))
    assert 0.125 < result.stereo_rms_px < 0.142
    assert_rig(result.rig, TOE_IN, length_m=5e-4, angle=0.1, focal_px=1.5)
    assert abs(result.rig.baseline_m / TOE_IN.baseline_m - 1.0) < 1e-3
    errors = np.array([[pair.left_rms_px, pair.right_rms_px, pair.rms_px] for pair in result.pairs], np.float64)
    np.testing.assert_allclose(np.sqrt((errors[:, :2] ** 2).mean(1)), errors[:, 2])
    assert np.sqrt((errors[:, 2] ** 2).mean()) == pytest.approx(result.stereo_rms_px)


@pytest.mark.parametrize("flipped", [[10], [0], [0, 3, 4, 9], [0, 1, 2, 3, 4, 5, 6, 8, 9], list(range(11))])
def test_boards_read_from_the_other_end_are_repaired_and_named(flipped: list[int]) -> None:
    """Whichever pairs they are, and even where most are flipped: the tilts of the boards tell, not a vote."""
    result = solve(seen(TOE_IN, poses_of(TOE_IN, 11), noise_px=0.1, flipped=flipped))
    assert [i for i, pair in enumerate(result.pairs) if pair.repaired] == flipped
    assert result.stereo_rms_px < 0.15
    assert_rig(result.rig, TOE_IN, length_m=5e-4, angle=0.3, focal_px=4.0)
    for i in flipped:
        assert any(f"pair {i + 1} (left{i + 1}.png, right{i + 1}.png)" in note and "repaired" in note for note in result.notes)
    assert len(result.notes) == len(flipped)


@pytest.mark.parametrize("flipped", [[0], [1, 2], [0, 1, 2, 3]])
def test_four_pairs_are_enough_for_a_repair(flipped: list[int]) -> None:
    result = solve(seen(TOE_IN, poses_of(TOE_IN, 4), noise_px=0.05, flipped=flipped))
    assert [i for i, pair in enumerate(result.pairs) if pair.repaired] == flipped
    assert abs(result.rig.baseline_m / TOE_IN.baseline_m - 1.0) < 0.01


UPSIDE_DOWN = StereoRig(LEFT, RIGHT, rotation_from_vector([0.0, 0.0, np.pi - 0.02]), np.array([0.06, 0.002, 0.006]))


def test_a_camera_mounted_upside_down_is_left_as_it_is() -> None:
    """All pairs agree on half a turn between the cameras: that is the rig, not a fault."""
    result = solve(seen(UPSIDE_DOWN, poses_of(UPSIDE_DOWN, 8), noise_px=0.1))
    assert not any(pair.repaired for pair in result.pairs)
    assert_rig(result.rig, UPSIDE_DOWN, length_m=1e-3, angle=0.3, focal_px=4.0)


def test_a_camera_mounted_upside_down_is_found_when_each_board_was_read_from_the_image_top() -> None:
    result = solve(seen(UPSIDE_DOWN, poses_of(UPSIDE_DOWN, 8), noise_px=0.1, flipped=range(8)))
    assert all(pair.repaired for pair in result.pairs)
    assert_rig(result.rig, UPSIDE_DOWN, length_m=1e-3, angle=0.3, focal_px=4.0)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_square_board_may_be_off_by_quarter_turns(order: int) -> None:
    target = Target("chessboard", 6, 6, 0.025)
    result = solve(seen(TOE_IN, poses_of(TOE_IN, 8, target), target=target, noise_px=0.1, flipped=[2, 5], order=order), target)
    assert [i for i, pair in enumerate(result.pairs) if pair.repaired] == [2, 5]
    assert_rig(result.rig, TOE_IN, length_m=1e-3, angle=0.3, focal_px=4.0)


def order_of(rig: StereoRig, poses: Sequence[Pose], flipped: Sequence[int], noise: float) -> tuple[int, ...]:
    """The choice for exact poses with noise, where some right boards are turned by half a turn."""
    rng = np.random.default_rng(2)
    board = TARGET.object_points()
    half, middle = rotation_from_vector([0.0, 0.0, np.pi]), board.mean(0)
    right = []
    for i, (R, t) in enumerate(poses):
        R2, t2 = compose(rig.R_right_left, rig.t_right_left_m, R, t)
        R2 = R2 @ rotation_from_vector(rng.normal(0.0, noise, 3))
        right.append((R2 @ half, R2 @ (middle - half @ middle) + t2) if i in flipped else (R2, t2))
    return agree_on_order(board, poses, right, TARGET.corner_orders()).choice


@pytest.mark.parametrize("flipped", [[], [0], [1], [0, 1]])
def test_two_pairs_are_enough_to_tell_the_order(flipped: list[int]) -> None:
    expected = tuple(int(i in flipped) for i in range(2))
    assert order_of(TOE_IN, poses_of(TOE_IN, 2), flipped, 0.003) == expected


@pytest.mark.parametrize("flipped", [[], [0], [0, 1]])
def test_boards_held_alike_leave_the_cameras_upright(flipped: list[int]) -> None:
    """One pose seen twice cannot tell; two cameras of a rig are seldom upside down to each other."""
    (R, t), _ = poses_of(TOE_IN, 2)
    expected = tuple(int(i in flipped) for i in range(2))
    assert order_of(TOE_IN, [(R, t), (R, t + np.array([0.0, 0.0, 0.02]))], flipped, 0.001) == expected


def test_a_board_with_one_reading_is_never_turned() -> None:
    target = Target("chessboard", 7, 4, 0.03)
    pairs = seen(TOE_IN, poses_of(TOE_IN, 6, target), target=target, noise_px=0.1)
    assert not any(pair.repaired for pair in solve(pairs, target).pairs)
    assert len(target.corner_orders()) == 1


def test_a_pair_without_a_board_is_left_out_and_named() -> None:
    pairs = seen(TOE_IN, poses_of(TOE_IN, 6), noise_px=0.05)
    pairs[2] = replace(pairs[2], right=None, problem="no board found in right3.png")
    result = solve(pairs)
    assert [pair.used for pair in result.pairs] == [True, True, False, True, True, True]
    assert result.pairs[2].rms_px is None
    assert result.pairs[2].left_detector == "truth"
    assert result.pairs[2].right_detector is None
    assert result.notes == ("pair 3 (left3.png, right3.png) left out: no board found in right3.png",)
    assert result.rig.provenance["pairs"] == "5 of 6"


def test_a_pair_of_two_moments_is_left_out_and_named() -> None:
    moved = [0.0] * 9
    moved[4] = 0.06
    result = solve(seen(TOE_IN, poses_of(TOE_IN, 9), noise_px=0.1, moved_m=moved))
    assert [i for i, pair in enumerate(result.pairs) if not pair.used] == [4]
    assert "pair 5 (left5.png, right5.png) left out: contradicts the other pairs" in result.notes
    assert_rig(result.rig, TOE_IN, length_m=5e-4, angle=0.3, focal_px=4.0)


def test_a_misplaced_row_of_corners_is_left_out() -> None:
    pairs = seen(TOE_IN, poses_of(TOE_IN, 9), noise_px=0.05)
    found = pairs[7].left
    assert found is not None
    uv = found.corners_uv.copy()
    uv[:6] += 3.0
    pairs[7] = replace(pairs[7], left=Detection(uv, "truth"))
    result = solve(pairs)
    assert [i for i, pair in enumerate(result.pairs) if not pair.used] == [7]
    assert result.stereo_rms_px < 0.08


def test_pairs_that_are_all_a_little_apart_in_time_are_doubted() -> None:
    moved = [0.002 * (-1.0) ** i for i in range(10)]
    result = solve(seen(TOE_IN, poses_of(TOE_IN, 10), noise_px=0.05, moved_m=moved))
    assert any("may not be of the same moment" in note for note in result.notes)


def test_errors_far_above_those_of_sharp_corners_are_doubted() -> None:
    """0.35 px in each axis, as from a bent board or a lens that the model does not fit, are 0.49 px per corner."""
    result = solve(seen(TOE_IN, poses_of(TOE_IN, 10), noise_px=0.35))
    assert any("several times what sharp corners give" in note for note in result.notes)


def test_pairs_that_fit_no_rig_are_refused_with_the_worst_named() -> None:
    moved = [0.1, -0.1, 0.07, 0.0, 0.05, -0.08, 0.03, -0.02]
    with pytest.raises(
        CalibrationError, match=r"no rig explains all pairs: \d+\.\d\d px rms \(limit 1\.00 px\).*left\d\.png, right"
    ):
        solve(seen(TOE_IN, poses_of(TOE_IN, 8), moved_m=moved))


def test_the_scale_is_that_of_the_square() -> None:
    """A wrong square size fits as well as the right one: only the lengths change."""
    pairs = seen(TOE_IN, poses_of(TOE_IN, 8), noise_px=0.05)
    one, two = solve(pairs), solve(pairs, replace(TARGET, square_m=0.015))
    assert two.rig.baseline_m == pytest.approx(one.rig.baseline_m / 2.0, rel=1e-5)
    assert two.stereo_rms_px == pytest.approx(one.stereo_rms_px, rel=1e-3)


def test_corners_of_another_grid_are_refused() -> None:
    """6 x 4 corners listed column by column."""
    pairs = []
    for pair in seen(TOE_IN, poses_of(TOE_IN, 6)):
        assert pair.left is not None
        assert pair.right is not None
        left, right = (
            Detection(view.corners_uv.reshape(4, 6, 2).transpose(1, 0, 2).reshape(-1, 2), "truth")
            for view in (pair.left, pair.right)
        )
        pairs.append(replace(pair, left=left, right=right))
    with pytest.raises(
        CalibrationError, match=r"left camera: the corners miss their prediction by \d+\.\d\d px rms \(limit 1\.00 px\)"
    ):
        solve(pairs)


def test_corners_of_another_board_are_refused() -> None:
    with pytest.raises(CalibrationError, match=r"24 corners, but chessboard:7x5:30mm has 35"):
        solve(seen(TOE_IN, poses_of(TOE_IN, 4)), Target("chessboard", 7, 5, 0.03))


def test_too_few_pairs_are_refused_with_the_reasons() -> None:
    pairs = seen(TOE_IN, poses_of(TOE_IN, 5))
    with pytest.raises(CalibrationError, match="found in both images of 2 of 2 pairs; at least 3"):
        solve(pairs[:2])
    blank = [replace(pair, left=None, problem=f"no board found in {pair.name[:9]}") for pair in pairs]
    with pytest.raises(CalibrationError, match=r"of 0 of 5 pairs.*no board found in left1\.png; .*; \.\.\.$"):
        solve(blank)


@pytest.mark.parametrize("tilt", [0.0, 0.02])
@pytest.mark.parametrize("lean", [0.0, 0.4])
def test_boards_held_all_alike_are_refused(tilt: float, lean: float) -> None:
    """Parallel boards cannot tell the focal length, be they upright or leaning."""
    rng = np.random.default_rng(4)
    board = TARGET.object_points()
    poses = []
    for _ in range(8):
        R = rotation_from_vector([lean, 0.0, 0.0]) @ rotation_from_vector([*rng.normal(0.0, tilt, 2), rng.normal(0.0, 0.3)])
        poses.append((R, np.array([*rng.uniform(-0.05, 0.05, 2), rng.uniform(0.4, 0.6)]) - R @ board.mean(0)))
    with pytest.raises(CalibrationError, match=r"camera: (the boards are all held alike|the focal length is uncertain)"):
        solve(seen(TOE_IN, poses, noise_px=0.05))


def test_left_and_right_that_look_swapped_are_questioned() -> None:
    swapped = StereoRig(RIGHT, LEFT, TOE_IN.R_right_left.T, -TOE_IN.R_right_left.T @ TOE_IN.t_right_left_m)
    result = solve(seen(swapped, poses_of(swapped, 6), noise_px=0.05))
    assert result.rig.t_right_left_m[0] > 0.0
    assert any("119 mm to the left" in note and "are LEFT and RIGHT swapped?" in note for note in result.notes)


def test_k3_is_used_where_the_corners_prove_it() -> None:
    wide = [replace(camera, distortion=np.array([-0.30, 0.20, 0.0, 0.0, -0.12])) for camera in (LEFT, RIGHT)]
    rig = replace(TOE_IN, left=wide[0], right=wide[1])
    result = solve(seen(rig, poses_of(rig, 12), noise_px=0.05))
    assert result.model == "radtan5"
    assert len(result.rig.left.distortion) == 5
    assert solve(seen(TOE_IN, poses_of(TOE_IN, 12), noise_px=0.05)).model == "radtan4"


def test_the_model_can_be_chosen() -> None:
    pairs = seen(TOE_IN, poses_of(TOE_IN, 12), noise_px=0.02)
    four, five = solve(pairs, model="radtan4"), solve(pairs, model="radtan5")
    assert (four.model, five.model) == ("radtan4", "radtan5")
    assert five.stereo_rms_px <= four.stereo_rms_px
    with pytest.raises(UsageError, match="unknown lens model 'fisheye'; known are auto, radtan4, radtan5, radtan8"):
        solve(pairs, model="fisheye")


def test_a_lens_that_folds_back_inside_the_image_is_refused() -> None:
    good = Camera(640, 480, 525.0, 525.0, 320.0, 240.0, np.array([-0.35, 0.16, 0.0, 0.0]))
    check_invertible(good, "left", "radtan4")
    folded = replace(good, distortion=np.array([-0.35, 0.0, 0.0, 0.0]))  # r (1 - 0.35 r^2) is greatest at 44.3 degrees
    with pytest.raises(CalibrationError, match=r"left camera: .* folds back 44\.3 degrees off the axis, inside"):
        check_invertible(folded, "left", "radtan4")
    check_invertible(folded.crop(200, 150, 240, 180), "left", "radtan4")  # the middle alone is fine


def test_cameras_of_different_sizes_make_a_rig() -> None:
    small = RIGHT.scale(0.5)
    rig = replace(TOE_IN, right=small)
    result = solve_rig(seen(rig, poses_of(rig, 8)), TARGET, (640, 480), right_size=(320, 240))
    assert result.rig.right.size == (320, 240)
    assert_rig(result.rig, rig, length_m=1e-5, angle=0.01, focal_px=0.1)


def test_solves_at_once_restore_the_number_of_threads() -> None:
    """The one that began first ends first: the other must neither run on with many threads nor leave one behind."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        first, second = _one_thread(), _one_thread()
        first.__enter__()
        second.__enter__()
        assert cv2.getNumThreads() == 1
        first.__exit__(None, None, None)
        assert cv2.getNumThreads() == 1
        second.__exit__(None, None, None)
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


def truth_of(name: str) -> tuple[str, str, Target]:
    return {
        "bumblebee2": ("{0}/left*.jpg", "{0}/right*.jpg", Target("chessboard", 6, 4, 0.03)),
        "opencv": ("{0}/left[0-9]*.jpg", "{0}/right[0-9]*.jpg", Target("chessboard", 9, 6, 1.0)),
        "pinhole": ("{0}/left*.jpg", "{0}/right*.jpg", Target("chessboard", 9, 6, 0.02423)),
        "boards": ("{0}/BoardStereoL*.png", "{0}/BoardStereoR*.png", Target("chessboard", 7, 5, 1.0)),
    }[name]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "folder", "pairs", "repaired", "rms_px", "baseline_m", "angle"),
    [
        ("bumblebee2", "bumblebee2_boofcv/calibration/stereo/Bumblebee2_Chess", 11, [11], 0.09, (0.1195, 0.1205), 0.6),
        ("opencv", "calib_opencv_chess", 14, [], 0.21, (3.31, 3.34), 0.7),  # one unit = one square
        ("pinhole", "calib_pinhole_sourishg", 29, [], 0.25, (0.0935, 0.0945), 1.8),
        ("boards", "calib_opencv_boards", 6, [3], 0.34, (4.45, 4.53), 13.0),
    ],
)
def test_real_rigs(
    data_folder: Path,
    name: str,
    folder: str,
    pairs: int,
    repaired: list[int],
    rms_px: float,
    baseline_m: tuple[float, float],
    angle: float,
) -> None:
    left, right, target = truth_of(name)
    where = data_folder / folder
    views = detect_pairs(find_images(left.format(where)), find_images(right.format(where)), target)
    result = solve_rig(views.pairs, target, views.left_size)
    assert len(result.pairs) == pairs
    assert all(pair.used for pair in result.pairs)
    assert [i for i, pair in enumerate(result.pairs, 1) if pair.repaired] == repaired
    assert result.stereo_rms_px < rms_px
    assert baseline_m[0] < result.rig.baseline_m < baseline_m[1]
    assert angle - 0.5 < angle_deg(result.rig.R_right_left) < angle
