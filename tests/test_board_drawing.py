import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from calib import markers
from calib.board_drawing import PAPERS_MM, BoardImage, board_image, draw_board
from calib.board_drawing.paper import paper_size_mm
from calib.board_drawing.raster import fill
from calib.board_drawing.sheet import asymmetric
from calib.errors import OutputError, UsageError
from calib.geometry import Array
from calib.target import AutoTarget, Target, parse_target

BOARDS = {
    "chessboard": "chessboard:9x6:21.7mm",
    "charuco": "charuco:7x5:25.4mm:19.05mm:DICT_5X5_100",
    "legacy": "charuco:7x6:25mm:18mm:DICT_4X4_50:legacy",
    "aprilgrid": "aprilgrid:4x3:30.1mm:0.3",
    "circles": "circles:7x5:20mm",
    "acircles": "acircles:4x7:18.3mm",
}


def target_of(text: str) -> Target:
    target = parse_target(text)
    assert isinstance(target, Target)
    return target


# --- what the files hold, in mm


def shapes_of_pdf(path: Path) -> tuple[tuple[float, float], list[Array], list[Array], str]:
    """Page size, boxes of each filled path, discs (first point and leftmost extent) and the words, all in mm from the top left.

    Only what the page description says counts: media box, transformation, path operators.
    """
    data = path.read_bytes()
    found = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", data)
    assert found is not None
    width, height = (float(each) / 72.0 * 25.4 for each in found.groups())
    stream = re.search(rb"/Length (\d+) /Filter /FlateDecode >>\nstream\n", data)
    assert stream is not None
    content = zlib.decompress(data[stream.end() : stream.end() + int(stream[1])]).decode("latin-1")
    matrix = np.eye(3)
    paths: list[Array] = []
    discs: list[Array] = []
    boxes: list[Array] = []
    curve: list[Array] = []
    words = ""
    for line in content.splitlines():
        *values, operator = line.split()
        if operator == "cm":
            a, b, c, d, e, f = map(float, values)
            matrix = np.array([[a, b, 0.0], [c, d, 0.0], [e, f, 1.0]])
        elif operator == "re":
            x, y, w, h = map(float, values)
            corners = np.array([[x, y, 1.0], [x + w, y + h, 1.0]]) @ matrix
            boxes.append(corners[:, :2].ravel())
        elif operator in ("m", "c"):
            points = np.array(values, np.float64).reshape(-1, 2)
            curve.append((np.column_stack([points, np.ones(len(points))]) @ matrix)[-1, :2])
        elif operator == "h":
            discs.append(np.array(curve))
            curve = []
        elif operator == "f":
            paths.append(np.array(boxes).reshape(-1, 4))
            boxes = []
        elif operator == "ET":
            words += "".join(re.findall(r"\((.*)\) Tj", line)) + "\n"
    # from points, y up, to millimetres, y down
    flip = [0.0, height, 0.0, height]
    scale = 25.4 / 72.0 * np.array([1.0, -1.0, 1.0, -1.0])
    assert matrix[0, 0] == pytest.approx(72.0 / 25.4, rel=1e-8)
    return (width, height), [each * scale + flip for each in paths], [each * scale[:2] + flip[:2] for each in discs], words


