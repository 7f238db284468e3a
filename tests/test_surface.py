"""Median with support, plane fit, photometric shift and the second pass against slow twins and known surfaces."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stereo.arena import Arena
from stereo.kernels import second_pass, surface
from stereo.kernels.floats import comparators
from stereo.kernels.narrow import NARROW
from stereo.kernels.select import MARGIN, NO_LABEL, RANGE_EDGE, UNSUPPORTED
from tests import oracles

Floats = NDArray[np.float32]


def with_margin(values: NDArray[Any], fill: float) -> Floats:
    """A map as the kernels take it: a margin around, and room for whole vectors to the right."""
    height, width = values.shape
    rounded = -(-width // 16) * 16
    out = np.full((height + 2 * MARGIN, rounded + 2 * MARGIN + 16), fill, np.float32)
    out[MARGIN : MARGIN + height, MARGIN : MARGIN + width] = values
    return out


def inside(values: Floats, height: int, width: int) -> Floats:
    return values[MARGIN : MARGIN + height, MARGIN : MARGIN + width]


@pytest.fixture
def surfaces(rng: np.random.Generator) -> tuple[Floats, NDArray[np.uint8]]:
    """Labels of patches with noise and holes, and a grey image."""
    height, width = 21, 37
    patches = rng.integers(0, 4, (7, 13)).repeat(3, 0).repeat(3, 1)[:height, :width] * 2.5
    label = np.round((patches + rng.normal(0, 0.3, patches.shape)) * 1024) / 1024
    label[rng.random(label.shape) < 0.2] = NO_LABEL
    return label.astype(np.float32), rng.integers(100, 130, label.shape).astype(np.uint8)


def test_the_network_sorts() -> None:
    """Zeros and ones are enough (the 0-1 principle): all prefixes of ones in random order."""
    network = list(comparators(25))
    rng = np.random.default_rng(5)
    values = rng.permuted(np.tri(26, 25, -1, dtype=int).repeat(200, 0), axis=1)
    ordered = values.copy()
    for i, j in network:
        low, high = np.minimum(ordered[:, i], ordered[:, j]), np.maximum(ordered[:, i], ordered[:, j])
        ordered[:, i], ordered[:, j] = low, high
    np.testing.assert_array_equal(ordered, np.sort(values, axis=1))


def test_smooth_is_the_median_of_what_is_known(surfaces: tuple[Floats, NDArray[np.uint8]]) -> None:
    label, _ = surfaces
    height, width = label.shape
    out = with_margin(np.zeros_like(label), NO_LABEL)
    surface.smooth(with_margin(label, NO_LABEL), np.float32(2.0), 9, out, 0, height)
    padded = np.pad(label, 2, constant_values=NO_LABEL)
    expected = np.full_like(label, NO_LABEL)
    for y, x in np.argwhere(label != NO_LABEL):
        window = padded[y : y + 5, x : x + 5]
        known = window[window != NO_LABEL]
        middle = np.median(known)
        if (np.abs(known - middle) <= 2.0).sum() >= 9:
            expected[y, x] = middle
    assert 0.2 < (expected == NO_LABEL).mean() < 0.8
    np.testing.assert_array_equal(inside(out, height, width), expected)


@pytest.mark.parametrize("step", [1, 2])
def test_planes_equal_their_twin(surfaces: tuple[Floats, NDArray[np.uint8]], step: int) -> None:
    label, grey = surfaces
    height, width = label.shape
    out, residual = with_margin(np.zeros_like(label), NO_LABEL), np.zeros((height, -(-width // 16) * 16), np.float32)
    left = with_margin(grey, 0.0)
    surface.fit_planes(with_margin(label, NO_LABEL), left, 4, step, 1.5, 25.0, 0.5, out, residual, 0, height)
    known = label != NO_LABEL
    for y, x in np.argwhere(known)[::7]:
        value, variance = oracles.fitted_plane(label.astype(np.float64), known, grey, y, x, 4, step, 1.5, 25.0, 0.5)
        assert inside(out, height, width)[y, x] == pytest.approx(value, abs=0.6 / 1024)
        assert residual[y, x] == pytest.approx(variance, abs=2e-5)
    np.testing.assert_array_equal(inside(out, height, width) == NO_LABEL, ~known)


def flipped(values: Floats, largest: float) -> Floats:
    """The labels of the mirrored pair: largest - label, from the right."""
    return np.ascontiguousarray(np.where(values == NO_LABEL, NO_LABEL, largest - values)[:, ::-1]).astype(np.float32)


def test_mirrored_labels_give_mirrored_surfaces(surfaces: tuple[Floats, NDArray[np.uint8]]) -> None:
    """Bit for bit: median, plane and its residual."""
    label, grey = surfaces
    height, width = label.shape
    found = []
    for source, image in ((label, grey), (flipped(label, 63.0), grey[:, ::-1])):
        middle, out = (with_margin(np.zeros_like(label), NO_LABEL) for _ in range(2))
        residual = np.zeros((height, -(-width // 16) * 16), np.float32)
        surface.smooth(with_margin(source, NO_LABEL), np.float32(2.0), 9, middle, 0, height)
        surface.fit_planes(middle, with_margin(image, 0.0), 4, 1, 1.5, 25.0, 0.5, out, residual, 0, height)
        found.append((inside(out, height, width), residual[:, :width]))
    np.testing.assert_array_equal(flipped(found[1][0], 63.0), found[0][0])
    known = found[0][0] != NO_LABEL
    np.testing.assert_array_equal(found[1][1][:, ::-1][known], found[0][1][known])


def sloping_pair(rng: np.random.Generator, slope: float) -> tuple[Floats, NDArray[np.uint8], Floats]:
    """A sharp left image, the right image of a surface d = 6 + slope (x - 40), and d for every left pixel."""
    height, width = 40, 120
    phase = rng.uniform(0, 2 * np.pi, (12, 1, 1))
    frequency, vertical = rng.uniform(0.05, 0.9, (12, 1, 1)), rng.uniform(-0.8, 0.8, (12, 1, 1))
    rows = np.arange(height)[None, :, None]

    def texture(columns: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(128 + 9 * np.cos(frequency * columns + vertical * rows + phase).sum(0))

    columns = np.arange(width)[None, None, :]
    truth = 6 + slope * (np.arange(width) - 40.0)
    right = texture((columns + 6 - 40 * slope) / (1 - slope))  # x_left of a right pixel: x_left - d(x_left) = x_right
    left = texture(columns.astype(float))
    return left.astype(np.float32), np.rint(right).astype(np.uint8), np.broadcast_to(truth, left.shape).astype(np.float32)


@pytest.mark.parametrize("slope", [0.0, 0.06])
def test_shift_finds_the_surface(rng: np.random.Generator, slope: float) -> None:
    """Labels that are off by 0.15 px come back to the truth, and `compare` leaves nothing there."""
    left, right, truth = sloping_pair(rng, slope)
    height, width = left.shape
    gain = np.float32(1.0)
    everywhere = np.ones(right.shape, np.bool_)
    errors = []
    label = with_margin(truth + np.float32(0.15) + 20, NO_LABEL)
    grey = with_margin(left, 0.0)
    for _ in range(2):
        difference, slopes, usable, out = (with_margin(np.zeros_like(left), NO_LABEL) for _ in range(4))
        surface.compare(label, grey, right, everywhere, gain, -20, difference, slopes, usable, 0, height)
        uncertainty = np.zeros((height, -(-width // 16) * 16), np.float32)
        surface.shift(label, usable, grey, difference, slopes, 4, 2, 1.5, 255.0, 4.0, 0.2, out, uncertainty, 0, height)
        label = out
        error = np.abs(inside(out, height, width) - 20 - truth)[6:-6, 25:-25]
        errors.append(float(np.median(error)))
    assert errors[0] < 0.05
    assert errors[1] < 0.02
    # what is left is rounding of the right image, 0.29 grey levels rms
    inner = uncertainty[6:-6, 25 : width - 25]
    assert 0.1 * 0.29**2 / 25 / 40 < np.median(inner) < 10 * 0.29**2 / 25 / 5
    holes = everywhere.copy()
    holes[:, 40:44] = False
    surface.compare(label, grey, right, holes, gain, -20, difference, slopes, usable, 0, height)
    place = np.arange(width)[None, :] - truth
    into = (place > 39.5) & (place < 43.5)
    assert (inside(usable, height, width)[into] == NO_LABEL).all()
    assert (inside(usable, height, width)[6:-6, 60:-1] != NO_LABEL).all()


def test_finish_says_what_was_lost(rng: np.random.Generator) -> None:
    label = with_margin(np.array([[3.5, NO_LABEL, NO_LABEL, 7.0]]), NO_LABEL)
    reason = np.array([[0, 0, 16, RANGE_EDGE]], np.uint16)
    residual = np.full((1, 16), 0.03, np.float32)
    disparity, sigma = np.empty((1, 4), np.float32), np.empty((1, 4), np.float32)
    uncertainty = np.full((1, 16), 0.002, np.float32)
    few, weights = np.uint16(16), np.array([0.01, 0.5, 7.5], np.float32)
    surface.finish(label, residual, uncertainty, reason, -10, few, weights, np.float32(1.0), disparity, sigma, 0, 1)
    np.testing.assert_array_equal(disparity, np.array([[-6.5, np.nan, np.nan, -3.0]], np.float32))
    np.testing.assert_allclose(sigma, [[0.2, np.nan, np.nan, np.sqrt(1.04)]], rtol=1e-6)
    np.testing.assert_array_equal(reason, [[0, UNSUPPORTED, 16, RANGE_EDGE]])


def warped_twin(
    label: Floats, left: NDArray[Any], valid: NDArray[Any], right: NDArray[Any], known: NDArray[Any], minimum: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Slow twin of `second_pass.warp` at contrast 1."""
    height, width = left.shape
    weights = {1: (-9, 111, 29, -3), 2: (-8, 72, 72, -8), 3: (-3, 29, 111, -9)}
    base, out = np.full((height, width), -1), np.zeros((height, width, 2 * second_pass.REACH + 1), int)
    for y in range(height):
        for x in range(width):
            out[y, x] = left[y, x] if valid[y, x] else 255
            if label[y, x] == NO_LABEL:
                continue
            q = int(np.rint(label[y, x] * 4))
            places = [4 * x - q - 4 * minimum - k for k in range(-second_pass.REACH, second_pass.REACH + 1)]
            first, last = min(places) // 4 - 1, -(-max(places) // 4) + 1
            if first < 0 or last >= width or not known[y, first : last + 1].all():
                continue
            base[y, x] = q
            for k, place in enumerate(places):
                i, f = divmod(place, 4)
                value = float(right[y, i])
                if f:
                    value = np.dot(weights[f], right[y, i - 1 : i + 3].astype(float)) / 128
                out[y, x, k] = np.clip(np.rint(value), 0, 255)
    return base, out


