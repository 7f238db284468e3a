from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calib import corners
from calib.camera import Camera
from calib.detect import detect_board, detect_pairs, guess_board
from calib.detection import Detection
from calib.errors import InputError, UsageError
from calib.geometry import Array, rotation_from_vector
from calib.images import write_image
from calib.synthetic import Chessboard, board_corners, render_board
from calib.target import Target

CAMERA = Camera(480, 360, 400.0, 402.0, 236.0, 184.0, np.array([-0.3, 0.12, 0.0005, -0.0005]))
TARGET = Target("chessboard", 7, 4, 0.03)
BOARD = Chessboard(7, 4, 0.03)


def photo(
    *,
    camera: Camera = CAMERA,
    board: Chessboard = BOARD,
    turn_deg: tuple[float, float, float] = (15.0, -20.0, 8.0),
    distance_m: float = 0.42,
    blur_px: float = 0.7,
    noise: float = 2.0,
) -> tuple[NDArray[np.uint8], Array]:
    """A photo of a board and the exact corners in it."""
    image, truth = rendered(camera, board, turn_deg, distance_m, blur_px, noise)
    return image.copy(), truth.copy()


@lru_cache(maxsize=32)
def rendered(
    camera: Camera, board: Chessboard, turn_deg: tuple[float, float, float], distance_m: float, blur_px: float, noise: float
) -> tuple[NDArray[np.uint8], Array]:
    x, y, z = np.radians(turn_deg)
    R = rotation_from_vector([x, y, 0.0]) @ rotation_from_vector([0.0, 0.0, z])
    t = np.array([0.01, -0.005, distance_m]) - R @ board.corners_m.mean(0)
    image = render_board(camera, R, t, board, noise=0.0).astype(np.float64)
    blurred = cv2.GaussianBlur(image, (0, 0), blur_px)
    noisy = blurred + np.random.default_rng(3).normal(0.0, noise, image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), board_corners(camera, R, t, board)


def error_px(found: Detection | None, truth: Array, target: Target = TARGET) -> float:
    """Rms distance of the corners from the truth, in the best of the readings that the board allows."""
    assert found is not None
    return min(float(np.sqrt(((found.corners_uv[order] - truth) ** 2).sum(1).mean())) for order in target.corner_orders())


def test_corners_agree_with_the_truth_to_a_few_hundredths_of_a_pixel() -> None:
    image, truth = photo()
    assert error_px(detect_board(image, TARGET), truth) < 0.06


@pytest.mark.parametrize("noise", [0.0, 6.0])
@pytest.mark.parametrize("blur_px", [0.3, 1.5])
def test_blur_and_noise_cost_little(blur_px: float, noise: float) -> None:
    image, truth = photo(blur_px=blur_px, noise=noise)
    assert error_px(detect_board(image, TARGET), truth) < 0.08


