"""Speed of `match` against OpenCV's modes on one grey pair, interleaved in one run: `python -m bench.sgm`.

The pair is the bundled rendered room, enlarged to the asked size: both read the same bytes. OpenCV: blockSize 5, uniqueness 10,
left-right check 1, speckle filter as ours. Figures are medians of paired ratios; absolute times depend on the machine.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from calib.images import read_image
from stereo import match
from stereo.settings import PRESETS

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
    left, right = (_enlarged(name, width, height) for name in ("left.png", "right.png"))
    n = -(-args.disparities // 16) * 16
    search_range = (-n // 4, n - n // 4)
    runs: dict[str, Callable[[], object]] = {}
    for name, mode in MODES.items():
        sgbm = cv2.StereoSGBM.create(search_range[0], n, 5, 8 * 25, 32 * 25, 1, 63, 10, 100, 2, mode)
        runs[f"opencv {name}"] = lambda sgbm=sgbm: sgbm.compute(left, right)  # type: ignore[misc]
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
    reference = np.array(times["opencv HH"])
    print(f"{width} x {height}, {n} disparities from {search_range[0]}, {args.threads} threads, {args.rounds} rounds")
    for name, seconds in times.items():
        ratio = np.median(reference / np.array(seconds))
        print(f"{name:16s} median {1e3 * np.median(seconds):7.1f} ms   min {1e3 * min(seconds):7.1f} ms   HH / this {ratio:5.2f}")


def _enlarged(name: str, width: int, height: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    image = read_image(ROOM / name).astype(np.uint8)
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    rng = np.random.default_rng(1 if name.startswith("left") else 2)
    large = cv2.resize(grey, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float64) + rng.normal(
        0, 2, (height, width)
    )
    return np.clip(np.rint(large), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
