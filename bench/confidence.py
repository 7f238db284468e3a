"""Does the confidence hold on data it was not fitted on: `python -m bench.confidence`.

Fits the logistic model of `stereo.confidence` anew without one data set at a time and prints, for the pairs of that set: the mean
confidence and the share of answers within 1 px (reliability), the mean distance between the two over bins of confidence (ECE),
and the area under the sparsification curve (mean share of errors among the most confident part, over all parts) beside that of
the best possible order. Then the coefficients fitted on all pairs, and what thresholds keep.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.cases import Case, cases
from stereo.aggregation import aggregate
from stereo.arena import Arena
from stereo.confidence import AGREEMENT_FULL, COST_FROM, COST_SPAN, LARGEST_SUM, NEARNESS_FROM, NEARNESS_SPAN
from stereo.kernels.confide import GATE_GREY, GATE_PX, LEAST_ALIKE
from stereo.kernels.select import MARGIN
from stereo.matcher_input import GreyPair, as_pair, grey_pair
from stereo.selection import select_labels
from stereo.settings import preset_settings
from stereo.speckles import drop_speckles
from stereo.subpixel import refine
from stereo.workspace import lease

Floats = NDArray[np.float64]
_FOLDS = ("mb01", "mb03", "mb05 mb06", "mb14", "kitti")
_EVERY = 11
"""one pixel of so many is fitted"""
TAPS = [(j, i) for j in range(-4, 5, 2) for i in range(-4, 5, 2) if (i + j) // 2 % 2]


@dataclass
class Sample:
    """Answered pixels of one pair whose truth is known."""

    case: Case
    terms: Floats
    """(N, 4) of the model: 1, agreement, nearness, - cost"""
    error_px: Floats
    visible: NDArray[np.bool_]


def terms(label: Floats, answered: NDArray[np.bool_], grey: GreyPair, sums: NDArray[np.generic]) -> Floats:
    """(H, W, 4) terms of the log odds: a slow twin of the kernel."""
    height, width = label.shape
    labels = np.pad(np.where(answered, label, np.inf), 4, constant_values=np.inf)
    greys = np.pad(np.where(grey.left_valid, grey.left, -1e4), 4, constant_values=-1e4)
    both, alike, near = (np.zeros((height, width)) for _ in range(3))
    here = np.where(answered, label, 0.0)
    for j, i in TAPS:
        window = np.s_[4 + j : 4 + j + height, 4 + i : 4 + i + width]
        a = np.maximum(1.0 - np.abs(greys[window] - greys[4:-4, 4:-4]) / GATE_GREY, LEAST_ALIKE)
        n = np.maximum(1.0 - ((labels[window] - here) / GATE_PX) ** 2, 0.0)
        both, alike, near = both + a * n, alike + a, near + n
    agreement = np.minimum(both / alike, AGREEMENT_FULL)
    nearness = np.clip(near / len(TAPS) - NEARNESS_FROM, 0.0, NEARNESS_SPAN)
    cost = np.clip(np.asarray(sums, float) / LARGEST_SUM - COST_FROM, 0.0, COST_SPAN)
    return np.stack([np.ones_like(cost), agreement, nearness, -cost], -1)


def sample(case: Case) -> Sample:
    """Match one pair without a threshold and compare with the truth."""
    grey = grey_pair(as_pair(case.left, case.right))
    settings = preset_settings("balanced")
    labels = case.maximum - case.minimum
    with lease(*grey.shape, labels, settings) as space:
        aggregate(space, grey, case.minimum, settings, 2)
        reason = select_labels(space, grey, case.minimum, labels, settings, 2)
        gates = np.float32(settings.speckle_px), settings.speckle_pixels
        drop_speckles(space.label, Arena(space.sums), reason, *gates, 2)
        found, disparity, _ = refine(space, grey, case.minimum, reason, settings, 0.0, 2)
        height, width = grey.shape
        label = found[MARGIN : MARGIN + height, MARGIN : MARGIN + width]
        answered = np.isfinite(disparity)
        made = terms(label.astype(float), answered, grey, space.winner_sums[0])
    chosen = answered & np.isfinite(case.truth_px)
    return Sample(case, made[chosen], np.abs(disparity - case.truth_px)[chosen].astype(float), case.visible[chosen])


def fitted(samples: list[Sample]) -> Floats:
    """Logistic regression, every pair with the same weight; no term may count against its sense."""
    from scipy.optimize import minimize

    x = np.concatenate([s.terms[::_EVERY] for s in samples])
    good = np.concatenate([s.error_px[::_EVERY] <= 1.0 for s in samples]).astype(float)
    weight = np.concatenate([np.full(len(s.terms[::_EVERY]), 1.0 / len(s.terms[::_EVERY]) / len(samples)) for s in samples])

    def loss(b: Floats) -> tuple[float, Floats]:
        z = x @ b
        return float(weight @ (np.logaddexp(0.0, z) - good * z)), x.T @ (weight * (1.0 / (1.0 + np.exp(-z)) - good))

    bounds = [(None, None), (0.0, None), (0.0, None), (0.0, None)]
    return np.asarray(minimize(loss, np.array([0.0, 1.0, 1.0, 1.0]), jac=True, method="L-BFGS-B", bounds=bounds).x)


def areas(confidence: Floats, wrong: NDArray[np.bool_]) -> tuple[float, float]:
    """Area under the sparsification curve, and under that of the best order, % wrong."""
    kept = np.arange(1, len(wrong) + 1)
    by_confidence = wrong[np.argsort(-confidence, kind="stable")]
    return tuple(float(100.0 * (np.cumsum(order) / kept).mean()) for order in (by_confidence, np.sort(wrong)))  # type: ignore[return-value]


def main() -> None:
    """Print the tables."""
    samples = [sample(case) for case in cases()]
    rows, kept = [], []
    for fold in _FOLDS:
        inside = [s.case.name.startswith(tuple(fold.split())) for s in samples]
        b = fitted([s for s, held in zip(samples, inside, strict=True) if not held])
        for s in (s for s, held in zip(samples, inside, strict=True) if held):
            p = 1.0 / (1.0 + np.exp(-s.terms @ b))
            good = s.error_px <= 1.0
            bins = np.minimum((20.0 * p).astype(int), 19)
            ece = sum(abs(p[bins == i].sum() - good[bins == i].sum()) for i in range(20)) / len(p)
            rows.append((100.0 * p.mean(), 100.0 * good.mean(), 100.0 * ece, *areas(p, ~good)))
            kept.append((p[s.visible], s.error_px[s.visible], np.count_nonzero(s.case.visible)))
            print(
                f"{s.case.name:16s}"
                + "confidence {:5.1f} %  right {:5.1f} %  ECE {:4.1f}  area {:4.2f} (best {:4.2f})".format(*rows[-1])
            )
    print(
        "mean            "
        + "confidence {:5.1f} %  right {:5.1f} %  ECE {:4.1f}  area {:4.2f} (best {:4.2f})".format(*np.mean(rows, 0))
    )
    print("fitted on all pairs: intercept {:.2f}, agreement {:.2f}, nearness {:.1f}, cost {:.2f}".format(*fitted(samples)))
    for threshold in (0.0, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7):
        of = [(100.0 * (p > threshold).sum() / n, *(100.0 * (e[p > threshold] > t).mean() for t in (1, 2))) for p, e, n in kept]
        print(
            "threshold {:4.2f}: kept {:5.2f} % of the visible, off by more than 1 px {:4.2f} %, 2 px {:4.2f} %".format(
                threshold, *np.mean(of, 0)
            )
        )


if __name__ == "__main__":
    main()
