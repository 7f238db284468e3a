"""`stereo score`: on files, on data sets made here, and what it refuses."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib.files import write_bytes
from calib.images import read_image, write_image
from stereo.cli import _BENCHMARKS, _KINDS, main
from stereo.encodings import KINDS, write_pfm
from stereo.map_files import read_float_map, write_float_map
from stereo.score import BENCHMARKS

ROOM = Path(__file__).resolve().parents[1] / "data" / "room"


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """A truth of -3 px and a map that is off by 0.75 px in half of it and has a hole."""
    truth = np.full((4, 6), -3.0, np.float32)
    found = truth.copy()
    found[:2] += np.float32(0.75)
    found[3, 5] = np.nan
    write_float_map(tmp_path / "found.tiff", found)
    write_pfm(tmp_path / "truth.pfm", truth)
    return tmp_path / "found.tiff", tmp_path / "truth.pfm"


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    """The room three times in the layout of Middlebury v3; the third pair's truth is damaged."""
    for name in ("First", "Second", "Torn"):
        folder = tmp_path / "training" / name
        folder.mkdir(parents=True)
        for side, view in (("left", "im0.png"), ("right", "im1.png")):
            write_image(folder / view, read_image(ROOM / f"{side}.png"))
        (folder / "calib.txt").write_text("ndisp=50\nvmin=0\n")
        truth = read_float_map(ROOM / "disparity.tiff")
        write_pfm(folder / "disp0GT.pfm", truth)
        write_image(folder / "mask0nocc.png", np.where(read_image(ROOM / "occluded.png") != 0, 128, 255).astype(np.uint8))
    torn = tmp_path / "training" / "Torn" / "disp0GT.pfm"
    write_bytes(torn, torn.read_bytes()[:-100])
    return tmp_path / "training"


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    """Code and message of a command that must print one error line and nothing else."""
    code = main(["score", *map(str, words)])
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if not line.startswith("[")]
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("stereo: error: ")
    return code, lines[0]


def test_the_words_of_the_options_are_those_of_the_modules() -> None:
    assert _KINDS == KINDS
    assert _BENCHMARKS == BENCHMARKS


