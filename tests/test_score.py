"""The metrics: by hand, against plain loops that follow the benchmarks' programs, and laws."""

import json
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from calib.errors import InputError, UsageError
from stereo.score import BENCHMARKS, Benchmark, enlarge, fill_background, score

NAN = np.nan
Array = NDArray[np.float32]


def as_map(*rows: list[float]) -> Array:
    return np.array(rows, np.float32)


def random_pair(rng: np.random.Generator) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Signed truth and answers in steps of 1/8 px, both with holes; a mask."""
    shape = int(rng.integers(3, 30)), int(rng.integers(8, 40))
    truth = (rng.integers(-300, 300, shape) / 8.0).astype(np.float32)
    found = truth + (rng.integers(-60, 60, shape) * (rng.random(shape) < 0.7) / 8.0).astype(np.float32)
    truth[rng.random(shape) < 0.2] = NAN
    found[rng.random(shape) < 0.3] = NAN
    found[:, -1] = 2.0  # every row has an answer: KITTI leaves empty rows between others invalid
    truth[0, 0] = found[0, 0] = 1.0
    mask = rng.random(shape) < 0.7
    mask[0, 0] = True
    return found, truth, mask


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_a_perfect_map_scores_zero(benchmark: Benchmark, rng: np.random.Generator) -> None:
    truth = rng.uniform(-40.0, 88.0, (20, 100)).astype(np.float32)
    truth[3, :5] = NAN
    found = score(truth, truth, benchmark=benchmark)
    # the hole is unknown in the truth too: nothing is lost there
    assert found.regions["all"].coverage_percent == 100.0
    assert found.regions["all"].pixels == 1995
    for figures in (found.regions["all"].sparse, found.regions["all"].dense):
        assert set(figures.values()) == {0.0}


@pytest.mark.parametrize("step", [1.0, -1.0])
@pytest.mark.parametrize("offset", [0.0, -64.0, 40.0])
def test_a_shift_by_one_pixel(step: float, offset: float) -> None:
    truth = (np.arange(64).reshape(4, 16) / 4 + offset).astype(np.float32)
    region = score(truth + np.float32(step), truth).regions["all"]
    for figures in (region.sparse, region.dense):
        assert figures["bad-0.5"] == 100.0
        assert figures["bad-1"] == 0.0, "bad means off by more than the threshold"
        assert [figures[name] for name in ("avgerr", "rms", "A50", "A90", "A95", "A99")] == [1.0] * 6


def test_middlebury_by_hand() -> None:
    """Ten known pixels: errors 0, 0.5, 0.75, 1, 1.5, 3, 5, 0 and two holes; bad-t is a part of all ten."""
    truth = as_map([-4.0] * 5 + [NAN], [8.0] * 5 + [NAN])
    found = as_map([-4.0, -3.5, -4.75, -3.0, -5.5, 9.0], [11.0, NAN, 3.0, NAN, 8.0, 9.0])
    region = score(found, truth).regions["all"]
    assert region.pixels == 10
    assert region.coverage_percent == 80.0
    sparse = region.sparse
    assert [sparse[f"bad-{t}"] for t in ("0.5", "1", "2", "4")] == [50.0, 30.0, 20.0, 10.0]
    assert sparse["invalid"] == 20.0
    assert sparse["totbad-1"] == 50.0
    assert sparse["avgerr"] == pytest.approx(11.75 / 8)
    assert sparse["rms"] == pytest.approx(math.sqrt((0.25 + 0.5625 + 1 + 2.25 + 9 + 25) / 8))
    # sorted: 0 0 0.5 0.75 1 1.5 3 5; floor(8 q): 4, 7, 7, 7
    assert [sparse[f"A{q}"] for q in (50, 90, 95, 99)] == [1.0, 5.0, 5.0, 5.0]
    # the holes become min(11, 3) = 3 and min(3, 8) = 3: off by 5
    dense = region.dense
    assert [dense[f"bad-{t}"] for t in ("0.5", "1", "2", "4")] == [70.0, 50.0, 40.0, 30.0]
    assert dense["invalid"] == 0.0
    assert dense["avgerr"] == pytest.approx(21.75 / 10)


def test_eth3d_by_hand() -> None:
    """The same map: shares of the eight answered pixels; an answer beyond the image's width (6) is none."""
    truth = as_map([-4.0] * 5 + [NAN], [8.0] * 5 + [NAN])
    found = as_map([-4.0, -3.5, -4.75, -3.0, -5.5, 9.0], [11.0, NAN, 3.0, NAN, 5.5, 9.0])
    region = score(found, truth, benchmark="eth3d").regions["all"]
    assert region.coverage_percent == 70.0  # 11 > 6
    assert region.sparse["bad-1"] == pytest.approx(100 * 3 / 7)
    assert region.sparse["A50"] == 1.0  # sorted: 0 0.5 0.75 1 1.5 2.5 5; floor(3.5) = 3
    assert region.sparse["A90"] == 5.0  # floor(6.3) = 6
    assert "invalid" not in region.sparse


