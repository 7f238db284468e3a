"""`stereo demo`: the whole chain on rendered photos of a known rig and room, and its errors against the truth."""

import re
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calib import files
from calib.console import Progress, announce, say
from calib.detect import detect_pairs
from calib.errors import OutputError
from calib.images import write_image
from calib.rectification import plan_rectification
from calib.rig import StereoRig
from calib.rig_files import load_rig, save_rig
from calib.solve import SolveResult, solve_rig
from calib.synthetic import (
    Chessboard,
    board_views,
    demo_rig,
    demo_scene,
    render_board_pairs,
    render_pair,
)
from calib.target import parse_target
from stereo import pipeline
from stereo.cloud_picture import cloud_picture
from stereo.demo_truth import DemoErrors, measure_errors, scene_truth
from stereo.drawing import to_8_bit
from stereo.picture import inverse_depth_picture
from stereo.run_log import Listener
from stereo.run_result import RunResult, metres

TARGET = "chessboard:9x6:30mm"
_BOARD = Chessboard(9, 6, 0.03)
_FIGURE_HEIGHT_PX = 360
_MARK = "demo.yaml"
_MARK_TEXT = """\
# Made by `stereo demo`, which replaces its files in this folder when it runs again. Keep nothing of yours here.
format: stereo-demo 1
"""
_PHOTO = re.compile(r"(?:left|right)_\d{2,}\.png", re.ASCII)
_STEPS = 4 + len(pipeline.STEPS)


@dataclass(frozen=True, slots=True)
class DemoRun:
    """What the demo found."""

    errors: DemoErrors
    lines: tuple[str, ...]
    """the same in words"""


def run_demo(output: str | Path, *, scale: float = 1.0, board_pairs: int = 12, supersampling: int = 3) -> DemoRun:
    """Render board photos and a scene of a toe-in rig into a folder, run the whole chain on the files, and measure its errors.

    Parameters
    ----------
    output : str or Path
        A folder that is new, empty, or was made by the demo (it leaves demo.yaml as its mark). Receives photos/, rig.yaml,
        left.png, right.png, result/ and figure.png.
    scale : float
        Size of the images relative to 640 x 480.
    board_pairs : int
        Pairs of board photos.
    supersampling : int
        n x n rays for each pixel of the scene.

    Returns
    -------
    DemoRun

    Raises
    ------
    OutputError
        A folder that holds something else, or that cannot be written.
    """
    begin = time.perf_counter()
    folder = _own_folder(output)
    photos = files.output_folder(folder / "photos")
    true_rig, scene = demo_rig().scale(scale), demo_scene()
    left, right, rig_path = folder / "left.png", folder / "right.png", folder / "rig.yaml"
    with Progress(_STEPS, "stereo demo:") as progress:
        progress.begin("render the board")
        left_boards, right_boards = _render_boards(true_rig, photos, board_pairs)
        progress.begin("calibrate")
        solved = _calibrate(left_boards, right_boards)
        save_rig(rig_path, solved.rig)
        announce(rig_path)
        progress.begin("render the scene")
        pair = render_pair(true_rig, scene, supersampling=supersampling)
        for path, image in ((left, pair.left), (right, pair.right)):
            write_image(path, image)
            announce(path)
        listener = Listener(progress.begin, say, announce)
        result = pipeline.run(left, right, folder / "result", rig=rig_path, listener=listener)
        progress.begin("compare with the truth")
        truth = scene_truth(plan_rectification(load_rig(rig_path)), true_rig, scene)
        errors = measure_errors(result, truth, solved, true_rig)
        write_image(folder / "figure.png", demo_figure(result))
        announce(folder / "figure.png")
    return DemoRun(errors, _lines(errors, solved, result, folder, time.perf_counter() - begin))


