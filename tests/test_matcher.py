"""`match` as a whole: known surfaces, laws, reasons, kinds of images and mistakes."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from calib.camera import Camera
from calib.errors import InputError, UsageError
from calib.rig import RectifiedPair, StereoRig
from stereo.depth import to_depth
from stereo.maps import INFORMING, DisparityMap, Reason
from stereo.matcher import match
from stereo.settings import PRESETS, MatcherSettings

Grey = NDArray[np.uint8]


def texture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    """Band-limited noise that can be sampled anywhere along x: sums of cosines, 20 ... 235."""
    x = np.arange(-400, width + 400, 0.25)
    rows = np.zeros((height, len(x)))
    for _ in range(40):
        fx, fy, phase = rng.uniform(-0.16, 0.16), rng.uniform(-0.16, 0.16), rng.uniform(0, 2 * np.pi)
        rows += np.cos(2 * np.pi * (fx * x[None, :] + fy * np.arange(height)[:, None]) + phase)
    return np.asarray(np.clip(128 + rows * 15, 20, 235))


def pair_with(rng: np.random.Generator, disparity: NDArray[np.float64]) -> tuple[Grey, Grey]:
    """Left and right image of a surface whose disparity, a function of the right column, is given per right pixel."""
    height, width = disparity.shape
    rows = texture(rng, height, width)
    columns = np.arange(width) + disparity  # x_left = x_right + d
    right = np.stack([np.interp((c + 400) * 4, np.arange(rows.shape[1]), r) for c, r in zip(columns, rows, strict=True)])
    left = rows[:, 1600 : 1600 + 4 * width : 4]
    noisy = [np.clip(np.rint(i + rng.normal(0, 1, i.shape)), 0, 255).astype(np.uint8) for i in (left, right)]
    return noisy[0], noisy[1]


def scene(rng: np.random.Generator, height: int = 60, width: int = 200) -> tuple[Grey, Grey]:
    """A background at 3.3 px and a nearer square: both signs once the range is moved."""
    disparity = np.full((height, width), 3.3)
    disparity[15:45, 80:130] = 14.6
    return pair_with(rng, disparity)


@pytest.mark.parametrize("truth", [-23.0, -7.25, 0.0, 0.4, 12.5, 33.0])
def test_flat_surface_of_either_sign(rng: np.random.Generator, truth: float) -> None:
    left, right = pair_with(rng, np.full((50, 160), truth))
    found = match(left, right, search_range=(-30, 41))
    inner = np.s_[:, 45:-35]
    assert found.valid[inner].mean() > 0.97
    error = found.disparity_px[inner] - truth
    assert abs(np.nanmedian(error)) < 0.2  # census and parabola pull towards whole pixels where nothing is slanted
    assert np.nanquantile(np.abs(error), 0.95) < 0.45


@pytest.mark.parametrize(("preset", "bias", "rms"), [("fast", 0.03, 0.14), ("balanced", 0.02, 0.06), ("accurate", 0.02, 0.06)])
def test_subpixel_and_error_bars_of_a_slanted_surface(rng: np.random.Generator, preset: str, bias: float, rms: float) -> None:
    """d = -8 ... +8 px across the image: no bias at any fraction but what `fast` leaves, and error bars that hold."""
    width = 420
    left, right = pair_with(rng, np.broadcast_to(np.linspace(-8, 8, width), (90, width)).copy())
    found = match(left, right, search_range=(-14, 15), preset=preset)
    slope = 16 / (width - 1)
    x = np.arange(width)
    truth = x - (x + 8) / (1 + slope)  # x_left = x_right + d(x_right)
    inner = np.s_[6:-6, 25:-25]
    error = (found.disparity_px - truth)[inner]
    known = np.isfinite(error)
    assert known.mean() > 0.97
    assert abs(error[known].mean()) < bias
    assert np.sqrt((error[known] ** 2).mean()) < rms
    ratio = np.abs(error / found.sigma_px[inner])[known]
    assert 0.55 < (ratio < 1).mean() < 0.92
    assert (ratio < 2).mean() > 0.88
    if preset != "fast":  # whole pixels attract nothing
        fraction = (np.broadcast_to(truth, (90, width))[inner] % 1)[known]
        for low in np.arange(0, 1, 0.125):
            part = error[known][(fraction >= low) & (fraction < low + 0.125)]
            assert abs(part.mean()) < 0.03


def padded(image: Grey, before: int, after: int) -> NDArray[np.float32]:
    return np.pad(image.astype(np.float32), ((0, 0), (before, after)), constant_values=np.nan)


def rig(width: int, height: int, doffs: float, cx: float) -> StereoRig:
    left = Camera(width, height, 200.0, 200.0, cx, 30.0, np.zeros(0))
    right = Camera(width, height, 200.0, 200.0, cx + doffs, 30.0, np.zeros(0))
    return StereoRig(left, right, np.eye(3), np.array([-0.1, 0.0, 0.0]))


def with_masks(left: NDArray[np.float32], right: NDArray[np.float32], r: StereoRig) -> RectifiedPair:
    """uint8 images with the NaN as masks, as rectification delivers them."""
    masks = [np.isfinite(i) for i in (left, right)]
    images = [np.nan_to_num(i, nan=77).astype(np.uint8) for i in (left, right)]
    return RectifiedPair(images[0], images[1], masks[0], masks[1], r)


@pytest.mark.parametrize("k", [-40, 25, 60])
def test_shift_law_nodata_padding(rng: np.random.Generator, k: int) -> None:
    """Both images padded with nodata so that d' = d - k and nothing is lost: identical disparity, sigma, reason and depth."""
    left, right = scene(rng)
    height, width = left.shape
    none = padded(left, 0, 0), padded(right, 0, 0)
    bare = match(with_masks(*none, rig(width, height, 8.0, 90.0)), search_range=(-2, 30))
    # left content starts at column a, right content at b: x_left' - x_right' = d + a - b
    a, b = max(0, -k), max(0, k)
    moved = padded(left, a, b), padded(right, b, a)
    shifted = match(with_masks(*moved, rig(width + abs(k), height, 8.0 + k, 90.0 + a)), search_range=(-2 - k, 30 - k))
    window = np.s_[:, a : a + width]
    np.testing.assert_array_equal(shifted.disparity_px[window] + np.float32(k), bare.disparity_px)
    np.testing.assert_array_equal(shifted.sigma_px[window], bare.sigma_px)
    np.testing.assert_array_equal(shifted.reason[window], bare.reason)
    assert bare.valid.mean() > 0.6
    outside = np.delete(shifted.reason, np.s_[a : a + width], axis=1)
    assert (outside == Reason.LEFT_NODATA).all()
    depth, depth_shifted = to_depth(bare), to_depth(shifted)
    np.testing.assert_array_equal(depth_shifted.depth_m[window], depth.depth_m)
    np.testing.assert_array_equal(depth_shifted.inverse_depth_per_m[window], depth.inverse_depth_per_m)


