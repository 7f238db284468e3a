"""Is a constant fitted to one data set? Leave one out: `python -m bench.constants [NAME ...]`.

For each constant the mean error of the pairs (mean of bad-0.5, 1 and 2, visible pixels, one fill for all) is measured over a few
values around its default. Then, for each data set in turn, the value that is best on all others is judged on the one left out,
and compared with the default there. Near 0 % nothing was gained by choosing the default with that data set in view; far below
0 % another value would have served it better.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

import numpy as np

from bench.cases import Case, cases
from bench.protocol import score
from stereo import match, subpixel
from stereo.settings import DEFAULT_PRESET, MatcherSettings, preset_settings

SETTINGS: dict[str, tuple[Any, ...]] = {
    "p1": (6, 7, 8, 9, 10),
    "p2": (56, 64, 72, 80, 88),
    "p2_contrast": (10.0, 12.0, 15.0, 20.0, 25.0),
    "uniqueness_percent": (2.0, 5.0, 8.0),
    "left_right_px": (1.0, 1.25, 1.5),
    "speckle_pixels": (70, 100, 140),
}
CONSTANTS: dict[str, tuple[Any, ...]] = {
    "_SUPPORT_PX": (1.5, 2.0, 3.0),
    "_SUPPORT_PIXELS": (10, 11, 12, 13),
    "_COARSE_GATE_PX": (1.5, 2.0, 2.5),
    "_FINE_GATE_PX": (1.2, 1.5, 2.0),
    "_GATE_GREY": (18.0, 25.0, 35.0),
    "_PLANE_RIDGE": (0.25, 0.5, 1.0),
    "_SHIFT_RIDGE": (2.0, 4.0, 8.0),
    "_SHIFT_LIMIT_PX": (0.15, 0.2, 0.3),
}
"""of `stereo.subpixel`"""


def main() -> None:
    """Print a row for each constant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join([*SETTINGS, *CONSTANTS])}")
    parser.add_argument("--preset", default=DEFAULT_PRESET)
    args = parser.parse_args()
    pairs = list(cases())
    sets = sorted({_data_set(case) for case in pairs})
    base = preset_settings(args.preset)
    default = np.array([_error(case, base) for case in pairs])
    print(f"{args.preset}: mean error {default.mean():.3f} %; last columns: best of the others against the default, left-out set")
    print(f"{'constant':20s} {'value: mean error, %':52s} " + " ".join(f"{name:>8s}" for name in sets) + f" {'mean':>7s}")
    for name, values in (SETTINGS | CONSTANTS).items():
        if args.names and name not in args.names:
            continue
        errors = {value: np.array([_error(case, s) for case in pairs]) for value, s in _variants(name, values, base)}
        changes = []
        for left_out in sets:
            inside = np.array([_data_set(case) == left_out for case in pairs])
            best = min(errors, key=lambda value: _mean_of_sets(errors[value], pairs, sets, left_out))
            changes.append(100.0 * (errors[best][inside].mean() / default[inside].mean() - 1.0))
        curve = "  ".join(f"{value:g}: {error.mean():.3f}" for value, error in errors.items())
        mean = float(np.mean(changes))
        print(f"{name:20s} {curve:52s} " + " ".join(f"{change:+7.1f}%" for change in changes) + f" {mean:+6.1f}%", flush=True)


def _data_set(case: Case) -> str:
    return case.name.split("/")[0]


def _mean_of_sets(errors: np.ndarray[Any, np.dtype[np.float64]], pairs: list[Case], sets: list[str], left_out: str) -> float:
    return float(
        np.mean([np.mean([e for e, c in zip(errors, pairs, strict=True) if _data_set(c) == s]) for s in sets if s != left_out])
    )


def _variants(name: str, values: tuple[Any, ...], base: MatcherSettings) -> Iterator[tuple[Any, MatcherSettings]]:
    """Each value with the settings to use while it is in force."""
    for value in values:
        if name in {f.name for f in fields(MatcherSettings)}:
            yield value, replace(base, **{name: value})
        else:
            with _in_force(name, value):
                yield value, base


@contextmanager
def _in_force(name: str, value: Any) -> Iterator[None]:
    before = getattr(subpixel, name)
    setattr(subpixel, name, value)
    try:
        yield
    finally:
        setattr(subpixel, name, before)


def _error(case: Case, settings: MatcherSettings) -> float:
    found = match(case.left, case.right, search_range=(case.minimum, case.maximum), settings=settings)
    figures = score(case, found.disparity_px.copy())
    return float(np.mean([figures[name] for name in ("b05", "b1", "b2")]))


if __name__ == "__main__":
    main()
