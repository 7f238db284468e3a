"""Metric depth of Motorcycle (Middlebury 2014, 741 x 500) against truth: `python -m bench.depth`."""

import numpy as np

from bench.cases import data_folder, motorcycle_rig, motorcycle_truth
from calib import read_pair, rectify
from stereo import match, to_depth


def main() -> None:
    """Print the relative depth error and how many true errors the error bars hold."""
    folder = data_folder()
    rig = motorcycle_rig()
    images = folder / "mb2014/Motorcycle-perfect-Q"
    pair = rectify(rig, *read_pair(images / "motorcycle_left.png", images / "motorcycle_right.png"))
    disparity = match(pair)
    depth = to_depth(disparity)
    truth_px = motorcycle_truth(folder)
    truth_m = rig.focal_px * rig.baseline_m / (truth_px + rig.doffs_px)
    known = np.isfinite(truth_m) & np.isfinite(depth.depth_m)
    relative = np.abs(depth.depth_m / truth_m - 1.0)[known]
    low, high = disparity.search_range
    print(f"range found {low}:{high} px (truth {np.nanmin(truth_px):.1f} ... {np.nanmax(truth_px):.1f})")
    print(f"answered {100 * np.mean(np.isfinite(depth.depth_m)[np.isfinite(truth_m)]):.1f} % of the pixels with truth")
    print(f"depth {np.nanmin(truth_m):.2f} ... {np.nanmax(truth_m):.2f} m")
    print(
        "relative depth error: " + ", ".join(f"{q} % of pixels < {100 * np.percentile(relative, q):.2f} %" for q in (50, 90, 95))
    )
    error = np.abs(disparity.disparity_px - truth_px)[known]
    sigma = disparity.sigma_px[known]
    print(f"errors within 1 / 2 sigma: {100 * np.mean(error < sigma):.1f} / {100 * np.mean(error < 2 * sigma):.1f} %")


if __name__ == "__main__":
    main()