@pytest.mark.parametrize("k", [-40, 25, 60])
def test_shift_law_cropping(rng: np.random.Generator, k: int) -> None:
    """Cropped instead: 99 % of the common pixels farther than 64 px from the cut stay identical."""
    left, right = scene(rng, 60, 420)
    width = left.shape[1] - abs(k)
    bare = match(left, right, search_range=(-2, 30))
    x_left, x_right = max(0, k), max(0, -k)
    cropped = match(left[:, x_left : x_left + width], right[:, x_right : x_right + width], search_range=(-2 - k, 30 - k))
    here = bare.disparity_px[:, x_left : x_left + width]
    inner = np.s_[:, 64 + 30 : width - 64 - 30]
    same = (cropped.disparity_px + np.float32(k) == here) | (np.isnan(here) & np.isnan(cropped.disparity_px))
    assert same[inner].mean() >= 0.99


@pytest.mark.parametrize("preset", PRESETS)
def test_mirror_law(rng: np.random.Generator, preset: str) -> None:
    """Both images flipped, range negated: the negated, flipped disparity, bit for bit."""
    left, right = big_scene(rng)
    bare = match(left, right, search_range=(-2, 30), preset=preset)
    mirrored = match(left[:, ::-1], right[:, ::-1], search_range=(-29, 3), preset=preset)
    np.testing.assert_array_equal(-mirrored.disparity_px[:, ::-1], bare.disparity_px)
    for name in ("sigma_px", "reason", "confidence"):
        np.testing.assert_array_equal(getattr(mirrored, name)[:, ::-1], getattr(bare, name))
    assert bare.valid.mean() > 0.6
    assert (bare.rows is None) == (mirrored.rows is None)
    if bare.rows is not None and mirrored.rows is not None:
        assert mirrored.rows == bare.rows.flipped()


