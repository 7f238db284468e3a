"""The vertical residual: known fields recovered and undone, laws, guards, kernels against their twins, a real pair."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stereo import row_residual
from stereo.kernels import rows
from stereo.maps import RowResidual
from stereo.matcher_input import GreyPair
from stereo.row_residual import estimate_rows, undo_rows

Array = NDArray[np.float64]
Field = Callable[[Array, Array], Array]
HEIGHT, WIDTH = 240, 320
RANGE = -6, 30
"""first candidate and their number, px"""


def texture(rng: np.random.Generator) -> Field:
    """Band-limited brightness that can be sampled anywhere: waves of 6 to 100 px."""
    length, angle = 6 * (100 / 6) ** rng.random(60), rng.uniform(0, np.pi, 60)
    phase = rng.uniform(0, 2 * np.pi, 60)

    def bright(x: Array, y: Array) -> Array:
        waves = zip(np.cos(angle) / length, np.sin(angle) / length, phase, strict=True)
        return np.asarray(128 + np.sum([11 * np.cos(2 * np.pi * (fx * x + fy * y) + p) for fx, fy, p in waves], axis=0))

    return bright


def render(rng: np.random.Generator, v: Field, *, noise: float = 1.0, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> GreyPair:
    """A slanted surface, d = 5 + 0.03 (x - y / 2) in right columns, whose rows are off by v(x, y): L(x, y) = R(x - d, y + v)."""
    bright = texture(rng)
    x, y = np.meshgrid(np.arange(shape[1], dtype=float), np.arange(shape[0], dtype=float))
    row = y
    for _ in range(6):  # the left row seen in row y of the right image
        row = y - v(x, row)
    images = bright(x, y), bright(x + 5 + 0.03 * (x - row / 2), row)
    left, right = (np.clip(np.rint(i + rng.normal(0, noise, shape)), 0, 255).astype(np.uint8) for i in images)
    return whole(left, right)


def whole(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> GreyPair:
    return GreyPair(left, right, np.ones(left.shape, np.bool_), np.ones(left.shape, np.bool_))


def estimate(grey: GreyPair, **options: Any) -> RowResidual:
    return estimate_rows(grey, *RANGE, 2, **options)


def field_of(v: Field, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> Array:
    x, y = np.meshgrid(np.arange(shape[1], dtype=float), np.arange(shape[0], dtype=float))
    return v(x, y)


def rms(values: NDArray[np.floating]) -> float:
    return float(np.sqrt((values**2).mean()))


def roll(x: Array, y: Array) -> Array:
    return np.asarray(np.deg2rad(0.2) * (x - WIDTH / 2) + 0 * y)


def scale(x: Array, y: Array) -> Array:
    return 0.002 * (y - HEIGHT / 2) + 0 * x


def bowl(x: Array, y: Array) -> Array:
    return 0.6 * ((x / WIDTH - 0.5) ** 2 + (y / HEIGHT - 0.5) * (x / WIDTH - 0.5)) * 4 - 0.2


FIELDS: dict[str, Field] = {
    "0.3": lambda x, y: 0.3 + 0 * x,
    "-0.15": lambda x, y: -0.15 + 0 * x,
    "1": lambda x, y: 1.0 + 0 * x,
    "-2": lambda x, y: -2.0 + 0 * x,
    "3": lambda x, y: 3.0 + 0 * x,
    "roll": roll,
    "scale": scale,
    "bowl": bowl,
}


@pytest.mark.parametrize("name", FIELDS)
def test_known_fields_are_recovered_and_undone(rng: np.random.Generator, name: str) -> None:
    truth = FIELDS[name]
    pair = render(rng, truth)
    found = estimate(pair)
    assert found.applied, found.note
    assert found.trusted
    seen = np.s_[8:-8, 8:-24]  # what both images show
    assert rms((found.field_px(HEIGHT, WIDTH) - field_of(truth))[seen]) < (0.05 if found.rms_px < 1.5 else 0.07)
    assert found.rms_px == pytest.approx(rms(field_of(truth)), abs=0.05)
    assert found.note.startswith("rows are off by ")
    assert found.note.endswith("corrected")
    again = estimate(undo_rows(pair, found, 2))
    assert not again.applied or again.rms_px < 0.07


@pytest.mark.parametrize(("noise", "seed"), [(0.0, 0), (2.0, 0), (1.0, 3), (1.0, 4)])
def test_a_perfect_pair_is_not_touched(noise: float, seed: int) -> None:
    pair = render(np.random.default_rng(seed), lambda x, y: 0 * x, noise=noise)
    found = estimate(pair)
    assert not found.applied
    assert found.trusted
    assert found.rms_px < 0.1
    assert found.note.startswith("rows agree")
    assert undo_rows(pair, found, 2) is pair


def test_exposure_does_not_move_the_estimate(rng: np.random.Generator) -> None:
    """The right image darker, with a gamma of its own and brighter towards one side."""
    pair = render(rng, roll)
    right = 200 * (pair.right / 255) ** 1.3 * np.linspace(0.5, 1, WIDTH)
    found = estimate(whole(pair.left, np.rint(right).astype(np.uint8)))
    assert found.applied
    assert rms(found.field_px(HEIGHT, WIDTH) - field_of(roll)) < 0.08


def flipped(pair: GreyPair) -> GreyPair:
    left, right = (np.ascontiguousarray(a[:, ::-1]) for a in (pair.left, pair.right))
    left_valid, right_valid = (np.ascontiguousarray(a[:, ::-1]) for a in (pair.left_valid, pair.right_valid))
    return GreyPair(left, right, left_valid, right_valid)


@pytest.mark.parametrize("width", [WIDTH, WIDTH - 3])
def test_mirror_law(rng: np.random.Generator, width: int) -> None:
    """Both images flipped, range negated: the flipped estimate and the flipped image, to the last bit."""
    pair = render(rng, bowl, shape=(HEIGHT, width))
    first, number = RANGE
    found, mirrored = estimate(pair), estimate_rows(flipped(pair), 1 - first - number, number, 2)
    c = found.coefficients_px
    assert mirrored.coefficients_px == (c[0], -c[1], c[2], c[3], -c[4], c[5])
    assert (mirrored.rms_px, mirrored.note) == (found.rms_px, found.note)
    undone, undone_mirrored = undo_rows(pair, found, 2), undo_rows(flipped(pair), mirrored, 2)
    np.testing.assert_array_equal(undone_mirrored.right, undone.right[:, ::-1])
    np.testing.assert_array_equal(undone_mirrored.right_valid, undone.right_valid[:, ::-1])


def test_any_number_of_threads_gives_the_same(rng: np.random.Generator) -> None:
    pair = render(rng, roll)
    alone, both = (estimate_rows(pair, *RANGE, workers) for workers in (1, 2))
    assert alone == both
    np.testing.assert_array_equal(undo_rows(pair, alone, 1).right, undo_rows(pair, both, 2).right)


def test_nodata_is_left_out(rng: np.random.Generator) -> None:
    """A band of the right image and a corner of the left hold garbage: the rest still says how far the rows are off."""
    pair = render(rng, scale)
    left, right, left_valid, right_valid = pair.left, pair.right, pair.left_valid, pair.right_valid
    left_valid[:70, :90] = False
    right_valid[150:180] = False
    left[~left_valid], right[~right_valid] = 255, rng.integers(0, 256, int((~right_valid).sum()))
    masked = GreyPair(left, right, left_valid, right_valid)
    found = estimate(masked)
    assert found.applied
    assert rms((found.field_px(HEIGHT, WIDTH) - field_of(scale))[left_valid]) < 0.06  # the corner holds no evidence
    undone = undo_rows(masked, found, 2)
    assert not undone.right_valid[151:179].any()
    assert undone.right_valid[:149].all()
    assert undone.right_valid[181:].all()


def test_read_only_and_cut_arrays(rng: np.random.Generator) -> None:
    pair = render(rng, roll)
    for array in (pair.left, pair.right, pair.left_valid, pair.right_valid):
        array.setflags(write=False)
    part = np.s_[8:-8, 8:-8]
    cut = GreyPair(pair.left[part], pair.right[part], pair.left_valid[part], pair.right_valid[part])
    found = estimate(cut)
    assert found.applied
    assert undo_rows(cut, found, 2).right.shape == (HEIGHT - 16, WIDTH - 16)


def test_what_cannot_be_measured_is_said(rng: np.random.Generator) -> None:
    def unmeasured(pair: GreyPair) -> str:
        found = estimate(pair)
        assert not found.applied
        assert not found.trusted
        assert np.isnan(found.rms_px)
        assert np.isnan(found.largest_px)
        assert not any(found.coefficients_px)
        assert undo_rows(pair, found, 2) is pair
        return found.note

    assert "90 x 90 px, too small" in unmeasured(render(rng, roll, shape=(90, 90)))
    flat = np.full((HEIGHT, WIDTH), 99, np.uint8)
    assert "only 0 % of the left image" in unmeasured(whole(flat, flat))
    other = [rng.integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8) for _ in range(2)]
    assert "rows not checked: only" in unmeasured(whole(other[0], other[1]))
    stripes = np.broadcast_to(
        (40 * (np.arange(WIDTH) % 23 < 11) + 90 + rng.integers(0, 60, WIDTH)).astype(np.uint8), (HEIGHT, WIDTH)
    )
    assert "too little texture" in unmeasured(whole(np.roll(stripes, 8, 1), stripes.copy()))


@pytest.mark.parametrize("offset", [9.0, -14.0])
def test_rows_that_are_far_off_are_never_called_good(rng: np.random.Generator, offset: float) -> None:
    found = estimate(render(rng, lambda x, y: offset + 0 * x))
    assert not found.trusted
    assert "rows agree" not in found.note


@pytest.mark.parametrize(("height", "width", "nodata"), [(9, 7, 0.0), (12, 70, 0.1), (5, 200, 0.3), (30, 129, 0.02)])
def test_resampling_equals_its_twin(rng: np.random.Generator, height: int, width: int, nodata: float) -> None:
    image = rng.integers(0, 256, (height, width)).astype(np.uint8)
    valid = rng.random((height, width)) >= nodata
    u = np.linspace(-0.5, 0.5, width).astype(np.float32)
    terms = rng.uniform(-3, 3, (3, height))
    terms[:, 0] = 1, 0, 0
    out, out_valid = np.empty_like(image), np.empty_like(valid)
    for y0, y1 in ((0, 2), (2, height)):
        rows.resample(image, valid, bool(valid.all()), u, terms, out, out_valid, y0, y1)
    expected, expected_valid = resample_twin(image, valid, u, terms)
    np.testing.assert_array_equal(out_valid, expected_valid)
    np.testing.assert_array_equal(out[out_valid], expected[out_valid])
    np.testing.assert_array_equal(out[0][out_valid[0]], image[1][out_valid[0]])  # v = 1: rows are copied


def resample_twin(
    image: NDArray[np.uint8], valid: NDArray[np.bool_], u: NDArray[np.float32], terms: Array
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    height, width = image.shape
    a, b, c = terms.astype(np.float32)[:, :, None]
    v = a + u * (b + u * c)
    k = np.floor(v)
    f = v - k
    middle = np.arange(height)[:, None] + k.astype(np.int64)
    place = middle.astype(np.float32) + f
    at = [np.clip(middle + i, 0, height - 1) for i in (-1, 0, 1, 2)]
    columns = np.arange(width)
    p = [image[y, columns].astype(np.float32) for y in at]
    m = [valid[y, columns] for y in at]
    p[0], p[3] = np.where(m[0], p[0], p[1]), np.where(m[3], p[3], p[2])
    one, sharp = np.float32(1), np.float32(-0.75)
    h = one - f
    w0, w3 = sharp * f * h * h, sharp * f * f * h
    w1 = (np.float32(1.25) * f - np.float32(2.25)) * f * f + one
    w2 = one - w0 - w1 - w3
    value = w0 * p[0] + w1 * p[1] + w2 * p[2] + w3 * p[3] + np.float32(0.5)
    inside = (place >= -0.5) & (place <= np.float32(height) - np.float32(0.5))
    return np.clip(np.trunc(value), 0, 255).astype(np.uint8), inside & m[1] & (m[2] | (f == 0))


def test_sums_equal_their_twin(rng: np.random.Generator) -> None:
    height, width = 11, 75
    left, right, left_x, left_y, right_x, right_y = rng.normal(0, 20, (6, height, width)).astype(np.float32)
    left_known, right_known = rng.random((2, height, width)) > 0.1
    disparity = rng.uniform(-5, 9, (height, width)).astype(np.float32)
    disparity[rng.random((height, width)) < 0.2] = np.nan
    evidence, count = np.full((rows.EVIDENCE, height, 80), np.nan, np.float32), np.zeros(height, np.int64)
    for y0, y1 in ((1, 4), (4, height - 1)):
        rows.collect(
            left, right, left_x, left_y, right_x, right_y, left_known, right_known, disparity, np.float32(1.0),
            evidence, count, y0, y1,
        )  # fmt: skip
    twin: list[list[float]] = []
    for y in range(1, height - 1):
        for x in range(width):
            x_right = x - disparity[y, x]
            if not (left_known[y, x] and 1 <= x_right < width - 2):
                continue
            k, f = int(x_right), x_right - int(x_right)
            mix = (1 - f, f)
            gy, gx = ((a[y, x] + mix[0] * b[y, k] + mix[1] * b[y, k + 1]) / 16 for a, b in ((left_y, right_y), (left_x, right_x)))
            if right_known[y, k : k + 2].all() and abs(gy) > 1:
                taps = (
                    -f * (1 - f) ** 2 / 2,
                    (3 * f**3 - 5 * f**2 + 2) / 2,
                    (-3 * f**3 + 4 * f**2 + f) / 2,
                    -(f**2) * (1 - f) / 2,
                )
                there = sum(t * right[y, k - 1 + i] for i, t in enumerate(taps))
                twin.append([left[y, x] - there, gy, x_right, gy**2 / (gy**2 + gx**2)])
    assert count[0] == count[-1] == 0
    got = np.concatenate([evidence[:, y, : count[y]].T for y in range(height)])
    np.testing.assert_allclose(got, np.array(twin), rtol=1e-3, atol=1e-3)

    terms, spread = rng.uniform(-1, 1, (3, height)), 7.0
    sums, histogram = np.empty((rows.SUMS, height, 16), np.float32), np.zeros(rows.BINS, np.int64)
    place = np.float32(-0.5), np.float32(1 / width)
    rows.add_up(evidence, count, *place, terms, np.float32(spread), sums)
    rows.absolute_histogram(evidence, count, *place, terms, histogram)
    expected = np.zeros(rows.BINS, np.int64)
    for y in range(height):
        r, g, x_right, w = evidence[:, y, : count[y]].astype(float)
        u = -0.5 + x_right / width
        e = r - g * (terms[0, y] + u * (terms[1, y] + u * terms[2, y]))
        w = w / (1 + (e / (2 * spread)) ** 2) ** 2
        parts = [w * g * g * u**k for k in range(5)] + [w * g * r * u**k for k in range(3)] + [w * e * e]
        np.testing.assert_allclose(sums[:, y].astype(float).sum(-1), [p.sum() for p in parts], rtol=1e-4, atol=1e-3)
        if y % 2 == 0:
            np.add.at(expected, np.minimum(np.abs(e) * rows.BINS_PER_LEVEL, rows.BINS - 1).astype(int), 1)
    assert np.abs(histogram - expected).sum() <= 4  # a value on the edge of a bin may fall on either side


def test_kitti_rows_are_off(data_folder: Path) -> None:
    """A pair known for it. The same with the right image lowered by one row more differs by that row."""
    folder = data_folder / "kitti2012_gt"
    left, right = (
        np.asarray(cv2.imread(str(folder / name), cv2.IMREAD_GRAYSCALE), np.uint8) for name in ("kittiL.png", "kittiR.png")
    )
    found = estimate_rows(whole(left, right), 0, 80, 2)
    assert found.applied
    assert 0.3 < found.rms_px < 0.8
    cut = whole(left[1:], right[:-1])
    lowered = estimate_rows(cut, 0, 80, 2)
    difference = (lowered.field_px(*cut.shape) - found.field_px(*cut.shape))[100:]  # above is sky, which says little
    assert difference.mean() == pytest.approx(1.0, abs=0.12)
    assert rms(difference - 1.0) < 0.2


def test_levels_are_rounds(rng: np.random.Generator) -> None:
    """A second round at half size comes at least as near to the truth, within the noise."""
    pair = render(rng, bowl)
    errors = [
        rms(estimate(pair, levels=levels).field_px(HEIGHT, WIDTH) - field_of(bowl)) for levels in (row_residual.LEVELS, (4, 2))
    ]
    assert errors[1] < max(errors[0], 0.03)
