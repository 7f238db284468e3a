from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calib.camera import Camera
from calib.corner_order import Pose, agree_on_order
from calib.detect import detect_pairs
from calib.detection import BoardViews, Detection, PairView
from calib.errors import CalibrationError, UsageError
from calib.geometry import Array, angle_deg, compose, rotation_from_vector
from calib.images import find_images
from calib.joint_fit import _size_variance
from calib.plausible import is_invertible
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
    board_m: Array | None = None,
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
            uv = camera.project((target.object_points() if board_m is None else board_m) @ turn.T + shift)
            assert np.isfinite(uv).all()
            views.append(uv + rng.normal(0.0, noise_px, uv.shape))
        if i in flipped:
            views[1] = views[1][target.corner_orders()[order]]
        left, right = (Detection(uv, "truth") for uv in views)
        pairs.append(PairView(f"left{i + 1}.png, right{i + 1}.png", left, right))
    return pairs


def solve(pairs: Sequence[PairView], target: Target = TARGET, model: str = "radtan4", warp: str = "off") -> SolveResult:
    return solve_rig(BoardViews(tuple(pairs), (640, 480), (640, 480), target), model=model, warp=warp)


def repaired(result: SolveResult) -> list[int]:
    return sorted(result.fit.repaired)


def assert_rig(found: StereoRig, truth: StereoRig, *, length_m: float, angle: float, focal_px: float) -> None:
    assert np.abs(found.t_right_left_m - truth.t_right_left_m).max() < length_m
    assert angle_deg(found.R_right_left @ truth.R_right_left.T) < angle
    for a, b in ((found.left, truth.left), (found.right, truth.right)):
        assert abs(a.focal_x_px - b.focal_x_px) < focal_px
        assert abs(a.centre_x_px - b.centre_x_px) < focal_px


def test_exact_corners_give_the_exact_rig() -> None:
    result = solve(seen(TOE_IN, poses_of(TOE_IN, 10)), model="auto")
    assert result.stereo_rms_px < 1e-8
    assert_rig(result.rig, TOE_IN, length_m=1e-10, angle=1e-7, focal_px=1e-6)
    np.testing.assert_allclose(result.rig.left.distortion, LEFT.distortion, atol=1e-9)
    assert result.notes == ()
    assert result.model == "radtan4"
    assert result.fit.rejected_share == 0.0
    assert not result.fit.repaired
    assert not result.fit.dropped
    assert result.rig.provenance["target"] == "chessboard:6x4:30mm"
    assert result.rig.provenance["verdict"] == result.quality.verdict
    assert result.rig.provenance["pairs"] == "10 of 10"


def test_the_error_of_noisy_corners_is_that_of_the_noise() -> None:
    """0.1 px in each axis are 0.141 px per corner, less the share that the free parameters explain."""
    result = solve(seen(TOE_IN, poses_of(TOE_IN, 20), noise_px=0.1))
    assert 0.125 < result.stereo_rms_px < 0.142
    assert_rig(result.rig, TOE_IN, length_m=5e-4, angle=0.1, focal_px=1.5)
    assert abs(result.rig.baseline_m / TOE_IN.baseline_m - 1.0) < 1e-3
    assert result.fit.noise_px == pytest.approx(0.1, rel=0.04)
    assert 0.1 < result.quality.held_out_row_error_px < 0.17  # two corners and a rig made without them


@pytest.mark.parametrize("flipped", [[10], [0], [0, 3, 4, 9], [0, 1, 2, 3, 4, 5, 6, 8, 9], list(range(11))])
def test_boards_read_from_the_other_end_are_repaired_and_named(flipped: list[int]) -> None:
    """Whichever pairs they are, and even where most are flipped: the tilts of the boards tell, not a vote."""
    result = solve(seen(TOE_IN, poses_of(TOE_IN, 11), noise_px=0.1, flipped=flipped))
    assert repaired(result) == flipped
    assert result.stereo_rms_px < 0.15
    assert_rig(result.rig, TOE_IN, length_m=5e-4, angle=0.3, focal_px=4.0)
    assert all("different ends" in how for how in result.fit.repaired.values())