@pytest.mark.parametrize("preset", ["fast", "balanced"])
def test_mirror_law_with_masks_of_unequal_width(rng: np.random.Generator, preset: str) -> None:
    left, right = (image.astype(np.float32) for image in big_scene(rng))
    left, right = left.copy(), right.copy()
    left[:, :17], right[:, -6:], left[30:40, 200:220] = np.nan, np.nan, np.nan
    bare = match(left, right, search_range=(-2, 30), preset=preset)
    mirrored = match(left[:, ::-1], right[:, ::-1], search_range=(-29, 3), preset=preset)
    np.testing.assert_array_equal(-mirrored.disparity_px[:, ::-1], bare.disparity_px)
    np.testing.assert_array_equal(mirrored.reason[:, ::-1], bare.reason)
    assert bare.valid.mean() > 0.6


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("k", [-60, 7, 33])
def test_shift_law_of_every_preset(rng: np.random.Generator, preset: str, k: int) -> None:
    """As above, with images large enough for their rows to be checked."""
    left, right = big_scene(rng)
    a, b = max(0, -k), max(0, k)
    bare = match(left.astype(np.float32), right.astype(np.float32), search_range=(-2, 30), preset=preset)
    shifted = match(padded(left, a, b), padded(right, b, a), search_range=(-2 - k, 30 - k), preset=preset)
    window = np.s_[:, a : a + left.shape[1]]
    np.testing.assert_array_equal(shifted.disparity_px[window] + np.float32(k), bare.disparity_px)
    for name in ("sigma_px", "reason", "confidence"):
        np.testing.assert_array_equal(getattr(shifted, name)[window], getattr(bare, name))
    assert shifted.rows == bare.rows
    assert bare.valid.mean() > 0.6


def big_scene(rng: np.random.Generator) -> tuple[Grey, Grey]:
    """A slanted background, a nearer square, and rows of the right image that are off by 0.3 px."""
    height, width = 140, 300
    disparity = np.broadcast_to(np.linspace(2.0, 9.0, width), (height, width)).copy()
    disparity[40:100, 80:130] = 21.6
    left, right = pair_with(rng, disparity)
    rows = np.arange(height) + 0.3
    upper = np.clip(rows.astype(int), 0, height - 2)
    part = (rows - upper)[:, None]
    moved = right[upper] * (1 - part) + right[upper + 1] * part
    return left, np.clip(np.rint(moved), 0, 255).astype(np.uint8)


def test_rows_that_are_off_are_measured_said_and_undone(rng: np.random.Generator) -> None:
    left, right = big_scene(rng)
    for off in (0, 1):
        shifted = np.roll(right, off, 0)
        found = match(left, shifted, search_range=(-2, 30))
        assert found.rows is not None
        assert found.rows.applied
        # row y of the left image is row y - 0.3 + off of the right one
        assert np.median(found.rows.field_px(140, 300)) == pytest.approx(off - 0.3, abs=0.08)
        assert found.rows.note.endswith("corrected")
    taken = match(left, shifted, search_range=(-2, 30), settings=MatcherSettings(rows="as given"))
    assert taken.rows is None
    assert found.valid.mean() > max(taken.valid.mean(), 0.75)


@pytest.mark.parametrize("preset", PRESETS)
def test_same_bytes_for_any_number_of_threads(rng: np.random.Generator, preset: str) -> None:
    left, right = (image.astype(np.float32) for image in big_scene(rng))
    left, right = left.copy(), right.copy()
    left[50:60, 100:130], right[:, :9] = np.nan, np.nan
    results = [match(left, right, search_range=(-3, 70), threads=n, preset=preset) for n in (1, 2, 4, 7)]
    for other in results[1:]:
        for name in ("disparity_px", "sigma_px", "reason", "confidence"):
            assert getattr(other, name).tobytes() == getattr(results[0], name).tobytes()
        assert other.rows == results[0].rows


def test_a_range_for_every_pixel(rng: np.random.Generator) -> None:
    """The same everywhere: as one range. Where it leaves out the truth, other answers or none; where it is empty, none."""
    left, right = scene(rng)
    shape = left.shape
    whole = match(left, right, search_range=(-2, 30))
    same = match(left, right, search_range=(np.full(shape, -2), np.full(shape, 30)))
    np.testing.assert_array_equal(same.disparity_px, whole.disparity_px)
    low, high = np.full(shape, -2), np.full(shape, 30)
    high[:, 140:] = 9  # the background alone
    low[20:30, 30:60] = 40  # empty
    found = match(left, right, search_range=(low, high))
    assert found.search_range == (-2, 30)
    assert (found.reason[20:30, 30:60] & Reason.NO_CANDIDATE != 0).all()
    assert not found.valid[20:30, 30:60].any()
    kept = found.valid[:, 145:] & whole.valid[:, 145:]
    assert kept.mean() > 0.7
    assert np.abs(found.disparity_px - whole.disparity_px)[:, 145:][kept].max() < 0.5
    mirrored = match(left[:, ::-1], right[:, ::-1], search_range=(1 - high[:, ::-1], 1 - low[:, ::-1]))
    np.testing.assert_array_equal(-mirrored.disparity_px[:, ::-1], found.disparity_px)
    with pytest.raises(UsageError, match="map of max is float64"):
        match(left, right, search_range=(low, high.astype(float)))