def demo_figure(result: RunResult) -> NDArray[np.uint8]:
    """Left image, inverse depth and cloud side by side, on white."""
    assert result.depth is not None
    assert result.cloud is not None
    left = to_8_bit(np.asarray(result.pair.left))
    height = _FIGURE_HEIGHT_PX
    width = round(left.shape[1] * height / left.shape[0])
    parts = [
        left,
        inverse_depth_picture(result.depth),
        cloud_picture(result.cloud, width=width, height=height, yaw_deg=-10.0, pitch_deg=10.0),
    ]
    gap = np.full((height, 14, 3), 255, np.uint8)
    row = [gap]
    for part in parts:
        size = (round(part.shape[1] * height / part.shape[0]), height)
        row += [np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8), gap]
    return np.concatenate(row[1:-1], 1)


def _own_folder(path: str | Path) -> Path:
    """The folder of the demo, marked as such before anything else is put into it; one with other people's files is refused."""
    folder = files.output_folder(path)
    mark = folder / _MARK
    try:
        marked = mark.is_file() and mark.read_bytes()[: len(_MARK_TEXT)] == _MARK_TEXT.encode()
        foreign = not marked and any(folder.iterdir())
    except OSError as error:
        raise OutputError(f"{folder}: cannot be looked into: {error.strerror}; give another folder") from error
    if foreign:
        raise OutputError(f"{folder}: holds files that the demo did not make; give a new or empty folder: stereo demo -o DIR")
    files.write_text(mark, _MARK_TEXT)
    return folder


def _render_boards(rig: StereoRig, folder: Path, count: int) -> tuple[list[Path], list[Path]]:
    """The board photos, in place of those of an earlier demo."""
    for old in folder.iterdir():
        if _PHOTO.fullmatch(old.name):
            old.unlink()
    left, right = ([folder / f"{side}_{number:02d}.png" for number in range(1, count + 1)] for side in ("left", "right"))
    views = board_views(rig, count, _BOARD)
    for left_path, right_path, pair in zip(left, right, render_board_pairs(rig, views, _BOARD), strict=True):
        write_image(left_path, pair.left)
        write_image(right_path, pair.right)
    announce(f"{folder / 'left_*.png'} and right_*.png ({count} pairs)")
    return left, right


def _calibrate(left: list[Path], right: list[Path]) -> SolveResult:
    target = parse_target(TARGET)
    found = detect_pairs(left, right, target)
    return solve_rig(found)


def _lines(errors: DemoErrors, solved: SolveResult, result: RunResult, folder: Path, seconds: float) -> tuple[str, ...]:
    baseline_mm = 1000.0 * solved.rig.baseline_m
    percent = {name: 100.0 * getattr(errors, name) for name in ("answered", "off_by_1", "off_by_2", "within_sigma")}
    return (
        f"Calibration   {len(solved.fit.names)} pairs of photos, corners agree to {errors.stereo_rms_px:.3f} px",
        f"              baseline {baseline_mm:.2f} mm, off by {1000.0 * errors.baseline_m:+.3f} mm;"
        f" rows agree to {errors.row_px:.3f} px",
        f"Disparity     {errors.lowest_px:+.1f} to {errors.highest_px:+.1f} px in truth"
        f" (both signs: the cameras are turned inwards), searched {result.search.minimum}:{result.search.maximum}",
        f"              {percent['answered']:.1f} % of the pixels that both cameras see are measured; of these"
        f" {percent['off_by_1']:.1f} % are off by more than 1 px, {percent['off_by_2']:.1f} % by more than 2",
        f"Depth         median {metres(result.median_depth_m)}; off by {100.0 * errors.depth_median:.2f} % (median),"
        f" {100.0 * errors.depth_percentile_90:.2f} % (90th percentile)",
        f"Error bars    {percent['within_sigma']:.0f} % of the measured pixels lie within one sigma of the truth (68 % expected)",
        f"Took          {seconds:.1f} s",
        "",
        f"Look at       {folder / 'result' / 'report.html'}",
        f"By hand       calib solve '{folder}/photos/left_*.png' '{folder}/photos/right_*.png' --target {TARGET} -o rig.yaml",
        f"              stereo run {folder}/left.png {folder}/right.png --rig rig.yaml -o out",
    )