def shapes_of_svg(path: Path) -> tuple[tuple[float, float], list[Array], list[Array], str]:
    text = path.read_text(encoding="utf-8")
    found = re.search(r'width="([\d.]+)mm" height="([\d.]+)mm" viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    assert found is not None
    width, height, *view = map(float, found.groups())
    assert view == [width, height]
    paths, discs = [], []
    for shapes in re.findall(r' d="(.*)"', text):
        boxes = re.findall(r"M([\d.]+) ([\d.]+)H([\d.]+)V([\d.]+)H([\d.]+)Z", shapes)
        paths.append(np.array(boxes, np.float64).reshape(-1, 5)[:, :4])
        for left, y, _, right in re.findall(r"M([\d.]+) ([\d.]+)A([\d.]+) [\d.]+ 0 0 1 ([\d.]+) ", shapes):
            discs.append(np.array([[left, y], [right, y]], np.float64))
    return (width, height), paths, discs, "\n".join(re.findall(r">(.*)</text>", text))


READERS = {".pdf": shapes_of_pdf, ".svg": shapes_of_svg}


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("name", BOARDS)
def test_points_stand_on_paper_at_exact_scale(name: str, suffix: str, tmp_path: Path) -> None:
    """Every point of the board is a corner of printed boxes, or the middle of a disc, to less than 1 micrometre."""
    target = target_of(BOARDS[name])
    drawn = draw_board(target, tmp_path / f"board{suffix}", paper="A4")
    size, paths, discs, words = READERS[suffix](drawn.path)
    assert size == pytest.approx(drawn.size_mm, abs=1e-5)
    assert sorted(size) == pytest.approx([210.0, 297.0], abs=1e-5)
    expected = 1e3 * target.object_points()[:, :2]
    if len(discs):
        middles = np.array([0.5 * (disc.min(0) + disc.max(0)) for disc in discs])
        shift = middles[0] - expected[0]
        np.testing.assert_allclose(middles - shift, expected, atol=1e-3)
        np.testing.assert_allclose([np.ptp(disc[:, 0]) for disc in discs], 2e3 * target.radius_m, atol=1e-3)
        printed = np.concatenate(discs)
    else:
        boxes = paths[0]
        corners = np.concatenate([boxes[:, [0, 1]], boxes[:, [2, 3]], boxes[:, [0, 3]], boxes[:, [2, 1]]])
        shift = corners.min(0) - 1e3 * target.outline_m()[0]
        distance = np.linalg.norm((corners - shift)[None] - expected[:, None], axis=-1).min(1)
        assert distance.max() < 1e-3
        printed = corners
    low, high = printed.min(0), printed.max(0)
    across, down = np.ptp(1e3 * target.outline_m(), axis=0)
    assert high[0] - low[0] == pytest.approx(across, abs=2e-3)
    if suffix == ".pdf" or not len(discs):  # an SVG's arcs name their left and right ends only
        assert high[1] - low[1] == pytest.approx(down, abs=2e-3)
    assert (low >= 4.999).all()
    assert (high <= np.array(size) - 4.999).all()
    line = paths[-1][0]
    assert line[2] - line[0] == pytest.approx(100.0, abs=1e-5)
    ticks = paths[-1][1:]
    assert len(ticks) == 11
    assert ticks[:, 2].max() - ticks[:, 0].min() == pytest.approx(100.0, abs=1e-5)
    np.testing.assert_allclose(0.5 * (ticks[1:-1, 0] + ticks[1:-1, 2]) - line[0], np.arange(10.0, 95.0, 10.0), atol=1e-5)
    assert ticks[:, 1].min() > high[1], "the ruler must not touch the board"
    assert f"--target {target} " in words
    assert "must measure 100 mm" in words


def test_a_pdf_is_whole_and_asks_for_actual_size(tmp_path: Path) -> None:
    data = draw_board(target_of(BOARDS["charuco"]), tmp_path / "b.pdf").path.read_bytes()
    assert data.startswith(b"%PDF-1.6\n")
    assert b"/PrintScaling /None" in data
    start = int(data.rsplit(b"startxref\n", 1)[1].split()[0])
    assert data[start:].startswith(b"xref\n0 7\n")
    offsets = [int(each) for each in re.findall(rb"(\d{10}) 00000 n ", data[start:])]
    for number, offset in enumerate(offsets, 1):
        assert data[offset:].startswith(b"%d 0 obj\n" % number)
    assert len(offsets) == 6


@pytest.mark.parametrize(("paper", "density", "ruler_mm"), [("letter", 20, 100), ("150x100mm", 24, 50), ("99.9x90mm", 20, 20)])
def test_png_has_whole_pixels_per_millimetre(paper: str, density: int, ruler_mm: int, tmp_path: Path) -> None:
    target = target_of("chessboard:5x4:12mm")
    drawn = draw_board(target, tmp_path / "b.png", paper=paper)
    with Image.open(drawn.path) as picture:
        assert picture.size == tuple(round(side * density) for side in drawn.size_mm)
        assert np.array(picture.size) / density == pytest.approx(drawn.size_mm, abs=0.01)
        assert picture.info["dpi"] == pytest.approx((25.4 * density, 25.4 * density), abs=0.02)
        assert picture.text["Title"] == str(target)  # type: ignore[attr-defined]
        pixels = np.asarray(picture)
    data = drawn.path.read_bytes()
    where = data.index(b"pHYs") + 4
    assert [int.from_bytes(data[where + k : where + k + 4], "big") for k in (0, 4)] == [1000 * density] * 2
    # the line of the ruler: the longest dark run of any row outside the board
    lower = (pixels[pixels.shape[0] * 8 // 10 :] < 128).astype(np.int8)
    steps = np.diff(np.pad(lower, ((0, 0), (1, 1))), axis=1)
    runs = np.nonzero(steps == -1)[1] - np.nonzero(steps == 1)[1]
    assert runs.max() == ruler_mm * density


def test_a_very_large_sheet_stays_below_sixty_million_pixels_and_says_so(tmp_path: Path) -> None:
    drawn = draw_board(target_of("chessboard:9x6:60mm"), tmp_path / "b.png", paper="900x1200mm")
    with Image.open(drawn.path) as picture:
        assert picture.size[0] * picture.size[1] <= 60_000_000
    assert any("pixels per mm, which is coarse" in note for note in drawn.notes)


# --- read back by OpenCV


def picture_and_truth(text: str, folder: Path) -> tuple[np.ndarray, Target]:
    """The PNG sheet of the board at half its size (which is quicker), with 6 px per mm."""
    whole = target_of(text)
    target = replace(whole, square_m=0.5 * whole.square_m, marker_m=0.5 * whole.marker_m)
    drawn = draw_board(target, folder / "board.png", paper="130x110mm")
    sheet = cv2.imread(str(drawn.path), cv2.IMREAD_GRAYSCALE)
    assert sheet is not None
    return cv2.resize(sheet, None, fx=1 / 4, fy=1 / 4, interpolation=cv2.INTER_AREA), target


def check(found: Any, target: Target, ids: Any = None, *, limit: float = 0.1) -> None:
    """Found points are those of the board, 6 px per mm, moved but neither turned nor mirrored."""
    expected = 6000.0 * target.object_points()[:, :2]
    expected = expected if ids is None else expected[np.ravel(ids)]
    moved = np.reshape(found, (-1, 2)) - expected
    assert np.abs(moved - moved.mean(0)).max() < limit


@pytest.mark.parametrize("name", ["charuco", "legacy"])
def test_opencv_reads_a_charuco_sheet(name: str, tmp_path: Path) -> None:
    sheet, target = picture_and_truth(BOARDS[name], tmp_path)
    board = cv2.aruco.CharucoBoard(
        (target.columns, target.rows), target.square_m, target.marker_m, markers.dictionary(target.dictionary)
    )
    board.setLegacyPattern(target.legacy)
    corners, ids, _, marker_ids = cv2.aruco.CharucoDetector(board).detectBoard(sheet)
    assert sorted(np.ravel(ids)) == list(range(target.corner_count))
    assert sorted(np.ravel(marker_ids)) == list(range(target.marker_total))
    check(np.asarray(corners), target, np.asarray(ids))
    board.setLegacyPattern(not target.legacy)  # of an even count of rows the other layout must not fit
    wrong = cv2.aruco.CharucoDetector(board).detectBoard(sheet)[1]
    if target.rows % 2 == 0:
        assert wrong is None or len(wrong) < target.corner_count // 2
    else:
        assert len(wrong) == target.corner_count


def test_opencv_reads_an_aprilgrid_sheet(tmp_path: Path) -> None:
    sheet, target = picture_and_truth(BOARDS["aprilgrid"], tmp_path)
    settings = cv2.aruco.DetectorParameters()
    settings.markerBorderBits = 2
    settings.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    corners, ids, _ = cv2.aruco.ArucoDetector(markers.dictionary(target.dictionary), settings).detectMarkers(sheet)
    numbers = np.ravel(np.asarray(ids))
    assert sorted(numbers) == list(range(12))
    check(
        np.concatenate([each.reshape(4, 2) for each in corners]), target, (4 * numbers[:, None] + np.arange(4)).ravel(), limit=0.3
    )


def test_tags_are_printed_as_kalibr_prints_them() -> None:
    """Tag 0 of 36h11 is 0xd5d628584, read from its top left bit; a set bit is white, two cells around are black."""
    target = target_of("aprilgrid:1x1:100mm:0.2")
    drawn = board_image(target, 1000.0, rim_m=0.0)
    cells = drawn.image[25:125:10, 25:125:10] > 127
    bits = np.array([int(bit) for bit in f"{0xD5D628584:036b}"]).reshape(6, 6)
    np.testing.assert_array_equal(cells, np.pad(bits, 2) == 1)
    corners = drawn.image[10:140:59, 10:140:59] > 127  # three per side: the squares beside the tag, the white between them
    np.testing.assert_array_equal(corners[::2, ::2], False)
    np.testing.assert_array_equal([drawn.image[10, 70], drawn.image[70, 10], drawn.image[130, 70]], 255)


def test_opencv_reads_a_chessboard_sheet(tmp_path: Path) -> None:
    sheet, target = picture_and_truth(BOARDS["chessboard"], tmp_path)
    found, corners = cv2.findChessboardCorners(sheet, (target.columns, target.rows))
    assert found
    points = np.asarray(corners).reshape(-1, 2)
    check(points if points[0, 0] < points[-1, 0] else points[::-1], target, limit=1.5)


@pytest.mark.parametrize(("name", "flag"), [("circles", cv2.CALIB_CB_SYMMETRIC_GRID), ("acircles", cv2.CALIB_CB_ASYMMETRIC_GRID)])
def test_opencv_reads_sheets_of_circles(name: str, flag: int, tmp_path: Path) -> None:
    sheet, target = picture_and_truth(BOARDS[name], tmp_path)
    found, centres = cv2.findCirclesGrid(sheet, (target.columns, target.rows), flags=flag)
    assert found
    points = np.asarray(centres).reshape(-1, 2)
    if name == "circles" and points[0, 0] > points[-1, 0]:
        points = points[::-1]
    check(points, target)


# --- pixels


def test_charuco_pixels_are_those_of_opencv() -> None:
    """Where every cell is a whole number of pixels, our picture and OpenCV's are the same."""
    for columns, rows, legacy in ((5, 7, False), (6, 4, False), (6, 4, True), (5, 3, True)):
        target = Target("charuco", columns, rows, 0.030, 0.021, "DICT_5X5_100", legacy)
        board = cv2.aruco.CharucoBoard((columns, rows), 30.0, 21.0, markers.dictionary("DICT_5X5_100"))
        board.setLegacyPattern(legacy)
        expected = board.generateImage((60 * columns, 60 * rows))
        ours = board_image(target, 2000.0, rim_m=0.0).image
        # half of the gap of 9 mm is 9 px here, and a cell of 3 mm is 6 px
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("name", BOARDS)
def test_pixels_and_metres_of_a_drawn_board_are_known(name: str) -> None:
    target = target_of(BOARDS[name])
    drawn = board_image(target, 3217.0)
    points = target.object_points()
    uv = drawn.to_pixels(points)
    np.testing.assert_allclose(drawn.to_board(uv), points[:, :2], atol=1e-12)
    np.testing.assert_allclose(uv - uv[0], 3217.0 * (points - points[0])[:, :2], atol=1e-9)
    inside = drawn.to_pixels(target.outline_m())
    assert (inside.min(0) > 3217.0 * target.square_m - 1.0).all()
    # The outline reaches the first dark pixels; half of the rim is white.
    rows, columns = np.nonzero(drawn.image < 128)
    assert columns.min() == pytest.approx(inside[:, 0].min() + 0.5, abs=1.0)
    assert rows.max() == pytest.approx(inside[:, 1].max() - 0.5, abs=1.0)


@pytest.mark.parametrize("name", ["chessboard", "charuco", "aprilgrid"])
def test_around_each_point_opposite_quarters_have_the_same_colour(name: str) -> None:
    drawn, target = exact(BOARDS[name])
    uv = drawn.to_pixels(target.object_points())
    step = 0.1 * (target.square_m - target.marker_m) * drawn.pixels_per_m
    for u, v in uv:
        quarter = [drawn.image[round(v + b * step), round(u + a * step)] for a, b in ((1, 1), (-1, -1), (1, -1), (-1, 1))]
        assert quarter[0] == quarter[1]
        assert quarter[2] == quarter[3]
        assert abs(int(quarter[0]) - int(quarter[2])) == 255


def exact(text: str) -> tuple[BoardImage, Target]:
    target = target_of(text)
    return board_image(target, 5000.0), target


@pytest.mark.parametrize("name", ["circles", "acircles"])
def test_discs_weigh_what_their_area_says_about_their_centres(name: str) -> None:
    target = target_of(BOARDS[name])
    drawn = board_image(target, 1234.5)
    ink = 1.0 - drawn.image / 255.0
    reach = int(1.2 * target.radius_m * drawn.pixels_per_m) + 2
    for u, v in drawn.to_pixels(target.object_points()):
        left, top = int(u) - reach, int(v) - reach
        window = ink[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
        rows, columns = np.mgrid[top : top + window.shape[0], left : left + window.shape[1]]
        area = window.sum()
        assert area == pytest.approx(np.pi * (target.radius_m * drawn.pixels_per_m) ** 2, rel=2e-3)
        np.testing.assert_allclose([(columns * window).sum() / area, (rows * window).sum() / area], [u, v], atol=0.01)


def test_edges_inside_a_pixel_give_the_exact_grey() -> None:
    from calib.board_drawing.pattern import Pattern

    shapes = Pattern(np.array([[0.25, 0.5, 2.0, 1.75], [2.0, 0.5, 2.5, 1.75]]), np.empty((0, 3)))
    ink = 255.0 * (1.0 - np.outer([0.5, 0.75, 0.0], [0.75, 1.0, 0.5, 0.0]))
    np.testing.assert_array_equal(fill(shapes, 4, 3), np.rint(ink))
    # beyond the picture nothing is drawn
    outside = Pattern(np.array([[-5.0, -5.0, -1.0, 9.0], [9.0, 0.0, 12.0, 2.0]]), np.array([[50.0, 50.0, 3.0]]))
    assert (fill(outside, 4, 3) == 255).all()


@pytest.mark.parametrize(("scale", "rim_m"), [(0.0, None), (-5.0, None), (float("nan"), None), (1e9, None), (1000.0, -0.1)])
def test_impossible_pictures_are_refused(scale: float, rim_m: float | None) -> None:
    with pytest.raises(UsageError, match="board image"):
        board_image(target_of(BOARDS["chessboard"]), scale, rim_m=rim_m)


# --- paper and advice


@pytest.mark.parametrize(
    ("text", "paper", "size"),
    [
        ("chessboard:9x6:25mm", "A4", (297.0, 210.0)),
        ("chessboard:6x9:25mm", "a4", (210.0, 297.0)),
        ("chessboard:9x6:20mm", "Letter", (279.4, 215.9)),
        ("charuco:11x8:30mm:22mm:5X5_100", "A3", (420.0, 297.0)),
        ("aprilgrid:6x6:88mm:0.3", "A0", (841.0, 1189.0)),
        ("chessboard:9x6:25mm", "40x30cm", (400.0, 300.0)),
        ("chessboard:9x6:25mm", "300 x 400 mm", (400.0, 300.0)),
        ("acircles:4x11:20mm", "tabloid", (279.4, 431.8)),
    ],
)
def test_the_sheet_is_turned_to_the_better_side(text: str, paper: str, size: tuple[float, float], tmp_path: Path) -> None:
    assert draw_board(target_of(text), tmp_path / "b.svg", paper=paper).size_mm == pytest.approx(size)


@pytest.mark.parametrize(
    ("text", "paper"),
    [
        ("chessboard:9x6:30mm", "A4"),
        ("charuco:11x8:30mm:22mm:5X5_100", "A4"),
        ("aprilgrid:6x6:88mm:0.3", "A1"),
        ("circles:9x6:50mm", "letter"),
        ("acircles:4x11:3cm", "letter"),
        ("chessboard:30x20:25mm", "A4"),
    ],
)
def test_a_board_that_does_not_fit_is_refused_with_the_largest_that_does(text: str, paper: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        draw_board(target_of(text), tmp_path / "b.pdf", paper=paper)
    assert not (tmp_path / "b.pdf").exists()
    found = re.search(rf"too large for {paper}; the largest \w+ that fits is ([\d.]+) mm: (\S+);", str(caught.value))
    assert found is not None
    smaller = target_of(found[2])
    draw_board(smaller, tmp_path / "b.pdf", paper=paper)
    bigger = re.sub(r":([\d.]+)mm", lambda match: f":{float(match[1]) + 0.51}mm", found[2], count=1)
    with pytest.raises(UsageError, match="too large"):
        draw_board(target_of(bigger), tmp_path / "c.pdf", paper=paper)


def test_no_square_is_proposed_that_cannot_be_seen(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at any size of square; take larger paper or fewer"):
        draw_board(Target("chessboard", 100, 100, 0.03), tmp_path / "b.pdf", paper="60x60mm")


@pytest.mark.parametrize(
    ("paper", "what"),
    [
        ("A9", "'A9' is unknown (known: A4, A3,"),
        ("210x297", "is unknown"),
        ("5x5mm", "has a side of 5 mm; 60 to 5000 mm are possible"),
        ("1x6m", "has a side of 6000 mm"),
        ("1.2.3x200mm", "is no length"),
    ],
)
def test_papers_that_are_not_known_are_named(paper: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        paper_size_mm(paper)
    assert what in str(caught.value)


@pytest.mark.parametrize(
    ("text", "proposal"),
    [
        ("chessboard:7x7:20mm", "chessboard:7x8:20mm"),
        ("chessboard:11x7:23mm", "chessboard:11x6:23mm"),  # one more row or column would not fit
        ("circles:9x6:20mm", "acircles:6x9:14mm"),
        ("acircles:4x10:20mm", "acircles:4x11:20mm"),
    ],
)
def test_boards_that_can_flip_are_warned_about_with_the_next_that_cannot(text: str, proposal: str, tmp_path: Path) -> None:
    target = target_of(text)
    drawn = draw_board(target, tmp_path / "b.svg")
    assert len(drawn.notes) == 1
    assert drawn.notes[0].startswith(f"{text} looks the same upside down (")
    assert drawn.notes[0].endswith(f"take {proposal} instead")
    assert not target_of(proposal).is_symmetric
    assert asymmetric(target, PAPERS_MM["A4"]) == target_of(proposal)


@pytest.mark.parametrize("name", ["chessboard", "charuco", "legacy", "aprilgrid", "acircles"])
def test_good_boards_come_without_notes(name: str, tmp_path: Path) -> None:
    assert draw_board(target_of(BOARDS[name]), tmp_path / "b.svg").notes == ()


def test_tiny_and_crowded_markers_are_warned_about(tmp_path: Path) -> None:
    notes = draw_board(target_of("charuco:7x5:6mm:5.8mm:5X5_100"), tmp_path / "b.svg").notes
    assert "cells are only 0.83 mm wide" in notes[0]
    assert "only 0.1 mm of white lie around a marker" in notes[1]


def test_other_suffixes_open_boards_and_missing_folders_are_refused(tmp_path: Path) -> None:
    target = target_of(BOARDS["chessboard"])
    with pytest.raises(UsageError, match=r"drawn as \.pdf, \.svg, \.png, not '\.jpg'"):
        draw_board(target, tmp_path / "b.jpg")
    with pytest.raises(UsageError, match="not 'a name without suffix'"):
        draw_board(target, tmp_path / "b")
    with pytest.raises(UsageError, match="auto:25mm says neither kind nor counts"):
        draw_board(AutoTarget(0.025), tmp_path / "b.pdf")
    with pytest.raises(UsageError, match="a margin of 30 mm; 0 to 25 mm"):
        draw_board(target, tmp_path / "b.pdf", margin_mm=30.0)
    for suffix in (".pdf", ".svg", ".png"):
        with pytest.raises(OutputError, match="its folder does not exist"):
            draw_board(target, tmp_path / "none" / f"b{suffix}")
    assert list(tmp_path.iterdir()) == []