def aggregated(cost: NDArray[Any], valid: NDArray[np.bool_], p1: int, penalty: NDArray[np.uint8]) -> NDArray[Any]:
    """Sum over 8 paths; the penalty between two pixels stands at the lower (or right) one."""
    height, width = valid.shape
    total = np.zeros_like(cost)
    for plane, (dy, dx) in enumerate(((0, 1), (1, 0), (1, 1), (1, -1))):
        for sign in (1, -1):
            path = np.zeros_like(cost)
            rows = range(height) if sign > 0 else range(height - 1, -1, -1)
            columns = range(width) if sign > 0 else range(width - 1, -1, -1)
            for y in rows:
                for x in columns:
                    if not valid[y, x]:
                        continue
                    path[y, x] = cost[y, x]
                    py, px = y - sign * dy, x - sign * dx
                    if 0 <= py < height and 0 <= px < width and valid[py, px]:
                        before = path[py, px]
                        at = (y, x) if sign > 0 else (py, px)
                        best = np.minimum(before, before.min() + int(penalty[plane][at]))
                        best[1:] = np.minimum(best[1:], before[:-1] + p1)
                        best[:-1] = np.minimum(best[:-1], before[1:] + p1)
                        path[y, x] += best - before.min()
            total += path
    return total


def test_second_pass_equals_its_twins(rng: np.random.Generator) -> None:
    """Samples, costs and, through the winners' labels, the paths."""
    height, width, minimum = 11, 33, -6
    smooth = rng.integers(0, 256, (height, width // 3 + 1)).repeat(3, 1)[:, :width] * 0.8
    left = np.clip(smooth + rng.integers(0, 40, smooth.shape), 0, 255).astype(np.uint8)
    right = np.roll(left, 2, 1)
    valid, known = rng.random(left.shape) > 0.03, rng.random(left.shape) > 0.02
    label = (np.round((minimum * -1.0 - 2 + rng.normal(0, 0.4, left.shape)) * 1024) / 1024).astype(np.float32)
    label[(rng.random(left.shape) < 0.1) | ~valid] = NO_LABEL
    base = np.empty((height, width), np.int32)
    warped = np.full((height + 2 * second_pass.FRAME, width + 8, NARROW), 255, np.uint8)
    one = np.float32(1.0)
    framed = with_margin(label, NO_LABEL)
    second_pass.warp(framed, left, valid, right, known, one, minimum, base, warped, 0, height)
    expected_base, samples = warped_twin(label, left, valid, right, known, minimum)
    np.testing.assert_array_equal(base, expected_base)
    assert (base >= 0).mean() > 0.3
    labels = second_pass.REACH * 2 + 1
    np.testing.assert_array_equal(warped[2 : 2 + height, 2 : 2 + width, :labels], samples)

    planes = rng.integers(0, 63, (height, 7, width)).astype(np.uint8)
    planes[:, :3] = rng.integers(0, 256, (height, 3, width))
    cost = np.empty((height, width + 4, NARROW), np.uint8)
    second_pass.match_costs(warped, planes, cost, 0, height)
    expected = np.zeros((height, width, labels), int)
    wide = warped.astype(int)
    column = wide[1 : 3 + height][:-2] + 2 * wide[2 : 2 + height] + wide[3 : 3 + height]
    for x in range(width):
        n = 0
        for dy in range(5):
            for dx in range(5):
                if (dy, dx) == (2, 2):
                    continue
                bit = wide[dy : dy + height, x + dx, :labels] < wide[2 : 2 + height, x + 2, :labels]
                own = planes[:, n // 8, x] >> (n % 8) & 1
                expected[:, x] += bit != own[:, None]
                n += 1
        gradient = np.clip(np.rint((column[:, x + 3] - column[:, x + 1]) / 2), -31, 31)[:, :labels] + 31
        expected[:, x] += np.minimum(np.abs(gradient - planes[:, 3, x, None]), 15).astype(int)
    np.testing.assert_array_equal(cost[:, :width, :labels], expected)
    assert (cost[:, :width, labels:] == 255).all()

    penalty = rng.integers(8, 73, (4, height + 1, width + 2)).astype(np.uint8)
    total = aggregated(expected, base >= 0, 10, penalty)
    sums = np.empty((height, width, NARROW), np.uint16)
    for threads in (1, 2):
        moved = framed.copy()
        halves = [(False, 0, height, 1), (True, height - 1, -1, -1)]
        if threads == 2:
            half = height // 2
            halves = [(False, 0, half, 1), (False, height - 1, half - 1, -1), (True, half, height, 1), (True, half - 1, -1, -1)]
        states: dict[int, list[NDArray[Any]]] = {d: [np.zeros(width * NARROW, np.uint8) for _ in range(3)] for d in (1, -1)}
        least = {d: np.zeros((3, width), np.uint8) for d in (1, -1)}
        for final, y0, y1, dy in halves:
            arrays = (cost, base, penalty, *states[dy], least[dy], sums, 10, moved, np.float32(0.5))
            second_pass.sweep(final)(*arrays, y0, y1, dy)
        result = inside(moved, height, width)
        best = total.argmin(-1)
        for y, x in np.ndindex(height, width):
            k = best[y, x]
            here = label[y, x]
            if base[y, x] >= 0 and 0 < k < labels - 1:
                lower, middle, upper = (float(total[y, x, k + i]) for i in (-1, 0, 1))
                at = (base[y, x] + k - second_pass.REACH + 0.5 * (lower - upper) / max(lower + upper - 2 * middle, 1)) / 4
                change = np.rint((at - here) * 1024) / 1024
                here = here + change if abs(change) <= 0.5 else here
            assert result[y, x] == pytest.approx(here, abs=1.5 / 1024)
        assert (result != label).mean() > 0.05


@pytest.mark.parametrize("size", [0, 40, 4096])
def test_an_arena_lends_pieces_that_do_not_overlap(size: int) -> None:
    memory = np.zeros(size, np.uint16)
    arena = Arena(memory)
    pieces = [arena.take((3, 7), np.float32), arena.take((11,), np.uint8), arena.take((2, 2, 2), np.uint16)]
    for i, piece in enumerate(pieces):
        piece[...] = i + 1
    assert [set(piece.ravel().tolist()) for piece in pieces] == [{1}, {2}, {3}]
    assert all(np.shares_memory(piece, memory) for piece in pieces) == (size == 4096)


def supported_twin(label: Floats, grey: NDArray[Any], radius: int, gate: float, grey_gate: float, share: float) -> Floats:
    """Slow twin of `surface.support`, blocks of which all labels around are alike included."""
    height, width = label.shape
    known = label != NO_LABEL
    out = label.copy()
    for y, x in np.argwhere(known):
        by, bx = y // surface.BLOCK * surface.BLOCK, x // 16 * 16
        around = np.s_[max(by - surface.BLOCK, 0) : by + 2 * surface.BLOCK, max(bx - 16, 0) : bx + 32]
        near = label[around][known[around]]
        if near.max() - near.min() <= gate:
            continue
        agreeing = total = 0.0
        for j in range(-radius, radius + 1, 2):
            for i in range(-radius, radius + 1, 2):
                v, u = y + j, x + i
                if 0 <= v < height and 0 <= u < width and known[v, u]:
                    weight = max(1 - abs(float(grey[v, u]) - float(grey[y, x])) / grey_gate, 0.0)
                    total += weight
                    agreeing += weight * (abs(label[v, u] - label[y, x]) <= gate)
        if agreeing < total * share:
            out[y, x] = NO_LABEL
    return out


def test_support_drops_what_spread_over_an_edge(rng: np.random.Generator) -> None:
    """Equal to the twin; a bright object whose label reaches two pixels into the dark background loses these."""
    height, width = 40, 70
    grey = np.full((height, width), 60, np.uint8)
    grey[10:30, 30:50] = 180
    label = np.full((height, width), 5.0, np.float32)
    label[8:32, 28:52] = 20.0
    label += (np.rint(rng.normal(0, 0.1, label.shape) * 1024) / 1024).astype(np.float32)
    label[rng.random(label.shape) < 0.05] = NO_LABEL
    noisy = (grey + rng.integers(0, 9, grey.shape)).astype(np.uint8)
    blocks = (-(-height // surface.BLOCK), -(-width // 16))
    low, high = np.empty(blocks, np.float32), np.empty(blocks, np.float32)
    source, out = with_margin(label, NO_LABEL), with_margin(np.zeros_like(label), NO_LABEL)
    surface.extents(source, low, high, 0, blocks[0])
    gates = 6, 2, np.float32(2.0), 25.0, 0.4
    surface.support(source, with_margin(noisy, 0.0), low, high, *gates, out, 0, blocks[0])
    found = inside(out, height, width)
    np.testing.assert_array_equal(found, supported_twin(label, noisy, 6, 2.0, 25.0, 0.4))
    spread = (label > 10) & (grey == 60)
    assert (found[spread] == NO_LABEL).mean() > 0.95
    assert (found[~spread & (label != NO_LABEL)] != NO_LABEL).mean() > 0.99
