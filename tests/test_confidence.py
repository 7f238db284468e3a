"""Confidence: its kernel against a slow twin, what it drops, and that it holds on real pairs."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench import cases
from bench.confidence import sample, terms
from stereo.confidence import estimate
from stereo.kernels.select import MARGIN, NO_LABEL
from stereo.maps import Reason
from stereo.matcher_input import GreyPair
from stereo.subpixel import put_grey
from stereo.workspace import Workspace

Arrays = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint16]]


def scene(rng: np.random.Generator, height: int = 23, width: int = 75) -> tuple[Workspace, GreyPair, Arrays]:
    """Two surfaces with noise, outliers, holes and nodata."""
    grey = rng.integers(90, 130, (height, width)).astype(np.uint8)
    grey[:, width // 2 :] += 60
    label = np.where(np.arange(width) < width // 2, 4.0, 9.0) + rng.normal(0, 0.3, (height, width))
    label[rng.random((height, width)) < 0.1] += 3.0
    valid = rng.random((height, width)) > 0.05
    answered = valid & (rng.random((height, width)) > 0.1)
    space = Workspace(height, width, 16)
    space.label[MARGIN : MARGIN + height, MARGIN : MARGIN + width] = np.where(answered, label, NO_LABEL)
    put_grey(space.grey, GreyPair(grey, grey, valid, valid))
    space.winner_sums[0] = rng.integers(0, 330, (height, width))
    disparity = np.where(answered, label - 2.0, np.nan).astype(np.float32)
    reason = np.where(answered, 0, np.where(valid, Reason.AMBIGUOUS, Reason.LEFT_NODATA)).astype(np.uint16)
    sigma = np.where(answered, 0.2, np.nan).astype(np.float32)
    return space, GreyPair(grey, grey, valid, valid), (disparity, sigma, reason)


@pytest.mark.parametrize("width", [5, 16, 75])
def test_kernel_equals_its_twin(rng: np.random.Generator, width: int) -> None:
    space, grey, (disparity, sigma, reason) = scene(rng, 23, width)
    label = space.label[MARGIN : MARGIN + 23, MARGIN : MARGIN + width].copy()
    found = estimate(space, space.label, grey, 0.0, disparity, sigma, reason, 1)
    answered = np.isfinite(disparity)
    z = terms(label.astype(float), answered, grey, space.winner_sums[0]) @ [-0.91, 4.73, 19.7, 1.44]
    np.testing.assert_allclose(found[answered], 1.0 / (1.0 + np.exp(-z[answered])), atol=0.005)  # the table's step
    assert (found[~answered] == 0.0).all()
    assert (reason & Reason.LOW_CONFIDENCE == 0).all()


def test_what_is_below_the_threshold_goes_and_nothing_else(rng: np.random.Generator) -> None:
    space, grey, maps = scene(rng)
    before = maps[0].copy(), maps[1].copy(), maps[2].copy()
    all_of_it = estimate(space, space.label, grey, 0.0, *maps, 1)
    found = estimate(space, space.label, grey, 0.7, *maps, 1)
    disparity, sigma, reason = maps
    dropped = (all_of_it > 0.0) & (all_of_it < np.float32(0.7))
    assert 0.02 < dropped.mean() < 0.9
    np.testing.assert_array_equal(reason, np.where(dropped, before[2] | np.uint16(Reason.LOW_CONFIDENCE), before[2]))
    np.testing.assert_array_equal(np.isnan(disparity), np.isnan(before[0]) | dropped)
    np.testing.assert_array_equal(np.isnan(sigma), np.isnan(disparity))
    kept = ~np.isnan(sigma)
    # two calls: the error bar, 0.2 px at first, has grown by 3 px of doubt in each
    np.testing.assert_allclose(sigma[kept], np.sqrt(0.04 + 2 * (3.0 * (1 - all_of_it[kept])) ** 2), rtol=1e-5)
    np.testing.assert_array_equal(found, np.where(dropped, 0.0, all_of_it).astype(np.float32))


def test_the_grey_under_nodata_and_the_number_of_threads_do_not_matter(rng: np.random.Generator) -> None:
    space, grey, maps = scene(rng)
    expected = estimate(space, space.label, grey, 0.0, *maps, 1)
    other = np.where(grey.left_valid, grey.left, rng.integers(0, 256, grey.shape)).astype(np.uint8)
    put_grey(space.grey, GreyPair(other, other, grey.left_valid, grey.left_valid))
    for threads in (1, 2, 7):
        again = estimate(space, space.label, GreyPair(other, other, grey.left_valid, grey.left_valid), 0.0, *maps, threads)
        assert again.tobytes() == expected.tobytes()


def test_mirrored_surroundings_give_the_same_bytes(rng: np.random.Generator) -> None:
    space, grey, maps = scene(rng)
    expected = estimate(space, space.label, grey, 0.0, *maps, 1)
    inner = np.s_[MARGIN : MARGIN + 23, MARGIN : MARGIN + 75]
    space.label[inner] = np.where(space.label[inner] > 0, 20.0 - space.label[inner], NO_LABEL)[:, ::-1]  # negated and flipped
    space.winner_sums[0] = space.winner_sums[0][:, ::-1].copy()
    left, valid = np.ascontiguousarray(grey.left[:, ::-1]), np.ascontiguousarray(grey.left_valid[:, ::-1])
    disparity, sigma, reason = maps
    flipped = (
        np.ascontiguousarray(disparity[:, ::-1]),
        np.ascontiguousarray(sigma[:, ::-1]),
        np.ascontiguousarray(reason[:, ::-1]),
    )
    put_grey(space.grey, GreyPair(left, left, valid, valid))
    found = estimate(space, space.label, GreyPair(left, left, valid, valid), 0.0, *flipped, 1)
    np.testing.assert_allclose(found[:, ::-1], expected, atol=0.008)  # 20 - label is rounded


def test_more_agreement_and_a_smaller_sum_never_lower_it(rng: np.random.Generator) -> None:
    space, grey, maps = scene(rng)
    inner = np.s_[MARGIN : MARGIN + 23, MARGIN : MARGIN + 75]
    worse = estimate(space, space.label, grey, 0.0, *maps, 1)
    space.winner_sums[0] //= 2
    cheaper = estimate(space, space.label, grey, 0.0, *maps, 1)
    assert (cheaper >= worse).all()
    assert cheaper.sum() > worse.sum()
    space.label[inner] = np.where(space.label[inner] > NO_LABEL, 5.0, NO_LABEL)
    assert (estimate(space, space.label, grey, 0.0, *maps, 1) >= cheaper).all()


@pytest.mark.realdata
def test_confidence_is_the_share_of_right_answers(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On three real pairs, in occlusions too: within 4 points over all, and each tenth of confidence in order."""
    monkeypatch.setenv("STEREO_DATA", str(data_folder))
    for case in cases.cases():
        if case.name not in ("mb01/venus", "mb03/cones", "mb14/Adirondack"):
            continue
        found = sample(case)
        p = 1.0 / (1.0 + np.exp(-found.terms @ [-0.91, 4.73, 19.7, 1.44]))
        good = found.error_px <= 1.0
        assert abs(p.mean() - good.mean()) < 0.04, case.name
        shares = [good[(low <= p) & (p < high)].mean() for low, high in ((0.0, 0.6), (0.6, 0.8), (0.8, 0.95), (0.95, 1.0))]
        assert shares == sorted(shares), case.name
        assert shares[0] < 0.75
        assert shares[-1] > 0.97
