"""Detections kept on disk: found again by content, never trusted when torn, never in the way of a run."""

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calib import board_search, detection_cache
from calib.detect import detect_pairs
from calib.detection import Detection
from calib.detection_cache import DetectionCache, Searched, default_folder
from calib.finders import Found
from calib.images import Image, write_image
from calib.target import Target

TARGET = Target("chessboard", 7, 4, 0.03)
DETECTION = Detection(
    np.arange(8.0).reshape(4, 2) / 3.0,
    "sb",
    ids=np.array([3, 5, 6, 9]),
    sigma_px=np.array([0.1, 0.2, 0.3, 0.4]),
    is_inverted=True,
    blur_px=1.25,
)
FOUND = Searched(DETECTION, "", TARGET, (640, 480), "in an old layout", 0.25, "abc")


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Counts the searches, which here find one corner in each image; a black image is one without a board."""
    made: list[tuple[int, ...]] = []

    def find(image: Image, target: Target, *, deadline: float | None = None, strict: bool = False) -> Found:
        made.append(image.shape)
        assert deadline is not None
        found = None if image.max() == 0 else Detection(np.array([[float(image[0, 0]), 2.0]]), "sb")
        return Found(found, "" if found else "no board found", target)

    monkeypatch.setattr(board_search, "find_board", find)
    return made


def photos(folder: Path, values: list[int], side: str = "l") -> list[Path]:
    paths = [folder / f"{side}{i}.png" for i in range(len(values))]
    for path, value in zip(paths, values, strict=True):
        write_image(path, np.full((30, 40), value, np.uint8))
    return paths


def same(a: Searched | None, b: Searched) -> bool:
    if a is None or (a.detection is None) != (b.detection is None):
        return False
    if any(getattr(a, name) != getattr(b, name) for name in ("reason", "target", "size", "note", "digest")):
        return False
    if a.detection is None or b.detection is None:
        return True
    one, two = a.detection, b.detection
    return (
        all(np.array_equal(getattr(one, name), getattr(two, name)) for name in ("corners_uv", "ids", "sigma_px"))
        and (one.detector, one.is_inverted) == (two.detector, two.is_inverted)
        and np.array_equal([one.blur_px, a.motion_px], [two.blur_px, b.motion_px], equal_nan=True)
    )


def test_what_was_found_comes_back_whole(tmp_path: Path) -> None:
    cache = DetectionCache(tmp_path / "deep" / "cache")
    assert cache.load("abc", TARGET) is None
    cache.save("abc", TARGET, FOUND)
    assert same(cache.load("abc", TARGET), FOUND)
    assert cache.load("abc", Target("chessboard", 7, 4, 0.031)) is None
    assert cache.load("abd", TARGET) is None
    nothing = Searched(None, "no board found", TARGET, (640, 480), digest="none")
    cache.save("none", TARGET, nothing)
    assert same(DetectionCache(tmp_path / "deep" / "cache").load("none", TARGET), nothing)
    assert [path.suffix for path in (tmp_path / "deep" / "cache").iterdir()] == [".npz"] * 2  # no temporary files


def test_every_kind_of_board_comes_back(tmp_path: Path) -> None:
    cache = DetectionCache(tmp_path)
    target = Target("charuco", 5, 4, 0.03, marker_m=0.02, dictionary="DICT_4X4_50", legacy=True)
    cache.save("abc", TARGET, replace(FOUND, target=target))
    found = cache.load("abc", TARGET)
    assert found is not None
    assert found.target == target


def test_another_version_of_the_search_finds_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = DetectionCache(tmp_path)
    cache.save("abc", TARGET, FOUND)
    monkeypatch.setattr(detection_cache, "_version", lambda: "new")
    assert cache.load("abc", TARGET) is None


def test_torn_and_foreign_files_are_ignored_and_written_again(tmp_path: Path) -> None:
    cache = DetectionCache(tmp_path)
    cache.save("abc", TARGET, FOUND)
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    cache.save("other", TARGET, replace(FOUND, digest="other"))
    [other] = [each for each in tmp_path.iterdir() if each != path]
    rng = np.random.default_rng(8)
    broken = [b"", b"PK", b"\x80\x04K\x01.", other.read_bytes(), *[whole[:n] for n in range(0, len(whole), 97)]]
    for _ in range(40):
        flipped = bytearray(whole)
        flipped[rng.integers(len(flipped))] ^= 1 << rng.integers(8)
        broken.append(bytes(flipped))
    for data in broken:
        path.write_bytes(data)
        found = cache.load("abc", TARGET)
        assert found is None or same(found, FOUND)  # a flipped bit in a name or a date of the archive changes nothing
    path.write_bytes(whole[:100])
    cache.save("abc", TARGET, FOUND)
    assert same(cache.load("abc", TARGET), FOUND)


def test_no_pickle_is_ever_read(tmp_path: Path) -> None:
    cache = DetectionCache(tmp_path)
    cache.save("abc", TARGET, FOUND)
    [path] = tmp_path.iterdir()
    np.savez(path, meta=np.array([{"a": 1}], dtype=object))
    assert cache.load("abc", TARGET) is None


def test_the_oldest_go_first(tmp_path: Path) -> None:
    cache = DetectionCache(tmp_path)
    for i in range(10):
        cache.save(str(i), TARGET, replace(FOUND, digest=str(i)))
        os.utime(cache._path(str(i), TARGET), (1000 + i, 1000 + i))
    (tmp_path / "mine.txt").write_text("not ours", encoding="utf-8")
    assert cache.load("0", TARGET) is not None  # used just now
    cache.trim(most_files=5)
    assert [cache.load(str(i), TARGET) is not None for i in range(10)] == [True, *[False] * 6, *[True] * 3]
    assert (tmp_path / "mine.txt").exists()
    size = sum(path.stat().st_size for path in tmp_path.glob("*.npz"))
    cache.trim(most_bytes=size // 2)
    assert sum(path.stat().st_size for path in tmp_path.glob("*.npz")) <= size // 2


def test_the_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREO_CACHE_DIR", str(tmp_path / "a"))
    assert default_folder() == tmp_path / "a" / "stereo" / "boards"
    monkeypatch.delenv("STEREO_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert default_folder() == tmp_path / "b" / "stereo" / "boards"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache" / "stereo" / "boards"


def test_a_second_run_searches_nothing(tmp_path: Path, searches: list[tuple[int, ...]]) -> None:
    left, right = photos(tmp_path, [10, 20, 30]), photos(tmp_path, [40, 50, 0], "r")
    first = detect_pairs(left, right, TARGET, cache=tmp_path / "cache")
    assert len(searches) == 6
    second = detect_pairs(left, right, TARGET, cache=tmp_path / "cache")
    assert len(searches) == 6
    for a, b in zip(first.pairs, second.pairs, strict=True):
        assert (a.name, a.problem) == (b.name, b.problem)
        for one, two in ((a.left, b.left), (a.right, b.right)):
            assert (one is None) == (two is None)
            if one is not None and two is not None:
                assert np.array_equal(one.corners_uv, two.corners_uv)
    write_image(left[1], np.full((30, 40), 21, np.uint8))  # another content under the same name
    third = detect_pairs(left, right, TARGET, cache=DetectionCache(tmp_path / "cache"))
    assert len(searches) == 7
    assert third.pairs[1].left is not None
    assert third.pairs[1].left.corners_uv[0, 0] == 21.0
    detect_pairs(left, right, TARGET)  # without a cache all is searched
    assert len(searches) == 13


def test_arrays_are_kept_by_content_too(tmp_path: Path, searches: list[tuple[int, ...]]) -> None:
    images = [np.full((30, 40), value, np.uint8) for value in (1, 2)]
    detect_pairs(images[:1], images[1:], TARGET, cache=tmp_path)
    detect_pairs([images[0].copy()], [images[1].copy()], TARGET, cache=tmp_path)
    assert len(searches) == 2
    detect_pairs(
        [images[0].astype(np.uint16)], [images[1].reshape(40, 30)], TARGET, cache=tmp_path
    )  # same bytes or values, other images
    assert len(searches) == 4


@pytest.mark.parametrize("kind", ["a file", "below a file", "impossible name"])
def test_a_folder_that_cannot_be_used_is_said_once(tmp_path: Path, searches: list[tuple[int, ...]], kind: str) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    folder = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "x", "impossible name": tmp_path / ("x" * 300)}[
        kind
    ]
    left, right = photos(tmp_path, [10, 20]), photos(tmp_path, [30, 40], "r")
    views = detect_pairs(left, right, TARGET, cache=folder)
    assert len(searches) == 4
    assert [note for note in views.notes if "cannot be kept here" in note] == list(views.notes)
    assert len(views.notes) == 1
    assert views.pairs[1].left is not None


def test_a_folder_that_vanishes_costs_nothing(tmp_path: Path, searches: list[tuple[int, ...]]) -> None:
    cache = DetectionCache(tmp_path / "cache")
    (tmp_path / "cache").rmdir()
    views = detect_pairs(photos(tmp_path, [10]), photos(tmp_path, [30], "r"), TARGET, cache=cache)
    assert views.pairs[0].left is not None
    assert len(searches) == 2
    assert "cannot be kept here" in views.notes[0]


def test_a_search_that_ran_out_of_time_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def slow(image: Image, target: Target, *, deadline: float | None = None, strict: bool = False) -> Found:
        made.append(deadline)
        time.sleep(0.06)
        return Found(None, "no board found", target)

    monkeypatch.setattr(board_search, "find_board", slow)
    left, right = photos(tmp_path, [10]), photos(tmp_path, [30], "r")
    late = "no board found within 0.05 s (--time-limit 0.15 gives more time)"
    for _ in range(2):
        views = detect_pairs(left, right, TARGET, cache=tmp_path / "cache", time_limit_s=0.05)
        assert views.pairs[0].problem == f"{late} in l0.png; {late} in r0.png"
    assert len(made) == 4
