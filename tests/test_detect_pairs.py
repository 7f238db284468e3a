"""Pairs of images as a whole: one board for all, images left out, searches that never end, partners that are missing."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib import board_search, detect
from calib.detect import detect_pairs
from calib.detection import Detection
from calib.errors import InputError, UsageError
from calib.finders import Found, find_board
from calib.image_lists import pair_up
from calib.images import Image, write_image
from calib.target import AutoTarget, Target
from calib.workers import in_order

TARGET = Target("charuco", 5, 4, 0.03, marker_m=0.02, dictionary="DICT_4X4_50")
LEGACY = Target("charuco", 5, 4, 0.03, marker_m=0.02, dictionary="DICT_4X4_50", legacy=True)


def image(value: int, width: int = 40, height: int = 30) -> Image:
    """A picture that the fake search below tells by its value."""
    return np.full((height, width), value, np.uint8)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, Target]]]:
    """Finds nothing in 0, the old layout in 100 ... 199, what it was asked for in 200 ... 249, and never ends at 250."""
    asked: list[tuple[int, Target]] = []
    end = threading.Event()

    def find(picture: Image, target: Target, *, deadline: float | None = None, strict: bool = False) -> Found:
        value = int(picture[0, 0])
        asked.append((value, target))
        if value == 250:
            end.wait(20.0)
        if value == 0:
            return Found(None, "no board found", target)
        proved = LEGACY if 100 <= value < 200 else target if 200 <= value < 250 else TARGET
        return Found(Detection(np.array([[float(value), 2.0]]), "fake"), "", proved, "old layout" if proved.legacy else "")

    monkeypatch.setattr(board_search, "find_board", find)
    yield asked
    end.set()


def test_one_board_for_all_images(fake: list[tuple[int, Target]]) -> None:
    """Most show the old layout; the odd one out is searched again, and left out where it insists."""
    left = [image(v) for v in (100, 101, 102, 103)]
    right = [image(v) for v in (200, 105, 106, 7)]
    views = detect_pairs(left, right, TARGET, threads=1)
    assert views.target == LEGACY
    assert [pair.right is not None for pair in views.pairs] == [True, True, True, False]
    assert views.pairs[3].problem == f"another board than in the other images ({TARGET}) in right image 4"
    assert f"the board is not quite {TARGET} but {LEGACY}" in views.notes
    assert [target for value, target in fake if value == 200] == [TARGET, LEGACY]
    assert [target for value, target in fake if value == 106] == [LEGACY]  # the first images have told
    assert any(note.startswith("old layout") for note in views.notes)


def test_a_board_is_guessed_from_a_few_images(
    fake: list[tuple[int, Target]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[list[int]] = []

    def guess(images: list[Image], square_m: float) -> Target:
        given.append([int(each[0, 0]) for each in images])
        assert square_m == 0.03
        if len(images) < 5:
            raise InputError("no board could be made out")
        return TARGET

    monkeypatch.setattr(detect, "guess_target", guess)
    left, right = [image(v) for v in range(1, 21)], [image(v) for v in range(21, 41)]
    for _ in range(2):
        views = detect_pairs(left, right, AutoTarget(0.03), threads=2, cache=tmp_path)
        assert [len(values) for values in given] == [4, 12]  # more where few say nothing; the second time it is known
        assert {value > 20 for value in given[1]} == {True, False}  # of both cameras
        assert views.target == TARGET
        assert views.notes == (f"the board is taken for {TARGET}",)
    with pytest.raises(InputError, match="no board could be made out"):
        detect_pairs(left[:2], right[:2], AutoTarget(0.03))


def test_a_search_that_never_ends_does_not_hang_the_run(fake: list[tuple[int, Target]]) -> None:
    left = [image(v) for v in (1, 250, 3, 4, 5, 6)]
    right = [image(v) for v in (11, 12, 13, 14, 15, 16)]
    right[4] = image(250)
    views = detect_pairs(left, right, TARGET, threads=2, time_limit_s=0.05)  # else the board would be found there, too late
    assert [pair.left is not None for pair in views.pairs] == [True, False, True, True, True, True]
    assert views.pairs[1].problem == "no board found within 0.05 s in left image 2"
    assert views.pairs[4].problem == "no board found within 0.05 s in right image 5"


def test_images_of_which_no_search_comes_back_have_a_size_and_advice(fake: list[tuple[int, Target]]) -> None:
    views = detect_pairs([image(250)], [image(250, 50)], TARGET, threads=2, time_limit_s=0.05)
    assert (views.left_size, views.right_size) == ((40, 30), (50, 30))
    assert "no board found within 0.05 s (--time-limit 0.15 gives more time) in left image 1" in views.pairs[0].problem
    assert "2 of 2 images ran out of time: --time-limit 0.15 gives more time" in views.notes


def test_hung_jobs_take_a_bounded_number_of_threads() -> None:
    end, begun = threading.Event(), []

    def work(job: int) -> int:
        begun.append(job)
        if job:
            end.wait(60.0)
        return job

    try:
        assert list(in_order(work, range(30), threads=2, limit_s=0.05, late=lambda job: -job)) == [-job for job in range(30)]
        assert len(begun) <= 7  # job 0, two threads and twice as many in their place
    finally:
        end.set()


def test_results_come_in_order_and_errors_are_raised() -> None:
    def work(job: int) -> int:
        time.sleep(0.002 * (job % 3))
        if job == 30:
            raise ValueError("30")
        return job

    for threads in (1, 4):
        results = in_order(work, range(30), threads=threads, limit_s=9.0, late=lambda job: -job)
        assert list(results) == list(range(30))
    with pytest.raises(ValueError, match="30"):
        list(in_order(work, range(28, 40), threads=2, limit_s=9.0, late=lambda job: -job))
    assert list(in_order(work, [], threads=2, limit_s=9.0, late=lambda job: -job)) == []
    stopped = in_order(work, range(1000), threads=2, limit_s=9.0, late=lambda job: -job)
    assert next(stopped) == 0
    stopped.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "board search"]


def test_images_of_another_size_are_left_out_of_a_clear_majority(fake: list[tuple[int, Target]]) -> None:
    left = [image(v) for v in range(1, 9)]
    right = [image(v, 50, 50) for v in range(11, 19)]
    left[2], left[5] = image(3, 30, 40), image(6, 45, 30)
    views = detect_pairs(left, right, TARGET)
    assert (views.left_size, views.right_size) == ((40, 30), (50, 50))
    assert [pair.left is None for pair in views.pairs] == [i in (2, 5) for i in range(8)]
    assert views.pairs[2].right is not None  # one camera's view is kept
    assert "30 x 40 px instead of 40 x 30 px (turned by 90 degrees" in views.pairs[2].problem
    assert "turned" not in views.pairs[5].problem
    assert views.notes == (
        "mixed resolutions: left image 3, left image 6 are not 40 x 30 px like the other left images, left out",
    )
    with pytest.raises(InputError, match=r"left image 2 is 30 x 40 px, but .* 40 x 30 px; .*turned by 90 degrees"):
        detect_pairs(left[1:4], right[1:4], TARGET)


def test_the_same_picture_counts_once(fake: list[tuple[int, Target]]) -> None:
    views = detect_pairs([image(v) for v in (1, 2, 2, 4)], [image(v) for v in (11, 12, 12, 12)], TARGET)
    assert [pair.left is not None for pair in views.pairs] == [True, True, False, True]
    assert [pair.right is not None for pair in views.pairs] == [True, True, False, False]
    assert views.pairs[2].problem == (
        "the same picture as left image 2 in left image 3; the same picture as right image 2 in right image 3"
    )
    assert views.notes == (
        "duplicate images: left image 3 of the left camera repeats an earlier picture, counted once",
        "duplicate images: right image 3, right image 4 of the right camera repeat earlier pictures, counted once",
    )


def test_left_and_right_of_one_picture_are_noted(fake: list[tuple[int, Target]]) -> None:
    views = detect_pairs([image(1), image(2)], [image(11), image(2)], TARGET, notes=["known before"])
    assert views.notes[0] == "known before"
    assert views.notes[1].startswith(
        "identical images: the left and the right image are one picture in 1 pair, such as left image 2"
    )


@pytest.mark.parametrize("shape", [(1, 1), (3, 2000), (2000, 7), (25, 25, 3)])
def test_tiny_and_odd_images_show_no_board(shape: tuple[int, ...]) -> None:
    target = Target("chessboard", 9, 6, 0.03)
    views = detect_pairs([np.zeros(shape, np.uint8)], [np.full(shape, 9, np.uint16)], target)
    assert views.pairs[0].left is None
    assert ("too small for a board" if min(shape[:2]) < 20 else "no board found") in views.pairs[0].problem


def test_an_image_that_opencv_cannot_cope_with_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(picture: Image, target: Target, *, deadline: float | None = None, strict: bool = False) -> Found:
        if picture[0, 0] == 1:
            cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)  # raises: it has one channel only
        return Found(Detection(np.array([[1.0, 2.0]]), "fake"), "", target)

    monkeypatch.setattr(board_search, "find_board", find)
    views = detect_pairs([image(1), image(2)], [image(3), image(4)], TARGET)
    assert [pair.left is None for pair in views.pairs] == [True, False]
    assert "no board found (OpenCV: " in views.pairs[0].problem


def test_impossible_limits_are_refused() -> None:
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="time limit"):
            detect_pairs([image(1)], [image(2)], TARGET, time_limit_s=wrong)
    with pytest.raises(UsageError, match="0 threads"):
        detect_pairs([image(1)], [image(2)], TARGET, threads=0)


def paired(folder: Path, left: list[str], right: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """What `pair_up` makes of two folders with images of these names."""
    for side, names in (("l", left), ("r", right)):
        (folder / side).mkdir()
        for name in names:
            write_image(folder / side / f"{name}.png", image(1))
    a, b, notes = pair_up([str(folder / "l"), str(folder / "r")])
    return [(x.stem, y.stem) for x, y in zip(a, b, strict=True)], notes


@pytest.mark.parametrize(
    ("left", "right", "numbers", "alone"),
    [
        (["a1", "a2", "a3", "a4"], ["b1", "b3", "b4"], ["1", "3", "4"], "a2.png has no partner"),
        (["a1", "a2", "a3", "a4"], ["b1", "b4", "b5"], ["1", "4"], "a2.png, a3.png and b5.png have no partner"),
        (["a01", "a02", "a10"], ["b1", "b10"], ["01", "10"], "a02.png has no partner"),
        (["im01_cam0", "im02_cam0", "im03_cam0"], ["im01_cam1", "im03_cam1"], ["01", "03"], "im02_cam0.png has no partner"),
    ],
)
def test_a_missing_partner_is_told_by_the_numbers(
    tmp_path: Path, left: list[str], right: list[str], numbers: list[str], alone: str
) -> None:
    pairs, notes = paired(tmp_path, left, right)
    assert [number in a for (a, _), number in zip(pairs, numbers, strict=True)] == [True] * len(numbers)
    assert [
        int(number) == int("".join(c for c in b.split("_")[0] if c.isdigit()))
        for (_, b), number in zip(pairs, numbers, strict=True)
    ] == [True] * len(numbers)
    assert len(notes) == 1
    assert notes[0].startswith(f"missing pair: {alone}")


def test_numbers_that_tell_nothing_leave_the_order(tmp_path: Path) -> None:
    pairs, notes = paired(tmp_path, ["t1000", "t2000", "t3000"], ["t1003", "t2002", "t3001"])
    assert pairs == [("t1000", "t1003"), ("t2000", "t2002"), ("t3000", "t3001")]
    assert len(notes) == 1
    assert notes[0].startswith("the numbers of some pairs differ")


def test_cameras_that_count_by_themselves_lose_no_pair(tmp_path: Path) -> None:
    left, right = ([f"DSC_{first + i:04d}" for i in range(15)] for first in (101, 106))
    pairs, notes = paired(tmp_path, left, right)
    assert pairs == list(zip(left, right, strict=True))
    assert len(notes) == 1
    assert notes[0].startswith("the numbers of some pairs differ, such as DSC_0101.png and DSC_0106.png")


@pytest.mark.parametrize(
    ("left", "right"), [(["t1000", "t2000"], ["t1003"]), (["a", "b"], ["c"]), (["a1", "b1", "c2"], ["a1", "c2"])]
)
def test_a_missing_partner_that_cannot_be_told_is_an_error(tmp_path: Path, left: list[str], right: list[str]) -> None:
    with pytest.raises(InputError, match=rf"{len(left)} left and {len(right)} right images.*no numbers"):
        paired(tmp_path, left, right)


def test_numbers_of_cameras_are_not_those_of_pairs(tmp_path: Path) -> None:
    pairs, notes = paired(tmp_path, ["im1_cam0", "im2_cam0"], ["im1_cam1", "im2_cam1"])
    assert pairs == [("im1_cam0", "im1_cam1"), ("im2_cam0", "im2_cam1")]
    assert notes == []


@pytest.mark.realdata
def test_the_second_time_nothing_is_searched(data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = data_folder / "calib_opencv_chess"
    files = [sorted(folder.glob(f"{side}[0-9]*.jpg"))[:4] for side in ("left", "right")]
    target, searched, find = Target("chessboard", 9, 6, 1.0), [], find_board

    def counted(picture: Image, target: Target, *, deadline: float | None = None, strict: bool = False) -> Found:
        searched.append(target)
        return find(picture, target, deadline=deadline, strict=strict)

    monkeypatch.setattr(board_search, "find_board", counted)
    for _ in range(2):
        views = detect_pairs(files[0], files[1], target, cache=tmp_path, time_limit_s=60.0)
        assert all(pair.left is not None and pair.right is not None for pair in views.pairs)
        assert len(searched) == 8