@pytest.mark.parametrize("flipped", [[0], [1, 2], [0, 1, 2, 3]])
def test_four_pairs_are_enough_for_a_repair(flipped: list[int]) -> None:
    result = solve(seen(TOE_IN, poses_of(TOE_IN, 4), noise_px=0.05, flipped=flipped))
    assert repaired(result) == flipped
    assert abs(result.rig.baseline_m / TOE_IN.baseline_m - 1.0) < 0.01


UPSIDE_DOWN = StereoRig(LEFT, RIGHT, rotation_from_vector([0.0, 0.0, np.pi - 0.02]), np.array([0.06, 0.002, 0.006]))


def test_a_camera_mounted_upside_down_is_left_as_it_is() -> None:
    """All pairs agree on half a turn between the cameras: that is the rig, not a fault."""
    result = solve(seen(UPSIDE_DOWN, poses_of(UPSIDE_DOWN, 8), noise_px=0.1))
    assert not result.fit.repaired
    assert_rig(result.rig, UPSIDE_DOWN, length_m=1e-3, angle=0.3, focal_px=4.0)


def test_a_camera_mounted_upside_down_is_found_when_each_board_was_read_from_the_image_top() -> None:
    result = solve(seen(UPSIDE_DOWN, poses_of(UPSIDE_DOWN, 8), noise_px=0.1, flipped=range(8)))
    assert repaired(result) == list(range(8))
    assert_rig(result.rig, UPSIDE_DOWN, length_m=1e-3, angle=0.3, focal_px=4.0)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_square_board_may_be_off_by_quarter_turns(order: int) -> None:
    target = Target("chessboard", 6, 6, 0.025)
    result = solve(seen(TOE_IN, poses_of(TOE_IN, 8, target), target=target, noise_px=0.1, flipped=[2, 5], order=order), target)
    assert repaired(result) == [2, 5]
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
    assert not solve(pairs, target).fit.repaired
    assert len(target.corner_orders()) == 1


def test_views_of_one_camera_alone_help() -> None:
    pairs = seen(TOE_IN, poses_of(TOE_IN, 14), noise_px=0.1)
    few = [pair if i < 6 else replace(pair, right=None, problem="no board found") for i, pair in enumerate(pairs)]
    alone, helped = solve(pairs[:6], model="radtan4"), solve(few, model="radtan4")
    assert helped.rig.sigma("left.focal_x_px") < 0.9 * alone.rig.sigma("left.focal_x_px")
    assert helped.rig.provenance["pairs"] == "6 of 14"
    assert_rig(helped.rig, TOE_IN, length_m=1e-3, angle=0.2, focal_px=3.0)
    assert all(pose is not None for pose in helped.fit.poses)


@pytest.mark.parametrize("flipped", [[3], [1, 4, 6]])
def test_corners_given_in_an_order_that_colours_forbid_are_mended(flipped: list[int]) -> None:
    """A board of 7 x 4 corners does not look the same after half a turn, but corners may come from elsewhere."""
    target = Target("chessboard", 7, 4, 0.03)
    pairs = seen(TOE_IN, poses_of(TOE_IN, 9, target), target=target, noise_px=0.1)
    for i in flipped:
        view = pairs[i].right
        assert view is not None
        pairs[i] = replace(pairs[i], right=Detection(view.corners_uv[::-1], "elsewhere"))
    result = solve(pairs, target)
    assert repaired(result) == flipped
    assert_rig(result.rig, TOE_IN, length_m=1e-3, angle=0.3, focal_px=4.0)


def test_a_pair_of_two_moments_is_taken_apart() -> None:
    moved = [0.0] * 9
    moved[4] = 0.06
    result = solve(seen(TOE_IN, poses_of(TOE_IN, 9), noise_px=0.1, moved_m=moved))
    assert list(result.fit.dropped) == [4]
    assert "contradict" in result.fit.dropped[4]
    assert result.rig.provenance["pairs"] == "8 of 9"
    assert_rig(result.rig, TOE_IN, length_m=5e-4, angle=0.3, focal_px=4.0)


def test_pairs_a_little_apart_in_time_are_taken_apart_where_the_others_stand_still() -> None:
    moved = [0.002 * (i % 3 == 0) for i in range(12)]
    result = solve(seen(TOE_IN, poses_of(TOE_IN, 12), noise_px=0.05, moved_m=moved))
    assert set(result.fit.dropped) == {0, 3, 6, 9}
    assert result.fit.unsteady > 2.0
    assert_rig(result.rig, TOE_IN, length_m=4e-4, angle=0.2, focal_px=3.0)


