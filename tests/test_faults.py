"""Faults are named by the evidence that only they leave, and good captures are left in peace."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib import faults_told
from calib.board_shape import Board
from calib.detection import BoardViews, PairView
from calib.faults import Fault, diagnose
from calib.faults_evidence import fit_bow, side_of
from calib.faults_images import check_images, orientation
from calib.faults_motion import Fine, Rough, fine_motion, rough_motion
from calib.fit import CameraFit
from calib.single import solve_camera
from calib.synthetic.capture import Capture, simulate
from calib.synthetic.rigs import simulated_rigs
from calib.synthetic.spoil import BOARD, SPOILERS, flipped
from calib.target import Target

RIG = simulated_rigs()["normal"]

# Those with tests of their own below; `bench.faults` tries every fault many times.
ELSEWHERE = {"1 pair flipped", "20 % flipped", "unsynchronised 1 mm", "unsynchronised 5 mm", "bow 3 mm", "low tilt only"}


def alone(capture: Capture) -> tuple[CameraFit, CameraFit]:
    """The true cameras, as if each had been solved: diagnosing must not need more than that."""
    fits = []
    for side, camera in enumerate((capture.rig.left, capture.rig.right)):
        poses = [(R, t) for R, t in capture.poses_left]
        if side:
            Q, s = capture.rig.R_right_left, capture.rig.t_right_left_m
            poses = [(Q @ R, Q @ t + s) for R, t in poses]
        fits.append(CameraFit(camera, 0.15, poses, 0.0, 40.0, 1.0))
    return fits[0], fits[1]


def names(faults: tuple[Fault, ...]) -> list[str]:
    return [fault.name for fault in faults if fault.severity != "mention"]


@pytest.mark.parametrize("what", [name for name in SPOILERS if name not in ELSEWHERE])
def test_every_fault_is_named_first(what: str) -> None:
    wanted, spoil = SPOILERS[what]
    spoiled = spoil(np.random.default_rng([3, *what.encode()]))
    faults = diagnose(spoiled.views, model="radtan5" if spoiled.model == "auto" else spoiled.model)
    assert names(faults)[:1] == [wanted], [str(fault) for fault in faults]
    assert faults[0].advice
    assert faults[0].message
    assert [fault.name for fault in faults[-2:]] == ["constant-lag", "square-size"]


@pytest.mark.parametrize("name", ["normal", "toe-in", "vertical", "unequal", "fisheye", "low-tilt"])
@pytest.mark.parametrize("noise_px", [0.05, 0.5])
def test_good_captures_are_left_in_peace(name: str, noise_px: float) -> None:
    capture = simulate(
        simulated_rigs()[name],
        BOARD,
        12,
        noise_px=noise_px,
        outlier_share=0.01,
        one_sided=1,
        tilt_deg=11.0 if name == "low-tilt" else 35.0,
        seed=5,
    )
    faults = diagnose(capture.views, mono=alone(capture))
    assert names(faults) == [], [str(fault) for fault in faults]


def test_invisible_faults_are_mentioned_with_their_checks() -> None:
    capture = simulate(RIG, BOARD, 10, seed=1)
    lag, square = diagnose(capture.views, mono=alone(capture))[-2:]
    assert (lag.name, lag.severity, square.name, square.severity) == ("constant-lag", "mention", "square-size", "mention")
    assert "both directions" in lag.advice
    assert "--known-length" in square.advice
    assert "30 mm" in square.message


def test_pairs_scatter_as_noise_predicts() -> None:
    """Chi square of the pairs' motions follows its distribution: mean 6 for each pair less 6 in all."""
    scatters = []
    for seed in range(3):
        capture = simulate(RIG, BOARD, 16, noise_px=0.2, seed=seed)
        sides = []
        for k, camera in enumerate((RIG.left, RIG.right)):
            seen = [(pair.right if k else pair.left) for pair in capture.views.pairs]
            fit = solve_camera(Board(BOARD.object_points()), seen, camera.size, "radtan5").fit
            sides.append(side_of(fit.camera, BOARD.object_points(), seen, fit.poses))
        left, right = sides
        assert left is not None
        assert right is not None
        assert left.noise_px == pytest.approx(0.2, rel=0.1)
        rough = rough_motion(left, right)
        assert rough is not None
        assert rough.share == 1.0
        fine = fine_motion(left, right, rough)
        assert fine is not None
        scatters.append(fine.scatter)
    assert np.mean(scatters) == pytest.approx(1.0, abs=0.25)  # three times its standard deviation


def test_boards_held_alike_are_refused() -> None:
    capture = simulate(RIG, BOARD, 12, tilt_deg=2.0, least_tilt_deg=0.0, seed=1)
    fault = diagnose(capture.views, mono=alone(capture))[0]
    assert (fault.name, fault.severity) == ("low-tilt", "refused")
    assert float(fault.evidence["tilt_deg"]) < 6.0


def test_bow_is_measured_by_one_camera() -> None:
    capture = simulate(RIG, BOARD, 15, bow_m=(0.0015, -0.0005), noise_px=0.1, seed=2)
    fit = alone(capture)[0]
    side = side_of(fit.camera, BOARD.object_points(), [pair.left for pair in capture.views.pairs], fit.poses)
    assert side is not None
    bowed, sigmas = fit_bow(side, BOARD.object_points())
    assert sigmas > 8.0
    assert bowed.bow_m == pytest.approx([0.0015, -0.0005], abs=1e-4)
    assert bowed.noise_px == pytest.approx(0.1, rel=0.1)


