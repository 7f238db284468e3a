"""Boards of every kind on rendered photos whose truth is known, and on real ones."""

import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calib.camera import Camera
from calib.detection import Detection
from calib.errors import InputError
from calib.finders import find_board, guess_target, other_board
from calib.finders.saddle import Clear, fit_saddles
from calib.geometry import Array
from calib.target import Target, parse_target
from tests.board_photos import CAMERA, photo

CHESSBOARD = "chessboard:9x6:25mm"
CHARUCO = "charuco:8x6:30mm:22mm:DICT_5X5_100"
APRILGRID = "aprilgrid:5x4:50mm:0.3"
CIRCLES = "circles:9x6:20mm"
ACIRCLES = "acircles:4x11:20mm"
ALL = [CHESSBOARD, CHARUCO, APRILGRID, CIRCLES, ACIRCLES]


def target_of(text: str) -> Target:
    target = parse_target(text)
    assert isinstance(target, Target)
    return target


def errors(found: Detection | None, truth: Array, target: Target) -> Array:
    """(M, 2) px from the truth, in the best of the readings that the board allows."""
    assert found is not None
    if target.has_ids:
        return np.asarray(found.corners_uv - truth[found.ids])
    readings = [found.corners_uv[order] - truth for order in target.corner_orders()]
    return min(readings, key=lambda e: float((e**2).sum()))


def rms(values: Array) -> float:
    return float(np.sqrt((values**2).mean()))


@pytest.mark.parametrize(("text", "blur_px"), [*((text, 1.5) for text in ALL), (CHESSBOARD, 0.5), (CIRCLES, 0.5)])
def test_every_kind_is_found_to_a_few_hundredths_of_a_pixel(text: str, blur_px: float) -> None:
    target = target_of(text)
    image, truth = photo(target, span=0.6, blur_px=blur_px)
    found = find_board(image, target)
    assert found.reason == found.note == ""
    assert found.target == target
    assert found.detection is not None
    assert len(found.detection.ids) == target.corner_count
    assert not found.detection.is_inverted
    assert rms(errors(found.detection, truth, target)) < 0.025
    assert np.abs(errors(found.detection, truth, target)).max() < 0.12
    # 10 to 90 % of a Gaussian edge, a pixel's own width included.
    assert found.detection.blur_px == pytest.approx(2.56 * np.hypot(blur_px, 0.3), rel=0.15)


@pytest.mark.parametrize("text", [CHESSBOARD, CHARUCO, APRILGRID, CIRCLES])
def test_sigmas_are_those_of_the_errors(text: str) -> None:
    """Over sharp and blurred, noisy and clean photos: z has rms 1 within 30 %, and sigmas rank the photos."""
    target = target_of(text)
    z, sigma = [], []
    for span, blur_px, noise, turn in [(0.7, 0.5, 1.0, 10.0), (0.6, 1.0, 6.0, -20.0), (0.65, 2.2, 10.0, 15.0)]:
        image, truth = photo(target, span=span, blur_px=blur_px, noise=noise, turn_deg=(turn, 20.0, 10.0), seed=int(10 * noise))
        found = find_board(image, target, strict=True).detection
        assert found is not None
        sigma.append(float(np.median(found.sigma_px)))
        if target.has_ids:
            z.append((found.corners_uv - truth[found.ids]) / found.sigma_px[:, None])
        else:
            readings = [(found.corners_uv[order] - truth) / found.sigma_px[order, None] for order in target.corner_orders()]
            z.append(min(readings, key=rms))
    assert 0.7 < rms(np.clip(np.concatenate(z), -5.0, 5.0)) < 1.3
    each = [rms(own) for own in z]
    assert max(each) / min(each) < 3.0
    assert max(sigma) / min(sigma) > 2.0


def test_blur_that_spoils_corners_makes_sigmas_large() -> None:
    target = target_of(CHESSBOARD)
    sharp = find_board(photo(target, span=0.6, blur_px=0.5, noise=3.0)[0], target).detection
    image, truth = photo(target, span=0.6, blur_px=5.0, noise=3.0)
    blurred = find_board(image, target).detection
    assert sharp is not None
    assert blurred is not None
    assert np.median(blurred.sigma_px) > 2.5 * np.median(sharp.sigma_px)
    assert rms(errors(blurred, truth, target)) < 2.0 * float(np.median(blurred.sigma_px))


