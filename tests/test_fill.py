"""Fill: what was measured stays, what was not is marked, and follows the image; its kernel against a slow twin; its laws."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench import cases
from calib.errors import InputError, UsageError
from stereo import match
from stereo.filling import fill
from stereo.maps import FILLED, DisparityMap, Reason

Float32 = NDArray[np.float32]
NAN = np.nan


def made(values: object, reason: object = None, low: int = -100, high: int = 100) -> DisparityMap:
    d = np.array(values, np.float32)
    why = np.where(np.isnan(d), Reason.AMBIGUOUS, 0) if reason is None else np.array(reason)
    sigma = np.where(np.isnan(d), NAN, 0.25).astype(np.float32)
    return DisparityMap(d, sigma, why.astype(np.uint16), (low, high), None, np.where(np.isnan(d), 0, 0.9).astype(np.float32))


def scene(rng: np.random.Generator, height: int = 40, width: int = 61) -> tuple[DisparityMap, NDArray[np.uint8]]:
    """A board before a wall, with holes of every kind; values are multiples of 1 / 1024 px."""
    board = np.zeros((height, width), bool)
    board[10:30, 20:45] = True
    d = np.where(board, 21.0, -3.0) + np.round(rng.normal(0, 0.2, board.shape) * 1024) / 1024
    image = np.where(board[..., None], (30, 60, 200), (160, 150, 40)) + rng.integers(-8, 9, (height, width, 3))
    reason = np.zeros(board.shape, np.uint16)
    reason[12:28, 12:20] = Reason.LEFT_RIGHT | Reason.OCCLUDED  # beside the board's left edge
    reason[16:20, 30:34] = Reason.LEFT_RIGHT | Reason.MISMATCHED
    reason[:, :4] = Reason.OUTSIDE_RIGHT | Reason.CUT_RANGE
    reason[30:36, 40:50] = Reason.LOW_CONFIDENCE
    reason[:3, 30:] = Reason.LEFT_NODATA
    reason[rng.random(board.shape) < 0.05] |= np.uint16(Reason.AMBIGUOUS)
    d[reason != 0] = NAN
    return made(d, reason), image.astype(np.uint8)


@pytest.mark.parametrize("coloured", [True, False])
def test_what_was_measured_stays_bit_for_bit_and_what_was_not_is_marked(rng: np.random.Generator, coloured: bool) -> None:
    holed, image = scene(rng)
    full = fill(holed, image if coloured else None)
    kept = holed.valid
    for name in ("disparity_px", "sigma_px", "reason", "confidence"):
        assert getattr(full, name)[kept].tobytes() == getattr(holed, name)[kept].tobytes(), name
    nodata = holed.reason & Reason.LEFT_NODATA != 0
    np.testing.assert_array_equal(full.valid, ~nodata)
    np.testing.assert_array_equal(full.filled, ~kept & ~nodata)
    np.testing.assert_array_equal(full.reason & ~np.uint16(FILLED), holed.reason)
    assert full.confidence is not None
    assert (full.confidence[nodata] == 0.0).all()
    hidden = full.reason & (Reason.OUTSIDE_RIGHT | Reason.OCCLUDED) != 0
    marks = full.reason & np.uint16(FILLED)
    np.testing.assert_array_equal(marks[full.filled & hidden], Reason.FILLED_OCCLUSION)
    np.testing.assert_array_equal(marks[full.filled & ~hidden], Reason.FILLED_MISMATCH)
    assert (full.sigma_px[full.filled] >= 0.5).all()
    assert np.isnan(full.sigma_px[nodata]).all()
    assert full.search_range == holed.search_range


def test_values_follow_the_surfaces(rng: np.random.Generator) -> None:
    holed, image = scene(rng)
    full = fill(holed, image)
    assert np.abs(full.disparity_px[13:27, 12:20] + 3.0).max() < 1.0  # occlusion: the wall
    assert np.abs(full.disparity_px[16:20, 30:34] - 21.0).max() < 1.0  # mismatch within the board
    assert np.abs(full.disparity_px[4:, :4] + 3.0).max() < 1.0


def test_colour_decides_where_the_row_is_wrong() -> None:
    """A hole that reaches over the board's edge: the row knows only the farther side, the image knows the edge."""
    d = np.full((31, 60), -3.0)
    d[:, 30:] = 21.0
    d[12:18, 26:34] = NAN
    image = np.full((31, 60), 40, np.uint8)
    image[:, 30:] = 200
    hole = np.s_[12:18, 26:34]
    truth = np.where(np.arange(60) < 30, -3.0, 21.0)[26:34]
    assert (fill(made(d)).disparity_px[hole] == -3.0).all()
    weighed = fill(made(d), image).disparity_px[hole]
    assert (np.abs(weighed - truth) < 0.5).mean() > 0.9


def test_rows_take_the_lower_neighbour() -> None:
    full = fill(made([[NAN, 5.0, NAN, NAN, 2.0, NAN], [NAN, -5.0, NAN, NAN, -2.0, NAN], [NAN] * 6]))
    np.testing.assert_array_equal(full.disparity_px, [[5, 5, 2, 2, 2, 2], [-5, -5, -5, -5, -2, -2], [NAN] * 6])
    assert (full.reason[2] == Reason.AMBIGUOUS).all()
    np.testing.assert_allclose(full.sigma_px[0, [0, 2]] ** 2, 0.5**2 + 0.1**2, rtol=1e-5)


