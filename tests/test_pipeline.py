import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib.config import parse_config
from calib.errors import ConfigError, QualityError, ResourceError, UsageError
from calib.files import sha256, write_text
from calib.geometry import rotation_from_vector
from calib.images import read_image, write_image
from calib.rectification import plan_rectification
from calib.rig_files import load_rig, save_rig
from stereo import memory, pipeline, run_result
from stereo.cloud_files import load_cloud
from stereo.map_files import read_float_map, read_reason
from stereo.maps import DepthMap, DisparityMap
from stereo.run_log import Listener
from stereo.run_result import RunResult, depth_table, metres, summary
from stereo.run_settings import (
    Record,
    RunFile,
    RunSettings,
    change_settings,
    load_run_file,
    package_versions,
    run_file_text,
    settings_text,
)
from stereo.settings import MatcherSettings

ROOM = Path(__file__).resolve().parents[1] / "data" / "room"
LEFT, RIGHT, RIG = ROOM / "left.png", ROOM / "right.png", ROOM / "rig.yaml"
WITHOUT_RIG = {"disparity.tiff", "sigma.tiff", "confidence.tiff", "reason.png", "preview.png", "run.yaml", "log.jsonl"}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunResult]:
    """One run with a rig, read by many tests and changed by none."""
    folder = tmp_path_factory.mktemp("room") / "out"
    return folder, pipeline.run(LEFT, RIGHT, folder, rig=RIG)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def check_same_bytes(first: Path, second: Path) -> None:
    assert names(first) == names(second)
    for name in names(first) - {"log.jsonl"}:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def pipeline_again(run_yaml: Path, folder: Path) -> Path:
    """The run that a run.yaml records, once more."""
    given = load_run_file(run_yaml)
    assert given.left is not None
    assert given.right is not None
    pipeline.run(given.left, given.right, folder, rig=given.rig, settings=given.settings, record=given.record)
    return folder


