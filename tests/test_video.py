"""Videos: frames by number, and the choice of frames a calibration is made from."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calib import board_search, detect, sources, video
from calib.board_search import BoardSearch
from calib.detect import detect_pairs
from calib.detection import Detection
from calib.detection_cache import DetectionCache
from calib.errors import InputError, UsageError
from calib.finders import Found
from calib.frame_choice import choose_frames, motion_px
from calib.images import Image, write_image
from calib.sources import ImageFile, VideoFrame, capture_sources, paths_of
from calib.target import AutoTarget, Target

SIZE = (320, 240)
TARGET = Target("chessboard", 7, 4, 0.03)


def board_frame(u: float, v: float, square_px: float = 22.0, turn_deg: float = 10.0) -> NDArray[np.uint8]:
    """A picture of the board with its middle at (u, v)."""
    y, x = np.mgrid[0 : 7 * 40, 0 : 10 * 40] // 40
    card = np.where((x + y) % 2 == 0, 255, 30).astype(np.uint8)
    card[:40], card[-40:], card[:, :40], card[:, -40:] = 255, 255, 255, 255
    M = cv2.getRotationMatrix2D((199.5, 139.5), turn_deg, 4.0 * square_px / 40.0)  # at four times the size
    M[:, 2] += np.array([4.0 * u + 1.5 - 199.5, 4.0 * v + 1.5 - 139.5])
    large = cv2.warpAffine(card, M, (4 * SIZE[0], 4 * SIZE[1]), flags=cv2.INTER_LINEAR, borderValue=(120.0,))
    sharp = cv2.resize(large, SIZE, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(cv2.GaussianBlur(sharp, (0, 0), 0.8), cv2.COLOR_GRAY2BGR), np.uint8)


def write_video(path: Path, pictures: list[NDArray[np.uint8]], *, codec: str = "MJPG", rate: float = 10.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, (pictures[0].shape[1], pictures[0].shape[0]))
    assert writer.isOpened()
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path


def numbered(count: int) -> list[NDArray[np.uint8]]:
    """Pictures whose brightness is their number times 8."""
    return [np.full((48, 64, 3), 8 * i, np.uint8) for i in range(count)]


@pytest.mark.parametrize(("suffix", "codec"), [("avi", "MJPG"), ("mp4", "mp4v"), ("mkv", "MJPG"), ("mov", "mp4v")])
def test_frames_come_by_number_from_every_container(tmp_path: Path, suffix: str, codec: str) -> None:
    path = write_video(tmp_path / f"a.{suffix}", numbered(12), codec=codec)
    hidden = path.rename(tmp_path / "no_suffix")  # told by content
    assert video.is_video(hidden)
    found = video.open_video(hidden)
    assert (found.frame_count, found.size) == (12, (64, 48))
    assert found.frames_per_second == pytest.approx(10.0)
    got = [
        (round(a.mean() / 8.0), round(b.mean() / 8.0))
        for a, b in video.frames(hidden, [0, 3, 4, 10, 11])
        if a is not None and b is not None
    ]
    assert got == [(0, 1), (3, 4), (4, 5), (10, 11), (11, 10)]  # each with the next one, the last with the one before
    assert round(video.read_frame(hidden, 7).mean() / 8.0) == 7
    assert list(video.frames(hidden, [12, 13])) == [(None, None), (None, None)]
    with pytest.raises(InputError, match="has no frame 12"):
        video.read_frame(hidden, 12)


def test_the_last_frame_alone_has_no_neighbour_but_the_one_before_where_it_was_read(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", numbered(3))
    [(frame, neighbour)] = list(video.frames(path, [2]))
    assert frame is not None
    assert neighbour is None


def test_broken_videos_are_one_clear_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = write_video(tmp_path / "a.mp4", numbered(30), codec="mp4v").read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])  # its index, at the end, is lost
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no video at all", encoding="utf-8")
    (tmp_path / "folder.mp4").mkdir()
    for name, what in (
        ("half", "broken video"),
        ("empty", "is empty"),
        ("text", "is not a video"),
        ("folder", "is a folder"),
        ("none", "not found"),
    ):
        with pytest.raises(InputError, match=rf"{name}\.mp4: .*{what}") as caught:
            video.open_video(tmp_path / f"{name}.mp4")
        assert "\n" not in str(caught.value)
    head = write_video(tmp_path / "a.avi", numbered(30)).read_bytes()
    (tmp_path / "head.avi").write_bytes(head[:600])  # a header without frames
    with pytest.raises(InputError, match=r"head\.avi: (holds no frame|is a broken video)"):
        video.open_video(tmp_path / "head.avi")
    assert not video.is_video(tmp_path / "folder.mp4")
    assert not video.is_video(tmp_path / "none.mp4")
    assert capfd.readouterr().err == ""


def test_sources_of_two_videos(tmp_path: Path) -> None:
    left, right = write_video(tmp_path / "l.avi", numbered(12)), write_video(tmp_path / "r.avi", numbered(10), rate=20.0)
    found = capture_sources([str(left), str(right)])
    assert len(found.left) == len(found.right) == len(found.names) == 10
    assert found.names[3] == "l.avi#3, r.avi#3"
    assert found.left[3] == VideoFrame(left, 3)
    assert "l.avi and r.avi have 12 and 10 frames" in found.notes[0]
    assert "run at 10 and 20 frames per second" in found.notes[1]
    assert paths_of([*found.left, *found.right]) == [left, right]
    some = capture_sources([f"{tmp_path}/l.*", str(right)], most_frames=4)
    assert [source.index for source in some.left if isinstance(source, VideoFrame)] == [0, 3, 6, 9]
    assert some.notes[-1] == "4 of the videos' 10 frames are searched, evenly over their length"


def test_videos_and_images_are_not_mixed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "l.avi", numbered(3))
    write_image(tmp_path / "r.png", numbered(1)[0])
    with pytest.raises(InputError, match=r"l\.avi is a video, but .*r\.png is not"):
        capture_sources([str(tmp_path / "r.png"), str(path)])
    with pytest.raises(UsageError, match="videos among them"):
        capture_sources([str(path)] * 3)
    with pytest.raises(InputError, match="both left and right"):
        capture_sources([str(path)] * 2)
    photos = capture_sources([str(tmp_path / "r.png"), str(write(tmp_path / "l.png"))])
    assert photos.left == [ImageFile(tmp_path / "r.png")]
    assert photos.names == ["r.png, l.png"]


def write(path: Path) -> Path:
    write_image(path, numbered(2)[1])
    return path


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.4, -0.3), (5.0, 2.0), (-11.0, 4.0)])
def test_motion_is_measured_at_the_corners(shift: tuple[float, float]) -> None:
    y, x = np.mgrid[-1.5:2, -3.0:3.5] * 22.0
    at = np.stack([160.0 + x.ravel(), 120.0 + y.ravel()], -1)
    moved = motion_px(board_frame(160, 120, turn_deg=0.0), board_frame(160 + shift[0], 120 + shift[1], turn_deg=0.0), at)
    assert moved == pytest.approx(np.hypot(*shift), abs=0.1)
    assert motion_px(board_frame(160, 120), np.full((240, 320, 3), 90, np.uint8), at) > 30.0


def detections(places: list[tuple[float, float, float] | None], motion: float = 0.0) -> list[tuple[Detection, float] | None]:
    """Boards at (u, v) with squares of some px."""
    points = TARGET.object_points()[:, :2] / TARGET.square_m
    return [None if at is None else (Detection(points * at[2] + np.array(at[:2]), "sb"), motion) for at in places]


def test_unlike_frames_are_kept() -> None:
    """Four places, each seen ten times with a jitter far below a pixel, and one that comes once."""
    rng = np.random.default_rng(5)
    places = [(60.0, 60.0, 10.0), (150.0, 60.0, 10.0), (60.0, 130.0, 10.0), (60.0, 60.0, 20.0)]
    seen = [(u + rng.normal(0, 0.1), v + rng.normal(0, 0.1), s) for u, v, s in places for _ in range(10)] + [(100.0, 100.0, 15.0)]
    both = detections([*seen])
    choice = choose_frames(both, both, TARGET, (SIZE, SIZE))
    assert len(choice.pairs) == 5
    assert {i // 10 for i in choice.pairs} == {0, 1, 2, 3, 4}
    assert choice.moving == 0
    assert choose_frames(both, both, TARGET, (SIZE, SIZE), most_pairs=3).pairs[-1] < 41
    assert choose_frames([None], [None], TARGET, (SIZE, SIZE)).pairs == ()


def test_moving_frames_are_left_out_where_enough_are_still() -> None:
    places: list[tuple[float, float, float] | None] = [(40.0 + 3 * i, 60.0, 10.0) for i in range(60)]
    still, moving = detections(places), detections(places, motion=6.0)
    mixed = [a if i % 2 else b for i, (a, b) in enumerate(zip(still, moving, strict=True))]
    choice = choose_frames(still, mixed, TARGET, (SIZE, SIZE))
    assert all(i % 2 for i in choice.pairs)
    assert choice.moving == 30
    assert choice.limit_px == 0.5
    few = choose_frames(moving[:20], moving[:20], TARGET, (SIZE, SIZE))  # nothing better is there
    assert len(few.pairs) == 20
    assert few.moving == 0


def test_one_sided_frames_are_kept_where_they_show_something_new() -> None:
    pairs: list[tuple[float, float, float] | None] = [(60.0 + 20 * i, 60.0, 10.0) for i in range(3)]
    left = detections([*pairs, *[(60.0, 60.0 + 8 * i, 10.0) for i in range(10)], None])
    right = detections([*pairs, *[None] * 10, (200.0, 100.0, 10.0)])
    choice = choose_frames(left, right, TARGET, (SIZE, SIZE))
    assert choice.pairs == (0, 1, 2)
    assert len(choice.left_only) == 6
    assert 3 not in choice.left_only  # the same view as pair 0
    assert choice.right_only == (13,)


def test_pairs_of_frames_of_a_board_that_stops_and_goes(tmp_path: Path) -> None:
    """The board rests at five places, moves between them, and is seen by one camera only in the end."""
    stops = [(150.0, 110.0), (170.0, 135.0), (140.0, 130.0), (165.0, 105.0), (155.0, 125.0)]
    path: list[tuple[float, float]] = []
    for a, b in zip(stops, [*stops[1:], stops[-1]], strict=True):
        path += [a] * 3 + [(a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])) for t in (0.3, 0.6) if a != b]
    left = [board_frame(u, v, 20.0) for u, v in path]
    right = [board_frame(u - 8.0, v, 21.0) for u, v in path]
    right[-1] = np.full_like(right[-1], 128)
    files = write_video(tmp_path / "l.avi", left), write_video(tmp_path / "r.avi", right)
    found = capture_sources([str(each) for each in files])
    seen: list[str] = []
    views = detect_pairs(found.left, found.right, TARGET, cache=tmp_path / "cache", progress=seen.append)
    assert len(seen) == 2 * len(path)
    used = [pair for pair in views.pairs if pair.left is not None and pair.right is not None]
    assert 5 <= len(used) <= 18
    assert views.left_size == SIZE
    assert f"{len(path)} pairs of frames: the board is seen in {len(path)} left and {len(path) - 1} right ones" in views.notes[0]
    assert used[0].name == "l.avi#0, r.avi#0" or used[0].name.startswith("l.avi#")
    assert used[0].left is not None
    index = int(used[0].name.split(",")[0].split("#")[1])
    assert np.abs(used[0].left.corners_uv.mean(0) - path[index]).max() < 0.3
    again = detect_pairs(found.left, found.right, TARGET, cache=tmp_path / "cache")
    assert [pair.name for pair in again.pairs] == [pair.name for pair in views.pairs]
    assert again.notes == views.notes


def test_frames_for_which_the_time_was_short_are_searched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, asked = write_video(tmp_path / "l.avi", numbered(3)), []

    def find(image: Image, target: Target, *, deadline: float | None = None, strict: bool = False) -> Found:
        asked.append(strict)
        time.sleep(0.03)
        return Found(None, "no board found", target)

    monkeypatch.setattr(board_search, "find_board", find)
    search = BoardSearch(DetectionCache(tmp_path / "cache"), 0.02, 1, skips_empty=False)
    frames = [VideoFrame(path, i) for i in range(3)]
    for count in (3, 6):
        assert [found.is_late for found in search(frames, [TARGET] * 3)] == [True] * 3
        assert len(asked) == count


def test_frames_to_tell_the_board_from_are_decoded_once_and_held_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = [np.full((1200, 2400, 3), 8 * i, np.uint8) for i in range(6)]
    files = [write_video(tmp_path / f"{side}.avi", large) for side in "lr"]
    opened: list[Path] = []
    given: list[tuple[int, ...]] = []

    def decode(path: Path, indices: list[int]) -> Iterator[tuple[Image | None, Image | None]]:
        opened.append(path)
        return video.frames(path, indices)

    def guess(images: Sequence[Image], square_m: float) -> Target:
        given.extend(image.shape for image in images)
        return TARGET

    monkeypatch.setattr(sources, "frames", decode)
    monkeypatch.setattr(detect, "guess_target", guess)
    found = capture_sources([str(each) for each in files])
    assert detect._known_target([*found.left, *found.right], AutoTarget(0.03), None) == TARGET
    assert opened == files
    assert given == [(960, 1920)] * 12


def test_a_video_without_a_board_says_so(tmp_path: Path) -> None:
    files = [write_video(tmp_path / f"{side}.avi", numbered(3)) for side in "lr"]
    found = capture_sources([str(each) for each in files])
    views = detect_pairs(found.left, found.right, TARGET)
    assert len(views.pairs) == 3
    assert all("no board found in l.avi#" in pair.problem for pair in views.pairs)


@pytest.mark.realdata
def test_a_real_pair_of_videos(data_folder: Path) -> None:
    """Frames by number of H.264 videos, as many as they state."""
    folder = data_folder / "calib_caliscope_2cam"
    found = capture_sources([str(folder / "cam_0.mp4"), str(folder / "cam_1.mp4")])
    assert len(found.left) == 111
    assert found.notes == []
    assert found.right[37].name == "cam_1.mp4#37"
    assert video.read_frame(folder / "cam_1.mp4", 110).shape == (720, 1280, 3)


@pytest.mark.realdata
def test_a_board_in_the_negative_is_found_in_real_videos(data_folder: Path) -> None:
    folder = data_folder / "calib_caliscope_2cam"
    target = Target("charuco", 4, 5, 0.054, marker_m=0.0405, dictionary="DICT_4X4_1000")
    left, right = ([VideoFrame(folder / f"cam_{side}.mp4", i) for i in (84, 92, 100)] for side in (0, 1))
    views = detect_pairs(left, right, target, threads=2)
    assert views.target == target
    seen = [view for pair in views.pairs for view in (pair.left, pair.right) if view is not None]
    assert len(seen) >= 5
    assert all(view.is_inverted and len(view.ids) >= 6 for view in seen)
