"""Calibration: real captures, and simulated ones against their truth: `python -m bench.calibration [PART ...] [--share 0.1]`.

Parts: real (needs STEREO_DATA), sigmas (8 rigs, 400 trials each), depth (predicted sigma of depth against 400 solutions), bow,
sets (500 sound captures), faults (`bench.faults`). `--share` runs that share of the trials. All of it takes an hour or two on two
cores; real takes a minute.
"""

import argparse
import os
import time
import tomllib
from pathlib import Path

import numpy as np

from bench import faults
from bench.calibration_truth import bow_bias, depth_check, good_sets, pulls
from calib.detect import detect_pairs
from calib.geometry import Array, angle_deg
from calib.rig import StereoRig
from calib.solve import SolveResult, solve_rig
from calib.sources import capture_sources
from calib.synthetic.rigs import simulated_rigs
from calib.target import Target, parse_target

DATA = Path(os.environ.get("STEREO_DATA", "../shared/data"))
REAL = {
    "calib_opencv_chess": ("left[0-9]*.jpg", "right[0-9]*.jpg", "chessboard:9x6:25mm"),
    "bumblebee2_boofcv": (
        "calibration/stereo/Bumblebee2_Chess/left*.jpg",
        "calibration/stereo/Bumblebee2_Chess/right*.jpg",
        "chessboard:6x4:30mm",
    ),
    "calib_pinhole_sourishg": ("left*.jpg", "right*.jpg", "chessboard:9x6:24.23mm"),
    "calib_fisheye_sourishg": ("left*.jpg", "right*.jpg", "chessboard:9x6:24.23mm"),
    "calib_opencv_boards": ("BoardStereoL*.png", "BoardStereoR*.png", "chessboard:7x5:25mm"),
    "calib_caliscope_2cam": ("cam_0.mp4", "cam_1.mp4", "charuco:4x5:54mm:40.5mm:DICT_4X4_1000"),
}
PARTS = ("real", "sigmas", "depth", "bow", "sets", "faults")


def main() -> None:
    """Print the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", default=PARTS)
    parser.add_argument("--share", type=float, default=1.0, help="share of the trials")
    args = parser.parse_args()
    unknown = sorted(set(args.parts) - set(PARTS))
    if unknown:
        parser.error(f"{unknown[0]} is no part; known are {', '.join(PARTS)}")

    share = float(args.share)

    def trials(count: int) -> int:
        return max(2, round(count * share))

    for part in args.parts:
        if part == "real":
            _real()
        elif part == "sigmas":
            _sigmas(trials(400))
        elif part == "depth":
            _depth(trials(400))
        elif part == "bow":
            bowed, flat, chosen = bow_bias(trials(50))
            print(f"1 mm bow of a 240 mm board: baseline off by {bowed:+.3%}, taken as flat {flat:+.3%}; chosen in {chosen:.0%}")
        elif part == "sets":
            count = trials(500)
            wrong = good_sets(count)
            print(f"{count - len(wrong)} of {count} sound captures converge", *wrong, sep="\n  ")
        else:
            faults.main(["--trials", str(trials(20)), "--clean", str(trials(50))])


def _real() -> None:
    heads = f"{'capture':24s} {'s':>5s} {'pairs':>8s} {'rms px':>7s} {'left out':>8s} {'rows px':>8s} {'baseline mm':>18s}"
    print(f"{heads}  model, faults")
    for name, (left, right, text) in REAL.items():
        folder = DATA / name
        if not folder.is_dir():
            print(f"{name:24s} not there: set STEREO_DATA")
            continue
        target = parse_target(text)
        assert isinstance(target, Target)
        begin = time.perf_counter()
        sources = capture_sources([str(folder / left), str(folder / right)])
        views = detect_pairs(sources.left, sources.right, target, notes=sources.notes)
        result = solve_rig(views)
        _line(name, time.perf_counter() - begin, result)
        if name == "calib_caliscope_2cam":
            _against_reference(result.rig, folder / "camera_array.toml")


def _line(name: str, seconds: float, result: SolveResult) -> None:
    fit = result.fit
    out = np.concatenate([~side.kept for side in fit.sides])
    reasons = np.concatenate([side.reasons for side in fit.sides])
    single = float((out & (reasons == "outlier")).sum() / max((reasons != "pair").sum(), 1))
    both = [set(side.moment[side.kept].tolist()) for side in fit.sides]
    sigma = fit.rig.baseline_sigma_m
    assert sigma is not None
    faults_named = ", ".join(fault.name for fault in result.faults if fault.severity != "mention")
    print(
        f"{name:24s} {seconds:5.1f} {len(both[0] & both[1]):3d} / {len(fit.names):2d} {fit.rms_px:7.3f} {single:8.2%}"
        f" {result.quality.held_out_row_error_px:8.3f} {1e3 * fit.rig.baseline_m:9.2f} +- {1e3 * sigma:5.2f}  {fit.model},"
        f" {faults_named or 'no faults'}"
    )


def _against_reference(rig: StereoRig, path: Path) -> None:
    cameras = tomllib.loads(path.read_text(encoding="utf-8"))["cameras"]
    (R0, t0), (R1, t1) = ((np.array(cameras[c]["rotation"]), np.array(cameras[c]["translation"])) for c in ("0", "1"))
    R: Array = R1 @ R0.T
    t = t1 - R @ t0
    print(
        f"{'':24s} against its reference: baseline {rig.baseline_m / np.linalg.norm(t) - 1.0:+.2%}, angle between the cameras"
        f" {angle_deg(rig.R_right_left):.2f} instead of {angle_deg(R):.2f} degrees, rotation as a whole"
        f" {angle_deg(rig.R_right_left @ R.T):.2f} degrees off"
    )


def _sigmas(trials: int) -> None:
    print(f"{'rig':10s} {'trials':>6s} {'failed':>6s} {'pooled':>7s} {'0.88..1.12':>10s} {'least':>6s} {'most':>6s} {'bias':>6s}")
    for name in simulated_rigs():
        found = pulls(name, trials)
        each, bias = found.each, np.abs(found.bias)
        good = (each > 0.88) & (each < 1.12) & (bias < 0.2)
        print(
            f"{name:10s} {trials:6d} {len(found.failures):6d} {found.pooled:7.3f} {good.mean():10.1%} {each.min():6.2f}"
            f" {each.max():6.2f} {bias.max():6.2f}",
            *found.failures[:3],
            sep="\n  " if found.failures else "",
        )


def _depth(trials: int) -> None:
    print("predicted sigma of depth over that of many solutions, at 1, 2, 5, 10 m; corners: least and most")
    for name in simulated_rigs():
        found = depth_check(name, trials)
        rows = []
        for centre, corners, shares in zip(found.ratio_centre, found.ratio_corners, found.predicted_share, strict=True):
            seen = corners[np.isfinite(corners)]
            ends = f"{seen.min():.2f}..{seen.max():.2f}" if len(seen) else "unseen"
            middle = f"{centre:.2f}" if np.isfinite(centre) else "unseen"
            rows.append(f"{middle} {ends} ({np.nanmax(shares):.1%})" if np.isfinite(shares).any() else "unseen")
        print(f"{name:10s}", " | ".join(rows))


if __name__ == "__main__":
    main()
