import contextlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from calib import cli, image_lists, load_rig, model_search, save_rig
from calib.camera import Camera
from calib.cli import main
from calib.describe import describe
from calib.errors import CalibrationError, InputError, UsageError
from calib.geometry import rotation_from_vector
from calib.images import find_images, read_image, write_image
from calib.known_length import parse_known_length, scaled_to
from calib.lens import COEFFICIENTS
from calib.rig import StereoRig
from calib.synthetic import Chessboard, board_views, render_board_pairs
from calib.target import Target, parse_target

ROOT = Path(__file__).resolve().parents[1]
CAMERA = Camera(320, 240, 262.0, 263.0, 157.0, 123.0, np.array([-0.3, 0.12, 0.0, 0.0]))
RIG = StereoRig(CAMERA, CAMERA, rotation_from_vector([0.0, 0.08, 0.0]), np.array([-0.06, 0.001, 0.002]))
BOARD = Chessboard(6, 4, 0.02)
WORDS = ["--target", "chessboard:6x4:20mm"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six rendered pairs, left1.png to left6.png; in pair 5 the right photo shows no board."""
    folder = tmp_path_factory.mktemp("photos")
    for i, pair in enumerate(render_board_pairs(RIG, board_views(RIG, 6, BOARD, seed=3), BOARD), 1):
        write_image(folder / f"left{i}.png", pair.left)
        write_image(folder / f"right{i}.png", np.full_like(pair.right, 90) if i == 5 else pair.right)
    return folder


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing of the user's cache is read or written."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEREO_CACHE_DIR", str(folder))
        yield folder


class Solved(NamedTuple):
    folder: Path
    said: str


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Solved:
    folder = tmp_path_factory.mktemp("solved") / "new"
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["solve", f"{photos}/left*.png", f"{photos}/right*.png", *WORDS, "-o", str(folder / "rig.yaml")]) == 0
    return Solved(folder, said.getvalue())


@pytest.fixture(scope="module")
def solved(run: Solved) -> Path:
    return run.folder


def test_photos_become_a_rig_and_a_report(run: Solved) -> None:
    folder, said = run
    rig = load_rig(folder / "rig.yaml")
    assert abs(rig.baseline_m / RIG.baseline_m - 1.0) < 0.01
    assert rig.baseline_sigma_m is not None
    assert abs(rig.baseline_m - RIG.baseline_m) < 5.0 * rig.baseline_sigma_m
    assert rig.left.focal_x_px == pytest.approx(262.0, abs=2.5)
    for name in ("rig.yaml", "rig.report.html", "rig.report.json"):
        assert f"Wrote {folder / name}\n" in said
    assert "note: pair 5 (left5.png, right5.png) left out as a pair: no board found in right5.png" in said
    assert "5 of 6 pairs" in said
    assert "baseline 60." in said or "baseline 59.9" in said
    assert re.search("^verdict: ", said, re.MULTILINE)
    assert sorted(path.name for path in folder.iterdir()) == ["rig.report.html", "rig.report.json", "rig.yaml"]


def test_the_table_lists_the_worst_pair_first(run: Solved) -> None:
    rows = [line.split() for line in run.said.splitlines() if line.endswith("classic")]
    errors = [float(row[2]) for row in rows]
    assert len(errors) == 5
    assert errors == sorted(errors, reverse=True)
    assert 0.0 < errors[0] < 0.15


def test_the_report_has_its_stable_fields(photos: Path, solved: Path) -> None:
    report = json.loads((solved / "rig.report.json").read_text(encoding="utf-8"))
    rig = load_rig(solved / "rig.yaml")
    assert report["schema"] == 2
    assert report["baseline_m"] == pytest.approx(rig.baseline_m, rel=1e-9)
    assert report["image_size"] == [320, 240]
    assert 0.0 < report["stereo_rms_px"] < 0.1
    assert 0.0 < report["mono_rms_left_px"] < 0.1
    assert 0.0 < report["mono_rms_right_px"] < 0.1
    assert report["pairs_used"] == 5
    assert [pair["used"] for pair in report["pairs"]] == [True, True, True, True, False, True]
    lost = report["pairs"][4]
    assert (lost["rms_right_px"], lost["detector_left"], lost["detector_right"]) == (None, "classic", None)
    assert lost["problem"] == "no board found in right5.png"
    first = report["pairs"][0]
    assert first["name"] == "left1.png, right1.png"
    assert first["repaired"] is False
    assert report["options"] == {"target": "chessboard:6x4:20mm", "model": "auto", "warp": "auto"}
    assert report["command"].startswith(f"calib solve '{photos}/left*.png' '{photos}/right*.png' --target chessboard:6x4:20mm")
    assert [entry["name"] for entry in report["inputs"]][:2] == ["left1.png", "right1.png"] or len(report["inputs"]) == 12


def test_faults_of_the_files_themselves_are_told(photos: Path, tmp_path: Path) -> None:
    """The left camera in colour, the right one in grey."""
    for i in (1, 2, 3, 4):
        colour = read_image(photos / f"left{i}.png").copy()
        colour[..., 2] //= 2
        write_image(tmp_path / f"left{i}.png", colour)
        write_image(tmp_path / f"right{i}.png", cv2.cvtColor(read_image(photos / f"right{i}.png"), cv2.COLOR_BGR2GRAY))
    words = ["solve", f"{tmp_path}/left*.png", f"{tmp_path}/right*.png", *WORDS, "--model", "radtan4", "--warp", "off"]
    assert main([*words, "-o", str(tmp_path / "rig.yaml")]) == 0
    names = [fault["name"] for fault in json.loads((tmp_path / "rig.report.json").read_text(encoding="utf-8"))["faults"]]
    assert "colour-grey-mix" in names
    assert names[-2:] == ["constant-lag", "square-size"]


def test_the_page_is_of_this_rig(solved: Path) -> None:
    page = (solved / "rig.report.html").read_text(encoding="utf-8")
    assert "left1.png, right1.png" in page
    assert page.count("<svg") >= 9


def test_the_same_photos_give_the_same_bytes(photos: Path, solved: Path, tmp_path: Path) -> None:
    words = [
        "solve",
        f"{photos}/left*.png",
        f"{photos}/right*.png",
        *WORDS,
        "--threads",
        "1",
        "--no-cache",
        "-o",
        str(tmp_path / "rig.yaml"),
    ]
    assert main(words) == 0
    for name in ("rig.yaml", "rig.report.json", "rig.report.html"):
        assert (tmp_path / name).read_bytes() == (solved / name).read_bytes()


def test_folders_lists_and_expanded_globs_name_the_same_photos(photos: Path, tmp_path: Path) -> None:
    left, right = sorted(photos.glob("left*")), sorted(photos.glob("right*"))
    expected: tuple[list[Path], list[Path], list[str]] = (left, right, [])
    assert image_lists.pair_up([f"{photos}/left*.png", f"{photos}/right*.png"]) == expected
    assert image_lists.pair_up([str(path) for path in [*left, *right]]) == expected
    for side, paths in (("l", left), ("r", right)):
        (tmp_path / f"{side}.txt").write_text("# photos\n" + "\n".join(str(path) for path in paths) + "\n", encoding="utf-8")
        (tmp_path / side).mkdir()
        for path in paths:
            (tmp_path / side / path.name).write_bytes(path.read_bytes())
    assert image_lists.pair_up([str(tmp_path / "l.txt"), str(tmp_path / "r.txt")]) == expected
    found = image_lists.pair_up([str(tmp_path / "l"), str(tmp_path / "r")])
    assert [[path.name for path in side] for side in found[:2]] == [[path.name for path in side] for side in (left, right)]


def test_natural_order_pairs_2_before_10(tmp_path: Path) -> None:
    for name in ("l1", "l2", "l10", "r1", "r2", "r10"):
        write_image(tmp_path / f"{name}.png", np.zeros((2, 2), np.uint8))
    left, right, notes = image_lists.pair_up([f"{tmp_path}/l*.png", f"{tmp_path}/r*.png"])
    assert [path.stem for path in left] == ["l1", "l2", "l10"]
    assert [path.stem for path in right] == ["r1", "r2", "r10"]
    assert notes == []
    (tmp_path / "r2.png").rename(tmp_path / "r3.png")
    notes = image_lists.pair_up([f"{tmp_path}/l*.png", f"{tmp_path}/r*.png"])[2]
    assert len(notes) == 1
    assert "l2.png and r3.png" in notes[0]


def test_lists_that_do_not_pair_up_are_refused(tmp_path: Path) -> None:
    for name in ("l1", "l2", "l3", "r1", "r3", "x"):
        write_image(tmp_path / f"{name}.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(InputError, match=r"3 left and 1 right images, but each needs its partner, and no numbers"):
        image_lists.pair_up([f"{tmp_path}/l*.png", f"{tmp_path}/x.png"])
    with pytest.raises(InputError, match=r"l1\.png is both left and right"):
        image_lists.pair_up([f"{tmp_path}/l*.png", f"{tmp_path}/l*.png"])
    with pytest.raises(UsageError, match=r"5 names are given.*in quotes"):
        image_lists.pair_up([str(tmp_path / f"{name}.png") for name in ("l1", "l2", "l3", "r1", "r3")])
    with pytest.raises(UsageError, match=r"4 names are given.*cannot be told"):
        image_lists.pair_up([str(tmp_path / f"{name}.png") for name in ("l1", "l2", "l3", "r1")])
    with pytest.raises(UsageError, match="RIGHT is missing"):
        image_lists.pair_up([str(tmp_path / "l1.png")])
    (tmp_path / "empty.txt").write_text("# nothing\n", encoding="utf-8")
    with pytest.raises(InputError, match="names no images"):
        image_lists.pair_up([str(tmp_path / "empty.txt"), str(tmp_path / "l1.png")])


@pytest.mark.parametrize(
    ("change", "code", "what"),
    [
        (["--target", "chessboard:6x4:20"], 2, "has no unit"),
        (
            ["--target", "chessboard:5x4:20mm", "--time-limit", "0.5"],
            4,
            r"0 of 6 pairs.*shows a board of 6x4 inner corners: try --target chessboard:6x4:",
        ),
        (["--target", "chessboard:7x5:20mm", "--time-limit", "0.5"], 4, r"0 of 6 pairs.*try --target chessboard:6x4:"),
        (["--model", "fishy"], 2, "--model.*'fishy'.*did you mean 'fisheye'"),
        (["--warp", "yes"], 2, "--warp.*'yes'.*known: auto, off, on, free"),
        (["--known-length", "250mm"], 2, "known length '250mm'.*250mm:10"),
        (["--known-length", "250mm:10"], 4, "25 mm each, but --target says 20 mm"),
        (["--time-limit", "0"], 2, "--time-limit is 0"),
        (["--threads", "0"], 2, "--threads is 0"),
        (["--modle", "radtan4"], 2, "did you mean '--model'"),
    ],
)
def test_mistakes_of_solve_are_one_line_with_an_exit_code(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], code: int, what: str
) -> None:
    words = ["solve", f"{photos}/left*.png", f"{photos}/right*.png", *WORDS, "-o", str(tmp_path / "rig.yaml"), *change]
    assert main(words) == code
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("calib: error: ")]
    assert len(errors) == 1
    assert re.search(what, errors[0])
    assert list(tmp_path.iterdir()) == []


def test_bad_photos_and_places_are_one_line_with_an_exit_code(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = [f"{photos}/left*.png", f"{photos}/right*.png"]
    assert main(["solve", f"{tmp_path}/none*.png", spec[1], *WORDS, "-o", str(tmp_path / "rig.yaml")]) == 3
    assert main(["solve", *spec, *WORDS, "-o", str(tmp_path)]) == 6
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert main(["solve", *spec, *WORDS, "-o", str(tmp_path / "file" / "rig.yaml")]) == 6
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in photos.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "left2.png").write_bytes((photos / "left2.png").read_bytes()[:5000])
    assert main(["solve", f"{broken}/left*.png", f"{broken}/right*.png", *WORDS, "-o", str(tmp_path / "rig.yaml")]) == 3
    for name in ("left2.png", "left4.png"):  # of six: no clear majority
        write_image(broken / name, read_image(photos / name)[:-2])
    assert main(["solve", f"{broken}/left*.png", f"{broken}/right*.png", *WORDS, "-o", str(tmp_path / "rig.yaml")]) == 3
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("calib: error: ")]
    assert len(errors) == 5
    assert "left2.png: is truncated" in errors[3]
    assert "left2.png is 320 x 238 px, but other images of this camera are 320 x 240 px" in errors[4]
    assert not (tmp_path / "rig.yaml").exists()
    assert not (tmp_path / "rig.report.json").exists()


def test_rectify_writes_a_pair_whose_rows_agree(photos: Path, solved: Path, tmp_path: Path) -> None:
    from calib.detect import detect_board
    from calib.target import Target, parse_target

    folder = tmp_path / "out"
    words = [str(solved / "rig.yaml"), str(photos / "left2.png"), str(photos / "right2.png")]
    assert main(["rectify", *words, "-o", str(folder)]) == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "left.png",
        "left_valid.png",
        "rig.yaml",
        "right.png",
        "right_valid.png",
    ]
    rig = load_rig(folder / "rig.yaml")
    assert rig.is_rectified
    assert set(np.unique(read_image(folder / "left_valid.png"))) <= {0, 255}
    target = parse_target("chessboard:6x4:20mm")
    assert isinstance(target, Target)
    left, right = (detect_board(read_image(folder / f"{side}.png"), target) for side in ("left", "right"))
    assert left is not None
    assert right is not None
    rows = min(np.abs((left.corners_uv - right.corners_uv[order])[:, 1]).max() for order in target.corner_orders())
    assert rows < 0.25


def test_rectify_writes_float_photos_as_tiff(photos: Path, solved: Path, tmp_path: Path) -> None:
    for side in ("left", "right"):
        grey = cv2.cvtColor(read_image(photos / f"{side}2.png"), cv2.COLOR_BGR2GRAY)
        write_image(tmp_path / f"{side}.tiff", (grey / np.float32(255.0)).astype(np.float32))
    words = [str(solved / "rig.yaml"), str(tmp_path / "left.tiff"), str(tmp_path / "right.tiff"), "-o", str(tmp_path / "out")]
    assert main(["rectify", *words]) == 0
    assert read_image(tmp_path / "out" / "left.tiff").dtype == np.float32


def test_rectify_refuses_photos_of_another_size(
    photos: Path, solved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in ("left", "right"):
        write_image(tmp_path / f"{side}.png", read_image(photos / f"{side}2.png")[:-10])
    words = [str(solved / "rig.yaml"), str(tmp_path / "left.png"), str(tmp_path / "right.png"), "-o", str(tmp_path / "out")]
    assert main(["rectify", *words]) == 3
    assert "320 x 230" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def everything_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "names", [("rig.yaml", "l.png", "r.png"), ("r.yaml", "left.png", "r.png"), ("r.yaml", "l.png", "right.png")]
)
def test_rectify_does_not_overwrite_its_inputs(
    photos: Path, solved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, str, str]
) -> None:
    for name, source in zip(names, (solved / "rig.yaml", photos / "left2.png", photos / "right2.png"), strict=True):
        (tmp_path / name).write_bytes(source.read_bytes())
    before = everything_in(tmp_path)
    assert main(["rectify", *(str(tmp_path / name) for name in names), "-o", str(tmp_path)]) == 6
    assert "would overwrite an input" in capsys.readouterr().err
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("name", ["left2.png", "right1.png", "left.txt"])
def test_solve_does_not_overwrite_its_photos_and_lists(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for path in photos.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for side in ("left", "right"):
        (tmp_path / f"{side}.txt").write_text("\n".join(f"{side}{i}.png" for i in range(1, 7)), encoding="utf-8")
    before = everything_in(tmp_path)
    assert main(["solve", f"{tmp_path}/left.txt", f"{tmp_path}/right.txt", *WORDS, "-o", str(tmp_path / name)]) == 6
    assert "would overwrite an input" in capsys.readouterr().err
    assert everything_in(tmp_path) == before


def test_names_too_long_for_the_system_are_one_line_with_an_exit_code(
    photos: Path, solved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, long = [f"{photos}/left*.png", f"{photos}/right*.png"], "x" * 300
    rig, left, right = str(solved / "rig.yaml"), str(photos / "left2.png"), str(photos / "right2.png")
    (tmp_path / "list.txt").write_text(f"{long}.png\n", encoding="utf-8")
    for words, code in (
        (["solve", *spec, *WORDS, "-o", f"{tmp_path}/{long}"], 6),
        (["solve", *spec, *WORDS, "-o", f"{tmp_path}/{'x' * 245}.yaml"], 6),  # the report's name is the longer one
        (["solve", *spec, *WORDS, "-o", f"{tmp_path}/{long}/rig.yaml"], 6),
        (["rectify", rig, left, right, "-o", f"{tmp_path}/{long}"], 6),
        (["solve", f"{tmp_path}/list.txt", f"{tmp_path}/list.txt", *WORDS, "-o", f"{tmp_path}/rig.yaml"], 3),
        (["solve", f"{tmp_path}/list.txt", left, *WORDS, "-o", f"{tmp_path}/rig.yaml"], 3),
        (["solve", long, long, *WORDS, "-o", f"{tmp_path}/rig.yaml"], 3),
        (["rectify", long, left, right, "-o", str(tmp_path)], 3),
        (["rectify", rig, long, right, "-o", str(tmp_path)], 3),
    ):
        assert main(words) == code
        errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("calib: error: ")]
        assert len(errors) == 1
        assert "a bug in" not in errors[0]
    assert [path.name for path in tmp_path.iterdir()] == ["list.txt"]


@pytest.mark.parametrize(
    ("roll_deg", "said"), [(30.0, "note: rectification turns the view by 30.0 degrees anticlockwise"), (2.0, "")]
)
def test_rectify_tells_of_a_view_that_it_turns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], roll_deg: float, said: str
) -> None:
    camera, angle = Camera(64, 48, 60.0, 60.0, 31.5, 23.5, np.zeros(0)), np.radians(roll_deg)
    rig = StereoRig(camera, camera, np.eye(3), -0.1 * np.array([np.cos(angle), np.sin(angle), 0.0]))
    save_rig(tmp_path / "r.yaml", rig)
    for side in ("l", "r"):
        write_image(tmp_path / f"{side}.png", np.full((48, 64), 99, np.uint8))
    assert main(["rectify", *(str(tmp_path / name) for name in ("r.yaml", "l.png", "r.png")), "-o", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err.startswith(said)
    assert bool(said) == (roll_deg > 10.0)


def test_grey_cameras_of_kitti_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"P{i}: 700 0 320 {-700.0 * x} 0 700 240 0 0 0 1 0" for i, x in ((0, 0.0), (1, 0.54), (2, -0.06), (3, 0.47))]
    path = tmp_path / "kitti.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    for words, baseline in (([], "530.00"), (["--cameras", "colour"], "530.00"), (["--cameras", "grey"], "540.00")):
        assert main(["show", str(path), "--image-size", "640x480", *words]) == 0
        assert f"baseline {baseline} mm" in capsys.readouterr().out
    for side in ("l", "r"):
        write_image(tmp_path / f"{side}.png", np.zeros((480, 640), np.uint8))
    words = [str(path), str(tmp_path / "l.png"), str(tmp_path / "r.png"), "--image-size", "640x480", "--cameras", "grey"]
    assert main(["rectify", *words, "-o", str(tmp_path / "out")]) == 0
    assert load_rig(tmp_path / "out" / "rig.yaml").baseline_m == pytest.approx(0.54)
    assert main(["show", str(path), "--cameras", "red", "--image-size", "640x480"]) == 2
    assert main(["show", str(path)]) == 2
    assert "give --image-size WxH" in capsys.readouterr().err


def test_show_tells_the_rig_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    camera = Camera(640, 480, 320.0, 240.0, 319.5, 239.5, np.zeros(0))
    rig = StereoRig(
        camera, camera, rotation_from_vector([0.0, np.radians(3.0), 0.0]), np.array([-0.1, 0.0, 0.0]), {"tool": "by hand"}
    )
    save_rig(tmp_path / "rig.yaml", rig)
    assert main(["show", str(tmp_path / "rig.yaml")]) == 0
    said = capsys.readouterr().out
    assert "640 x 480 px" in said
    assert "view 89.9 x 89.9 degrees, no distortion" in said
    assert "baseline 100.00 mm" in said
    assert "pan -3.000, tilt +0.000, roll +0.000" in said  # turned towards the left camera: it looks further left
    assert "rectified: no" in said
    assert "tool: by hand" in said
    assert main(["show", str(tmp_path / "none.yaml")]) == 3
    assert main(["show", str(tmp_path / "rig.yaml"), "--image-size", "640"]) == 2


@pytest.mark.parametrize(
    ("vector_deg", "what"),
    [([0.0, -2.0, 0.0], "pan +2.000"), ([-2.0, 0.0, 0.0], "tilt +2.000"), ([0.0, 0.0, -2.0], "roll +2.000")],
)
def test_angles_have_the_signs_they_claim(vector_deg: list[float], what: str) -> None:
    """The right camera is turned by the inverse of R_right_left: further right about +y, up about +x, clockwise about +z."""
    rig = StereoRig(CAMERA, CAMERA, rotation_from_vector(np.radians(vector_deg)), np.array([-0.1, 0.0, 0.0]))
    assert what in "\n".join(describe(rig))


def test_show_names_doffs_of_a_rectified_rig() -> None:
    left = Camera(640, 480, 500.0, 500.0, 310.0, 240.0, np.zeros(0))
    right = Camera(640, 480, 500.0, 500.0, 341.086, 240.0, np.zeros(0))
    said = "\n".join(describe(StereoRig(left, right, np.eye(3), np.array([-0.193, 0.0, 0.0]))))
    assert "rectified: yes; focal length 500.000 px, doffs 31.086 px" in said
    assert "100.00 mm right" not in said
    assert "193.00 mm right" in said


def test_show_draws_the_rig(solved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("rig.png", "rig.svg"):
        assert main(["show", str(solved / "rig.yaml"), "-o", str(tmp_path / name)]) == 0
        said = capsys.readouterr().out
        assert "from above (forwards is up):" in said
        assert re.search(r"L to R (60\.|59\.9)", said)
        assert re.search(r"focal length 26\d\.\d+ \+- \d", said)
        assert re.search(r"^  1 m: centre calibration \+-", said, re.MULTILINE)
        assert f"Wrote {tmp_path / name}" in said
    before = everything_in(solved)
    assert main(["show", str(solved / "rig.yaml"), "-o", str(tmp_path / "rig.jpg")]) == 2
    assert main(["show", str(solved / "rig.yaml"), "-o", str(tmp_path / "rig.png" / "x.png")]) == 6
    assert everything_in(solved) == before


def test_board_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("board.pdf", "board.svg", "board.png"):
        assert main(["board", "--target", "chessboard:9x6:20mm", "-o", str(tmp_path / "new" / name)]) == 0
        said = capsys.readouterr()
        assert "chessboard:9x6:20mm on a sheet of 297 x 210 mm" in said.out
        assert f"Wrote {tmp_path / 'new' / name}" in said.out
    assert (tmp_path / "new" / "board.pdf").read_bytes().startswith(b"%PDF")
    assert main(["board", "--target", "chessboard:8x6:20mm", "-o", str(tmp_path / "flips.pdf")]) == 0
    assert "looks the same upside down" in capsys.readouterr().err
    for change, code in ((["--paper", "A9"], 2), (["--target", "chessboard:9x6:90mm"], 2), (["-o", str(tmp_path / "x.txt")], 2)):
        assert main(["board", "--target", "chessboard:9x6:20mm", "-o", str(tmp_path / "x.pdf"), *change]) == code
    assert main(["board", "--target", "auto:20mm", "-o", str(tmp_path / "x.pdf")]) == 2
    assert not (tmp_path / "x.pdf").exists()


def test_known_length_scales_the_rig(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A board said to be 1 % too small is measured: the baseline is that of the true board, and nothing is left to check."""
    words = ["solve", f"{photos}/left*.png", f"{photos}/right*.png", "--target", f"chessboard:6x4:{20.0 / 1.01:.12g}mm"]
    words += ["--model", "radtan4", "--warp", "off", "--known-length", "100mm:5"]
    assert main([*words, "-o", str(tmp_path / "b.yaml")]) == 0
    said = capsys.readouterr().out
    assert "squares are 20 mm, not 19.802 (100 mm over 5 squares); scale corrected by +1.00 %" in said
    assert "square-size" not in said
    assert load_rig(tmp_path / "b.yaml").baseline_m == pytest.approx(RIG.baseline_m, rel=4e-3)


def test_the_command_line_offers_what_the_solver_knows() -> None:
    assert set(cli.MODELS) - {"auto"} == set(COEFFICIENTS)
    assert set(cli.WARPS) == set(model_search.WARPS)


def test_a_length_over_more_squares_than_there_are_is_refused() -> None:
    target = parse_target("chessboard:6x4:30mm")
    assert isinstance(target, Target)
    assert scaled_to(target, parse_known_length("210mm:7")).is_settled  # 6 corners, 7 squares
    with pytest.raises(CalibrationError, match="has 7 of them; count again"):
        scaled_to(target, parse_known_length("750mm:25"))


@pytest.mark.parametrize(
    "words", [["--help"], ["solve", "--help"], ["rectify", "--help"], ["show", "--help"], ["board", "--help"], ["--version"]]
)
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    program = (
        "import sys; from calib.cli import main; code = main(sys.argv[1:]);"
        "heavy = sorted({'numpy', 'scipy', 'cv2', 'numba', 'rich', 'open3d', 'yaml', 'matplotlib', 'jinja2'} & set(sys.modules));"
        "print('HEAVY', heavy); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "HEAVY []" in done.stdout


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "calib.cli", "solve", "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "examples:" in done.stdout
    assert "--target chessboard:9x6:25mm" in done.stdout


@pytest.mark.realdata
def test_the_bumblebee2_from_photos_to_a_rig(data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All 11 pairs; the board of pair 11 is read from two ends; the maker states 120 mm."""
    photos = data_folder / "bumblebee2_boofcv/calibration/stereo/Bumblebee2_Chess"
    words = [f"{photos}/left*.jpg", f"{photos}/right*.jpg", "--target", "chessboard:6x4:30mm", "-o", str(tmp_path / "rig.yaml")]
    assert main(["solve", *words]) == 0
    said = capsys.readouterr().out
    report = json.loads((tmp_path / "rig.report.json").read_text(encoding="utf-8"))
    assert report["pairs_used"] == 11
    assert report["stereo_rms_px"] <= 0.12
    assert abs(report["baseline_m"] / 0.120 - 1.0) <= 0.007
    assert [pair["name"] for pair in report["pairs"] if pair["repaired"]] == ["left11.jpg, right11.jpg"]
    assert "pair 11 (left11.jpg, right11.jpg)" in said
    assert "corner order repaired" in said


@pytest.mark.realdata
def test_a_fisheye_is_solved_without_a_guess(data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = data_folder / "calib_fisheye_sourishg"
    for side in ("left", "right"):  # every third pair
        names = [str(path.resolve()) for path in find_images(f"{photos}/{side}*.jpg")[1:25:3]]
        assert len(names) == 8
        (tmp_path / f"{side}.txt").write_text("\n".join(names), encoding="utf-8")
    words = [
        f"{tmp_path}/left.txt",
        f"{tmp_path}/right.txt",
        "--target",
        "chessboard:9x6:24.23mm",
        "-o",
        str(tmp_path / "rig.yaml"),
    ]
    assert main(["solve", *words]) == 0
    report = json.loads((tmp_path / "rig.report.json").read_text(encoding="utf-8"))
    assert report["model"] == "fisheye"
    assert report["mono_rms_left_px"] < 0.3
    assert report["mono_rms_right_px"] < 0.5  # eight pairs only, some of them blurred