def test_motion_blur_costs_only_the_edges_across_it() -> None:
    target = target_of(CHESSBOARD)
    image, truth = photo(target, span=0.6, turn_deg=(0.0, 0.0, 0.0), blur_px=0.5)
    moved = cv2.filter2D(image, -1, np.full((1, 7), 1.0 / 7.0))
    found = find_board(np.asarray(moved), target).detection
    error = errors(found, truth, target)
    assert rms(error) < 0.06


@pytest.mark.parametrize("text", [CHESSBOARD, CHARUCO, APRILGRID, CIRCLES])
def test_boards_in_the_negative_are_found(text: str) -> None:
    target = target_of(text)
    image, truth = photo(target, span=0.55, inverted=True)
    found = find_board(image, target)
    assert found.detection is not None, found.reason
    assert found.target == target
    if target.kind == "chessboard":  # colours tell its ends apart, so it is read from the other one; some detectors do not mind
        truth = truth[::-1]
    else:
        assert found.detection.is_inverted
    assert rms(errors(found.detection, truth, target)) < 0.03


@pytest.mark.parametrize("text", [CHARUCO, APRILGRID])
@pytest.mark.parametrize("offset", [(0.45, 0.0), (-0.3, 0.3)])
def test_a_part_of_a_board_with_markers_suffices(text: str, offset: tuple[float, float]) -> None:
    target = target_of(text)
    image, truth = photo(target, span=0.9, offset=offset)
    found = find_board(image, target).detection
    assert found is not None
    inside = ((truth > 3.0) & (truth < np.array(CAMERA.size) - 4.0)).all(1)
    assert 6 <= len(found.ids) < target.corner_count
    assert len(found.ids) > 0.6 * inside.sum()
    assert rms(errors(found, truth, target)) < 0.03
    assert (np.diff(found.ids) > 0).all()


@pytest.mark.parametrize("text", [CHARUCO, APRILGRID])
def test_corners_that_are_covered_are_left_out(text: str) -> None:
    target = target_of(text)
    image, truth = photo(target, span=0.7)
    low, high = truth.min(0), truth.max(0)
    a = np.rint(low + 0.3 * (high - low)).astype(int)
    b = np.rint(low + 0.6 * (high - low)).astype(int)
    image[a[1] : b[1], a[0] : b[0]] = 90
    found = find_board(image, target).detection
    assert found is not None
    covered = ((truth >= a) & (truth < b)).all(1)
    assert covered.sum() >= 3
    assert not covered[found.ids].any()
    assert len(found.ids) > 0.6 * (~covered).sum()
    assert np.abs(errors(found, truth, target)).max() < 0.15


@pytest.mark.parametrize(("asked", "printed"), [(False, True), (True, False)])
def test_the_old_and_the_new_layout_are_told_apart(asked: bool, printed: bool) -> None:
    target = replace(target_of(CHARUCO), legacy=asked)
    real = replace(target, legacy=printed)
    image, truth = photo(real, span=0.6)
    found = find_board(image, target)
    assert found.target == real
    assert ("old layout (before" if printed else "new layout (since") in found.note
    assert rms(errors(found.detection, truth, real)) < 0.02
    assert find_board(image, target, strict=True).detection is None
    assert find_board(image, real).note == ""


@pytest.mark.parametrize("text", [CHARUCO, APRILGRID])
def test_columns_and_rows_exchanged_are_named(text: str) -> None:
    real = target_of(text)
    target = replace(real, columns=real.rows, rows=real.columns)
    image, truth = photo(real, span=0.6)
    found = find_board(image, target)
    assert found.target == real
    assert f"it is {real.columns} x {real.rows}, not {real.rows} x {real.columns}" in found.note
    assert rms(errors(found.detection, truth, real)) < 0.02


@pytest.mark.parametrize(
    ("real", "asked"),
    [
        (CHARUCO, "DICT_APRILTAG_36h11"),
        ("charuco:8x6:30mm:22mm:DICT_ARUCO_ORIGINAL", "DICT_6X6_250"),
        ("aprilgrid:5x4:50mm:0.3:APRILTAG_25h9", "APRILTAG_36h11"),
    ],
)
def test_another_dictionary_is_named(real: str, asked: str) -> None:
    board = target_of(real)
    image, truth = photo(board, span=0.6)
    found = find_board(image, replace(board, dictionary=asked))
    assert found.detection is not None
    assert found.target.dictionary.rsplit("_", 1)[0] == board.dictionary.rsplit("_", 1)[0]
    assert f"its markers are of {found.target.dictionary}, not {asked}" in found.note
    assert rms(errors(found.detection, truth, board)) < 0.02