def test_error_bars_grow_with_distance_and_confidence_falls() -> None:
    row = np.full((1, 101), NAN)
    row[0, 0] = 4.0
    full = fill(made(row), np.full((1, 101), 7, np.uint8))
    assert (np.diff(full.sigma_px[0, 1:]) > 0).all()
    assert full.confidence is not None
    assert (np.diff(full.confidence[0, 1:]) < 0).all()
    assert full.sigma_px[0, 100] > 9.0


def twin(d: Float32, image: NDArray[np.uint8], y: int, x: int) -> float:
    """Value of one filled pixel, the slow way; `d` is filled along its rows already."""
    offset = np.floor(np.nanmin(d))
    entries = []
    for v in range(y - 6, y + 7, 3):
        for u in range(x - 6, x + 7, 3):
            if 0 <= v < d.shape[0] and 0 <= u < d.shape[1] and np.isfinite(d[v, u]):
                away = int(np.abs(image[v, u].astype(int) - image[y, x]).max())
                value = round(float(d[v, u] - offset) * 1024)
                entries.append(((value + 512) // 1024, value, max(round(1024 * np.exp(-away / 10.0)), 1)))
    below, total = 0, sum(w for _, _, w in entries)
    for k in sorted({k for k, _, _ in entries}):
        inside = [(v, w) for kk, v, w in entries if kk == k]
        below += sum(w for _, w in inside)
        if 2 * below >= total:
            return float(offset + np.rint(sum(v * w for v, w in inside) / sum(w for _, w in inside)) / 1024)
    raise AssertionError


def test_kernel_equals_its_twin(rng: np.random.Generator) -> None:
    holed, image = scene(rng)
    by_rows, full = fill(holed), fill(holed, image)
    for y, x in np.argwhere(full.filled)[::5]:
        assert full.disparity_px[y, x] == pytest.approx(twin(by_rows.disparity_px, image, y, x), abs=1e-6), (y, x)


@pytest.mark.parametrize("k", [-60, -7, 60])
def test_shift_law(rng: np.random.Generator, k: int) -> None:
    holed, image = scene(rng)
    moved = DisparityMap(
        holed.disparity_px - np.float32(k), holed.sigma_px, holed.reason, (-100 - k, 100 - k), None, holed.confidence
    )
    here, there = fill(holed, image), fill(moved, image)
    np.testing.assert_array_equal(there.disparity_px + np.float32(k), here.disparity_px)
    for name in ("sigma_px", "reason", "confidence"):
        assert getattr(there, name).tobytes() == getattr(here, name).tobytes()


def test_same_bytes_for_any_number_of_threads_and_when_filled_again(rng: np.random.Generator) -> None:
    holed, image = scene(rng)
    full = fill(holed, image, threads=1)
    for other in (fill(holed, image, threads=2), fill(holed, image, threads=7), fill(full, image)):
        for name in ("disparity_px", "sigma_px", "reason", "confidence"):
            assert getattr(other, name).tobytes() == getattr(full, name).tobytes()


def test_maps_without_holes_without_measurements_and_without_confidence(rng: np.random.Generator) -> None:
    whole = made(rng.normal(size=(5, 7)))
    assert fill(whole).disparity_px.tobytes() == whole.disparity_px.tobytes()
    nothing = made(np.full((5, 7), NAN))
    assert not fill(nothing, np.zeros((5, 7), np.uint8)).valid.any()
    bare = DisparityMap(nothing.disparity_px, nothing.sigma_px, nothing.reason, (0, 4))
    assert fill(bare).confidence is None


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_kinds_of_images(rng: np.random.Generator, kind: type[np.generic]) -> None:
    holed, image = scene(rng)
    factor = {np.uint8: 1, np.uint16: 200, np.float32: 1 / 255}[kind]
    full = fill(holed, (image.astype(float) * factor).astype(kind))
    assert np.abs(full.disparity_px[13:27, 12:20] + 3.0).max() < 1.0


def test_mistakes_are_named() -> None:
    holed = made([[1.0, NAN]])
    with pytest.raises(InputError, match=r"shape \(2, 2\) but the map is 2 x 1 px"):
        fill(holed, np.zeros((2, 2), np.uint8))
    with pytest.raises(UsageError, match="threads is 0"):
        fill(holed, threads=0)
    with pytest.raises(InputError, match="within 1048576 px"):
        fill(made([[0.0, 3e6]]))


@pytest.mark.realdata
def test_filled_error_bars_hold_on_real_pairs(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREO_DATA", str(data_folder))
    shares = []
    for case in cases.cases():
        if case.name not in ("mb01/venus", "mb03/teddy", "mb06/Aloe"):
            continue
        full = fill(match(case.left, case.right, search_range=(case.minimum, case.maximum)), case.left)
        known = full.filled & np.isfinite(case.truth_px)
        error = np.abs(full.disparity_px - case.truth_px)[known]
        shares.append([(error < k * full.sigma_px[known]).mean() for k in (1, 2)])
        assert (error < 1.0).mean() > 0.4
    one, two = np.mean(shares, axis=0)
    assert 0.65 < one < 0.92
    assert two > 0.82


def test_the_public_name_is_the_function() -> None:
    import stereo
    from stereo import filling

    assert stereo.fill is filling.fill
