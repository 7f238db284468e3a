"""Sub-pixel bias and error bars, on rendered scenes and on the real pairs with truth: `python -m bench.sigma`.

Visible, answered pixels; the truth's rounding, quantum / sqrt(12), is added to sigma in quadrature. Without Adirondack, whose
truth is in whole pixels, and KITTI, whose truth a laser took from another place. Bias and rms are of errors below 1 px.
"""

import argparse
from collections.abc import Iterable

import numpy as np

from bench.cases import Case, cases
from bench.rendered import rendered_cases
from stereo import match
from stereo.settings import PRESETS


def main() -> None:
    """Print bias, rms and the shares within 1 and 2 sigma of each pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="*", choices=PRESETS, default=PRESETS)
    args = parser.parse_args()
    real = [case for case in cases() if case.name not in ("mb14/Adirondack", "kitti12")]
    for preset in args.presets:
        _table(f"{preset}, rendered", rendered_cases(), preset)
        _table(f"{preset}, real", real, preset)


def _table(title: str, pairs: Iterable[Case], preset: str) -> None:
    print(f"{title:28s} {'kept':>6s} {'bias':>7s} {'rms px':>7s} {'1 sigma':>8s} {'2 sigma':>8s}")
    shares = []
    for case in pairs:
        found = match(case.left, case.right, search_range=(case.minimum, case.maximum), preset=preset)
        kept = case.visible & found.valid
        error = (found.disparity_px - case.truth_px)[kept]
        sigma = np.hypot(found.sigma_px[kept], case.quantum_px / np.sqrt(12.0))
        shares.append([100.0 * np.mean(np.abs(error) < k * sigma) for k in (1, 2)])
        small = error[np.abs(error) < 1.0]
        answered = 100.0 * np.mean(kept[case.visible])
        figures = (
            f"{answered:5.1f}% {small.mean():+7.3f} {np.sqrt(np.mean(small**2)):7.3f} {shares[-1][0]:7.1f}% {shares[-1][1]:7.1f}%"
        )
        print(f"  {case.name:26s} {figures}")
    one, two = np.mean(shares, axis=0)
    print(f"  {'mean (68.3, 95.4 were right)':42s} {one:7.1f}% {two:7.1f}%", flush=True)


if __name__ == "__main__":
    main()