@pytest.mark.parametrize("text", [CHARUCO, APRILGRID])
def test_mirrored_images_are_named(text: str) -> None:
    target = target_of(text)
    image, _ = photo(target, span=0.6)
    found = find_board(np.ascontiguousarray(image[:, ::-1]), target)
    assert found.detection is None
    assert found.reason.startswith("mirrored")


@pytest.mark.parametrize("text", [CHESSBOARD, CHARUCO, APRILGRID, CIRCLES])
def test_images_without_a_board_and_searches_without_time_find_nothing(text: str, rng: np.random.Generator) -> None:
    target = target_of(text)
    clouds = np.asarray(cv2.GaussianBlur(rng.uniform(0.0, 255.0, (240, 320)).astype(np.float32), (0, 0), 2.0))
    low, high = clouds.min(), clouds.max()
    found = find_board(((clouds - low) * (255.0 / (high - low))).astype(np.uint8), target)
    assert found.detection is None
    assert found.reason.startswith("no board found")
    assert find_board(np.full((60, 80), 7, np.uint8), target).detection is None
    image, _ = photo(target, span=0.6)
    assert find_board(image, target, strict=True).detection is not None
    assert find_board(image, target, deadline=time.monotonic() - 1.0).detection is None


def test_curved_boards_of_a_fisheye_are_found() -> None:
    """150 degrees across; straight lines bend by tens of pixels."""
    camera = Camera(640, 480, 245.0, 245.0, 320.0, 240.0, np.array([0.01, -0.005, 0.0, 0.0]), model="fisheye")
    for text in (CHESSBOARD, CHARUCO, APRILGRID):
        target = target_of(text)
        image, truth = photo(target, camera=camera, span=1.2, turn_deg=(10.0, -12.0, 5.0))
        found = find_board(image, target).detection
        assert found is not None, text
        assert len(found.ids) > (0.6 if target.kind == "aprilgrid" else 0.9) * target.corner_count  # few tags are read
        assert rms(errors(found, truth, target)) < 0.03


@pytest.mark.parametrize(
    "text", [CHESSBOARD, CHARUCO, CIRCLES, ACIRCLES, CHARUCO + ":legacy", "aprilgrid:4x3:60mm:0.25:APRILTAG_25h9"]
)
def test_the_board_is_told_from_the_images(text: str) -> None:
    target = target_of(text)
    images = [photo(target, span=0.55, turn_deg=(-15.0, 10.0, -30.0))[0]]
    guess = guess_target(images, target.marker_m if target.kind == "aprilgrid" else target.square_m)
    if target.kind == "charuco":  # its size is rounded; of a family, the smallest that has enough
        assert guess.marker_m == pytest.approx(target.marker_m, rel=0.04)
        assert guess.dictionary[:8] == target.dictionary[:8]
        guess = replace(guess, marker_m=target.marker_m, dictionary=target.dictionary)
    assert guess == target
    assert find_board(images[0], guess).detection is not None


def test_no_board_is_guessed_where_none_is(rng: np.random.Generator) -> None:
    noise = rng.integers(0, 255, (240, 320)).astype(np.uint8)
    with pytest.raises(InputError, match="no board could be made out in the first 1 image; say what it is"):
        guess_target([noise], 0.03)


def test_other_boards_are_named() -> None:
    image, _ = photo(target_of("chessboard:8x5:25mm"), span=0.6)
    advice = other_board(image, target_of(CHESSBOARD), deadline=time.monotonic() + 60.0)
    assert advice.startswith("shows a board of 8x5 inner corners: try --target chessboard:8x5")
    assert other_board(image, target_of("chessboard:5x8:25mm")) == ""
    assert other_board(image, target_of(CHESSBOARD), deadline=time.monotonic() - 1.0) == ""
    image, _ = photo(target_of(CHARUCO), span=0.6)
    advice = other_board(image, target_of(CHESSBOARD), deadline=time.monotonic() + 60.0)  # however slow the machine
    assert advice.startswith("shows a board of 8x6 squares, markers of DICT_5X5_50")