def test_kitti_by_hand() -> None:
    """Off by 4 px is an outlier of D1 at 79 px, not at 80 px (5 %) nor at 200 px, whatever the sign."""
    truth = as_map([79.0, 80.0, -79.0, -80.0, 200.0, 10.0, 0.0, 10.0])
    found = truth + as_map([4.0, 4.0, 4.0, -4.0, 4.0, 3.0, 3.5, NAN])
    region = score(found, truth, benchmark="kitti").regions["all"]
    assert region.coverage_percent == 87.5
    assert region.sparse["D1"] == pytest.approx(100 * 3 / 7)
    assert region.sparse["out-2"] == 100.0
    assert region.sparse["out-3"] == pytest.approx(100 * 6 / 7)
    assert region.sparse["out-4"] == region.sparse["out-5"] == 0.0
    # the hole takes its only neighbour on the row, 3.5: off by 6.5
    assert region.dense["D1"] == 50.0
    assert region.dense["out-5"] == 12.5
    assert region.dense["avgerr"] == pytest.approx((26.5 + 6.5) / 8)


def evaldisp(found: Array, truth: Array, mask: NDArray[np.bool_], threshold: float) -> tuple[float, float, float]:
    """Middlebury's program, loop by loop: bad %, invalid %, average error."""
    n = bad = invalid = 0
    total = 0.0
    for y in range(truth.shape[0]):
        for x in range(truth.shape[1]):
            if not np.isfinite(truth[y, x]) or not mask[y, x]:
                continue
            n += 1
            if np.isfinite(found[y, x]):
                error = abs(float(found[y, x]) - float(truth[y, x]))
                total += error
                bad += error > threshold
            else:
                invalid += 1
    return 100.0 * bad / n, 100.0 * invalid / n, total / (n - invalid)


def eth3d_program(found: Array, truth: Array) -> dict[str, float]:
    """ETH3D's program, loop by loop."""
    width = truth.shape[1]
    errors = []
    for d, gt in zip(found.ravel(), truth.ravel(), strict=True):
        if np.isfinite(gt) and np.isfinite(d) and -width <= d <= width:
            errors.append(abs(float(d) - float(gt)))
    errors.sort()
    figures = {f"bad-{t:g}": 100.0 * sum(e > t for e in errors) / len(errors) for t in (0.5, 1.0, 2.0, 4.0)}
    figures["rms"] = math.sqrt(sum(e * e for e in errors) / len(errors))
    return figures | {f"A{q}": errors[math.floor(len(errors) * q / 100)] for q in (50, 90, 95, 99)}


def kitti_d1(found: Array, truth: Array) -> float:
    """KITTI 2015's outliers among the estimated pixels, loop by loop."""
    wrong = count = 0
    for d, gt in zip(found.ravel(), truth.ravel(), strict=True):
        if np.isfinite(gt) and np.isfinite(d):
            count += 1
            error = abs(float(gt) - float(d))
            wrong += error > 3.0 and error > 0.05 * abs(float(gt))
    return 100.0 * wrong / count