class TestResults:
    def test_every_file_is_written_and_holds_what_the_result_holds(self, room: tuple[Path, RunResult]) -> None:
        folder, result = room
        assert names(folder) == set(pipeline.RESULTS)
        assert {path.name for path in result.files} == set(pipeline.RESULTS)
        depth, disparity = result.depth, result.disparity
        assert depth is not None
        assert result.cloud is not None
        for name, values in (
            ("disparity.tiff", disparity.disparity_px),
            ("sigma.tiff", disparity.sigma_px),
            ("confidence.tiff", disparity.confidence),
            ("depth.tiff", depth.depth_m),
            ("inverse_depth.tiff", depth.inverse_depth_per_m),
            ("depth_sigma.tiff", depth.depth_sigma_m),
        ):
            np.testing.assert_array_equal(read_float_map(folder / name), values)
        np.testing.assert_array_equal(read_reason(folder / "reason.png"), depth.reason)
        np.testing.assert_array_equal(load_cloud(folder / "cloud.ply").points_xyz_m, result.cloud.points_xyz_m)
        assert read_image(folder / "preview.png").shape[0] >= 180

    def test_depth_agrees_with_the_rendered_truth(self, room: tuple[Path, RunResult]) -> None:
        """data/room: the disparity behind every pixel of left.png is known exactly, and is of both signs."""
        _, result = room
        truth = read_float_map(ROOM / "disparity.tiff")
        seen = (read_image(ROOM / "occluded.png") == 0) & np.isfinite(truth)
        assert truth[seen].min() < -15
        assert truth[seen].max() > 10
        known = seen & result.disparity.valid
        assert known.sum() > 0.7 * seen.sum()
        error = np.abs(result.disparity.disparity_px[known] - truth[known])
        assert np.median(error) < 0.2
        assert (error > 1.0).mean() < 0.06
        rig = load_rig(RIG)
        true_depth = rig.focal_px * rig.baseline_m / (truth[known] + rig.doffs_px)
        assert result.depth is not None
        assert np.median(np.abs(result.depth.depth_m[known] / true_depth - 1.0)) < 0.015
        everywhere = rig.focal_px * rig.baseline_m / (truth + rig.doffs_px)
        assert result.median_depth_m == pytest.approx(float(np.nanmedian(everywhere[result.disparity.valid])), rel=0.05)

    def test_without_a_rig_only_disparities_are_written(self, tmp_path: Path, room: tuple[Path, RunResult]) -> None:
        result = pipeline.run(LEFT, RIGHT, tmp_path / "out")
        assert names(tmp_path / "out") == WITHOUT_RIG
        assert result.depth is None
        assert result.cloud is None
        assert np.isnan(result.median_depth_m)
        assert "give --rig" in summary(result)[-1]
        # A rectified rig passes pixels through, so the disparities are those of the run with it.
        settings = RunSettings(range=(room[1].search.minimum, room[1].search.maximum))
        same = pipeline.run(LEFT, RIGHT, tmp_path / "same", settings=settings)
        np.testing.assert_array_equal(same.disparity.disparity_px, room[1].disparity.disparity_px)

    def test_a_filled_preview_changes_nothing_else(self, tmp_path: Path, room: tuple[Path, RunResult]) -> None:
        settings = change_settings(RunSettings(), assignments=["picture.fill=true"])
        result = pipeline.run(LEFT, RIGHT, tmp_path / "out", rig=RIG, settings=settings)
        assert result.run_file.picture.fill
        for name in names(room[0]) - {"log.jsonl", "preview.png", "run.yaml", "report.html"}:
            assert (tmp_path / "out" / name).read_bytes() == (room[0] / name).read_bytes(), name
        preview, plain = read_image(tmp_path / "out" / "preview.png"), read_image(room[0] / "preview.png")
        height, width = result.disparity.disparity_px.shape
        factor = plain.shape[0] // height  # small maps are enlarged
        changed = (preview[::factor, : factor * width : factor] != plain[::factor, : factor * width : factor]).any(-1)
        assert changed[~result.disparity.valid].mean() > 0.9
        legends = preview[:, factor * width :], plain[:, factor * width :]
        assert legends[0].shape != legends[1].shape or (legends[0] != legends[1]).any()
        check_same_bytes(tmp_path / "out", pipeline_again(tmp_path / "out" / "run.yaml", tmp_path / "again"))

    def test_float_images_and_missing_data(self, tmp_path: Path, room: tuple[Path, RunResult]) -> None:
        for source, name in ((LEFT, "left.tiff"), (RIGHT, "right.tiff")):
            image = read_image(source).astype(np.float32)
            image[:40, :50] = np.nan
            write_image(tmp_path / name, image)
        result = pipeline.run(tmp_path / "left.tiff", tmp_path / "right.tiff", tmp_path / "out", rig=RIG)
        assert not result.disparity.valid[:40, :50].any()
        both = result.disparity.valid & room[1].disparity.valid
        assert both[:, 60:].mean() > 0.6
        difference = np.abs(result.disparity.disparity_px[both] - room[1].disparity.disparity_px[both])
        assert np.percentile(difference, 95) < 0.2

    def test_a_raw_rig_is_rectified(self, tmp_path: Path) -> None:
        """The same pictures with a rig turned by a hair: the run goes through the warp and still measures the same depths."""
        rig = load_rig(RIG)
        turn = np.array([[1.0, -1e-3, 0.0], [1e-3, 1.0, 0.0], [0.0, 0.0, 1.0]])
        turn[:2] /= np.linalg.norm(turn[:2], axis=1, keepdims=True)
        save_rig(tmp_path / "raw.yaml", replace(rig, R_right_left=turn))
        result = pipeline.run(LEFT, RIGHT, tmp_path / "out", rig=tmp_path / "raw.yaml")
        truth = rig.focal_px * rig.baseline_m / (read_float_map(ROOM / "disparity.tiff") + rig.doffs_px)
        assert result.median_depth_m == pytest.approx(float(np.nanmedian(truth)), rel=0.1)


