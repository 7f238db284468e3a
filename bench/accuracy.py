"""Accuracy of our presets and of OpenCV's modes on the real pairs with truth: `python -m bench.accuracy`.

Two tables: the 11 pairs of the protocol (`bench.protocol`), and the other pairs with truth, on which no constant was chosen.
`--signed` adds the 11 pairs with left and right cut at different columns: negative and mixed disparities with exact truth.
"""

import argparse
import time
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from bench.cases import Case, cases, other_cases, shifted
from bench.protocol import Matcher, opencv, ours, score
from stereo.settings import PRESETS

SHIFTS = (-60, 25, 60)


def matchers() -> dict[str, Matcher]:
    """OpenCV's modes, and every preset that exists."""
    return {
        "opencv HH": opencv(cv2.STEREO_SGBM_MODE_HH, 5),
        "opencv HH 3x3": opencv(cv2.STEREO_SGBM_MODE_HH, 3),
        "opencv SGBM": opencv(cv2.STEREO_SGBM_MODE_SGBM, 5),
        "opencv 3WAY": opencv(cv2.STEREO_SGBM_MODE_SGBM_3WAY, 5),
        **{f"stereo {name}": ours(name) for name in PRESETS},
    }


def main() -> None:
    """Print a row per pair and matcher, and the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", action="append", metavar="NAME", help="only pairs whose name holds NAME; repeatable")
    parser.add_argument("--matchers", action="append", metavar="NAME", help="only matchers whose name holds NAME; repeatable")
    parser.add_argument("--signed", action="store_true", help="the 11 pairs cut so that disparities are negative or mixed")
    parser.add_argument("--means", action="store_true", help="leave the rows of the single pairs out")
    chosen = parser.parse_args()
    cv2.setNumThreads(2)
    run = {name: each for name, each in matchers().items() if _wanted(name, chosen.matchers)}
    if chosen.signed:
        tables = [("11 pairs, each cut three ways", _signed())]
    else:
        tables = [("the 11 pairs", cases()), ("the other pairs: no constant was chosen on them", other_cases())]
    for title, some in tables:
        _table(title, (case for case in some if _wanted(case.name, chosen.pairs)), run, single=not chosen.means)


def _signed() -> Iterator[Case]:
    for case in cases():
        yield from (shifted(case, k) for k in SHIFTS)


def _table(title: str, some: Iterable[Case], run: dict[str, Matcher], *, single: bool) -> None:
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in run}
    start = time.perf_counter()
    print(f"{title}; % of visible pixels, see bench/protocol.py")
    for case in some:
        for name, matcher in run.items():
            rows[name].append(score(case, matcher(case)[0]))
            if single:
                print(f"{case.name:20s} {name:16s} {_figures(rows[name][-1])}", flush=True)
    counts = {len(figures) for figures in rows.values()}
    if counts == {0} or not counts:
        print("none\n")
        return
    print(f"mean of {counts.pop()} pairs ({time.perf_counter() - start:.0f} s)")
    for name, figures in rows.items():
        print(f"{'':20s} {name:16s} {_figures({key: float(np.mean([f[key] for f in figures])) for key in figures[0]})}")
    print(flush=True)


def _wanted(name: str, parts: list[str] | None) -> bool:
    return parts is None or any(part.lower() in name.lower() for part in parts)


def _figures(figures: dict[str, float]) -> str:
    return "  ".join(f"{key} {value:5.2f}" for key, value in figures.items())


if __name__ == "__main__":
    main()