def test_an_interrupted_match_leaves_nothing_behind(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = scene(rng)
    expected = match(left, right, search_range=(-2, 30)).disparity_px
    with monkeypatch.context() as patch:
        patch.setattr("stereo.dense.refine", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            match(left, right, search_range=(-2, 30))
    for _ in range(3):
        np.testing.assert_array_equal(match(left, right, search_range=(-2, 30)).disparity_px, expected)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_kinds_of_images_agree(rng: np.random.Generator) -> None:
    """Grey, colour, strided, 16-bit and float views of one pair."""
    left, right = scene(rng)

    def valid_and_close(found: DisparityMap, share: float) -> bool:
        both = np.isfinite(found.disparity_px) & bare.valid
        return bool(both.mean() > 0.6 and (np.abs(found.disparity_px - bare.disparity_px)[both] < 0.5).mean() > share)

    bare = match(left, right, search_range=(-2, 30))
    grey_colour = [np.repeat(i[..., None], 3, 2) for i in (left, right)]
    np.testing.assert_array_equal(match(*grey_colour, search_range=(-2, 30)).disparity_px, bare.disparity_px)
    fortran = [np.asfortranarray(i) for i in (left, right)]
    np.testing.assert_array_equal(match(*fortran, search_range=(-2, 30)).disparity_px, bare.disparity_px)
    assert valid_and_close(match(*(i.astype(np.uint16) * 16 for i in (left, right)), search_range=(-2, 30)), 0.97)
    assert valid_and_close(match(*(i.astype(np.float32) / 255 for i in (left, right)), search_range=(-2, 30)), 0.97)
    darker = np.rint(right * 0.6 + 4).astype(np.uint8)
    assert valid_and_close(match(left, darker, search_range=(-2, 30)), 0.97)


def test_reasons(rng: np.random.Generator) -> None:
    left, right = scene(rng)
    found = match(left, right, search_range=(-2, 30))
    assert (found.reason[~found.valid] != 0).all()
    kept = found.reason[found.valid]
    assert ((kept & ~np.uint16(INFORMING)) == 0).all()
    assert ((found.reason[~found.valid] & ~np.uint16(INFORMING)) != 0).all()
    parted = found.reason & (Reason.OCCLUDED | Reason.MISMATCHED)
    np.testing.assert_array_equal(parted != 0, found.reason & Reason.LEFT_RIGHT != 0)
    assert (parted != Reason.OCCLUDED | Reason.MISMATCHED).all()
    assert (found.reason[:, :2] & (Reason.OUTSIDE_RIGHT | Reason.LEFT_RIGHT) != 0).mean() > 0.5  # x - d < 0 there
    nowhere = match(left, right, search_range=(300, 310))
    assert (nowhere.reason & Reason.NO_CANDIDATE != 0).all()
    assert not nowhere.valid.any()
    assert (nowhere.reason & Reason.CUT_RANGE == 0).all()
    stranger = match(left, pair_with(rng, np.zeros(left.shape))[0], search_range=(-30, 30))
    assert stranger.valid.mean() < 0.1
    assert (stranger.reason & Reason.AMBIGUOUS != 0).mean() > 0.1
    assert (stranger.reason & Reason.SPECKLE != 0).any()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_images_without_texture_give_no_answer(kind: type[np.generic]) -> None:
    flat = np.full((40, 80), 7, kind)
    found = match(flat, flat, search_range=(-20, 44))
    assert not found.valid.any()
    assert (found.reason & Reason.AMBIGUOUS != 0).all()


def test_a_dead_and_a_hot_pixel_do_not_decide_the_contrast(rng: np.random.Generator) -> None:
    left, right = (i.astype(np.float32) / 255 for i in scene(rng))
    bare = match(left, right, search_range=(-2, 30))
    left, right = left.copy(), right.copy()
    left[3, 5], right[20, 20], right[50, 150] = -9999.0, 65000.0, 3e38
    found = match(left, right, search_range=(-2, 30))
    both = bare.valid & found.valid
    assert both.sum() > 0.95 * bare.valid.sum()
    assert (np.abs(found.disparity_px - bare.disparity_px)[both] < 0.5).mean() > 0.99


def test_matches_at_once_and_in_a_forked_child(rng: np.random.Generator) -> None:
    """The helper thread and the kept workspace belong to one process and one call at a time."""
    left, right = scene(rng)
    alone = match(left, right, search_range=(-2, 30)).disparity_px.tobytes()
    with ThreadPoolExecutor(3) as pool:
        together = pool.map(lambda _: match(left, right, search_range=(-2, 30)).disparity_px.tobytes(), range(9))
        assert set(together) == {alone}
    code = (
        "import os, sys, signal, numpy as np\n"
        "from stereo import match\n"
        "i = np.random.default_rng(0).integers(0, 255, (40, 90), dtype=np.uint8)\n"
        "match(i, i, search_range=(0, 8))\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    signal.alarm(20)\n"
        "    os._exit(0 if match(i, i, search_range=(0, 8)).valid.any() else 9)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60).returncode == 0


def test_nodata_is_not_matched_through(rng: np.random.Generator) -> None:
    left, right = scene(rng)
    holed = right.astype(np.float32)
    holed[20:40, 60:75] = np.nan
    whole = left.astype(np.float32)
    whole[5:9, 150:160] = np.nan
    found = match(whole, holed, search_range=(-2, 30))
    assert (found.reason[5:9, 150:160] == Reason.LEFT_NODATA).all()
    x_right = np.arange(left.shape[1])[None, :] - found.disparity_px
    rows = np.arange(left.shape[0])[:, None] + np.zeros_like(x_right)
    into_hole = (np.rint(x_right) >= 61) & (np.rint(x_right) < 74) & (rows >= 20) & (rows < 40)
    assert not into_hole.any()


@pytest.mark.parametrize(
    ("bad", "error", "text"),
    [
        ({"search_range": (5, 5)}, UsageError, r"search range 5:5 is empty.*MIN < MAX"),
        ({"search_range": (9, 5)}, UsageError, r"9:5 is empty"),
        ({"search_range": (0.5, 5)}, UsageError, r"two whole numbers"),
        ({"search_range": (0, 10**6)}, UsageError, r"spans 1000000 px; the limit is"),
        ({"search_range": (10**30, 10**30 + 3)}, UsageError, r"reaches beyond 1048576 px"),
        ({"search_range": (0, float("inf"))}, UsageError, r"two whole numbers"),
        ({"preset": "balanced", "settings": MatcherSettings()}, UsageError, r"both given; give one"),
        ({"preset": "best"}, UsageError, r"preset 'best' is not known; use one of fast, balanced, accurate"),
        ({"threads": 0}, UsageError, r"threads is 0; it must be a whole number, at least 1"),
        ({"threads": 1.5}, UsageError, r"threads is 1.5; it must be a whole number"),
    ],
)
def test_mistakes_are_named(rng: np.random.Generator, bad: dict[str, object], error: type[Exception], text: str) -> None:
    left, right = scene(rng, 20, 60)
    arguments: dict[str, object] = {"search_range": (0, 16), **bad}
    with pytest.raises(error, match=text):
        match(left, right, **arguments)  # type: ignore[arg-type]


def test_wrong_images_are_named(rng: np.random.Generator) -> None:
    left, right = scene(rng, 20, 60)
    with pytest.raises(InputError, match="left is 60 x 20 px but right is 59 x 20 px"):
        match(left, right[:, 1:], search_range=(0, 16))
    with pytest.raises(InputError, match="at least 5 x 5"):
        match(left[:4], right[:4], search_range=(0, 16))
    with pytest.raises(InputError, match="uint8, uint16 or float32"):
        match(left.astype(np.int64), right.astype(np.int64), search_range=(0, 16))
    with pytest.raises(UsageError, match="two images, or one RectifiedPair"):
        match(left, search_range=(0, 16))


@pytest.mark.parametrize("shape", [(5, 5), (6, 300), (300, 6), (17, 129)])
def test_odd_sizes(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    left, right = pair_with(rng, np.full(shape, 2.0))
    found = match(left, right, search_range=(-3, 9), settings=MatcherSettings(speckle_pixels=0))
    assert found.disparity_px.shape == shape
    if shape[1] > 100:
        assert np.nanmedian(found.disparity_px) == pytest.approx(2.0, abs=0.1)
