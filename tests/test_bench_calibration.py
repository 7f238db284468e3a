"""The statistical tables of `bench.calibration`, one draw of each."""

import numpy as np
import pytest

from bench.calibration_truth import DEPTHS_M, _bow, _depths, _good_set, _pull


@pytest.mark.parametrize("name", ["unequal", "fisheye"])
def test_depths_are_near_the_truth_and_nan_where_unseen(name: str) -> None:
    found = _depths((name, 7, 0))
    assert found is not None
    depth, sigma = found
    assert depth.shape == sigma.shape == (len(DEPTHS_M), 5)
    seen = np.isfinite(depth)
    assert seen[:, 0].all()
    assert name == "fisheye" or not seen.all()
    np.testing.assert_array_equal(np.isfinite(sigma), seen)
    off = np.abs(depth - np.array(DEPTHS_M)[:, None])[seen]
    assert (off < 6.0 * sigma[seen]).all()


def test_pulls_are_those_of_sound_sigmas() -> None:
    pulls = _pull(("normal", 3))
    assert not isinstance(pulls, str)
    assert len(pulls) == 24
    assert 0.4 < np.sqrt((pulls**2).mean()) < 1.8
    assert np.abs(pulls).max() < 5.0


def test_a_bow_is_found_and_leaves_the_baseline_alone() -> None:
    bowed, flat, is_chosen = _bow(0)
    assert abs(bowed) < 1e-3
    assert abs(flat) < 1e-2
    assert is_chosen


def test_a_sound_capture_converges() -> None:
    assert _good_set(5) == ""  # a fisheye, without any guess
