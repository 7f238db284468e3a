import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib.config import parse_config
from calib.images import read_image, write_image
from calib.rig_files import load_rig, save_rig
from stereo import memory
from stereo.cli import main
from stereo.map_files import read_float_map
from stereo.pipeline import RESULTS
from stereo.run_settings import RunSettings, load_run_file

ROOM = Path(__file__).resolve().parents[1] / "data" / "room"
LEFT, RIGHT, RIG = str(ROOM / "left.png"), str(ROOM / "right.png"), str(ROOM / "rig.yaml")
HEAVY = ("numpy", "scipy", "cv2", "numba", "rich", "open3d", "matplotlib", "jinja2", "yaml")


def files_below(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


class Refused:
    """A command that must fail: its code, its one error line, and nothing written."""

    def __init__(self, capsys: pytest.CaptureFixture[str], folder: Path, *words: str | Path) -> None:
        before = files_below(folder)
        self.code = main(["run", *map(str, words), "-o", str(folder / "out")])
        captured = capsys.readouterr()
        lines = [line for line in captured.err.splitlines() if not line.startswith("[")]  # progress
        assert len(lines) == 1, captured.err
        assert "Traceback" not in captured.err
        assert "Wrote" not in captured.out
        assert files_below(folder) == before
        assert lines[0].startswith("stereo: error: ")
        self.message = lines[0].removeprefix("stereo: error: ")


class TestInput:
    """Exit code 3."""

    def test_a_missing_file(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        refused = Refused(capsys, tmp_path, tmp_path / "absent.png", RIGHT)
        assert refused.code == 3
        assert "absent.png: not found" in refused.message

    def test_a_missing_rig(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        refused = Refused(capsys, tmp_path, LEFT, RIGHT, "--rig", tmp_path / "rig.yaml")
        assert refused.code == 3
        assert "rig.yaml: not found" in refused.message

    @pytest.mark.parametrize("suffix", [".jpg", ".png"])
    @pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
    def test_a_truncated_image(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, part: float) -> None:
        good, data = cv2.imencode(suffix, read_image(LEFT))
        assert good
        torn = tmp_path / f"torn{suffix}"
        torn.write_bytes(data.tobytes()[: int(part * len(data))])
        refused = Refused(capsys, tmp_path, torn, RIGHT, "--rig", RIG)
        assert refused.code == 3
        assert torn.name in refused.message
        assert "truncated" in refused.message

    def test_sizes_that_differ(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        write_image(tmp_path / "wide.png", np.zeros((180, 241, 3), np.uint8))
        refused = Refused(capsys, tmp_path, LEFT, tmp_path / "wide.png")
        assert refused.code == 3
        assert "240 x 180" in refused.message
        assert "241 x 180" in refused.message

    def test_a_size_other_than_the_rigs(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for grey, name in enumerate(("a.png", "b.png")):
            write_image(tmp_path / name, np.full((90, 120, 3), grey, np.uint8))
        refused = Refused(capsys, tmp_path, tmp_path / "a.png", tmp_path / "b.png", "--rig", RIG)
        assert refused.code == 3
        assert "120 x 90" in refused.message
        assert "240 x 180" in refused.message

    def test_the_same_picture_twice(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        refused = Refused(capsys, tmp_path, LEFT, LEFT)
        assert refused.code == 3
        assert "are the same picture" in refused.message

    def test_points_beyond_infinity_are_told(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The room with a rig whose zero disparity lies at infinity: the far half of the scene would lie behind it."""
        rig = load_rig(RIG)
        save_rig(tmp_path / "rig.yaml", replace(rig, right=replace(rig.right, centre_x_px=rig.left.centre_x_px)))
        words = ["run", LEFT, RIGHT, "--rig", str(tmp_path / "rig.yaml"), "--range", "-30:20", "-o", str(tmp_path / "out")]
        assert main(words) == 0
        assert "of the measured pixels lie beyond infinity" in capsys.readouterr().err
        assert main([*words[:4], RIG, *words[5:]]) == 0
        assert "beyond infinity" not in capsys.readouterr().err


class TestRig:
    """Exit code 4."""

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("t_right_left: [", "t_right_left: [.nan, 0, 0] # [", "t_right_left"),
            ("t_right_left: [", "t_right_left: [0, 0, 0] # [", "baseline is 0"),
            ("format: stereo-rig 1", "format: stereo-rig 9", "stereo-rig"),
        ],
    )
    def test_an_impossible_rig(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, words: str) -> None:
        text = Path(RIG).read_text("utf-8")
        assert old in text
        (tmp_path / "bad.yaml").write_text(text.replace(old, new, 1), "utf-8")
        refused = Refused(capsys, tmp_path, LEFT, RIGHT, "--rig", tmp_path / "bad.yaml")
        assert refused.code == 4
        assert "bad.yaml" in refused.message
        assert words in refused.message


class TestUsage:
    """Exit code 2."""

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (["--range", "88:-40"], "MIN 88 must be < MAX -40"),
            (["--range", "-4:-4"], "must be < MAX"),
            (["--range", "40"], "MIN:MAX"),
            (["--depth", "2m:1m"], "must be less than FAR"),
            (["--depth", "2:9"], "no unit"),
            (["--range", "-4:9", "--depth", "1m:2m"], "not allowed with"),
            (["--depth", "1m:2m"], "needs a rig"),
            (["--set", "matcher.p9=3"], "unknown setting; did you mean"),
            (["--set", "matcher.p2=abc"], "matcher.p2"),
            (["--set", "matcher.p2"], "NAME=VALUE"),
            (["--preset", "best"], "'best' is not known"),
            (["--threads", "0"], "at least 1"),
            (["--image-size", "640"], "write e.g. 640x480"),
            (["--image-size", f"{'9' * 5000}x1", "--rig", RIG], "write e.g. 640x480"),
            (["--range", "99999999999999999999:100000000000000000000"], "beyond 1048576 px"),
            (["--depth", "1e-320m:1m", "--rig", RIG], "must be a finite length > 0"),
            (["--unit", "mm"], "there is no rig; give --rig too"),
            (["--image-size", "240x180"], "there is no rig; give --rig too"),
            (["--cameras", "grey"], "there is no rig; give --rig too"),
            (["--cameras", "gray", "--rig", RIG], "did you mean 'grey'"),
            (["--rnage", "-4:9"], "did you mean"),
            (["third.png"], "third.png"),
        ],
    )
    def test_a_wrong_option(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str) -> None:
        refused = Refused(capsys, tmp_path, LEFT, RIGHT, *words)
        assert refused.code == 2
        assert expected in refused.message

    def test_an_unknown_setting_in_a_file(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "my.yaml").write_text("matcher:\n  uniqueness: 3\n")
        refused = Refused(capsys, tmp_path, LEFT, RIGHT, "--config", tmp_path / "my.yaml")
        assert refused.code == 2
        assert "my.yaml:2:3" in refused.message
        assert "uniqueness_percent" in refused.message

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (["run"], "LEFT and RIGHT are missing"),
            (["run", LEFT], "RIGHT is missing"),
            (["run", LEFT, RIGHT], "-o DIR is missing"),
            (["rum"], "did you mean 'run'"),
        ],
    )
    def test_missing_words(self, capsys: pytest.CaptureFixture[str], words: list[str], expected: str) -> None:
        assert main(words) == 2
        assert expected in capsys.readouterr().err


class TestResourcesAndOutput:
    def test_too_little_memory(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "available_bytes", lambda: 1_000_000)
        refused = Refused(capsys, tmp_path, LEFT, RIGHT, "--range", "-30:20")
        assert refused.code == 5
        assert "1 MB are available" in refused.message

    @pytest.mark.parametrize("place", ["out", "file/out"])
    def test_an_output_that_cannot_be_a_folder(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str) -> None:
        (tmp_path / place.split("/")[0]).write_text("a file")
        before = files_below(tmp_path)
        assert main(["run", LEFT, RIGHT, "--range", "-30:20", "-o", str(tmp_path / place)]) == 6
        captured = capsys.readouterr()
        assert captured.err.count("stereo: error: ") == 1
        assert str(tmp_path / place) in captured.err
        assert "match" not in captured.err.replace(str(tmp_path), ""), "refused before the long work"
        assert files_below(tmp_path) == before

    def test_an_output_with_too_long_a_name(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        long = tmp_path / ("a" * 300)
        for command in (["run", LEFT, RIGHT, "--range", "-30:20"], ["demo"]):
            assert main([*command, "-o", str(long)]) == 6
            line = capsys.readouterr().err
            assert line.startswith(f"stereo: error: {long}")
            assert "the name is too long" in line
        assert not files_below(tmp_path)

    @pytest.mark.parametrize("role", ["left", "right", "rig", "config"])
    def test_an_input_is_never_replaced(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], role: str) -> None:
        """The input bears the name of a result; the folder is named by a detour."""
        out = tmp_path / "out"
        out.mkdir()
        paths = {"left": Path(LEFT), "right": Path(RIGHT), "rig": Path(RIG), "config": tmp_path / "my.yaml"}
        paths["config"].write_text("range: [-30, 20]\n")
        name = {"left": "preview.png", "right": "reason.png", "rig": "run.yaml", "config": "run.yaml"}[role]
        content = paths[role].read_bytes()
        (out / name).write_bytes(content)
        paths[role] = out / name
        words = [paths["left"], paths["right"], "--rig", paths["rig"], "--config", paths["config"]]
        (tmp_path / "link").symlink_to(out)
        assert main(["run", *map(str, words), "-o", str(tmp_path / "link")]) == 6
        captured = capsys.readouterr()
        assert f"{tmp_path / 'link' / name}: would overwrite an input ({out / name})" in captured.err
        assert not captured.out
        assert list(out.iterdir()) == [out / name]
        assert (out / name).read_bytes() == content

    def test_a_folder_in_the_place_of_a_result(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "out" / "run.yaml").mkdir(parents=True)
        assert main(["run", LEFT, RIGHT, "--range", "-30:20", "-o", str(tmp_path / "out")]) == 6
        assert "run.yaml: cannot be replaced" in capsys.readouterr().err

    def test_a_range_that_cannot_be_found(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for grey in (127, 128):
            write_image(tmp_path / f"{grey}.png", np.full((180, 240, 3), grey, np.uint8))
        refused = Refused(capsys, tmp_path, tmp_path / "127.png", tmp_path / "128.png")
        assert refused.code == 8
        assert "0 consistent matches, 24 needed" in refused.message
        assert "--range MIN:MAX" in refused.message


class TestRun:
    @pytest.mark.parametrize("words", [["--range", "-30:20"], ["--range=-30:20"]])
    def test_a_negative_range_may_follow_a_space(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
    ) -> None:
        assert main(["run", LEFT, RIGHT, *words, "-o", str(tmp_path / "out")]) == 0
        assert "Range      -30:20 px, given as a range" in capsys.readouterr().out
        assert load_run_file(tmp_path / "out" / "run.yaml").range == (-30, 20)

    def test_everything_written_is_announced_and_the_figures_are_printed(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        assert main(["run", LEFT, RIGHT, "--rig", RIG, "--set", "matcher.speckle_pixels=50", "-o", str(out)]) == 0
        captured = capsys.readouterr()
        announced = {line.removeprefix("Wrote ") for line in captured.out.splitlines() if line.startswith("Wrote ")}
        assert announced == {str(path) for path in out.iterdir()}
        assert {path.name for path in out.iterdir()} == set(RESULTS)
        for words in ("sparse matches", "% of the left image's pixels", "median ", " m;", "points"):
            assert words in captured.out
        assert load_run_file(out / "run.yaml").matcher.speckle_pixels == 50

    def test_a_config_repeats_a_run_and_options_change_it(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        first, second, third = (str(tmp_path / name) for name in ("first", "second", "third"))
        assert main(["run", LEFT, RIGHT, "--rig", RIG, "--depth", "1m:9m", "-o", first]) == 0
        assert main(["run", "--config", f"{first}/run.yaml", "-o", second]) == 0
        for name in set(RESULTS) - {"log.jsonl"}:
            assert Path(first, name).read_bytes() == Path(second, name).read_bytes(), name
        assert main(["run", "--config", f"{first}/run.yaml", "--range", "-25:16", "-o", third]) == 0
        assert "Range      -25:16 px, given as a range" in capsys.readouterr().out

    def test_cameras_choose_the_pair_of_a_kitti_rig(self, tmp_path: Path) -> None:
        """Grey cameras 0 and 1 are 0.2 m apart, colour cameras 2 and 3 0.1 m: the same disparities at twice the depth."""
        shifts = [0.0, -40.0, 0.0, -20.0]
        lines = [f"P{i}: 200 0 119.5 {shift} 0 200 89.5 0 0 0 1 0" for i, shift in enumerate(shifts)]
        (tmp_path / "calib.txt").write_text("\n".join(lines) + "\n")
        words = ["--rig", str(tmp_path / "calib.txt"), "--image-size", "240x180", "--depth", "3m:inf"]
        for cameras, scale in (("grey", 40.0), ("colour", 20.0)):
            out = tmp_path / cameras
            assert main(["run", LEFT, RIGHT, *words, "--cameras", cameras, "-o", str(out)]) == 0
            disparity, depth = (read_float_map(out / name) for name in ("disparity.tiff", "depth.tiff"))
            known = np.isfinite(depth)
            np.testing.assert_allclose(depth[known], scale / disparity[known], rtol=1e-5)
        found = load_run_file(tmp_path / "grey" / "run.yaml")
        assert (found.cameras, found.image_size) == ("grey", (240, 180))
        assert main(["run", "--config", str(tmp_path / "grey" / "run.yaml"), "-o", str(tmp_path / "again")]) == 0
        assert (tmp_path / "again" / "depth.tiff").read_bytes() == (tmp_path / "grey" / "depth.tiff").read_bytes()

    def test_the_unit_of_a_rig_from_a_config(self, tmp_path: Path) -> None:
        (tmp_path / "my.yaml").write_text(f'rig: "{RIG}"\n')
        words = ["--config", str(tmp_path / "my.yaml"), "--unit", "m", "--image-size", "240x180", "--range", "-30:20"]
        assert main(["run", LEFT, RIGHT, *words, "-o", str(tmp_path / "out")]) == 0
        assert (tmp_path / "out" / "depth.tiff").exists()

    def test_print_settings_needs_no_images(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["run", "--set", "matcher.p1=5", "--range", "-4:9", "--print-settings"]) == 0
        found = parse_config(capsys.readouterr().out, RunSettings)
        assert found.matcher.p1 == 5
        assert found.range == (-4, 9)


class TestStart:
    @pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["demo", "--help"], ["--version"], []])
    def test_help_answers_without_loading_anything_heavy(self, words: list[str]) -> None:
        code = (
            "import sys; from stereo.cli import main; main(sys.argv[1:]); "
            f"heavy = [name for name in {HEAVY!r} if name in sys.modules]; sys.exit(f'loaded: {{heavy}}' if heavy else 0)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=ROOM.parents[1], check=False
        )
        assert done.returncode == 0, done.stderr

    def test_the_module_is_a_program(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "stereo.cli", "run", LEFT, str(tmp_path / "absent.png"), "-o", str(tmp_path / "out")]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOM.parents[1], env=os.environ, check=False)
        assert done.returncode == 3
        assert done.stderr.splitlines()[-1].startswith("stereo: error: ")
        assert len(done.stderr.splitlines()) == 2