def test_a_misprinted_board_is_found_and_does_no_harm() -> None:
    """Columns of a chessboard printed up to 0.2 mm beside their places, as printers do."""
    target = Target("chessboard", 9, 6, 0.025)
    board = target.object_points()
    columns = np.array([0.1, -0.15, 0.05, 0.2, -0.1, 0.0, 0.15, -0.2, -0.05]) * 1e-3
    board[:, 0] += np.tile(columns, 6)
    pairs = seen(TOE_IN, poses_of(TOE_IN, 12, target), target=target, noise_px=0.08, board_m=board)
    free, flat = solve(pairs, target, warp="auto"), solve(pairs, target)
    assert free.fit.board_shape == "free"
    off = (free.fit.board_m - target.object_points())[:, 0].reshape(6, 9).mean(0)
    assert np.corrcoef(off, columns)[0, 1] > 0.95
    assert free.stereo_rms_px < 0.115
    assert flat.stereo_rms_px > 0.15
    assert free.quality.held_out_row_error_px < flat.quality.held_out_row_error_px * 1.05
    assert_rig(free.rig, TOE_IN, length_m=4e-4, angle=0.2, focal_px=2.0)
    sound = solve(seen(TOE_IN, poses_of(TOE_IN, 12, target), target=target, noise_px=0.08), target, warp="auto")
    assert sound.fit.board_shape != "free"


def test_a_board_stretched_one_way_leaves_the_scale_uncertain() -> None:
    """0.4 % between the two directions: the right size lies somewhere between, 0.4 % / sqrt(12)."""
    points = Target("chessboard", 9, 6, 0.025).object_points()
    assert np.sqrt(_size_variance(points, points * [1.004, 1.0, 1.0])) == pytest.approx(0.00115, rel=0.02)
    assert _size_variance(points, points) == 0.0


def test_misplaced_corners_are_left_out_one_by_one() -> None:
    pairs = seen(TOE_IN, poses_of(TOE_IN, 9), noise_px=0.05)
    found = pairs[7].left
    assert found is not None
    uv = found.corners_uv.copy()
    uv[:6] += 3.0
    pairs[7] = replace(pairs[7], left=Detection(uv, "truth"))
    result = solve(pairs)
    out = ~result.fit.left.kept
    assert out.sum() in (6, 7)  # one in 3000 good ones goes, too
    assert set(result.fit.left.ids[out & (result.fit.left.moment == 7)]) == set(range(6))
    assert set(result.fit.left.reasons[out]) == {"outlier"}
    assert result.stereo_rms_px < 0.08


def test_pairs_that_are_all_a_little_apart_in_time_have_honest_sigmas() -> None:
    """No pair stands out, so that none is left out; they disagree, and the sigmas say so."""
    moved = np.random.default_rng(1).normal(0.0, 0.0004, 12)
    still = solve(seen(TOE_IN, poses_of(TOE_IN, 12), noise_px=0.2)).rig.baseline_sigma_m
    result = solve(seen(TOE_IN, poses_of(TOE_IN, 12), noise_px=0.2, moved_m=moved.tolist()))
    assert result.fit.disagreement > 1.2
    assert still is not None
    assert result.rig.baseline_sigma_m is not None
    assert result.rig.baseline_sigma_m > 1.2 * still


def test_sigmas_hold_where_every_pair_lags_a_little() -> None:
    """Hand-held boards: those that lag most are taken apart, but the rest is not as sure as it then looks."""
    pulls = []
    for seed in range(5):
        moved = np.random.default_rng(seed).normal(0.0, 0.0006, 12)
        rig = solve(seen(TOE_IN, poses_of(TOE_IN, 12), noise_px=0.05, moved_m=moved.tolist()), model="radtan4").rig
        assert rig.covariance is not None
        pulls.append((rig.t_right_left_m - TOE_IN.t_right_left_m) / rig.covariance.sigmas[-3:])
    assert np.sqrt(np.mean(np.square(pulls))) < 1.4