@pytest.mark.parametrize("kind", ["grey", "uint16", "dark uint16", "float32", "float32 with NaN", "flat uint8", "inverted ends"])
def test_every_type_of_image_gives_the_same_corners(kind: str) -> None:
    image, truth = photo()
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    other: NDArray[np.generic] = grey
    if kind == "uint16":
        other = grey.astype(np.uint16) * np.uint16(257)
    elif kind == "dark uint16":
        other = grey.astype(np.uint16) * np.uint16(4)  # ten bits
    elif kind.startswith("float32"):
        other = (grey / np.float32(255.0)).astype(np.float32)
        if kind.endswith("NaN"):
            other[:20, :20] = np.nan
            other[-1, -1] = np.inf
    elif kind == "flat uint8":
        other = (100 + grey // 8).astype(np.uint8)
    elif kind == "inverted ends":
        other = np.ascontiguousarray(image[..., ::-1])
    assert error_px(detect_board(other, TARGET), truth) < (0.12 if kind == "flat uint8" else 0.06)


def test_a_board_of_small_squares_is_found_at_twice_the_resolution() -> None:
    board, target = Chessboard(9, 6, 0.03), Target("chessboard", 9, 6, 0.03)
    image, truth = photo(board=board, distance_m=2.6, turn_deg=(5.0, 10.0, 3.0), blur_px=0.4)
    assert np.linalg.norm(truth[1] - truth[0]) < 5.0
    found = detect_board(image, target)
    assert found is not None
    assert found.detector.endswith("-x2")
    assert error_px(found, truth, target) < 0.15


def test_a_large_image_is_searched_small_and_refined_in_full() -> None:
    image, truth = photo()
    large = cv2.resize(image, None, fx=4.0, fy=4.0, interpolation=cv2.INTER_CUBIC)
    assert max(large.shape) > 1280
    found = detect_board(large, TARGET)
    assert found is not None
    assert found.detector == "classic"
    assert error_px(found, (truth + 0.5) * 4.0 - 0.5) < 4.0 * 0.06


@pytest.mark.parametrize("roll_deg", [0.0, 90.0, 180.0])
def test_a_board_with_one_reading_is_always_read_from_the_same_corner(roll_deg: float) -> None:
    """7 x 4 corners: colours tell the ends apart, so the order is right, not only right up to a turn."""
    assert len(TARGET.corner_orders()) == 1
    image, truth = photo(turn_deg=(10.0, -15.0, roll_deg), distance_m=0.55)
    found = detect_board(image, TARGET)
    assert found is not None
    assert np.abs(found.corners_uv - truth).max() < 0.3


@pytest.mark.parametrize(("columns", "rows"), [(5, 5), (4, 4), (6, 4)])
def test_a_board_with_several_readings_comes_in_one_of_them(columns: int, rows: int) -> None:
    target, board = Target("chessboard", columns, rows, 0.03), Chessboard(columns, rows, 0.03)
    for roll_deg in (0.0, 80.0):
        image, truth = photo(board=board, turn_deg=(12.0, -18.0, roll_deg), distance_m=0.5)
        assert error_px(detect_board(image, target), truth, target) < 0.06


def test_an_image_without_a_board_gives_none(rng: np.random.Generator) -> None:
    clouds = cv2.GaussianBlur(rng.uniform(0.0, 255.0, (240, 320)).astype(np.float32), (0, 0), 3.0)
    stretched = cv2.normalize(clouds, np.empty_like(clouds), 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    assert detect_board(stretched, TARGET) is None
    assert detect_board(np.full((60, 80), 7, np.uint8), TARGET) is None
    assert detect_board(np.full((60, 80), np.nan, np.float32), TARGET) is None


@pytest.mark.parametrize(("columns", "rows"), [(6, 4), (7, 3)])
def test_a_part_of_a_larger_board_is_refused(columns: int, rows: int) -> None:
    """Which part a detector finds differs from image to image: a calibration from it would be wrong."""
    image, _ = photo()
    assert detect_board(image, Target("chessboard", columns, rows, 0.03)) is None


@pytest.mark.parametrize(("columns", "rows"), [(8, 4), (7, 5)])
def test_corners_that_the_board_does_not_have_are_refused(columns: int, rows: int) -> None:
    image, _ = photo()
    assert detect_board(image, Target("chessboard", columns, rows, 0.03)) is None


def test_the_true_size_of_the_board_can_be_guessed() -> None:
    image, _ = photo()
    assert guess_board(image) == (7, 4)
    assert guess_board(np.full((60, 80), 7, np.uint8)) is None


def test_windows_stay_clear_of_the_next_line() -> None:
    """Upright squares of 40 px: 0.5 of the distance inside, 0.4 at the outer corners; turned by 45 degrees 0.71 of that."""
    y, x = np.mgrid[0:4, 0:5] * 40.0
    upright = np.stack([x, y], -1)
    windows = corners.windows_px(upright)
    assert (windows[1:-1, 1:-1] == 20).all()
    assert (windows[[0, -1]] == 16).all()
    assert (windows[:, [0, -1]] == 16).all()
    turned = upright @ np.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2.0)
    assert (corners.windows_px(turned)[1:-1, 1:-1] == 14).all()
    squeezed = upright * [0.25, 1.0]
    assert corners.windows_px(squeezed).max() == 5
    assert corners.windows_px(upright * 0.2).min() == 3  # smaller ones do not converge
    assert corners.windows_px(upright * 0.1).max() == 2  # 4 px squares leave no choice
    assert corners.windows_px(upright * 10).max() == 30  # never larger


def test_a_corner_that_would_wander_off_stays() -> None:
    """A bright spot beside a corner draws the refinement away; the detector's corner is kept."""
    image, truth = photo(noise=0.0)
    smooth = corners.smooth(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    grid = truth.reshape(4, 7, 2)
    refined = corners.refine(smooth, grid)
    assert np.linalg.norm(refined - grid, axis=-1).max() < 0.25
    smooth[:] = 0.0
    u, v = np.rint(grid[2, 3]).astype(int)
    smooth[v + 6 : v + 9, u + 6 : u + 9] = 255.0
    assert np.abs(corners.refine(smooth, grid)[2, 3] - grid[2, 3]).max() < 0.25 * 40


def test_saddles_tell_corners_from_other_points() -> None:
    image, truth = photo()
    smooth = corners.smooth(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    grid = truth.reshape(4, 7, 2)
    strength, dark_first = corners.saddles(smooth, grid)
    assert strength.min() > 0.6
    assert dark_first
    assert not corners.saddles(smooth, grid[::-1, ::-1])[1]
    edges = (grid[:, :-1] + grid[:, 1:]) / 2.0
    assert corners.saddles(smooth, edges)[0].max() < 0.0
    assert corners.is_board(smooth, grid)
    assert not corners.is_board(smooth, edges)
    assert not corners.is_board(smooth, np.concatenate([edges[:, :1], grid[:, 1:]], axis=1))  # one column is wrong
    assert not corners.goes_on(smooth, grid)
    assert corners.goes_on(smooth, grid[:, :-1])
    assert corners.goes_on(smooth, grid[1:])


def test_pairs_come_in_order_whatever_the_number_of_threads(tmp_path: Path) -> None:
    files: list[list[Path]] = [[], []]
    for i, angle in enumerate((0.0, 90.0, 180.0)):
        image, _ = photo(turn_deg=(10.0, -15.0, angle), distance_m=0.55)
        for side, name in enumerate(("left", "right")):
            files[side].append(tmp_path / f"{name}{i}.png")
            write_image(files[side][-1], np.zeros_like(image) if (i, side) == (1, 1) else image)
    seen: list[str] = []
    one = detect_pairs(files[0], files[1], TARGET, threads=1)
    two = detect_pairs(files[0], files[1], TARGET, threads=3, progress=seen.append)
    assert seen == ["left0.png", "right0.png", "left1.png", "right1.png", "left2.png", "right2.png"]
    assert one.left_size == one.right_size == (480, 360)
    for a, b in zip(one.pairs, two.pairs, strict=True):
        assert a.name == b.name
        for left, right in ((a.left, b.left), (a.right, b.right)):
            assert (left is None) == (right is None)
            if left is not None and right is not None:
                assert np.array_equal(left.corners_uv, right.corners_uv)
    assert [pair.right is None for pair in one.pairs] == [False, True, False]
    assert one.pairs[1].problem == "no board found in right1.png"
    assert one.pairs[0].problem == ""


def test_arrays_work_like_files_and_are_named_by_number() -> None:
    image, truth = photo()
    views = detect_pairs([image], [image[:, ::-1].copy()], TARGET)
    assert views.pairs[0].name == "left image 1, right image 1"
    assert error_px(views.pairs[0].left, truth) < 0.06
    assert views.pairs[0].right is not None


def test_pairs_that_cannot_be_are_refused(tmp_path: Path) -> None:
    image, _ = photo()
    with pytest.raises(UsageError, match="2 left and 1 right images"):
        detect_pairs([image, image], [image], TARGET)
    with pytest.raises(UsageError, match="0 left and 0 right"):
        detect_pairs([], [], TARGET)
    with pytest.raises(InputError, match=r"right image 2 is 480 x 359 px, but other images of this camera are 480 x 360 px"):
        detect_pairs([image] * 3, [image, image[:-1], image], TARGET)
    with pytest.raises(InputError, match=r"missing\.png: not found"):
        detect_pairs([tmp_path / "missing.png"], [image], TARGET)


def test_a_detection_holds_finite_pixels_that_cannot_be_changed() -> None:
    found = Detection(np.zeros((4, 2)), "sb")
    with pytest.raises(ValueError, match="read-only"):
        found.corners_uv[0, 0] = 1.0
    with pytest.raises(InputError, match=r"\(M, 2\)"):
        Detection(np.zeros((4, 3)), "sb")
    with pytest.raises(InputError, match="finite"):
        Detection(np.full((4, 2), np.nan), "sb")


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("left", "right", "columns", "rows", "pairs"),
    [
        ("calib_opencv_chess/left[0-9]*.jpg", "calib_opencv_chess/right[0-9]*.jpg", 9, 6, 14),
        ("calib_opencv_boards/BoardStereoL*.png", "calib_opencv_boards/BoardStereoR*.png", 7, 5, 6),
    ],
)
def test_real_boards_are_found_in_every_image(
    data_folder: Path, left: str, right: str, columns: int, rows: int, pairs: int
) -> None:
    """OpenCV's sets: half squares at the board's ends, glass, low contrast."""
    files = [sorted(data_folder.glob(pattern)) for pattern in (left, right)]
    views = detect_pairs(files[0], files[1], Target("chessboard", columns, rows, 1.0))
    assert len(views.pairs) == pairs
    assert [pair.problem for pair in views.pairs] == [""] * pairs
