"""Real pairs with truth: the promises of the README, on one core in seconds. Skipped where the pairs are absent."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from bench import cases
from bench.protocol import opencv, ours, score
from calib.rig_files import save_rig
from stereo import match
from stereo.cli import main
from stereo.map_files import read_float_map


@pytest.fixture
def pairs(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, cases.Case]:
    monkeypatch.setenv("STEREO_DATA", str(data_folder))
    return {case.name: case for case in cases.cases()}


def test_motorcycle_in_metres(data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`stereo run --rig` with the published geometry: median depth error below 1 %."""
    save_rig(tmp_path / "rig.yaml", cases.motorcycle_rig())
    images = data_folder / "mb2014/Motorcycle-perfect-Q"
    photos = [str(images / f"motorcycle_{side}.png") for side in ("left", "right")]
    assert main(["run", *photos, "--rig", str(tmp_path / "rig.yaml"), "-o", str(tmp_path / "out")]) == 0, capsys.readouterr().err
    depth, inverse = (read_float_map(tmp_path / "out" / name) for name in ("depth.tiff", "inverse_depth.tiff"))
    m = cases.MOTORCYCLE
    truth = m["focal_px"] * m["baseline_m"] / (cases.motorcycle_truth(data_folder) + m["doffs_px"])
    known = np.isfinite(truth) & np.isfinite(depth)
    assert known.sum() > 0.8 * np.isfinite(truth).sum()
    error = np.abs(depth / truth - 1.0)[known]
    assert np.median(error) < 0.005
    assert np.percentile(error, 90) < 0.02
    np.testing.assert_allclose(inverse[known] * depth[known], 1.0, rtol=1e-5)


def test_better_than_opencv_on_every_measure(pairs: dict[str, cases.Case]) -> None:
    """Mean of the 11 pairs, all filled alike, against StereoSGBM's 8-path mode."""
    peer, mine = opencv(cv2.STEREO_SGBM_MODE_HH, 5), ours("balanced")
    assert len(pairs) == 11
    figures = [[score(case, run(case)[0]) for case in pairs.values()] for run in (peer, mine)]
    means = [{key: np.mean([row[key] for row in rows]) for key in rows[0]} for rows in figures]
    assert means[0]["b2"] == pytest.approx(3.36, abs=0.01)  # the protocol is followed to the digit
    for key in ("b05", "b1", "b2", "all2", "s1", "s2"):
        assert means[1][key] < means[0][key], key
    assert means[1]["b2"] < 2.2
    assert means[1]["dens"] > 94.0


def test_the_automatic_range_holds_the_truth(pairs: dict[str, cases.Case]) -> None:
    for name in ("mb03/cones", "mb14/Motorcycle", "kitti12"):
        case = pairs[name]
        low, high = match(case.left, case.right).search_range
        first, last = np.nanpercentile(case.truth_px, [0.5, 99.5])
        assert low <= first < last <= high - 1, name
