import math
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calib.camera import Camera
from calib.errors import CalibrationError, QualityError, UsageError
from calib.geometry import rotation_from_vector
from calib.images import read_image
from calib.rig import Image, RectifiedPair, StereoRig
from stereo import search_range
from stereo.coarse_range import coarse_pass
from stereo.maps import DisparityMap, Reason
from stereo.matcher import match
from stereo.matcher_input import GreyPair, grey_pair
from stereo.search_range import (
    SearchRange,
    end_shares,
    find_range,
    parse_depth,
    parse_range,
    range_from_depth,
    widened,
)
from stereo.sparse_range import SparseRange

HEIGHT, WIDTH = 240, 320


def make_rig(
    *, focal: float = 500.0, baseline: float = 0.1, doffs: float = 0.0, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> StereoRig:
    none = np.zeros(0)
    left = Camera(size[0], size[1], focal, focal, size[0] / 2, size[1] / 2, none)
    right = Camera(size[0], size[1], focal, focal, size[0] / 2 + doffs, size[1] / 2, none)
    return StereoRig(left, right, np.eye(3), np.array([-baseline, 0.0, 0.0]))


def make_pair(left: Image, right: Image, rig: StereoRig | None = None) -> RectifiedPair:
    seen = np.ones(left.shape[:2], np.bool_)
    return RectifiedPair(left, right, seen, seen, rig)


def textured(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """Noise of about 3 px grain, 0..255."""
    noise = cv2.GaussianBlur(rng.normal(size=(height, width)).astype(np.float32), (0, 0), 1.5)
    return np.asarray(np.clip(128.0 + 45.0 * noise / noise.std(), 0, 255), np.float32)


def layered(rng: np.random.Generator, disparities: list[int], row_offset: int = 0) -> tuple[Image, Image]:
    """Side by side strips of one disparity each, the first one farthest left; each texture drawn in both views at its place."""
    pad = 120
    left, right = np.zeros((HEIGHT, WIDTH + 2 * pad), np.float32), np.zeros((HEIGHT, WIDTH + 2 * pad), np.float32)
    for i, d in sorted(enumerate(disparities), key=lambda entry: entry[1]):  # near over far
        x0, x1 = (pad + (WIDTH * (i + k)) // len(disparities) for k in (0, 1))
        strip = textured(rng, HEIGHT, x1 - x0)
        left[:, x0:x1] = strip
        right[:, x0 - d : x1 - d] = np.roll(strip, -row_offset, axis=0)
    return tuple(np.ascontiguousarray(v[:, pad:-pad]).astype(np.uint8) for v in (left, right))  # type: ignore[return-value]


def smooth(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """Shades of tens of px, 30..225: no corners."""
    noise = cv2.GaussianBlur(rng.normal(size=(height, width)).astype(np.float32), (0, 0), 14.0)
    return np.asarray(np.clip(128.0 + 45.0 * noise / noise.std(), 0, 255), np.float32)


def slanted(big: NDArray[np.float32], low: float, high: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two views of a plane whose disparity runs from `low` in the first row to `high` in the last."""
    height, width = big.shape[0], WIDTH
    pad = (big.shape[1] - width) // 2
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    d = low + (high - low) * y / (height - 1)
    right = cv2.remap(big, (x + d + pad).astype(np.float32), y, cv2.INTER_CUBIC)
    return np.rint(big[:, pad : pad + width]).astype(np.uint8), np.clip(np.rint(right), 0, 255).astype(np.uint8)


def in_kind(image: Image, kind: str) -> Image:
    """The same uint8 grey picture as another type."""
    if kind == "uint16":
        return image.astype(np.uint16) * np.uint16(257)
    if kind == "float32":
        return image.astype(np.float32) / np.float32(1000.0) - np.float32(7.0)
    if kind == "colour":
        return np.dstack([image, image, image])
    return image.astype(np.uint8) // np.uint8(8)


class TestGivenByHand:
    @pytest.mark.parametrize(
        ("text", "expected"), [("-40:88", (-40, 88)), ("0:64", (0, 64)), (" -9 : -3 ", (-9, -3)), ("+1:+2", (1, 2))]
    )
    def test_range_is_read_with_signs(self, text: str, expected: tuple[int, int]) -> None:
        assert parse_range(text) == expected

    @pytest.mark.parametrize("text", ["88:-40", "5:5"])
    def test_an_empty_range_is_refused_with_both_values(self, text: str) -> None:
        with pytest.raises(UsageError, match=r"must be < MAX") as caught:
            parse_range(text)
        assert all(value in str(caught.value) for value in text.split(":"))

    @pytest.mark.parametrize(
        "text", ["99999999999999999999:100000000000000000000", "-1048577:0", "0:1048577", f"0:{'9' * 5000}", f"-{'9' * 5000}:0"]
    )
    def test_numbers_beyond_any_image_are_refused(self, text: str) -> None:
        with pytest.raises(UsageError, match="beyond 1048576 px") as caught:
            parse_range(text)
        assert len(str(caught.value)) < 200
        assert parse_range("-1048576:0001048576") == (-(2**20), 2**20)
        with pytest.raises(UsageError, match="beyond 1048576 px"):
            SearchRange(0, 2**20 + 1, "test")

    @pytest.mark.parametrize("text", ["", "40", "1:2:3", "a:b", "1.5:9", "0x1:9", "1;9"])
    def test_another_form_is_refused_with_an_example(self, text: str) -> None:
        with pytest.raises(UsageError, match="for example -40:88"):
            parse_range(text)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [("0.5m:20m", (0.5, 20.0)), ("30cm:inf", (0.3, math.inf)), ("250 mm : 1e1m", (0.25, 10.0)), ("25mm:30mm", (0.025, 0.03))],
    )
    def test_depths_are_read_in_their_units(self, text: str, expected: tuple[float, float]) -> None:
        assert parse_depth(text) == expected

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("0.5:20", "no unit"),
            ("0.5m:20", "no unit"),
            ("1ft:9ft", "unknown unit 'ft'"),
            ("1m", "NEAR:FAR"),
            ("m:2m", "'m' is no length"),
            ("nanm:2m", "'nanm' is no length"),
            ("2m:1m", "must be less than FAR"),
            ("1m:1m", "must be less than FAR"),
            ("0m:1m", "must be a finite length > 0"),
            ("1e-320m:1m", "must be a finite length > 0"),
            ("1e-7mm:1m", "at least 1e-09 m"),
            ("-1m:1m", "must be a finite length > 0"),
            ("inf:inf", "must be a finite length > 0"),
        ],
    )
    def test_bad_depths_are_refused(self, text: str, words: str) -> None:
        with pytest.raises(UsageError, match=words):
            parse_depth(text)

    def test_an_empty_search_range_cannot_be_made(self) -> None:
        with pytest.raises(UsageError, match="3:3 is empty"):
            SearchRange(3, 3, "test")


class TestFromDepth:
    @pytest.mark.parametrize("doffs", [0.0, 31.086, -17.25])
    @pytest.mark.parametrize(("near", "far"), [(0.4, 20.0), (0.313, 0.9), (1.0, math.inf)])
    def test_both_limits_lie_inside_the_guard_candidates(self, doffs: float, near: float, far: float) -> None:
        """d = f B / Z - doffs of every depth between the limits has a candidate on each side that is not the outermost one."""
        low, high = range_from_depth(make_rig(doffs=doffs), near, far)
        inverse_depth = np.linspace(1.0 / far, 1.0 / near, 1000)
        d = 500.0 * 0.1 * inverse_depth - doffs
        assert low + 1 <= np.floor(d.min() + 1e-6)
        assert np.ceil(d.max() - 1e-6) <= high - 2
        assert low + 1 > d.min() - 1.0, "no wider than needed"
        assert high - 2 < d.max() + 1.0

    def test_whole_disparities_are_exact(self) -> None:
        """f B = 50: 0.5 m is d = 100, 5 m is d = 10; rounding noise must not add a candidate."""
        assert range_from_depth(make_rig(), 0.5, 5.0) == (9, 102)
        assert range_from_depth(make_rig(focal=700.0, baseline=0.3, size=(2000, 100)), 0.7, 2.1) == (99, 302)
        assert range_from_depth(make_rig(doffs=-20.0), 0.5, math.inf) == (19, 122)

    def test_shifting_doffs_shifts_the_range(self) -> None:
        low, high = range_from_depth(make_rig(), 0.6, 7.0)
        assert range_from_depth(make_rig(doffs=40.0), 0.6, 7.0) == (low - 40, high - 40)

    def test_disparities_that_overflow_are_refused(self) -> None:
        """f B is 1e305: at a micrometre the disparity is infinite."""
        with pytest.raises(UsageError, match="disparities without end"):
            range_from_depth(make_rig(focal=1e155, baseline=1e150), 1e-6, 1.0)

    def test_disparities_wider_than_the_image_are_left_out(self) -> None:
        assert range_from_depth(make_rig(), 0.001, 10.0) == (4, WIDTH)
        with pytest.raises(UsageError, match=r"only 320 px wide"):
            range_from_depth(make_rig(), 0.001, 0.1)

    @pytest.mark.parametrize(
        ("near", "far"), [(0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (2.0, 1.0), (1.0, math.nan), (math.inf, math.inf)]
    )
    def test_limits_that_are_none_are_refused(self, near: float, far: float) -> None:
        with pytest.raises(UsageError, match="NEAR"):
            range_from_depth(make_rig(), near, far)

    def test_a_rig_that_is_not_rectified_is_refused(self) -> None:
        rig = make_rig()
        turned = StereoRig(rig.left, rig.right, rotation_from_vector([0.0, 0.1, 0.0]), rig.t_right_left_m)
        with pytest.raises(CalibrationError, match="rectif"):
            range_from_depth(turned, 0.5, 5.0)


class TestFound:
    @pytest.mark.parametrize("disparities", [[5, 20, 40], [-30, 0, 25], [-70, -50, -40], [0, 0, 0]])
    def test_the_range_holds_the_truth_of_either_sign_and_little_more(
        self, rng: np.random.Generator, disparities: list[int]
    ) -> None:
        found = find_range(make_pair(*layered(rng, disparities)))
        low, high = min(disparities), max(disparities)
        assert found.minimum < low
        assert high < found.maximum - 1
        assert found.maximum - found.minimum <= 1.3 * (high - low) + 8
        assert found.match_count > 100
        assert abs(found.row_offset_px) < 0.1

    @pytest.mark.parametrize("kind", ["uint16", "float32", "colour", "dim"])
    def test_any_image_type_gives_the_same_range(self, rng: np.random.Generator, kind: str) -> None:
        left, right = layered(rng, [-12, 8, 30])
        expected = find_range(make_pair(left, right))
        found = find_range(make_pair(in_kind(left, kind), in_kind(right, kind)))
        assert abs(found.minimum - expected.minimum) <= 1
        assert abs(found.maximum - expected.maximum) <= 1

    def test_large_images_are_searched_at_a_smaller_size(self, rng: np.random.Generator) -> None:
        small = layered(rng, [-10, 0, 14])
        left, right = (cv2.resize(v.astype(np.uint8), None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC) for v in small)
        found = find_range(make_pair(left, right))
        assert found.minimum < -80
        assert found.maximum - 1 > 112
        assert found.maximum - found.minimum <= 1.35 * 192

    def test_pixels_outside_the_masks_play_no_part(self, rng: np.random.Generator) -> None:
        """A quarter of the picture shows another disparity, but is masked; and there it is NaN."""
        left, right = (v.astype(np.float32) for v in layered(rng, [60, 5, 10, 15]))
        seen = np.ones((HEIGHT, WIDTH), np.bool_)
        seen[:, : WIDTH // 4] = False
        assert find_range(make_pair(left, right)).maximum > 60
        left[:, : WIDTH // 4] = np.nan
        found = find_range(RectifiedPair(left, right, seen, np.ones_like(seen)))
        assert found.maximum < 30

    @pytest.mark.parametrize("offset", [-6, 3])
    def test_rows_that_disagree_are_measured(self, rng: np.random.Generator, offset: int) -> None:
        found = find_range(make_pair(*layered(rng, [-10, 10], row_offset=offset)))
        assert found.row_offset_px == pytest.approx(offset, abs=0.1)
        assert found.row_error_px == pytest.approx(abs(offset), abs=0.1)
        assert found.minimum < -10
        assert found.maximum > 11

    def test_half_a_row_is_measured(self, rng: np.random.Generator) -> None:
        big = textured(rng, 2 * HEIGHT, WIDTH)
        found = find_range(make_pair(cv2.blur(big, (1, 2))[1::2].copy(), cv2.blur(big, (1, 2))[0::2].copy()))
        assert abs(found.row_offset_px) == pytest.approx(0.5, abs=0.15)

    @pytest.mark.parametrize("sure", [True, False])
    def test_the_margin_stops_at_infinity(self, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, sure: bool) -> None:
        left, right = layered(rng, [1, 30, 60])
        if not sure:  # larger margins
            monkeypatch.setattr(search_range, "coarse_pass", lambda *_, **__: None)
        free = find_range(make_pair(left, right))
        bound = find_range(make_pair(left, right, make_rig(doffs=-0.5)))
        assert free.minimum < (0 if sure else -4)
        assert -1 <= bound.minimum <= 0, "0.5 is infinity, and the candidate before it"
        assert bound.maximum == free.maximum

    def test_matches_beyond_infinity_are_believed_before_the_rig(self, rng: np.random.Generator) -> None:
        left, right = layered(rng, [-30, 0, 30])
        assert find_range(make_pair(left, right, make_rig())).minimum < -30

    def test_runs_and_numbers_of_threads_agree(self, rng: np.random.Generator) -> None:
        pair = make_pair(*layered(rng, [-12, 8, 30]))
        assert find_range(pair) == find_range(pair) == find_range(pair, threads=1) == find_range(pair, threads=5)
        with pytest.raises(UsageError, match="threads is 0"):
            find_range(pair, threads=0)

    def test_evidence_names_both_sources(self, rng: np.random.Generator) -> None:
        found = find_range(make_pair(*layered(rng, [-12, 8, 30])))
        assert re.fullmatch(
            r"\d+ sparse matches from -1[1-4] to (29|3\d) px \(chance gives \d\) and a coarse pass from -1[123] to (29|30|31) px"
            r" \(in \d\d % of the pixels\)",
            found.evidence,
        )

    @pytest.mark.parametrize("shift", [-60, -7, 25, 60])
    @pytest.mark.parametrize("kind", ["uint16", "float32", "colour", "dim"])
    def test_a_pair_shifted_by_nodata_gives_the_range_shifted(self, rng: np.random.Generator, kind: str, shift: int) -> None:
        views = [in_kind(v, kind) for v in layered(rng, [-12, 8, 30])]
        expected = find_range(make_pair(views[0], views[1], make_rig()))
        padded, masks = [], []
        for view, columns in zip(views, (max(shift, 0), max(-shift, 0)), strict=True):  # d = x_left - x_right gains `shift`
            image = np.zeros((HEIGHT + 6, WIDTH + abs(shift), *view.shape[2:]), view.dtype)
            image[4:-2, columns : columns + WIDTH] = view
            padded.append(image)
            masks.append(np.zeros(image.shape[:2], np.bool_))
            masks[-1][4:-2, columns : columns + WIDTH] = True
        rig = make_rig(doffs=-shift, size=(WIDTH + abs(shift), HEIGHT + 6))
        found = find_range(RectifiedPair(padded[0], padded[1], masks[0], masks[1], rig))
        assert (found.minimum - shift, found.maximum - shift) == (expected.minimum, expected.maximum)
        assert tuple(v - shift for v in found.limits) == expected.limits
        assert (found.match_count, found.row_offset_px) == (expected.match_count, expected.row_offset_px)

    def test_a_mirrored_pair_gives_the_range_negated(self, rng: np.random.Generator) -> None:
        """But for the margins: near and far change places."""
        left, right = layered(rng, [-12, 8, 30])
        straight, mirrored = (find_range(make_pair(*views)) for views in ((left, right), (left[:, ::-1], right[:, ::-1])))
        assert abs(mirrored.minimum + straight.maximum - 1) <= 12
        assert abs(mirrored.maximum - 1 + straight.minimum) <= 12
        assert mirrored.minimum <= -30
        assert mirrored.maximum - 1 >= 12


class TestSources:
    """Each of the two sources finds what the other cannot."""

    def test_surfaces_without_corners_are_found_by_the_coarse_pass(self, rng: np.random.Generator) -> None:
        """Shades of 60 px; the right view is the left one drawn at disparities that run from -20 to 30 px down the picture."""
        big = smooth(rng, HEIGHT, WIDTH + 200)
        left, right = slanted(big, -20.0, 30.0)
        found = find_range(make_pair(left, right))
        assert found.evidence.startswith("too few sparse matches")
        assert found.match_count == 0
        assert math.isnan(found.row_offset_px)
        assert -27 <= found.minimum <= -20
        assert 30 <= found.maximum - 1 <= 47

    def test_matches_lead_the_coarse_pass_beyond_its_usual_reach(self, rng: np.random.Generator) -> None:
        """A disparity of 150 px where candidates usually end at a third of the width, 107 px."""
        left, right = layered(rng, [10, 10, 150])
        alone = coarse_pass(grey_pair(make_pair(left, right)))
        found = find_range(make_pair(left, right))
        assert alone is not None
        assert np.percentile(alone.disparity_px, 99) < 20
        assert re.search(r"a coarse pass from (9|10) to 15[01] px", found.evidence)
        assert found.minimum < 10
        assert 151 < found.maximum < 200

    def test_a_group_of_matches_beyond_the_surfaces_widens_the_range(self) -> None:
        d = np.concatenate([np.full(12, -60.0), np.linspace(0.0, 40.0, 500), np.full(7, 90.0)])
        sparse = SparseRange(d, (-60.0, 90.0), np.zeros(0), 0, 26, (600, 900), 0.0, 0.0)
        assert sparse.beyond(-2.0, 41.0) == (-60.0, 41.0), "8 matches are a group, 7 are not"
        assert sparse.beyond(-70.0, 95.0) == (-70.0, 95.0)
        repeated = replace(sparse, chance_px=np.array([-300.0, -200.0, -70.0, 500.0]))
        assert repeated.beyond(-2.0, 41.0) == (-2.0, 41.0), "chance gives 1.5 below, so 8 + 3 x 1.5 are needed"

    def test_matches_are_enough_where_the_coarse_pass_is_not_sure(
        self, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search_range, "coarse_pass", lambda *_, **__: None)
        found = find_range(make_pair(*layered(rng, [-12, 8, 30])))
        assert "the coarse pass was not sure" in found.evidence
        assert found.minimum < -12
        assert found.maximum - 1 > 30
        assert found.maximum - found.minimum <= 1.5 * 42 + 12

    def test_answers_at_an_end_of_the_candidates_widen_them(self, rng: np.random.Generator) -> None:
        """60 to 130 px, of which the candidates up to a third of the width, 107 px, reach the smaller part."""
        left, right = slanted(smooth(rng, HEIGHT, WIDTH + 300), 60.0, 130.0)
        grey = GreyPair(left, right, *(np.ones_like(left, np.bool_),) * 2)
        found = coarse_pass(grey)
        assert found is not None
        assert found.reruns >= 1
        assert found.ends[1] > 130
        assert np.percentile(found.disparity_px, 99.5) == pytest.approx(129.5, abs=1.5)

    def test_images_too_small_for_a_coarse_pass_get_none(self) -> None:
        image, seen = np.zeros((8, 300), np.uint8), np.ones((8, 300), np.bool_)
        assert coarse_pass(GreyPair(image, image, seen, seen)) is None


class TestWidened:
    FOUND = SearchRange(-20, 60, "found", limits=(-300, 301))

    def test_no_answers_at_the_ends_leave_the_range(self) -> None:
        assert widened(self.FOUND, 0.0, 0.01) is None

    def test_each_end_moves_on_its_own(self) -> None:
        low, high, both = (widened(self.FOUND, *shares) for shares in ((0.02, 0.0), (0.0, 0.031), (0.5, 0.5)))
        assert low is not None
        assert high is not None
        assert both is not None
        assert [(r.minimum, r.maximum) for r in (low, high, both)] == [(-60, 60), (-20, 100), (-60, 100)]
        assert high.evidence == "found; 3.1 % of the pixels chose 59 px, so the upper end moved to 100"

    def test_a_narrow_range_moves_by_a_useful_step(self) -> None:
        moved = widened(SearchRange(3, 6, "found"), 0.0, 0.9)
        assert moved is not None
        assert (moved.minimum, moved.maximum) == (3, 22)

    def test_no_end_moves_beyond_the_image(self) -> None:
        found = SearchRange(-280, 301, "found", limits=(-300, 301))
        moved = widened(found, 0.5, 0.5)
        assert moved is not None
        assert (moved.minimum, moved.maximum) == (-300, 301)
        assert widened(moved, 0.5, 0.5) is None

    def test_shares_are_those_of_the_measured_pixels(self) -> None:
        d = np.array([[-4.0, -4.2, 0.0, 8.0, np.nan, np.nan, 7.6, 3.0, 2.0, 1.0]], np.float32)
        edge = np.array([[1, 1, 0, 1, 1, 0, 0, 0, 0, 0]], np.uint16) * np.uint16(Reason.RANGE_EDGE)
        assert end_shares(DisparityMap(d, np.abs(d), edge, (-4, 9))) == (0.25, 0.125)
        nothing = np.full((1, 10), np.nan, np.float32)
        assert end_shares(DisparityMap(nothing, nothing, edge, (-4, 9))) == (0.0, 0.0)

    @pytest.mark.parametrize(
        ("given", "moves"), [((-30, 20), (False, True)), ((-5, 60), (True, False)), ((-30, 60), (False, False))]
    )
    def test_a_match_with_a_short_range_asks_for_the_end_that_is_missing(
        self, rng: np.random.Generator, given: tuple[int, int], moves: tuple[bool, bool]
    ) -> None:
        left, right = slanted(textured(rng, HEIGHT, WIDTH + 200), -20.0, 30.0)
        moved = widened(SearchRange(*given, "given"), *end_shares(match(left, right, search_range=given)))
        assert ((moved.minimum, moved.maximum) if moved else given)[0] < given[0] or not moves[0]
        assert (moved is not None) == any(moves)
        if moved is not None:
            assert (moved.minimum < given[0], moved.maximum > given[1]) == moves


class TestRefusal:
    def check(self, left: Image, right: Image) -> str:
        with pytest.raises(QualityError) as caught:
            find_range(make_pair(left, right))
        message = str(caught.value)
        assert "--range" in message
        assert "--depth" in message
        assert "needed" in message
        return message

    def test_black_images(self) -> None:
        black = np.zeros((HEIGHT, WIDTH), np.uint8)
        assert "0 consistent matches, 24 needed" in self.check(black, black)

    def test_images_smaller_than_a_patch(self) -> None:
        self.check(np.zeros((3, 5), np.uint8), np.zeros((3, 5), np.uint8))
        self.check(np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32))

    def test_unrelated_textures(self, rng: np.random.Generator) -> None:
        left, right = (textured(rng, HEIGHT, WIDTH).astype(np.uint8) for _ in "lr")
        self.check(left, right)

    def test_noise_alone(self, rng: np.random.Generator) -> None:
        left, right = rng.normal(128.0, 3.0, (2, HEIGHT, WIDTH)).astype(np.uint8)
        self.check(left, right)

    def test_a_board_that_repeats_itself(self) -> None:
        cells = (np.indices((15, 20)).sum(0) % 2 * 200).astype(np.uint8)
        board = np.kron(cells, np.ones((16, 16), np.uint8))
        self.check(board, board)

    def test_images_all_masked(self, rng: np.random.Generator) -> None:
        left, right = layered(rng, [0, 10])
        nothing = np.zeros((HEIGHT, WIDTH), np.bool_)
        with pytest.raises(QualityError, match="0 and 0 corners"):
            find_range(RectifiedPair(left, right, nothing, nothing))


REAL = {
    "cones": ("mb2003/cones/im2.png", "mb2003/cones/im6.png", "mb2003/cones/disp2.png", 4.0),
    "teddy": ("mb2003/teddy/im2.png", "mb2003/teddy/im6.png", "mb2003/teddy/disp2.png", 4.0),
    "venus": ("mb2001/venus/im2.png", "mb2001/venus/im6.png", "mb2001/venus/disp2.png", 8.0),
    "Aloe": ("mb2005_06/Aloe/view1.png", "mb2005_06/Aloe/view5.png", "mb2005_06/Aloe/disp1.png", 2.0),
    "KITTI": ("kitti2012_gt/kittiL.png", "kitti2012_gt/kittiR.png", "kitti2012_gt/disp_gt.png", 256.0),
}


@pytest.mark.realdata
@pytest.mark.parametrize("shift", [0, 25, -60, 60])
@pytest.mark.parametrize("name", REAL)
def test_real_pairs_cut_to_signed_ranges(data_folder: Path, name: str, shift: int) -> None:
    """The range holds 99 % of the true disparities (0.5 % may lie outside on each side) and is at most 1.6 times as wide."""
    *views, values = (read_image(data_folder / part) for part in REAL[name][:3])
    width = views[0].shape[1] - abs(shift)
    x_left, x_right = max(shift, 0), max(-shift, 0)
    known = values[:, x_left : x_left + width]
    low, high = np.percentile(known[known > 0] / REAL[name][3] - shift, [0.5, 99.5])
    found = find_range(make_pair(views[0][:, x_left : x_left + width], views[1][:, x_right : x_right + width]))
    assert found.minimum <= low
    assert high <= found.maximum - 1
    assert found.maximum - found.minimum <= 1.6 * (high - low)


@pytest.mark.realdata
def test_real_photos_of_different_scenes_are_refused(data_folder: Path) -> None:
    left, right = read_image(data_folder / REAL["cones"][0]), read_image(data_folder / REAL["teddy"][1])
    for other in (right, read_image(data_folder / REAL["cones"][1])[::-1]):
        with pytest.raises(QualityError, match="belong together"):
            find_range(make_pair(left, other))
