"""Accuracy of our presets and of OpenCV's modes on the real pairs with truth: `python -m bench.accuracy`."""

import cv2
import numpy as np

from bench.cases import cases
from bench.protocol import Matcher, opencv, ours, score
from stereo.settings import PRESETS


def main() -> None:
    """Print a row per pair and the means."""
    cv2.setNumThreads(2)
    matchers: dict[str, Matcher] = {
        "opencv HH": opencv(cv2.STEREO_SGBM_MODE_HH, 5),
        "opencv SGBM": opencv(cv2.STEREO_SGBM_MODE_SGBM, 5),
        "opencv 3WAY": opencv(cv2.STEREO_SGBM_MODE_SGBM_3WAY, 5),
        **{f"stereo {name}": ours(name) for name in PRESETS},
    }
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in matchers}
    for case in cases():
        for name, run in matchers.items():
            disparity, _ = run(case)
            rows[name].append(score(case, disparity))
            print(f"{case.name:16s} {name:16s} " + _figures(rows[name][-1]), flush=True)
    print(f"\nmean of {len(next(iter(rows.values())))} pairs")
    for name, figures in rows.items():
        print(f"{name:16s} " + _figures({key: float(np.mean([f[key] for f in figures])) for key in figures[0]}))


def _figures(figures: dict[str, float]) -> str:
    return "  ".join(f"{key} {value:5.2f}" for key, value in figures.items())


if __name__ == "__main__":
    main()