def test_two_files(two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", *map(str, two)]) == 0
    head, sparse, dense, *rest = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["coverage", "bad-0.5", "bad-1"]
    assert sparse.split()[:5] == ["all,", "sparse", "95.83", "50.000", "0.000"]
    assert dense.split()[:5] == ["all,", "dense", "95.83", "50.000", "0.000"]
    assert "24 all" in rest[0]
    assert "lower neighbour" in rest[1]


def test_a_mask_and_the_files_written(two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mask = np.full((4, 6), 255, np.uint8)
    mask[:2] = 128
    write_image(tmp_path / "mask.png", mask)
    out = tmp_path / "out"
    assert main(["score", *map(str, two), "--mask", str(tmp_path / "mask.png"), "--benchmark", "eth3d", "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "nonocc, sparse" in printed
    assert f"Wrote {out / 'scores.json'}" in printed
    stored = json.loads((out / "scores.json").read_text())
    assert stored["regions"]["nonocc"] == {
        "pixels": 12,
        "coverage_percent": pytest.approx(100 * 11 / 12),
        "sparse": dict.fromkeys(stored["regions"]["nonocc"]["sparse"], 0.0),
        "dense": dict.fromkeys(stored["regions"]["nonocc"]["dense"], 0.0),
    }
    assert stored["regions"]["all"]["sparse"]["bad-0.5"] == pytest.approx(100 * 12 / 23)
    assert (out / "scores.txt").read_text() in printed


def test_kinds_of_whole_numbers(two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cv2.imwrite(str(tmp_path / "k.png"), np.full((4, 6), 2560, np.uint16))
    assert cv2.imwrite(str(tmp_path / "m.png"), np.full((4, 6), 80, np.uint8))
    words = ["--kind", "kitti", "--truth-scale", "8", "--benchmark", "kitti"]
    assert main(["score", str(tmp_path / "k.png"), str(tmp_path / "m.png"), *words]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == [
        "all,",
        "sparse",
        "100.00",
        "0.000",
        "0.000",
        "0.000",
        "0.000",
        "0.000",
        "0.000",
    ]
    assert main(["score", str(tmp_path / "m.png"), str(tmp_path / "m.png"), "--scale", "4"]) == 0
    capsys.readouterr()
    code, message = refused(capsys, two[0], tmp_path / "m.png")
    assert code == 2
    assert "m.png" in message
    assert "which may mean several things; say which with --kind kitti" in message


def test_a_smaller_result_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_float_map(tmp_path / "half.tiff", np.full((2, 3), 4.0, np.float32))
    write_float_map(tmp_path / "truth.tiff", np.full((4, 6), 8.0, np.float32))
    assert main(["score", str(tmp_path / "half.tiff"), str(tmp_path / "truth.tiff")]) == 0
    assert "the map has 1/2 of the truth's size" in capsys.readouterr().out


def test_a_data_set(rooms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Matched, measured, written, and the maps measured again as files; a torn truth spoils only its own pair."""
    out = tmp_path / "out"
    words = ["score", str(rooms), "--range", "-30:20", "-o", str(out), "--keep-maps"]
    assert main(words) == 7
    captured = capsys.readouterr()
    assert "[2/3] stereo score: Second" in captured.err
    assert "stereo: error: Torn: " in captured.err
    assert "is truncated" in captured.err
    assert "1 of 3 pairs could not be scored" in captured.err
    table = captured.out.splitlines()
    assert table[1].split()[:4] == ["pair", "coverage", "bad-1", "bad-2"]
    assert table[2].split()[0] == "First"
    assert table[4].startswith("mean of 2")
    stored = json.loads((out / "scores.json").read_text())
    assert [pair["name"] for pair in stored["pairs"]] == ["First", "Second"]
    assert stored["failed"][0]["name"] == "Torn"
    first = stored["pairs"][0]
    assert first["search_range"] == [-30, 20]
    assert first["seconds"] > 0.0
    assert first["regions"]["nonocc"]["coverage_percent"] > 80.0
    (rooms / "Torn" / "disp0GT.pfm").unlink()
    assert main(["score", str(rooms), "--results", str(out / "maps"), "-o", str(tmp_path / "again")]) == 0
    captured = capsys.readouterr()
    assert "1 of 3 pairs have no truth and are left out" in captured.err
    assert captured.out.splitlines()[:5] == table[:5]
    again = json.loads((tmp_path / "again" / "scores.json").read_text())
    assert again["pairs"][0]["regions"] == first["regions"]


def test_answers_are_clipped_to_ndisp(rooms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The room's negative truth lies outside Middlebury's [0, ndisp]: its program would not accept such answers either."""
    for name in ("First", "Second"):
        write_float_map(tmp_path / f"{name}.tiff", read_float_map(ROOM / "disparity.tiff"))
    (rooms / "Torn" / "disp0GT.pfm").unlink()
    assert main(["score", str(rooms), "--results", str(tmp_path), "-o", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    truth = read_float_map(ROOM / "disparity.tiff")
    figures = json.loads((tmp_path / "out" / "scores.json").read_text())["pairs"][0]["regions"]["all"]["sparse"]
    assert figures["bad-1"] == pytest.approx(100.0 * np.mean(truth < -1.0))


def test_results_that_are_missing(rooms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, message = refused(capsys, rooms, "--results", tmp_path / "none")
    assert code == 3
    assert "First: no result for this pair; name it First.tiff" in message


def test_refused_inputs(two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, tmp_path / "absent.tiff", two[1]) == (
        3,
        f"stereo: error: {tmp_path / 'absent.tiff'}: not found; check the path",
    )
    code, message = refused(capsys, tmp_path / "absent")
    assert code == 3
    assert "not found" in message
    (tmp_path / "empty").mkdir()
    code, message = refused(capsys, tmp_path / "empty")
    assert code == 3
    assert "looks like none of the data sets known here" in message
    write_float_map(tmp_path / "small.tiff", np.ones((3, 3), np.float32))
    code, message = refused(capsys, tmp_path / "small.tiff", two[1])
    assert code == 3
    assert "3 x 3 px, but the truth 6 x 4" in message


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["FOUND"], "TRUTH is missing"),
        (["FOUND", "TRUTH", "--preset", "balanced"], "--preset belongs to a data set"),
        (["FOUND", "TRUTH", "--results", "x"], "--results belongs to a data set"),
        (["FOUND", "TRUTH", "--keep-maps"], "--keep-maps belongs to a data set"),
        (["FOLDER", "--mask", "x.png"], "--mask belongs to a single file"),
        (["FOLDER", "--benchmark", "kitti"], "--benchmark belongs to a single file"),
        (["FOLDER", "--truth-kind", "kitti"], "--truth-kind belongs to a single file"),
        (["FOLDER", "--kind", "kitti"], "belong to files of results"),
        (["FOLDER", "--preset", "best"], "'best' is not known"),
        (["FOLDER", "--preset", "balanced", "--results", "x"], "not allowed with"),
        (["FOLDER", "--results", "x", "--threads", "2"], "belong to our own matching"),
        (["FOLDER", "--keep-maps"], "give -o DIR"),
        (["FOLDER", "--range", "20:-30"], "must be < MAX"),
        (["FOLDER", "--threads", "0"], "at least 1"),
        (["FOUND", "TRUTH", "--kind", "png"], "unknown value 'png'"),
        (["FOUND", "TRUTH", "--kind", "scaled"], "needs --scale"),
        (["FOUND", "TRUTH", "--kind", "kitti", "--scale", "4"], "only kind scaled has a scale"),
        (["FOUND", "TRUTH", "--scale", "0"], "must be > 0"),
        (["FOUND", "TRUTH", "--bencmark", "kitti"], "did you mean '--benchmark'"),
    ],
)
def test_refused_options(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    names = {"FOUND": str(two[0]), "TRUTH": str(two[1]), "FOLDER": str(tmp_path)}
    code, message = refused(capsys, *(names.get(word, word) for word in words))
    assert code == 2
    assert expected in message


def test_an_output_that_cannot_be_written(two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("a file")
    code, message = refused(capsys, *two, "-o", tmp_path / "out")
    assert code == 6
    assert "is a file" in message