def test_late_pairs_are_told_from_the_others_and_measured() -> None:
    capture = simulate(RIG, BOARD, 14, noise_px=0.1, seed=4)
    late = (1, 4, 8, 9, 12)
    rng = np.random.default_rng(0)
    way = rng.standard_normal((14, 3))
    poses = [
        (R, t + 0.002 * w / np.linalg.norm(w) * (i in late))
        for i, ((R, t), w) in enumerate(zip(capture.poses_left, way, strict=True))
    ]
    later = simulate(RIG, BOARD, 14, noise_px=0.1, seed=5, poses=poses)
    pairs = [replace(a, right=b.right) for a, b in zip(capture.views.pairs, later.views.pairs, strict=True)]
    fault = diagnose(replace(capture.views, pairs=pairs), mono=alone(capture))[0]
    assert fault.name == "unsynchronised"
    assert fault.pairs == late
    assert fault.evidence["shift_mm"] == pytest.approx(2.0, rel=0.25)
    assert fault.message.endswith("their two pictures are not of the same moment")
    assert "lens model" not in fault.advice


@pytest.mark.parametrize(("count", "ratio", "is_sure"), [(8, 1.5, True), (7, 3.0, False), (30, 1.42, False)])
def test_few_pairs_or_small_errors_do_not_prove_another_moment(count: int, ratio: float, is_sure: bool) -> None:
    moments = np.arange(count)
    agree = np.ones(count, np.bool_)
    rough = Rough(np.eye(3), np.array([-0.1, 0.0, 0.0]), agree, moments)
    corners = 108.0
    cost = count * (2.0 * corners - 12.0) * (ratio**2 - 1.0)
    fine = Fine(moments, np.full(count, 60.0), np.zeros((count, 6)), corners, cost, 0, cost, np.zeros(6))
    assert fine.rms_ratio == pytest.approx(ratio)
    fault = faults_told.unsynchronised([1, 2], rough, fine, {i: f"{i}.png" for i in range(count)}, "warning")
    assert ("are not of the same moment" in fault.message) == is_sure
    assert ("may not be of the same moment" in fault.message) != is_sure
    assert ("the board is not flat, or the lens model does not fit" in fault.advice) != is_sure


def test_which_pairs_were_flipped_is_said() -> None:
    views = flipped(np.random.default_rng(1), 0.2).views
    turned = {
        i
        for i, pair in enumerate(views.pairs)
        for d in (pair.left, pair.right)
        if d is not None and d.corners_uv[0, 0] > d.corners_uv[-1, 0]
    }
    fault = diagnose(views, model="radtan5")[0]
    assert (fault.name, fault.severity) == ("flipped-pairs", "refused")
    assert set(fault.pairs) == turned


def test_where_no_board_is_found_the_reason_is_quoted() -> None:
    pairs = [PairView(f"{i}.png", None, None, "no corners") for i in range(6)]
    board = Target("charuco", 8, 6, 0.03, 0.02, "DICT_5X5_100")
    assert names(diagnose(BoardViews(pairs, (640, 480), (640, 480), BOARD))) == ["board-not-found"]
    assert "no corners" in diagnose(BoardViews(pairs, (640, 480), (640, 480), BOARD))[0].message
    other = [replace(pair, problem="no board, but markers of dictionary DICT_4X4_50") for pair in pairs]
    assert names(diagnose(BoardViews(other, (640, 480), (640, 480), board))) == ["wrong-dictionary"]


def test_what_the_search_has_mended_is_a_fault_too() -> None:
    capture = simulate(RIG, BOARD, 10, seed=1)
    lost = "missing pair: left03.png has no partner of the same number and is left out"
    notes = (
        lost,
        "the board differs from X: it has the old layout (before OpenCV 4.6); taken as Y",
        "mixed resolutions: a.png is not",
    )
    faults = diagnose(replace(capture.views, notes=notes), mono=alone(capture))
    assert names(faults) == ["mixed-resolutions", "missing-partner", "legacy-board"]
    assert [fault.severity for fault in faults[:3]] == ["warning", "mended", "mended"]
    assert faults[1].message == lost


def jpeg_with_orientation(path: Path, value: int, order: str) -> None:
    """A JPEG whose EXIF says how to turn it."""
    ok, data = cv2.imencode(".jpg", np.full((16, 24), 90, np.uint8))
    assert ok

    def number(n: int, size: int) -> bytes:
        return n.to_bytes(size, "big" if order == "MM" else "little")

    tiff = order.encode() + number(42, 2) + number(8, 4) + number(1, 2)
    tiff += number(0x0112, 2) + number(3, 2) + number(1, 4) + number(value, 2) + number(0, 2) + number(0, 4)
    body = b"Exif\x00\x00" + tiff
    path.write_bytes(b"\xff\xd8\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data.tobytes()[2:])


@pytest.mark.parametrize("order", ["II", "MM"])
def test_orientation_tags_are_read(tmp_path: Path, order: str) -> None:
    for value in (1, 3, 6):
        path = tmp_path / f"{value}.jpg"
        jpeg_with_orientation(path, value, order)
        assert orientation(path) == value
    plain = tmp_path / "plain.png"
    cv2.imwrite(str(plain), np.zeros((9, 9), np.uint8))
    assert orientation(plain) == 0
    assert orientation(tmp_path / "missing.jpg") == 0
    found = check_images([tmp_path / "1.jpg", tmp_path / "3.jpg"], [plain, tmp_path / "6.jpg"])
    assert [fault.name for fault in found] == ["oriented-images"]
    assert found[0].evidence["images"] == 2.0


def test_colour_beside_grey_is_mentioned() -> None:
    grey = np.tile(np.arange(64, dtype=np.uint8), (48, 1))
    colour = np.stack([grey, grey // 2, grey], -1)
    three = np.stack([grey] * 3, -1)
    assert [fault.name for fault in check_images([colour], [grey])] == ["colour-grey-mix"]
    assert check_images([three], [grey]) == ()
    assert check_images([colour], [colour]) == ()