def test_views_that_tell_nothing_and_copies_are_left_out() -> None:
    pairs = seen(TOE_IN, poses_of(TOE_IN, 9), noise_px=0.05)
    sound = solve(pairs[:7], model="radtan4")
    point = Detection(np.full((24, 2), 300.0) + np.random.default_rng(0).normal(0.0, 0.05, (24, 2)), "spoilt")
    pairs[7], pairs[8] = replace(pairs[7], left=point, right=None), replace(pairs[0], name="again.png")
    result = solve(pairs)
    assert result.rig.baseline_m == pytest.approx(sound.rig.baseline_m, rel=1e-9)
    assert any("left8.png" in note and "span no area" in note for note in result.notes)
    assert any("again.png" in note and "the same corners as left1.png" in note for note in result.notes)


def test_two_pictures_of_one_camera_are_refused() -> None:
    rng = np.random.default_rng(3)
    pairs = []
    for pair in seen(TOE_IN, poses_of(TOE_IN, 8), noise_px=0.1):
        assert pair.left is not None
        again = Detection(pair.left.corners_uv + rng.normal(0.0, 0.1, (24, 2)), "again")
        pairs.append(replace(pair, right=again))
    with pytest.raises(CalibrationError, match="of one camera"):
        solve(pairs, model="radtan4")


def test_pairs_that_fit_no_rig_are_refused() -> None:
    moved = [0.1, -0.1, 0.07, 0.0, 0.05, -0.08, 0.03, -0.02]
    with pytest.raises(CalibrationError, match=r"no rig explains all pairs: \d+\.\d\d px rms \(limit 1\.00 px\)"):
        solve(seen(TOE_IN, poses_of(TOE_IN, 8), noise_px=0.1, moved_m=moved))


def test_the_scale_is_that_of_the_square() -> None:
    """A wrong square size fits as well as the right one: only the lengths change."""
    pairs = seen(TOE_IN, poses_of(TOE_IN, 8), noise_px=0.05)
    one, two = solve(pairs, model="radtan4"), solve(pairs, replace(TARGET, square_m=0.015), model="radtan4")
    assert two.rig.baseline_m == pytest.approx(one.rig.baseline_m / 2.0, rel=1e-5)
    assert two.stereo_rms_px == pytest.approx(one.stereo_rms_px, rel=1e-3)


@pytest.mark.parametrize("sides", [("left", "right"), ("right",)])
def test_corners_listed_column_by_column_are_mended(sides: tuple[str, ...]) -> None:
    pairs = []
    for pair in seen(TOE_IN, poses_of(TOE_IN, 6), noise_px=0.05):
        views = {"left": pair.left, "right": pair.right}
        for side in sides:
            view = views[side]
            assert view is not None
            views[side] = Detection(view.corners_uv.reshape(4, 6, 2).transpose(1, 0, 2).reshape(-1, 2), "elsewhere")
        pairs.append(replace(pair, left=views["left"], right=views["right"]))
    result = solve(pairs)
    assert repaired(result) == list(range(6))
    assert all("column by column" in how for how in result.fit.repaired.values())
    assert_rig(result.rig, TOE_IN, length_m=1e-3, angle=0.3, focal_px=4.0)


def test_corners_of_another_board_are_refused() -> None:
    with pytest.raises(CalibrationError, match=r"has the number 23, but chessboard:5x4:30mm has 20"):
        solve(seen(TOE_IN, poses_of(TOE_IN, 4)), Target("chessboard", 5, 4, 0.03))
    with pytest.raises(CalibrationError, match=r"left camera: (the corners miss .* the worst pairs are left\d|in no image)"):
        solve(seen(TOE_IN, poses_of(TOE_IN, 6)), Target("chessboard", 8, 3, 0.03))


def test_too_few_pairs_are_refused_with_the_reasons() -> None:
    pairs = seen(TOE_IN, poses_of(TOE_IN, 5))
    with pytest.raises(CalibrationError, match="found in both images of 2 of 2 pairs; at least 3"):
        solve(pairs[:2])
    blank = [replace(pair, left=None, problem=f"no board found in {pair.name[:9]}") for pair in pairs]
    with pytest.raises(CalibrationError, match=r"of 0 of 5 pairs.*no board found in left1\.png; .*; \.\.\.\)$"):
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


