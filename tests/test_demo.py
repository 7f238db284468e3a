import shutil
from pathlib import Path

import numpy as np
import pytest

from calib.images import read_image
from calib.rectification import plan_rectification
from calib.rig_files import load_rig
from calib.synthetic import demo_rig, demo_scene, render_truth
from stereo.cli import main
from stereo.demo import DemoRun, run_demo
from stereo.demo_truth import scene_truth
from stereo.pipeline import RESULTS

SCALE = 0.5


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoRun]:
    """The demo at half size: the same chain in a few seconds."""
    folder = tmp_path_factory.mktemp("demo")
    return folder, run_demo(folder, scale=SCALE, board_pairs=8, supersampling=2)


def test_the_truth_agrees_with_the_renderers_own() -> None:
    """With the true rig the detour over photos and back must end where the rectified rig itself sees the scene."""
    rig, scene = demo_rig().scale(0.2), demo_scene()
    plan = plan_rectification(rig)
    truth = scene_truth(plan, rig, scene)
    expected = render_truth(plan.rig, scene, R_left_scene=plan.R_rect_left)
    known = plan.left_valid
    assert known.mean() > 0.8
    assert expected.disparity_left_px is not None
    np.testing.assert_allclose(truth.depth_m[known], expected.depth_left_m[known], rtol=1e-9)
    shown = known & truth.seen_by_both
    np.testing.assert_allclose(truth.disparity_px[shown], expected.disparity_left_px[shown], atol=1e-7)
    assert np.abs(truth.row_px[shown]).max() < 1e-7
    inner = np.s_[4:-4, 12:-12]  # the raw and the rectified right image end at different places
    assert (truth.seen_by_both[inner] == ~expected.occluded_left[inner])[known[inner]].mean() > 0.98


def test_a_rig_solved_wrongly_shows_in_the_truth() -> None:
    """A baseline 1 % too long changes no pixel; a camera turned by 1 mrad moves rows by f / 1000."""
    rig, scene = demo_rig().scale(0.2), demo_scene()
    exact = scene_truth(plan_rectification(rig), rig, scene)
    turn = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, -1e-3], [0.0, 1e-3, 1.0]])
    turn[1:] /= np.hypot(1.0, 1e-3)
    longer = type(rig)(rig.left, rig.right, rig.R_right_left, 1.01 * rig.t_right_left_m)
    tilted = type(rig)(rig.left, rig.right, turn @ rig.R_right_left, turn @ rig.t_right_left_m)
    shown = exact.seen_by_both
    np.testing.assert_allclose(scene_truth(plan_rectification(longer), rig, scene).disparity_px[shown], exact.disparity_px[shown])
    rows = scene_truth(plan_rectification(tilted), rig, scene).row_px[shown]
    assert np.nanmedian(np.abs(rows)) == pytest.approx(rig.left.focal_y_px * 1e-3, rel=0.1)


def test_the_chain_recovers_the_rig(demo: tuple[Path, DemoRun]) -> None:
    folder, run = demo
    assert run.errors.stereo_rms_px < 0.1
    assert abs(run.errors.baseline_m) < 0.3e-3
    assert run.errors.row_px < 0.05
    assert load_rig(folder / "rig.yaml").baseline_m == pytest.approx(0.12, abs=0.3e-3)


def test_the_chain_measures_both_signs_to_a_fraction_of_a_pixel(demo: tuple[Path, DemoRun]) -> None:
    errors = demo[1].errors
    assert errors.lowest_px < -8.0
    assert errors.highest_px > 8.0
    assert errors.answered > 0.75
    assert errors.off_by_1 < 0.06
    assert errors.off_by_2 <= errors.off_by_1
    assert errors.depth_median < 0.015
    assert errors.depth_median < errors.depth_percentile_90 < 0.06
    assert 0.5 < errors.within_sigma < 0.97


def test_every_file_is_there(demo: tuple[Path, DemoRun]) -> None:
    folder, _ = demo
    made = {"demo.yaml", "photos", "rig.yaml", "left.png", "right.png", "result", "figure.png"}
    assert {path.name for path in folder.iterdir()} == made
    assert len(list((folder / "photos").iterdir())) == 16
    assert {path.name for path in (folder / "result").iterdir()} == set(RESULTS)
    assert read_image(folder / "left.png").shape == (240, 320, 3)
    figure = read_image(folder / "figure.png")
    assert figure.shape[1] > 3 * figure.shape[0]


def test_the_words_carry_the_figures(demo: tuple[Path, DemoRun]) -> None:
    errors, text = demo[1].errors, "\n".join(demo[1].lines)
    assert f"{errors.stereo_rms_px:.3f} px" in text
    assert f"{100.0 * errors.depth_median:.2f} %" in text
    assert f"{100.0 * errors.within_sigma:.0f} % of the measured pixels" in text
    assert "report.html" in text


def test_photos_of_another_run_are_not_used(demo: tuple[Path, DemoRun], tmp_path: Path) -> None:
    """Photos that an earlier demo left are removed, not calibrated; files that it cannot have made are left alone."""
    shutil.copy(demo[0] / "demo.yaml", tmp_path)
    (tmp_path / "photos").mkdir()
    mine = {"holiday.png", "left_house.png", "left_1.png", "notes.txt"}
    for name in mine | {"left_77.png", "right_77.png"}:
        (tmp_path / "photos" / name).write_bytes(b"stale")
    run = run_demo(tmp_path, scale=SCALE, board_pairs=6, supersampling=1)
    names = {path.name for path in (tmp_path / "photos").iterdir()}
    assert names == mine | {f"{side}_{number:02d}.png" for side in ("left", "right") for number in range(1, 7)}
    assert all((tmp_path / "photos" / name).read_bytes() == b"stale" for name in mine)
    assert run.errors.stereo_rms_px < 0.1


@pytest.mark.parametrize("name", ["left.png", "rig.yaml", "photos/left_01.png", "demo.yaml", ".hidden"])
def test_a_folder_of_somebody_else_is_refused_and_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    before = set(tmp_path.rglob("*"))
    assert main(["demo", "-o", str(tmp_path)]) == 6
    assert set(tmp_path.rglob("*")) == before
    assert (tmp_path / name).read_text() == "mine"
    captured = capsys.readouterr()
    assert f"{tmp_path}: holds files that the demo did not make; give a new or empty folder" in captured.err
    assert not captured.out


def test_an_unwritable_folder_is_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["demo", "-o", str(tmp_path / "file")]) == 6
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert not captured.out