class TestTurned:
    @pytest.mark.parametrize(
        ("roll_deg", "said"), [(15.0, "15.0 degrees anticlockwise"), (-15.0, "15.0 degrees clockwise"), (8.0, "")]
    )
    def test_a_rolled_rig_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, roll_deg: float, said: str) -> None:
        """Both cameras rolled alike: rectification turns their images back."""
        rig = load_rig(RIG)
        roll = rotation_from_vector([0.0, 0.0, np.radians(roll_deg)])
        turned = replace(rig, t_right_left_m=roll @ rig.t_right_left_m)
        save_rig(tmp_path / "rolled.yaml", turned)

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(pipeline, "_match", stop)
        heard: list[str] = []
        with pytest.raises(KeyboardInterrupt):
            pipeline.run(
                LEFT,
                RIGHT,
                tmp_path / "out",
                rig=tmp_path / "rolled.yaml",
                settings=RunSettings(range=(-30, 20)),
                listener=Listener(note=heard.append),
            )
        assert len(heard) == bool(said)
        assert all(said in line for line in heard)

    def test_the_stated_direction_is_that_of_the_pixels(self) -> None:
        """Two bright spots in one row: turned clockwise, the right one comes to lie lower."""
        rig = load_rig(RIG)
        roll = rotation_from_vector([0.0, 0.0, np.radians(-15.0)])
        plan = plan_rectification(replace(rig, t_right_left_m=roll @ rig.t_right_left_m))
        image = np.zeros((180, 240), np.uint8)
        image[85:95, 60:70] = image[85:95, 170:180] = 255
        y, x = np.nonzero(np.asarray(plan.apply(image, image).left, np.uint8) > 128)
        assert "15.0 degrees clockwise" in str(plan.roll_note)
        slope = np.polyfit(x, y, 1)[0]  # rows count downwards
        assert np.degrees(np.arctan(slope)) == pytest.approx(15.0, abs=1.0)


