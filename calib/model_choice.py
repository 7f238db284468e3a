"""Which lens model, and whether the board is bowed: the simplest candidate that predicts pairs left out as well as the best.

The error of the fit itself falls with each parameter more and says nothing. A lens model is taken over a simpler one only where
it predicts the pairs left out better by more than one standard error of the difference, pair by pair (Hastie, Tibshirani and
Friedman, "The Elements of Statistical Learning", section 7.10, the one-standard-error rule).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calib.geometry import Array
from calib.held_out import HeldOut
from calib.joint import Joint
from calib.robust import RAYLEIGH_MEDIAN2

_MOST_SIGMAS = 4.0  # a corner counts at most so much: what one wrong corner does is no business of the lens
_PRACTICALLY_EQUAL = 0.02  # of the mean square: one percent of the error


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to explain the capture."""

    model: str
    board: str
    """what the board was taken for: "flat", "bowed" or "free" """
    parameters: int
    """of lenses, motion and board"""
    rms_px: float
    """per corner, of the corners kept; NaN where it failed"""
    held_out_px: float
    """per corner, rms over pairs left out (a corner counts at most four sigmas); NaN where there are too few pairs"""
    chosen: bool
    note: str = ""
    """why it is out of the question"""


def choose(tried: Sequence[tuple[Joint, HeldOut | None]]) -> tuple[int, list[float]]:
    """Index of the best candidate and the held-out error of each, px.

    Among lenses the simplest one wins that is as good as the best, within one standard error or one percent; of the same lens
    with and without a bow the one that predicts better: every board bows a little, and two numbers more cost next to nothing. A
    board of any shape must predict clearly better than both.

    Parameters
    ----------
    tried : sequence of (Joint, HeldOut or None)
        From the simplest to the most complex lens.
    """
    known = [held for _, held in tried if held is not None]
    pairs = sorted(set.intersection(*(set(held.of_pair.tolist()) for held in known))) if known else []
    if len(known) < len(tried) or len(pairs) < 2:
        return 0, [float("nan")] * len(tried)
    cap_px = _MOST_SIGMAS * min(float(np.sqrt(np.median(held.distance_px**2) / RAYLEIGH_MEDIAN2)) for held in known)
    scores = np.array([_by_pair(held, pairs, cap_px) for held in known])
    means = scores.mean(1)
    best_of: dict[str, int] = {}
    for index, (joint, _) in enumerate(tried):
        other = best_of.setdefault(joint.model, index)
        is_better = means[index] < means[other] if joint.shape != "free" else not _as_good(scores[other], scores[index])
        best_of[joint.model] = index if is_better else other
    finalists = list(best_of.values())
    best = min(finalists, key=lambda index: float(means[index]))
    chosen = next(index for index in finalists if index == best or _as_good(scores[index], scores[best]))
    return chosen, np.sqrt(means).tolist()


def _as_good(one: Array, best: Array) -> bool:
    worse = one - best
    enough = max(float(worse.std(ddof=1)) / np.sqrt(len(one)), _PRACTICALLY_EQUAL * float(best.mean()))
    return bool(worse.mean() <= enough)


def _by_pair(held: HeldOut, pairs: Sequence[int], cap_px: float) -> Array:
    """(pairs,) mean squared distance."""
    squares = np.minimum(held.distance_px, cap_px) ** 2
    count = np.bincount(held.of_pair)
    return np.asarray((np.bincount(held.of_pair, squares) / np.maximum(count, 1))[list(pairs)])
