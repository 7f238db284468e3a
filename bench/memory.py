"""Peak memory above the inputs, each case in a process of its own: `python -m bench.memory`.

1500 x 1000 px, 256 disparities; after a small pair that loads the code. OpenCV's `MODE_HH` beside them.
"""

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable

import cv2
import numpy as np

from bench.sgm import bare, enlarged
from stereo import match
from stereo.settings import PRESETS

WIDTH, HEIGHT, LABELS = 1500, 1000, 256
_NAMES = ("opencv HH", "bare", *PRESETS)


def main() -> None:
    """Print the peak of each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=_NAMES, help=argparse.SUPPRESS)
    case = parser.parse_args().case
    if case is not None:
        print(f"{case:12s} {_peak(case):7.0f} MiB")
        return
    for name in _NAMES:
        subprocess.run([sys.executable, "-m", "bench.memory", "--case", name], check=True)


def _peak(case: str) -> float:
    """MiB that the case takes at most above what the process held before."""
    run = _runner(case)
    images = [enlarged(name, WIDTH, HEIGHT) for name in ("left.png", "right.png")]
    small = [np.ascontiguousarray(image[:64, :256]) for image in images]
    run(small[0], small[1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(images[0], images[1])
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024.0


def _runner(case: str) -> Callable[[np.ndarray, np.ndarray], object]:
    search_range = (-LABELS // 4, LABELS - LABELS // 4)
    if case == "opencv HH":
        sgbm = cv2.StereoSGBM.create(search_range[0], LABELS, 5, 8 * 25, 32 * 25, 1, 63, 10, 100, 2, cv2.STEREO_SGBM_MODE_HH)
        return sgbm.compute
    if case == "bare":
        return lambda left, right: bare(left, right, search_range, 2)
    return lambda left, right: match(left, right, search_range=search_range, preset=case, threads=2)


if __name__ == "__main__":
    main()
