"""The automatic disparity range against truth on every real pair that has one: `python -m bench.ranges`.

Whole pairs, and the same pairs with the left and right image cut at columns that differ by k, so that every disparity is k less:
negative and mixed signs with exact truth. `truth` is the 0.5th and 99.5th percentile of all known pixels, occluded or cut-away
ones included; a range must hold both, and `ratio` is its width over theirs. Pairs without truth are listed last.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from bench.cases import Float32, cases, data_folder
from calib.images import Image, read_image
from calib.rig import RectifiedPair
from stereo.search_range import find_range

SHIFTS = (-60, 25, 60)
PERCENTILES = (0.5, 99.5)
LARGEST_RATIO = 1.6
ETH3D = ("delivery_area_1l", "electro_2l", "playground_1l")
SMALLEST_SPAN_PX = 10.0
"""below it the ratio says little: a few px of margin are most of the width"""


class Named(NamedTuple):
    """A pair and its truth, px, NaN unknown; None where there is none."""

    name: str
    left: Image
    right: Image
    truth_px: Float32 | None


def _enlarged(path: Path, divisor: float, factor: int, shape: tuple[int, ...]) -> Float32:
    """Truth of a smaller picture of the same scene, for its original of `shape`."""
    values = read_image(path).astype(np.float32)
    values[values == 0] = np.nan
    big = np.repeat(np.repeat(values * np.float32(factor / divisor), factor, 0), factor, 1)
    out = np.full(shape[:2], np.nan, np.float32)
    rows, columns = min(out.shape[0], big.shape[0]), min(out.shape[1], big.shape[1])
    out[:rows, :columns] = big[:rows, :columns]
    return out


def with_truth() -> Iterator[Named]:
    """The 11 pairs of the accuracy table, Tsukuba, two photos at full size, and a rendered one."""
    for case in cases():
        yield Named(case.name, case.left, case.right, case.truth_px)
    d = data_folder()
    f = d / "mb2001/tsukuba"
    truth = read_image(f / "disp2.png")[..., 0].astype(np.float32) / np.float32(16.0)
    truth[truth == 0] = np.nan
    yield Named("mb01/tsukuba", read_image(f / "im2.png"), read_image(f / "im6.png"), truth)
    f = d / "mb2014/Adirondack-perfect-Q"
    truth = read_image(f / "Adirondack_gt.png").astype(np.float32)
    truth[truth == 0] = np.nan
    yield Named(
        "mb14/AdirondackE", read_image(f / "Adirondack_left.png"), read_image(f / "AdirondackE_right.png"),
        truth + np.float32(0.5),
    )  # fmt: skip
    left, right = (read_image(d / "mb2003_full/cones" / name) for name in ("conesL.png", "conesR.png"))
    yield Named("full/cones", left, right, _enlarged(d / "mb2003/cones/disp2.png", 4, 4, left.shape))
    left, right = (read_image(d / "mb2006_full/aloe" / name) for name in ("aloeL.png", "aloeR.png"))
    yield Named("full/aloe", left, right, _enlarged(d / "mb2005_06/Aloe/disp1.png", 2, 2, left.shape))
    f, name = d / "sceneflow_sample", "A-0032-0006"
    left, right = (read_image(f / "RGB_cleanpass" / side / f"{name}.png") for side in ("left", "right"))
    yield Named("sceneflow", left, right, read_image(f / "disparity/left" / f"{name}.pfm").astype(np.float32))


def without_truth() -> Iterator[Named]:
    """Pairs whose range is only known roughly; see the notes beside them."""
    d = data_folder()
    places = {f"eth3d/{scene}": (f"eth3d_pairs/{scene}", "im0.png", "im1.png") for scene in ETH3D}
    places["sat_mgm"] = ("sat_mgm", "rectified_ref.tif", "rectified_sec.tif")
    places |= {f"karlsruhe/{i}": ("seq_karlsruhe_0023", f"I1_0000{i}.png", f"I2_0000{i}.png") for i in (15, 22, 30)}
    for name, (folder, left, right) in places.items():
        yield Named(name, read_image(d / folder / left), read_image(d / folder / right), None)


def shifted(case: Named, k: int) -> Named:
    """Cut so that every disparity is `k` px less."""
    if case.truth_px is None:
        raise ValueError(f"{case.name} has no truth")
    width = case.left.shape[1] - abs(k)
    left, right = max(k, 0), max(-k, 0)
    return Named(
        f"{case.name} d{-k:+d}",
        np.ascontiguousarray(case.left[:, left : left + width]),
        np.ascontiguousarray(case.right[:, right : right + width]),
        case.truth_px[:, left : left + width] - np.float32(k),
    )


def as_pair(case: Named) -> RectifiedPair:
    """Without a rig: nothing but the images tells the range."""
    images = [np.where(np.isfinite(v), v, 0).astype(v.dtype) for v in (case.left, case.right)]
    masks = [np.asarray(np.isfinite(v) if v.ndim == 2 else np.isfinite(v).all(-1)) for v in (case.left, case.right)]
    return RectifiedPair(images[0], images[1], masks[0], masks[1])


def main() -> None:
    """Print a row per pair, and how many hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1, help="calls per pair; the fastest counts")
    parser.add_argument("--whole", action="store_true", help="leave the cut pairs out")
    parser.add_argument("--evidence", action="store_true", help="print what the ranges rest on")
    chosen = parser.parse_args()
    cv2.setNumThreads(2)
    held, narrow, rows = 0, 0, 0
    for case in [c for base in with_truth() for c in (base, *(shifted(base, k) for k in SHIFTS if not chosen.whole))]:
        low, high = (float(v) for v in np.nanpercentile(case.truth_px, PERCENTILES))  # type: ignore[arg-type]
        line, (minimum, maximum) = _found(case, chosen.rounds, chosen.evidence)
        ratio = (maximum - minimum) / (high - low)
        holds = minimum <= low and high <= maximum - 1
        rows, held, narrow = rows + 1, held + holds, narrow + (ratio <= LARGEST_RATIO)
        note = "" if holds else "  MISSES" if minimum < maximum else "  REFUSED"
        note += "" if ratio <= LARGEST_RATIO else "  small span" if high - low < SMALLEST_SPAN_PX else "  wide"
        print(f"{case.name:22s} truth {low:7.1f} {high:7.1f}  {line}  ratio {ratio:4.2f}{note}", flush=True)
    print(f"{held} of {rows} ranges hold the truth; {narrow} are at most {LARGEST_RATIO} x as wide")
    for case in without_truth():
        print(f"{case.name:22s} truth    unknown       {_found(case, chosen.rounds, chosen.evidence)[0]}", flush=True)


def _found(case: Named, rounds: int, evidence: bool) -> tuple[str, tuple[int, int]]:
    from calib.errors import QualityError

    pair = as_pair(case)
    best = np.inf
    for _ in range(rounds):
        start = time.perf_counter()
        try:
            found = find_range(pair)
        except QualityError as error:
            return f"refused: {error}", (0, 0)
        best = min(best, time.perf_counter() - start)
    height, width = pair.left.shape[:2]
    text = f"{width:4d}x{height:<4d} {found.minimum:5d}:{found.maximum:<5d} {1e3 * best:6.0f} ms"
    return text + (f"  [{found.evidence}]" if evidence else ""), (found.minimum, found.maximum)


if __name__ == "__main__":
    main()