def test_k3_is_used_where_the_corners_prove_it() -> None:
    wide = [replace(camera, distortion=np.array([-0.30, 0.20, 0.0, 0.0, -0.12])) for camera in (LEFT, RIGHT)]
    rig = replace(TOE_IN, left=wide[0], right=wide[1])
    result = solve(seen(rig, poses_of(rig, 12), noise_px=0.05), model="auto")
    assert result.model == "radtan5"
    assert len(result.rig.left.distortion) == 5
    assert solve(seen(TOE_IN, poses_of(TOE_IN, 12), noise_px=0.05), model="auto").model == "radtan4"


def test_the_model_can_be_chosen() -> None:
    pairs = seen(TOE_IN, poses_of(TOE_IN, 12), noise_px=0.02)
    four, five = solve(pairs, model="radtan4"), solve(pairs, model="radtan5")
    assert (four.model, five.model) == ("radtan4", "radtan5")
    assert five.stereo_rms_px <= four.stereo_rms_px
    with pytest.raises(UsageError, match="unknown lens model 'pinhole'; known are radtan4, radtan5, radtan8, radtan12, fisheye"):
        solve(pairs, model="pinhole")
    with pytest.raises(UsageError, match="warp is 'maybe'"):
        solve(pairs, warp="maybe")


def test_a_lens_that_folds_back_inside_the_image_is_known() -> None:
    good = Camera(640, 480, 525.0, 525.0, 320.0, 240.0, np.array([-0.35, 0.16, 0.0, 0.0]))
    assert is_invertible(good)
    folded = replace(good, distortion=np.array([-0.35, 0.0, 0.0, 0.0]))  # r (1 - 0.35 r^2) is greatest at 44.3 degrees
    assert not is_invertible(folded)
    assert is_invertible(folded.crop(200, 150, 240, 180))  # the middle alone is fine


def test_cameras_of_different_sizes_make_a_rig() -> None:
    small = RIGHT.scale(0.5)
    rig = replace(TOE_IN, right=small)
    result = solve_rig(BoardViews(tuple(seen(rig, poses_of(rig, 8))), (640, 480), (320, 240), TARGET), warp="off")
    assert result.rig.right.size == (320, 240)
    assert_rig(result.rig, rig, length_m=1e-5, angle=0.01, focal_px=0.1)


def truth_of(name: str) -> tuple[str, str, Target]:
    return {
        "bumblebee2": ("{0}/left*.jpg", "{0}/right*.jpg", Target("chessboard", 6, 4, 0.03)),
        "opencv": ("{0}/left[0-9]*.jpg", "{0}/right[0-9]*.jpg", Target("chessboard", 9, 6, 1.0)),
        "pinhole": ("{0}/left*.jpg", "{0}/right*.jpg", Target("chessboard", 9, 6, 0.02423)),
        "boards": ("{0}/BoardStereoL*.png", "{0}/BoardStereoR*.png", Target("chessboard", 7, 5, 1.0)),
    }[name]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "folder", "pairs", "repaired_pairs", "rms_px", "baseline_m", "angle"),
    [
        ("bumblebee2", "bumblebee2_boofcv/calibration/stereo/Bumblebee2_Chess", 11, [11], 0.05, (0.1194, 0.1204), 0.6),
        ("opencv", "calib_opencv_chess", 14, [], 0.1, (3.32, 3.345), 0.7),  # one unit = one square
        ("pinhole", "calib_pinhole_sourishg", 29, [], 0.19, (0.0932, 0.0945), 1.75),
        ("boards", "calib_opencv_boards", 6, [3], 0.2, (4.40, 4.62), 13.9),
    ],
)
def test_real_rigs(
    data_folder: Path,
    name: str,
    folder: str,
    pairs: int,
    repaired_pairs: list[int],
    rms_px: float,
    baseline_m: tuple[float, float],
    angle: float,
) -> None:
    left, right, target = truth_of(name)
    where = data_folder / folder
    views = detect_pairs(find_images(left.format(where)), find_images(right.format(where)), target)
    result = solve_rig(views)
    assert len(result.fit.names) == pairs
    assert not result.fit.dropped
    assert [i + 1 for i in repaired(result)] == repaired_pairs
    assert result.stereo_rms_px < rms_px
    assert result.fit.rejected_share < 0.025
    assert baseline_m[0] < result.rig.baseline_m < baseline_m[1]
    assert angle - 1.2 < angle_deg(result.rig.R_right_left) < angle