def test_a_crowd_of_dots_is_not_searched_for_ever(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV's search through neighbours would take a minute for so many, and cannot be stopped."""
    searched: list[tuple[int, bool]] = []

    def search(points: NDArray[np.float32], size: tuple[int, int], flags: int, *_: object) -> tuple[bool, None]:
        searched.append((len(points), bool(flags & cv2.CALIB_CB_CLUSTERING)))
        return False, None

    monkeypatch.setattr(cv2, "findCirclesGrid", search)
    image = np.full((960, 1280), 220, np.uint8)
    v, u = np.mgrid[20:940:31, 20:1260:31]
    for x, y in (np.stack([u.ravel(), v.ravel()], -1) + rng.integers(-4, 5, (u.size, 2))).tolist():
        cv2.circle(image, (x, y), 6, 20, -1, cv2.LINE_AA)
    assert find_board(image, target_of(CIRCLES)).detection is None
    assert {clustered for _, clustered in searched} == {True}
    assert find_board(image, target_of("circles:60x60:5mm")).detection is None
    assert all(count >= 54 for count, _ in searched)
    with pytest.raises(InputError, match="no board could be made out"):
        guess_target([image], 0.02, deadline=time.monotonic() - 1.0)


def test_the_fit_of_a_crossing_is_as_good_as_noise_allows() -> None:
    """Analytic corners, not those of the renderer: bias below 0.01 px, z within 10 %, in sheared and curved ones as well."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:41, 0:41].astype(np.float64)
    images, truths = [], []
    for _ in range(60):
        p = 20.0 + rng.uniform(-0.5, 0.5, 2)
        a, b, w = rng.uniform(-0.3, 0.3), np.pi / 2 + rng.uniform(-0.4, 0.4), rng.uniform(0.6, 1.6)
        d = [-(x - p[0]) * np.sin(t) + (y - p[1]) * np.cos(t) for t in (a, b)]
        d[0] = d[0] + 0.002 * (x - p[0]) ** 2
        image = 120.0 + 0.3 * (x - p[0]) - 0.2 * (y - p[1]) + 80.0 * np.tanh(0.8 * d[0] / w) * np.tanh(0.8 * d[1] / w)
        images.append(image + rng.normal(0.0, 4.0, image.shape))
        truths.append(p)
    z, error = [], []
    clear = Clear(np.array([[-0.6, 0.6, -0.6, 0.6]]), np.full((1, 4), np.inf))
    for image, p in zip(images, truths, strict=True):
        fit = fit_saddles(image.astype(np.float32), np.array([[20.0, 20.0]]), np.array([[[20.0, 0.0], [0.0, 20.0]]]), clear)
        error.append(fit.uv[0] - p)
        z.append(error[-1] / fit.sigma_px[0])
    assert np.abs(np.mean(error, axis=0)).max() < 0.01
    assert 0.8 < rms(np.array(z)) < 1.2


def frames(path: Path, step: int) -> list[NDArray[np.uint8]]:
    video = cv2.VideoCapture(str(path))
    seen: list[NDArray[np.uint8]] = []
    while True:
        ok, image = video.read()
        if not ok:
            return seen[::step]
        seen.append(np.asarray(image, np.uint8))


@pytest.mark.realdata
def test_a_charuco_in_the_negative_is_found_in_real_videos(data_folder: Path) -> None:
    """Of all 111 frames 46 and 34 are found; here every twelfth is looked at."""
    target = target_of("charuco:4x5:54mm:40.5mm:DICT_4X4_1000")
    counts = []
    for name in ("cam_0.mp4", "cam_1.mp4"):
        found = [
            find_board(image, target, strict=True).detection for image in frames(data_folder / "calib_caliscope_2cam" / name, 12)
        ]
        assert all(one.is_inverted for one in found if one is not None)
        counts.append(sum(one is not None for one in found))
    assert counts[0] >= 3
    assert counts[1] >= 2


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("pattern", "columns", "rows", "expected"),
    [
        ("calib_fisheye_sourishg/left?.jpg", 9, 6, 9),
        ("calib_pinhole_sourishg/right?.jpg", 9, 6, 9),
        ("bumblebee2_boofcv/calibration/stereo/Bumblebee2_Chess/left*", 6, 4, 11),
    ],
)
def test_real_chessboards_are_found(data_folder: Path, pattern: str, columns: int, rows: int, expected: int) -> None:
    target = Target("chessboard", columns, rows, 0.03)
    files = sorted(data_folder.glob(pattern))
    found = [find_board(np.asarray(cv2.imread(str(file))), target).detection for file in files]
    assert len(found) == expected
    assert all(one is not None for one in found)
    assert all(one.sigma_px.min() >= 0.008 and np.median(one.sigma_px) < 0.1 for one in found if one is not None)