def kitti_fill(found: Array) -> Array:
    """`interpolateBackground`, loop by loop."""
    out = found.copy()
    height, width = out.shape
    for y in range(height):
        count = 0
        for x in range(width):
            if np.isfinite(out[y, x]):
                if count and x - count > 0:
                    out[y, x - count : x] = min(out[y, x - count - 1], out[y, x])
                count = 0
            else:
                count += 1
        known = np.flatnonzero(np.isfinite(out[y]))
        if len(known):
            out[y, : known[0]] = out[y, known[0]]
            out[y, known[-1] + 1 :] = out[y, known[-1]]
    for x in range(width):
        known = np.flatnonzero(np.isfinite(out[:, x]))
        if len(known):
            out[: known[0], x] = out[known[0], x]
            out[known[-1] + 1 :, x] = out[known[-1], x]
    return out


def test_figures_against_plain_loops(rng: np.random.Generator) -> None:
    for _ in range(20):
        found, truth, mask = random_pair(rng)
        region = score(found, truth, nonocc=mask).regions["nonocc"]
        filled = kitti_fill(found)
        for threshold in (0.5, 1.0, 2.0, 4.0):
            for figures, values in ((region.sparse, found), (region.dense, filled)):
                bad, invalid, average = evaldisp(values, truth, mask, threshold)
                assert figures[f"bad-{threshold:g}"] == pytest.approx(bad)
                assert figures["invalid"] == pytest.approx(invalid)
                assert figures["avgerr"] == pytest.approx(average)


def test_the_other_programs_against_plain_loops(rng: np.random.Generator) -> None:
    for _ in range(20):
        found, truth, _ = random_pair(rng)
        filled = kitti_fill(found)
        kitti = score(found, truth, benchmark="kitti").regions["all"]
        assert kitti.sparse["D1"] == pytest.approx(kitti_d1(found, truth))
        assert kitti.dense["D1"] == pytest.approx(kitti_d1(filled, truth))
        eth3d = score(found, truth, benchmark="eth3d").regions["all"].sparse
        expected = eth3d_program(found, truth)
        assert {name: eth3d[name] for name in expected} == pytest.approx(expected)


