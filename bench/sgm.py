"""Speed of `match` against OpenCV's modes on one grey pair, interleaved in one run: `python -m bench.sgm`.

The pair is the bundled rendered room, enlarged to the asked size: both read the same bytes. OpenCV: blockSize 5, uniqueness 10,
left-right check 1, speckle filter as ours. "bare" is the kernel alone, as others measure theirs: census 5 x 5, penalties 8 and
32, sums of one byte, 8 paths, winner, parabola, uniqueness and left-right check. Figures are medians of paired ratios; absolute
times depend on the machine. `NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES= python -m bench.sgm --threads 1` keeps to AVX2.
"""

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from calib.images import read_image
from stereo import match
from stereo.aggregation import aggregate
from stereo.matcher_input import GreyPair
from stereo.selection import select_labels
from stereo.settings import PRESETS, MatcherSettings
from stereo.workspace import lease

Grey = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

ROOM = Path(__file__).resolve().parents[1] / "data" / "room"
MODES = {
    "HH": cv2.STEREO_SGBM_MODE_HH,
    "HH4": cv2.STEREO_SGBM_MODE_HH4,
    "SGBM": cv2.STEREO_SGBM_MODE_SGBM,
    "3WAY": cv2.STEREO_SGBM_MODE_SGBM_3WAY,
}


def main() -> None:
    """Print times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="1280x720", metavar="WxH")
    parser.add_argument("--disparities", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    width, height = (int(v) for v in args.size.split("x"))
    cv2.setNumThreads(args.threads)
    left, right = (enlarged(name, width, height) for name in ("left.png", "right.png"))
    n = -(-args.disparities // 16) * 16
    search_range = (-n // 4, n - n // 4)
    runs: dict[str, Callable[[], object]] = {}
    for name, mode in MODES.items():
        sgbm = cv2.StereoSGBM.create(search_range[0], n, 5, 8 * 25, 32 * 25, 1, 63, 10, 100, 2, mode)
        runs[f"opencv {name}"] = lambda sgbm=sgbm: sgbm.compute(left, right)  # type: ignore[misc]
    runs["stereo bare"] = lambda: bare(left, right, search_range, args.threads)
    for preset in PRESETS:
        runs[f"stereo {preset}"] = lambda preset=preset: match(  # type: ignore[misc]
            left, right, search_range=search_range, preset=preset, threads=args.threads
        )
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(args.rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if round_number:  # the first one compiles and touches memory
                times[name].append(time.perf_counter() - start)
    references = [np.array(times[f"opencv {name}"]) for name in ("HH", "3WAY")]
    print(f"{width} x {height}, {n} disparities from {search_range[0]}, {args.threads} threads, {args.rounds} rounds")
    for name, seconds in times.items():
        against_hh, against_3way = (np.median(reference / np.array(seconds)) for reference in references)
        figures = f"median {1e3 * np.median(seconds):7.1f} ms   min {1e3 * min(seconds):7.1f} ms"
        print(f"{name:16s} {figures}   HH / this {against_hh:5.2f}   3WAY / this {against_3way:5.2f}")


def bare(left: Grey, right: Grey, search_range: tuple[int, int], threads: int) -> object:
    """The kernel alone: labels and reasons of every pixel."""
    settings = MatcherSettings(cost="census", p1=8, p2=32, p2_contrast=math.inf, refinement="plane")
    everywhere = np.ones(left.shape, np.bool_)
    grey = GreyPair(left, right, everywhere, everywhere)
    minimum, labels = search_range[0], search_range[1] - search_range[0]
    with lease(*grey.shape, labels, settings) as space:
        aggregate(space, grey, minimum, settings, threads)
        return select_labels(space, grey, minimum, labels, settings, threads)


def enlarged(name: str, width: int, height: int) -> Grey:
    """One image of the bundled room at another size, with noise of its own."""
    image = read_image(ROOM / name).astype(np.uint8)
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    rng = np.random.default_rng(1 if name.startswith("left") else 2)
    large = cv2.resize(grey, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float64) + rng.normal(
        0, 2, (height, width)
    )
    return np.clip(np.rint(large), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