class TestReproducible:
    def test_run_yaml_repeats_the_run_byte_for_byte(self, tmp_path: Path, room: tuple[Path, RunResult]) -> None:
        folder, _ = room
        again = load_run_file(folder / "run.yaml")
        assert again.left is not None
        assert again.right is not None
        heard: list[str] = []
        pipeline.run(
            again.left,
            again.right,
            tmp_path / "again",
            rig=again.rig,
            settings=again.settings,
            record=again.record,
            threads=1,
            listener=Listener(note=heard.append),
        )
        check_same_bytes(folder, tmp_path / "again")
        assert not [line for line in heard if "compiling" not in line]

    def test_the_same_call_gives_the_same_bytes(self, tmp_path: Path, room: tuple[Path, RunResult]) -> None:
        pipeline.run(LEFT, RIGHT, tmp_path / "again", rig=RIG)
        check_same_bytes(room[0], tmp_path / "again")

    def test_run_yaml_records_inputs_range_and_versions_but_no_time(self, room: tuple[Path, RunResult]) -> None:
        text = (room[0] / "run.yaml").read_text("utf-8")
        found = parse_config(text, RunFile)
        assert found == room[1].run_file
        assert found.record is not None
        assert found.record.sha256 == {"left": sha256(LEFT), "right": sha256(RIGHT), "rig": sha256(RIG)}
        versions = found.record.versions
        assert (versions["numpy"], versions["opencv"]) == (np.__version__, cv2.__version__)
        assert set(versions) >= {"stereo", "python", "numba", "pillow", "plyfile", "matplotlib"}
        assert not set(versions) & {"scipy", "open3d"}, "no part of a run"
        assert found.range == (room[1].search.minimum, room[1].search.maximum)
        assert "sparse matches" in found.record.range_from
        assert not re.search(r"20\d\d-\d\d-\d\d|\d\d:\d\d:\d\d", text)

    def test_another_input_and_another_version_are_said(self, tmp_path: Path) -> None:
        shutil.copy(LEFT, tmp_path / "left.png")
        write_image(tmp_path / "right.png", read_image(RIGHT) // 2)
        versions = package_versions() | {"numpy": "0.1"}
        record = Record(sha256={"left": sha256(LEFT), "right": sha256(RIGHT)}, versions=versions)
        heard: list[str] = []
        pipeline.run(
            tmp_path / "left.png",
            tmp_path / "right.png",
            tmp_path / "out",
            settings=RunSettings(range=(-40, 30)),
            record=record,
            listener=Listener(note=heard.append),
        )
        said = [line for line in heard if "compiling" not in line]
        assert len(said) == 2
        assert "right.png: is not the right file of the recorded run" in said[0]
        assert sha256(RIGHT)[:12] in said[0]
        assert f"numpy {np.__version__} instead of 0.1" in said[1]

    def test_recorded_evidence_is_not_claimed_for_another_range(self, tmp_path: Path) -> None:
        record = Record(sha256={"left": sha256(LEFT), "right": sha256(RIGHT)}, range=(-40, 30), range_from="1000 matches")
        for low, words in ((-40, "1000 matches"), (-41, "given as a range")):
            settings = RunSettings(range=(low, 30))
            assert pipeline.run(LEFT, RIGHT, tmp_path / str(low), settings=settings, record=record).search.evidence == words

    def test_warnings_about_rows_are_part_of_the_result(self, tmp_path: Path) -> None:
        """Rows that disagree are said, stand in the report, and stand there again when the run is repeated."""
        write_image(tmp_path / "right.png", np.roll(read_image(RIGHT), 2, axis=0))
        heard: list[str] = []
        first = pipeline.run(LEFT, tmp_path / "right.png", tmp_path / "out", rig=RIG, listener=Listener(note=heard.append))
        assert any(re.search(r"disagree by (1\.[5-9]|2\.\d) px .* rig has moved", line) for line in heard)
        assert "disagree by" in (tmp_path / "out" / "report.html").read_text("utf-8")
        again = load_run_file(tmp_path / "out" / "run.yaml")
        pipeline.run(
            LEFT, tmp_path / "right.png", tmp_path / "again", rig=RIG, settings=again.settings, record=first.run_file.record
        )
        check_same_bytes(tmp_path / "out", tmp_path / "again")


class TestTooNarrow:
    @pytest.mark.parametrize(
        ("search_range", "said"),
        [((-10, 30), "lower end of the range, -10 px"), ((-30, 12), "upper end of the range, 11 px")],
    )
    def test_an_end_that_many_pixels_chose_is_said(self, tmp_path: Path, search_range: tuple[int, int], said: str) -> None:
        """The truth reaches from -20.5 to 14.1 px."""
        result = pipeline.run(LEFT, RIGHT, tmp_path / "out", settings=RunSettings(range=search_range))
        assert len(result.notes) == 1
        assert said in result.notes[0]

    def test_a_range_that_holds_everything_says_nothing(self, room: tuple[Path, RunResult]) -> None:
        assert room[1].notes == ()


class TestFolder:
    def test_results_of_an_earlier_run_do_not_stay(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        pipeline.run(LEFT, RIGHT, out, rig=RIG)
        (out / "notes.txt").write_text("mine")
        pipeline.run(LEFT, RIGHT, out, settings=RunSettings(range=(-30, 20)))
        assert names(out) == WITHOUT_RIG | {"notes.txt"}

    def test_files_of_somebody_else_stay(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Names of results, but no log says that a run wrote them; nothing is claimed either."""
        monkeypatch.setattr(pipeline, "_match", lambda *_: self.disparity())
        for name, log in (
            ("none", None),
            ("foreign", "not json\n"),
            ("other", '[1]\n{"event": "wrote", "file": ["cloud.ply"]}\n'),
        ):
            out = tmp_path / name
            out.mkdir()
            if log is not None:
                (out / "log.jsonl").write_text(log)
            for mine in ("report.html", "cloud.ply"):
                (out / mine).write_text("mine")
            heard: list[str] = []
            pipeline.run(LEFT, RIGHT, out, settings=RunSettings(range=(-30, 20)), listener=Listener(note=heard.append))
            assert names(out) == WITHOUT_RIG | {"report.html", "cloud.ply"}
            assert (out / "report.html").read_text() == (out / "cloud.ply").read_text() == "mine"
            assert not [line for line in heard if "Removed" in line]

    @staticmethod
    def disparity() -> DisparityMap:
        values = np.ones((180, 240), np.float32)
        return DisparityMap(values, values, np.zeros(values.shape, np.uint16), (-30, 20), None, values)

    def test_a_text_that_cannot_be_made_leaves_no_result(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object) -> str:
            raise RuntimeError("no page")

        monkeypatch.setattr("stereo.report.report_html", broken)
        with pytest.raises(RuntimeError, match="no page"):
            pipeline.run(LEFT, RIGHT, tmp_path / "out", rig=RIG, settings=RunSettings(range=(-30, 20)))
        assert not (tmp_path / "out").exists()

    def test_a_name_that_is_not_utf_8(self, tmp_path: Path) -> None:
        left = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
        try:
            shutil.copy(LEFT, left)
        except OSError:
            pytest.skip("this file system takes only UTF-8 names")
        result = pipeline.run(left, RIGHT, tmp_path / "out", rig=RIG, settings=RunSettings(range=(-30, 20)))
        assert names(tmp_path / "out") == set(pipeline.RESULTS)
        assert r"caf\udce9.png" in (tmp_path / "out" / "report.html").read_text("utf-8")
        assert load_run_file(tmp_path / "out" / "run.yaml") == result.run_file
        assert len(result.notes) == 1
        assert "not valid UTF-8" in result.notes[0]
        entries = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text("utf-8").splitlines()]
        assert {"event": "note", "text": result.notes[0]} in entries

    def test_the_log_tells_steps_and_files(self, room: tuple[Path, RunResult]) -> None:
        entries = [json.loads(line) for line in (room[0] / "log.jsonl").read_text("utf-8").splitlines()]
        assert [entry["name"] for entry in entries if entry["event"] == "step"] == list(pipeline.STEPS)
        assert all(entry["seconds"] >= 0.0 for entry in entries if entry["event"] == "step")
        written = {entry["file"] for entry in entries if entry["event"] == "wrote"}
        assert written == set(pipeline.RESULTS) - {"log.jsonl"}

    def test_listeners_hear_of_every_step_and_file(self, tmp_path: Path) -> None:
        steps: list[str] = []
        wrote: list[str] = []
        pipeline.run(LEFT, RIGHT, tmp_path / "out", listener=Listener(step=steps.append, wrote=wrote.append))
        assert steps == list(pipeline.STEPS)
        assert sorted(wrote) == sorted(str(path) for path in (tmp_path / "out").iterdir())

    def test_a_failure_during_the_long_work_leaves_no_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(pipeline, "_match", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pipeline.run(LEFT, RIGHT, tmp_path / "out")
        assert not (tmp_path / "out").exists()


class TestRefusal:
    def test_depth_limits_become_the_range(self, tmp_path: Path) -> None:
        result = pipeline.run(LEFT, RIGHT, tmp_path / "out", rig=RIG, settings=RunSettings(depth="1m:8m"))
        rig = load_rig(RIG)
        product = rig.focal_px * rig.baseline_m
        assert result.search.minimum <= product / 8.0 - rig.doffs_px
        assert result.search.maximum > product / 1.0 - rig.doffs_px
        assert result.search.evidence == "given as depth 1m:8m"

    def test_depth_limits_without_a_rig(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="needs a rig"):
            pipeline.run(LEFT, RIGHT, tmp_path / "out", settings=RunSettings(depth="1m:8m"))
        assert not (tmp_path / "out").exists()

    def test_too_little_memory_is_said_with_both_figures(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "available_bytes", lambda: 40_000_000)
        pipeline.run(LEFT, RIGHT, tmp_path / "fits", settings=RunSettings(range=(-30, 20)))
        with pytest.raises(
            ResourceError, match=r"240 x 180 px over 5000 disparities .* needs about \d+ MB .* 40 MB are available"
        ):
            pipeline.run(LEFT, RIGHT, tmp_path / "out", settings=RunSettings(range=(-2500, 2500)))
        assert not (tmp_path / "out").exists()

    def test_nothing_measured_writes_nothing(self, tmp_path: Path) -> None:
        """Every candidate lies outside the right image."""
        with pytest.raises(QualityError, match="no pixel found its match: 0 of 43200 pixels"):
            pipeline.run(LEFT, RIGHT, tmp_path / "out", settings=RunSettings(range=(-10_000, -9_990)))
        assert not (tmp_path / "out").exists()

    def test_limits_that_leave_no_point_write_nothing(self, tmp_path: Path) -> None:
        settings = change_settings(RunSettings(range=(-30, 20)), assignments=["cloud.max_depth_m=0.01"])
        with pytest.raises(QualityError, match="no point is left for the cloud"):
            pipeline.run(LEFT, RIGHT, tmp_path / "out", rig=RIG, settings=settings)
        assert not (tmp_path / "out").exists()


class TestSettings:
    def test_a_preset_then_single_settings_then_the_range(self) -> None:
        start = RunSettings(matcher=MatcherSettings(p1=3), depth="1m:2m")
        changed = change_settings(start, preset="balanced", assignments=["matcher.p2=48"], search_range=(-4, 9))
        assert changed.matcher == replace(MatcherSettings(), p2=48)
        assert (changed.range, changed.depth) == ((-4, 9), None)
        assert change_settings(start) == start

    def test_a_file_may_hold_a_part_of_the_settings(self, tmp_path: Path) -> None:
        write_text(tmp_path / "part.yaml", "matcher:\n  p2: 48\ncloud:\n  max_depth_m: 20\n")
        found = load_run_file(tmp_path / "part.yaml").settings
        assert found.matcher == replace(MatcherSettings(), p2=48)
        assert found.cloud.max_depth_m == 20.0

    def test_texts_read_back(self) -> None:
        settings = RunSettings(range=(-7, 9), matcher=MatcherSettings(p2=47))
        assert parse_config(settings_text(settings), RunSettings) == settings
        run_file = RunFile(Path("a b.png"), Path("c.png"), record=Record((1, 2), "why: so", ("w",), {"left": "0"}, {"x": "1"}))
        assert parse_config(run_file_text(run_file), RunFile) == run_file

    @pytest.mark.parametrize(
        ("assignment", "words"),
        [
            ("matcher.p3=9", "did you mean 'matcher.p"),
            ("matcher.p2=9000", r"must be in \[1, "),
            ("range=[9, 3]", "MIN < MAX"),
            ("range=[0, 99999999]", "within 1048576 px"),
            ("depth=3m:1m", "must be less than FAR"),
            ("depth=3", "NEAR:FAR"),
            ("preset=best", "not known"),
            ("cloud.max_depth_m=-1", "must be > 0"),
        ],
    )
    def test_wrong_settings_are_refused(self, assignment: str, words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            change_settings(RunSettings(), assignments=[assignment])

    def test_range_and_depth_together_are_refused(self, tmp_path: Path) -> None:
        write_text(tmp_path / "both.yaml", "range: [1, 2]\ndepth: 1m:2m\n")
        with pytest.raises(ConfigError, match="both given"):
            load_run_file(tmp_path / "both.yaml")
        with pytest.raises(UsageError, match="best"):
            change_settings(RunSettings(), preset="best")


class TestMemory:
    def test_the_tightest_limit_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for system, group, process, expected in ((9, 5, 7, 5), (9, None, 7, 7), (9, None, None, 9), (None, None, None, None)):
            monkeypatch.setattr(memory, "_system", lambda value=system: value)
            monkeypatch.setattr(memory, "_control_group", lambda value=group: value)
            monkeypatch.setattr(memory, "_process", lambda value=process: value)
            assert memory.available_bytes() == expected

    def test_control_group_files(self, tmp_path: Path) -> None:
        assert memory._control_group(tmp_path) is None
        (tmp_path / "memory.current").write_text("300\n")
        (tmp_path / "memory.max").write_text("max\n")
        assert memory._control_group(tmp_path) is None
        (tmp_path / "memory.max").write_text("1000\n")
        assert memory._control_group(tmp_path) == 700
        (tmp_path / "memory.stat").write_text("anon 100\ninactive_file 200\nactive_file 50\n")
        assert memory._control_group(tmp_path) == 900, "files kept in memory can be given up"
        (tmp_path / "memory.stat").write_text("inactive_file 999\n")
        assert memory._control_group(tmp_path) == 1000, "never more than the limit"
        (tmp_path / "memory.stat").write_text("inactive_file many\n")
        assert memory._control_group(tmp_path) == 700

    def test_control_group_files_of_the_first_version(self, tmp_path: Path) -> None:
        (tmp_path / "memory").mkdir()
        (tmp_path / "memory" / "memory.limit_in_bytes").write_text("1000\n")
        (tmp_path / "memory" / "memory.usage_in_bytes").write_text("300\n")
        assert memory._control_group(tmp_path) == 700
        (tmp_path / "memory" / "memory.stat").write_text("inactive_file 7\ntotal_inactive_file 200\n")
        assert memory._control_group(tmp_path) == 900

    def test_this_machine_tells_something_sane(self) -> None:
        available = memory.available_bytes()
        assert available is None or 10_000_000 < available < 1e14


class TestReport:
    def test_the_page_needs_nothing_else(self, room: tuple[Path, RunResult]) -> None:
        text = (room[0] / "report.html").read_text("utf-8")
        assert not re.search(r"https?://|<script|<link|url\(|@import", text)
        sources = re.findall(r'src="([^"]{0,30})', text)
        assert len(sources) == 6
        assert all(source.startswith("data:image/") for source in sources)
        assert "doffs" in text
        assert f"{100 * room[1].valid_share:.1f} %" in text
        assert metres(room[1].median_depth_m) in text
        assert str(ROOM) not in text, "folders are nobody's business"
        assert not re.search(r"20\d\d-\d\d-\d\d|\d\d:\d\d:\d\d", text)

    def test_names_cannot_become_markup(self, tmp_path: Path) -> None:
        evil = tmp_path / "<img src=x onerror=alert(1)>.png"
        shutil.copy(LEFT, evil)
        pipeline.run(evil, RIGHT, tmp_path / "out", rig=RIG, settings=RunSettings(range=(-30, 20)))
        text = (tmp_path / "out" / "report.html").read_text("utf-8")
        assert "<img src=x" not in text
        assert "&lt;img src=x" in text

    def test_depths_and_their_error_bars(self) -> None:
        """Inverse depths 1.00, 0.99 ... 0.01 with sigma 0.02: percentiles and Z^2 sigma are known."""
        rig = load_rig(RIG).crop(0, 0, 100, 1)
        rho = np.linspace(1.0, 0.01, 100, dtype=np.float32)[None]
        sigma = np.full_like(rho, 0.02)
        depth = DepthMap(1.0 / rho, rho, sigma, np.zeros((1, 100), np.uint16), rig)
        rows = {row.percent: row for row in depth_table(depth)}
        assert rows[25].depth_m == pytest.approx(1.0 / 0.75, rel=1e-5)
        assert rows[25].sigma_m == pytest.approx(0.02 / 0.75**2, rel=1e-5)
        assert rows[98].depth_m == pytest.approx(1.0 / 0.03, rel=1e-4)
        behind = DepthMap(np.full_like(rho, np.nan), -rho, sigma, np.zeros((1, 100), np.uint16), rig)
        assert depth_table(behind)[0].depth_m == np.inf
        nothing = np.full_like(rho, np.nan)
        assert depth_table(DepthMap(nothing, nothing, nothing, np.zeros((1, 100), np.uint16), rig)) == []

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (1.23456, "1.235 m"),
            (12.3456, "12.35 m"),
            (1234.5, "1234 m"),
            (123456.0, "1.23e+05 m"),
            (np.inf, "∞"),
            (np.nan, "none"),
        ],
    )
    def test_metres(self, value: float, text: str) -> None:
        assert run_result.metres(value) == text