def test_fill_against_plain_loops(rng: np.random.Generator) -> None:
    for _ in range(30):
        found, _, _ = random_pair(rng)
        found[:, -1] = np.where(rng.random(len(found)) < 0.5, found[:, -1], NAN)
        found[: rng.integers(0, 3)] = NAN  # empty rows at the top and at the bottom
        found[len(found) - rng.integers(0, 2) :] = NAN
        found[len(found) // 2, 3] = -5.0
        rows = np.flatnonzero(np.isfinite(found).any(1))
        found = np.delete(found, [y for y in range(rows[0], rows[-1]) if y not in rows], 0)
        np.testing.assert_array_equal(fill_background(found), kitti_fill(found))


def test_fill_takes_the_lower_neighbour_of_any_sign() -> None:
    holes = as_map([NAN, -3.0, NAN, NAN, -7.0, NAN], [NAN] * 6, [2.0, NAN, 1.0, NAN, NAN, 5.0])
    filled = as_map([-3.0, -3.0, -7.0, -7.0, -7.0, -7.0], [-3.0, -3.0, -7.0, -7.0, -7.0, -7.0], [2.0, 1.0, 1.0, 1.0, 1.0, 5.0])
    np.testing.assert_array_equal(fill_background(holes), filled)


@pytest.mark.parametrize("benchmark", ["middlebury", "eth3d"])
@pytest.mark.parametrize("k", [-60, 17, 250])
def test_the_sign_of_disparity_does_not_matter(benchmark: Benchmark, k: int, rng: np.random.Generator) -> None:
    """Truth and map moved by k px, or mirrored with the sign turned (the fill apart): the same figures."""
    found, truth, mask = random_pair(rng)
    wide = [np.pad(values, ((0, 0), (0, 900)), constant_values=NAN) for values in (found, truth)]  # no answer beyond the width
    mask = np.pad(mask, ((0, 0), (0, 900)))
    plain = score(*wide, benchmark=benchmark, nonocc=mask)
    moved = score(wide[0] + np.float32(k), wide[1] + np.float32(k), benchmark=benchmark, nonocc=mask)
    mirror = score(-wide[0][:, ::-1], -wide[1][:, ::-1], benchmark=benchmark, nonocc=mask[:, ::-1])
    assert moved == plain
    for name, region in plain.regions.items():
        assert mirror.regions[name].sparse == pytest.approx(region.sparse)


def test_nothing_answered() -> None:
    truth = np.ones((4, 5), np.float32)
    empty = np.full((4, 5), NAN, np.float32)
    for benchmark in BENCHMARKS:
        found = score(empty, truth, benchmark=benchmark)
        region = found.regions["all"]
        assert region.coverage_percent == 0.0
        assert math.isinf(region.sparse["avgerr"])
        if benchmark == "middlebury":
            assert region.sparse["bad-1"] == 0.0
            assert region.sparse["invalid"] == region.sparse["totbad-1"] == region.dense["totbad-4"] == 100.0
        else:
            share = "bad-4" if benchmark == "eth3d" else "D1"
            assert region.sparse[share] == region.dense[share] == 100.0
        assert json.loads(json.dumps(found.as_json(), allow_nan=False))["regions"]["all"]["sparse"]["avgerr"] is None


def test_regions() -> None:
    truth = np.full((2, 4), 10.0, np.float32)
    truth[0, 0] = NAN
    found = truth + as_map([0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 0.0, 0.0])
    found[1, 0] = np.inf
    nonocc = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], bool)
    objects = np.array([[0, 0, 1, 1], [0, 0, 0, 1]], bool)
    regions = score(found, truth, benchmark="kitti", nonocc=nonocc, foreground=objects).regions
    assert {name: region.pixels for name, region in regions.items()} == {"all": 7, "nonocc": 6, "bg": 4, "fg": 3}
    assert regions["all"].sparse["D1"] == pytest.approx(100 * 2 / 6)
    assert regions["nonocc"].sparse["D1"] == pytest.approx(100 * 1 / 5)
    assert regions["nonocc"].coverage_percent == pytest.approx(100 * 5 / 6)
    assert regions["bg"].sparse["D1"] == 0.0
    assert regions["fg"].sparse["D1"] == pytest.approx(100 * 2 / 3)
    assert "fg" not in score(found, truth, benchmark="kitti", foreground=np.zeros((2, 4), bool)).regions


def test_limits_clip_like_middleburys_program() -> None:
    truth = as_map([0.25, 63.5])
    found = as_map([-3.0, 80.0])
    assert score(found, truth).regions["all"].sparse["bad-2"] == 100.0
    assert score(found, truth, limits=(0.0, 64.0)).regions["all"].sparse["avgerr"] == 0.375


def test_smaller_maps_are_enlarged_as_middlebury_does() -> None:
    truth = np.repeat(np.repeat(as_map([2.0, -3.0]), 4, 0), 4, 1) * np.float32(4)
    found = score(as_map([2.0, -3.0]), truth)
    assert found.enlarged == 4
    assert found.regions["all"].dense["avgerr"] == 0.0
    np.testing.assert_array_equal(enlarge(as_map([1.5]), (2, 2))[0], np.full((2, 2), 3.0, np.float32))
    with pytest.raises(InputError, match="2 x 1 px, but the truth 6 x 3"):
        enlarge(as_map([1.0, 2.0]), (3, 6))
    with pytest.raises(InputError, match="must be of one size"):
        score(as_map([2.0, -3.0]), truth, benchmark="eth3d")


def test_refusals() -> None:
    truth = np.ones((3, 4), np.float32)
    with pytest.raises(UsageError, match="'v3' is not known"):
        score(truth, truth, benchmark="v3")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the truth knows no pixel; "):
        score(truth, np.full((3, 4), NAN, np.float32))
    with pytest.raises(InputError, match="no pixel of the mask"):
        score(truth, truth, nonocc=np.zeros((3, 4), bool))
    with pytest.raises(InputError, match="the mask is 3 x 4 px"):
        score(truth, truth, nonocc=np.ones((4, 3), bool))
    with pytest.raises(InputError, match="holds uint8"):
        score(truth.astype(np.uint8), truth)
    with pytest.raises(InputError, match=r"shape \(3,\)"):
        score(truth[:, 0], truth)
