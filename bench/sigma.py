"""How many true errors the error bars hold, on the real pairs with truth: `python -m bench.sigma`.

Visible, answered pixels; the truth's rounding, quantum / sqrt(12), is added in quadrature. Without Adirondack, whose truth is in
whole pixels, and KITTI, whose truth a laser took from another place.
"""

import numpy as np

from bench.cases import cases
from stereo import match


def main() -> None:
    """Print the share within 1 and 2 sigma of each pair."""
    shares = []
    for case in cases():
        if case.name in ("mb14/Adirondack", "kitti12"):
            continue
        found = match(case.left, case.right, search_range=(case.minimum, case.maximum))
        kept = case.visible & found.valid
        error = np.abs(found.disparity_px - case.truth_px)[kept]
        sigma = np.hypot(found.sigma_px[kept], case.quantum_px / np.sqrt(12.0))
        shares.append([100.0 * np.mean(error < k * sigma) for k in (1, 2)])
        print(f"{case.name:16s} within 1 sigma {shares[-1][0]:5.1f} %   within 2 sigma {shares[-1][1]:5.1f} %")
    one, two = np.mean(shares, axis=0)
    print(f"{'mean':16s} within 1 sigma {one:5.1f} %   within 2 sigma {two:5.1f} %   (68.3 and 95.4 would be right)")


if __name__ == "__main__":
    main()
