"""The kernels against their slow twins, on random small inputs of every sign, size and mask."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stereo import kernels
from stereo.aggregation import aggregate
from stereo.arena import Arena
from stereo.kernels import planes, select, sweeps
from stereo.kernels.planes import Bytes, Mask
from stereo.maps import INFORMING, Reason
from stereo.matcher_input import GreyPair
from stereo.settings import MAX_P2, MatcherSettings
from stereo.speckles import drop_speckles
from stereo.workspace import Workspace, layout, lease
from tests import oracles

CASES = [  # height, width, minimum, labels, threads, share of nodata
    (9, 23, 0, 7, 2, 0.0),
    (8, 17, -5, 16, 2, 0.1),
    (5, 31, -40, 70, 1, 0.0),
    (7, 20, 3, 65, 2, 0.2),
    (6, 40, -70, 130, 2, 0.05),
    (5, 70, 10, 64, 1, 0.0),
    (5, 9, -200, 330, 2, 0.1),
    (12, 5, -2, 5, 2, 0.3),
]


def textured(rng: np.random.Generator, height: int, width: int, nodata: float) -> tuple[Bytes, Bytes, Mask, Mask]:
    images, masks = [], []
    for _ in range(2):
        coarse = rng.integers(0, 256, (height // 3 + 2, width // 3 + 2))
        image = np.kron(coarse, np.ones((3, 3)))[:height, :width] * 0.8 + rng.integers(0, 51, (height, width))
        images.append(image.astype(np.uint8))
        masks.append(rng.random((height, width)) >= nodata)
    return images[0], images[1], masks[0], masks[1]


@pytest.mark.parametrize(("height", "width", "minimum", "labels", "threads", "nodata"), CASES)
def test_matcher_stages_equal_their_twins(
    rng: np.random.Generator, height: int, width: int, minimum: int, labels: int, threads: int, nodata: float
) -> None:
    left, right, left_valid, right_valid = textured(rng, height, width, nodata)
    settings = MatcherSettings(p1=7, p2=MAX_P2)
    space = Workspace(height, width, labels)
    aggregate(space, GreyPair(left, right, left_valid, right_valid), minimum, settings, threads)

    table = planes.penalty_table(settings.p1, settings.p2, settings.p2_contrast)
    cost = oracles.costs(left, right, left_valid, right_valid, minimum, labels)
    total = oracles.aggregate(cost, left, left_valid, settings.p1, table)
    best = np.where(left_valid, total.argmin(-1), -1)
    np.testing.assert_array_equal(space.winner, best)
    smallest = np.take_along_axis(total, np.maximum(best, 0)[..., None], -1)[..., 0]
    np.testing.assert_array_equal(space.winner_sums[0][left_valid], smallest[left_valid])
    np.testing.assert_array_equal(space.right_winner, oracles.right_winners(total, left_valid, minimum))

    reason = np.empty((height, width), np.uint16)
    arrays = space.winner, space.winner_sums, space.ambiguous, space.right_winner, right_valid
    columns = np.flatnonzero(right_valid.any(0))
    select.select(*arrays, columns[0], columns[-1] + 1, minimum, labels, np.float32(1.0), space.label, reason, 0, height)
    uniqueness = int(1024 / (1.0 - settings.uniqueness_percent / 100.0))
    label, why = oracles.select_labels(total, left_valid, right_valid, minimum, uniqueness, 1.0)
    inside = np.s_[select.MARGIN : select.MARGIN + height, select.MARGIN : select.MARGIN + width]
    np.testing.assert_array_equal(reason, why)
    np.testing.assert_array_equal(space.label[inside], np.where(why & ~np.int64(INFORMING) == 0, label, select.NO_LABEL))


BARE: dict[str, Any] = {"cost": "census", "p1": 8, "p2": 32, "p2_contrast": math.inf}
VARIANTS: list[dict[str, Any]] = [
    BARE,
    {**BARE, "paths": 4, "p2": 39},
    {"cost": "census", "p1": 5, "p2": 60, "p2_contrast": 20.0},
    {"paths": 4, "p1": 9, "p2": MAX_P2, "p2_contrast": 12.0},
    {"p1": 6, "p2": MAX_P2, "p2_contrast": math.inf},
]


@pytest.mark.parametrize(("variant", "ranged"), [*((v, False) for v in VARIANTS), (VARIANTS[0], True), (VARIANTS[3], True)])
def test_every_variant_equals_its_twin(rng: np.random.Generator, variant: dict[str, Any], ranged: bool) -> None:
    settings = MatcherSettings(**variant)
    for threads in (1, 2, 4, 7):
        height, width, labels = (int(rng.integers(low, high)) for low, high in ((5, 14), (5, 50), (65, 129)))
        minimum = int(rng.integers(-labels - 10, 11))
        left, right, left_valid, right_valid = textured(rng, height, width, float(rng.choice([0.0, 0.1])))
        space = Workspace(height, width, labels, layout(settings, labels))
        grey = GreyPair(left, right, left_valid, right_valid)
        low = high = outside = None
        if ranged:
            low = rng.integers(0, labels, (height, width)).astype(np.int32)
            high = np.minimum(low + rng.integers(1, labels, (height, width)), labels).astype(np.int32)
            label = np.arange(labels)
            outside = (label < low[..., None]) | (label >= high[..., None])
        for _ in range(2):  # the second time in used memory
            aggregate(space, grey, minimum, settings, threads, ranges=None if low is None or high is None else (low, high))
        table = planes.penalty_table(settings.p1, settings.p2, settings.p2_contrast)
        cost = oracles.costs(left, right, left_valid, right_valid, minimum, labels, settings.cost == "mix")
        total = oracles.aggregate(cost, left, left_valid, settings.p1, table, settings.paths, outside)
        none = np.iinfo(space.sums.dtype).max
        total = np.minimum(total, none)  # bytes saturate
        smallest = total.min(-1)
        known = left_valid & (smallest < none)
        np.testing.assert_array_equal(space.winner[known], total.argmin(-1)[known])
        np.testing.assert_array_equal(space.winner[~left_valid], -1)
        np.testing.assert_array_equal(space.winner_sums[0][left_valid], smallest[left_valid])
        right_winner = oracles.right_winners(total, left_valid, minimum, none)
        np.testing.assert_array_equal(space.right_winner, right_winner)
        limit = (smallest * int(1024 / (1.0 - settings.uniqueness_percent / 100.0)) >> 10) + 1
        label = np.arange(labels)
        rivals = (total < limit[..., None]) & (np.abs(label - total.argmin(-1)[..., None]) > 1)
        np.testing.assert_array_equal(space.ambiguous[left_valid], (rivals.any(-1) | (limit >= none))[left_valid])
        if low is not None and high is not None:
            assert ((space.winner >= low) & (space.winner < high))[known].all()


@pytest.mark.parametrize("threads", [1, 2])
def test_speckles_equal_their_twin(rng: np.random.Generator, threads: int) -> None:
    height, width = 21, 37
    space = Workspace(height, width, 8)
    label = np.round((rng.integers(0, 4, (height // 3, width // 3 + 1)).repeat(3, 0).repeat(3, 1)[:height, :width] * 2.5) * 1024)
    label = (label / 1024 + np.round(rng.normal(0, 0.3, label.shape) * 1024) / 1024)[:height]
    answered = rng.random((height, width)) > 0.2
    grey = rng.integers(100, 130, (height, width)).astype(np.uint8)
    inside = np.s_[select.MARGIN : select.MARGIN + height, select.MARGIN : select.MARGIN + width]
    space.label[inside], space.grey[inside] = np.where(answered, label, select.NO_LABEL), grey
    reason = np.zeros((height, width), np.uint16)
    drop_speckles(space.label, Arena(space.sums), reason, np.float32(1.0), 12, threads)
    small = oracles.small_patches(label, answered, 1.0, 12)
    assert small.any()
    assert (answered & ~small).any()
    np.testing.assert_array_equal(reason == Reason.SPECKLE, small)
    np.testing.assert_array_equal(space.label[inside] != select.NO_LABEL, answered & ~small)


def test_reason_bits_are_those_of_the_kernels() -> None:
    for reason in Reason:
        if reason is not Reason.BEYOND_INFINITY:  # set by depth, not by a kernel
            assert getattr(select, str(reason.name)) == reason.value


def test_a_second_process_finds_the_sweeps_in_the_cache() -> None:
    """What a kernel closes over is part of its key: plain numbers are the same in every process, functions made anew are not."""
    flags = dict.fromkeys(("final", "gradient", "wide", "adaptive", "diagonals", "padded", "ranged"), True)
    for cell in sweeps.kernel(2, **flags).py_func.__closure__:
        assert isinstance(cell.cell_contents, int)


def test_path_costs_fit_in_a_byte() -> None:
    """L <= cost + P2, and pairs of them are added as bytes, where 255 means "no candidate"; all allowed settings are safe."""
    assert 2 * (planes.MAX_COST + MAX_P2) < 255
    with pytest.raises(ValueError, match=f"p2 must be in .*, got {MAX_P2 + 1}"):
        MatcherSettings(p2=MAX_P2 + 1)


def test_a_second_workspace_is_lent_while_the_first_is_in_use() -> None:
    with lease(6, 7, 8) as first, lease(6, 7, 8) as second:
        assert first is not second
    with lease(6, 7, 8) as third:
        assert third in (first, second)


def test_torn_or_foreign_cache_costs_a_compilation_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels.cache_folder.cache_clear()
    monkeypatch.setenv("STEREO_CACHE_DIR", str(tmp_path))
    try:
        assert kernels.is_cold()
        assert doubled(21) == 42
        assert not kernels.is_cold()
        for damage in (b"", b"torn", b"\x80\x05garbage."):
            files = list(kernels.cache_folder().iterdir())
            assert len(files) >= 2
            for file in files:
                file.write_bytes(damage)
            assert doubled(21) == 42
    finally:
        kernels.cache_folder.cache_clear()


@pytest.mark.parametrize("place", ["/dev/null", None])
def test_kernels_run_without_a_place_for_their_cache(place: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that cannot be written, and a user without a home."""
    kernels.cache_folder.cache_clear()
    if place is None:
        for name in ("STEREO_CACHE_DIR", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(Path, "home", _homeless)
    else:
        monkeypatch.setenv("STEREO_CACHE_DIR", place)
    try:
        assert doubled(21) == 42
    finally:
        kernels.cache_folder.cache_clear()


def _homeless() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_two_variants_compiled_at_once_keep_their_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that read the index before either writes must not end with one's code under the other's key."""
    kernels.cache_folder.cache_clear()
    monkeypatch.setenv("STEREO_CACHE_DIR", str(tmp_path))
    try:
        first, second = adder(1), adder(1000)
        first._cache._cache_file._load_index = dict  # both see an empty index
        second._cache._cache_file._load_index = dict
        assert (first(1), second(1)) == (2, 1001)
        assert (adder(1)(1), adder(1000)(1)) == (2, 1001)
    finally:
        kernels.cache_folder.cache_clear()


def adder(n: int) -> Any:
    @kernels.compiled
    def add(x: int) -> int:
        return x + n

    return add


def doubled(x: int) -> Any:
    @kernels.compiled
    def double(x: int) -> int:
        return 2 * x

    return double(x)


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ({"p1": 8.5}, "p1 must be a whole number, got 8.5"),
        ({"p1": True}, "p1 must be a whole number, got True"),
        ({"p2": "96"}, "p2 must be a whole number, got '96'"),
        ({"uniqueness_percent": 51}, "uniqueness_percent must be in"),
        ({"p1": 9, "p2": 8}, "p1 is 9 and p2 8; p1 must not exceed p2"),
    ],
)
def test_settings_are_checked(bad: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        MatcherSettings(**bad)
