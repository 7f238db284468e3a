from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calib import markers
from calib.errors import ConfigError, InputError, UsageError
from calib.target import KINDS, AutoTarget, Target, parse_target


def colours(columns: int, rows: int) -> np.ndarray:
    """The squares of a board of columns x rows inner corners, 1 = dark."""
    i, j = np.mgrid[0 : rows + 1, 0 : columns + 1]
    return np.asarray((i + j) % 2 == 0)


@pytest.mark.parametrize(
    ("text", "columns", "rows", "square_m"),
    [
        ("chessboard:6x4:30mm", 6, 4, 0.030),
        ("chessboard:9x6:2.423cm", 9, 6, 0.02423),
        ("Chessboard: 9 x 6 : 0.025 m", 9, 6, 0.025),
        ("checkerboard:7x5:1in", 7, 5, 0.0254),
        ("chessboard:9X6:.5m", 9, 6, 0.5),
        ("chessboard:9x6:25e-3m", 9, 6, 0.025),
    ],
)
def test_words_become_a_board_in_metres(text: str, columns: int, rows: int, square_m: float) -> None:
    target = parse_target(text)
    assert isinstance(target, Target)
    assert (target.kind, target.columns, target.rows) == ("chessboard", columns, rows)
    assert target.square_m == pytest.approx(square_m, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("charuco:11x8:30mm:22mm:DICT_5X5_100", ("charuco", 11, 8, 0.030, 0.022, "DICT_5X5_100", False)),
        ("ChArUco: 11x8 : 3cm : 2.2cm : 5x5_100 : Legacy", ("charuco", 11, 8, 0.030, 0.022, "DICT_5X5_100", True)),
        ("charuco:5x7:1in:0.75in:apriltag_16h5", ("charuco", 5, 7, 0.0254, 0.01905, "DICT_APRILTAG_16h5", False)),
        ("aprilgrid:6x6:88mm:0.3", ("aprilgrid", 6, 6, 0.1144, 0.088, "APRILTAG_36h11", False)),
        ("aprilgrid:3x2:88mm:.25:tag25h9", ("aprilgrid", 3, 2, 0.110, 0.088, "APRILTAG_25h9", False)),
        ("circles:9x6:20mm", ("circles", 9, 6, 0.020, 0.0, "", False)),
        ("acircles:4x11:20mm", ("acircles", 4, 11, 0.020, 0.0, "", False)),
    ],
)
def test_every_kind_of_board_has_its_words(text: str, fields: tuple[object, ...]) -> None:
    target = parse_target(text)
    assert isinstance(target, Target)
    assert (target.kind, target.columns, target.rows, target.dictionary, target.legacy) == (*fields[:3], *fields[5:])
    assert (target.square_m, target.marker_m) == pytest.approx(fields[3:5], rel=1e-12)
    again = parse_target(str(target))
    assert isinstance(again, Target)
    assert str(again) == str(target)
    np.testing.assert_allclose(again.object_points(), target.object_points(), rtol=1e-9)


def test_auto_leaves_kind_and_counts_open() -> None:
    assert parse_target(" Auto: 25 mm") == AutoTarget(0.025)
    assert str(AutoTarget(0.0254)) == "auto:25.4mm"
    with pytest.raises(UsageError, match="a square of 0 m; its side must lie between"):
        parse_target("auto:0mm")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KINDS), st.integers(3, 12), st.integers(3, 12), st.floats(0.5, 900.0), st.floats(0.3, 0.95), st.booleans())
def test_any_board_in_words_reads_back_as_itself(
    kind: str, columns: int, rows: int, square_mm: float, share: float, legacy: bool
) -> None:
    square_m = round(square_mm, 3) / 1e3
    marker_m = round(square_mm * share, 3) / 1e3
    if kind == "charuco":
        target = Target(kind, columns, rows, square_m, marker_m, "DICT_7X7_1000", legacy)
    elif kind == "aprilgrid":
        target = Target(kind, columns, rows, square_m, marker_m, "APRILTAG_36h11")
    else:
        target = Target(kind, columns, rows, square_m)
    again = parse_target(str(target))
    assert isinstance(again, Target)
    for name in ("kind", "columns", "rows", "dictionary", "legacy"):
        assert getattr(again, name) == getattr(target, name)
    assert (again.square_m, again.marker_m) == pytest.approx((target.square_m, target.marker_m), rel=1e-8)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "1 part instead of 3"),
        ("chessboard:9x6", "2 parts instead of 3"),
        ("chessboard:9x6:25", "'25' has no unit"),
        ("chessboard:9x6:25px", "unknown unit 'px'"),
        ("chessboard:9x6:mm", "'mm' is no length"),
        ("chessboard:9x6:-25mm", "a square of -0.025 m; its side must lie between"),
        ("chessboard:9x6:24,2mm", "'24,2mm' is no length"),
        ("chessboard:9x6:nanmm", "'nanmm' is no length"),
        ("chessboard:9*6:25mm", "'9*6' is no count of corners"),
        ("chessboard:9x2:25mm", "2 rows of inner corners; 3 to 100 are possible"),
        ("chessboard:900x6:25mm", "900 columns of inner corners"),
        ("chessboard:9x6:0mm", "a square of 0 m"),
        ("chessboard:9x6:25m", "between 0.0001 and 10 m"),
        ("charuco:9x6:25mm", "3 parts instead of 5 or 6; write e.g. charuco:11x8:30mm:22mm:DICT_5X5_100"),
        ("charuco:9x6:25mm:25mm:5X5_100", "a marker of 25mm; it must be smaller than the square of 25mm"),
        ("charuco:9x6:25mm:15mm:5X5_10", "unknown dictionary of markers '5X5_10'; did you mean DICT_5X5_10"),
        ("charuco:9x6:25mm:15mm:foo", "unknown dictionary of markers 'foo'; known: DICT_4X4_100,"),
        ("charuco:9x6:25mm:15mm:5X5_100:old", "'old' is not understood; only 'legacy' may follow"),
        ("charuco:20x20:25mm:15mm:5X5_100", "20 x 20 needs 200 markers, but DICT_5X5_100 has 100; take a larger dictionary"),
        ("charuco:2x6:25mm:15mm:5X5_100", "2 columns of squares; 3 to 100 are possible"),
        ("aprilgrid:6x6:88mm:3mm", "a gap of '3mm'; it must be a number without unit"),
        ("aprilgrid:6x6:88mm:0", "a gap of '0'"),
        ("aprilgrid:6x6:88mm:nan", "a gap of 'nan'"),
        ("aprilgrid:30x20:88mm:0.3", "needs 600 markers, but DICT_APRILTAG_36h11 has 587"),
        ("aprilgrid:6x6:88mm:0.3:5X5_100", "its tags are of an APRILTAG dictionary"),
        ("aprilgrid:6x6:88mm", "3 parts instead of 4 or 5"),
        ("circles:2x6:25mm", "2 columns of circles; 3 to 100 are possible"),
        ("acircles:4y11:25mm", "'4y11' is no count of circles"),
        ("auto:25", "'25' has no unit"),
        ("auto", "1 part instead of 2; write e.g. auto:25mm"),
        ("haruco:9x6x25mm:1", "unknown kind of board 'haruco'; did you mean 'charuco'?"),
    ],
)
def test_mistakes_are_named_with_what_would_be_right(text: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(text)
    assert what in str(caught.value)
    advice = ("write e.g.", "possible", "between", "must be", "did you mean", "known", "take a larger", "are of")
    assert any(word in str(caught.value) for word in advice)
    assert "\n" not in str(caught.value)


def test_corners_are_listed_row_by_row_in_metres() -> None:
    points = Target("chessboard", 4, 3, 0.03).object_points()
    assert points.shape == (12, 3)
    np.testing.assert_allclose(points[1], [0.03, 0.0, 0.0])
    np.testing.assert_allclose(points[4], [0.0, 0.03, 0.0])
    np.testing.assert_allclose(points[-1], [0.09, 0.06, 0.0])


@pytest.mark.parametrize("columns", range(3, 8))
@pytest.mark.parametrize("rows", range(3, 8))
def test_symmetric_boards_are_those_that_look_the_same_upside_down(columns: int, rows: int) -> None:
    board = colours(columns, rows)
    assert Target("chessboard", columns, rows, 0.03).is_symmetric == bool((np.rot90(board, 2) == board).all())


@pytest.mark.parametrize("columns", range(3, 8))
@pytest.mark.parametrize("rows", range(3, 8))
def test_every_turn_that_keeps_the_colours_is_one_reading_of_the_corners(columns: int, rows: int) -> None:
    """Against brute force over quarter turns; and each reading is a rigid turn of the board, not a mirror image."""
    board = colours(columns, rows)
    same = [turn for turn in range(4) if np.rot90(board, turn).shape == board.shape and (np.rot90(board, turn) == board).all()]
    target = Target("chessboard", columns, rows, 0.03)
    orders = target.corner_orders()
    assert len(orders) == len(same)
    points = target.object_points()
    assert (orders[0] == np.arange(target.corner_count)).all()
    for order in orders:
        assert sorted(order) == list(range(target.corner_count))
        turned = points[order]
        np.testing.assert_allclose(
            np.linalg.norm(np.diff(turned, axis=0), axis=1), np.linalg.norm(np.diff(points, axis=0), axis=1)
        )
        across, down = turned[1] - turned[0], turned[columns] - turned[0]
        assert np.cross(across, down)[2] > 0.0


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("chessboard", 9, 6, 0.02, 0.01), "chessboard: this kind has no markers"),
        (("circles", 9, 6, 0.02, 0.0, "DICT_5X5_100"), "circles: this kind has no markers"),
        (("chessboard", 9, 6, 0.02, 0.0, "", True), "this kind has no legacy layout"),
        (("charuco", 9, 6, 0.02), "a marker of 0 m; its side must lie between"),
        (("charuco", 9, 6, 0.02, 0.01), "unknown dictionary of markers ''"),
        (("charuco", 9, 6, float("nan"), 0.01, "DICT_5X5_100"), "a square of nan m"),
    ],
)
def test_impossible_boards_are_refused(arguments: tuple[str, int, int, float], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        Target(*arguments)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(("columns", "rows"), [(5, 7), (6, 4), (11, 8), (4, 3)])
def test_charuco_points_are_opencvs_counted_alike(columns: int, rows: int, legacy: bool) -> None:
    """OpenCV's origin is the corner of the outer square, ours the first inner corner."""
    target = Target("charuco", columns, rows, 0.03, 0.02, "DICT_5X5_100", legacy)
    board = cv2.aruco.CharucoBoard((columns, rows), 0.03, 0.02, markers.dictionary("DICT_5X5_100"))
    board.setLegacyPattern(legacy)
    np.testing.assert_allclose(target.object_points() + np.array([0.03, 0.03, 0.0]), board.getChessboardCorners(), atol=1e-7)
    assert len(board.getIds()) == target.marker_total
    assert target.shape == (rows - 1, columns - 1)
    np.testing.assert_allclose(
        target.outline_m() + 0.03, board.getRightBottomCorner()[:2] * np.array([[0, 0], [1, 0], [1, 1], [0, 1]]), atol=1e-7
    )


def test_asymmetric_circles_stand_as_opencv_has_them() -> None:
    """opencv/samples/cpp/calibration.cpp: ((2 j + i % 2) * square, i * square)."""
    points = Target("acircles", 4, 11, 0.02).object_points()
    expected = [((2 * j + i % 2) * 0.02, i * 0.02, 0.0) for i in range(11) for j in range(4)]
    np.testing.assert_allclose(points, expected)


def test_aprilgrid_points_are_those_of_kalibr() -> None:
    """Kalibr's grid of 2 rows x 2 columns points counts from bottom left, y up; a tag's corners stand in it at base, base + 1 ...

    (GridCalibrationTargetAprilgrid.cpp, createGridPoints and computeObservation). OpenCV's corners 0 1 2 3 of a tag are Kalibr's
    bottom right, bottom left, top left, top right.
    """
    columns, rows, tag, ratio = 4, 3, 0.088, 0.3
    grid = np.array(
        [
            [(c // 2) * (1 + ratio) * tag + (c % 2) * tag, (r // 2) * (1 + ratio) * tag + (r % 2) * tag]
            for r in range(2 * rows)
            for c in range(2 * columns)
        ]
    )
    kalibr = np.empty((4 * columns * rows, 2))
    for number in range(columns * rows):
        base = (number // columns) * (2 * columns) * 2 + (number % columns) * 2
        bottom_left, bottom_right, top_right, top_left = base, base + 1, base + 2 * columns + 1, base + 2 * columns
        kalibr[4 * number : 4 * number + 4] = grid[[bottom_right, bottom_left, top_left, top_right]]
    height = (rows * (1 + ratio) - ratio) * tag
    target = parse_target(f"aprilgrid:{columns}x{rows}:88mm:{ratio}")
    assert isinstance(target, Target)
    points = target.object_points()
    np.testing.assert_allclose(points[:, 0], kalibr[:, 0], atol=1e-12)
    np.testing.assert_allclose(points[:, 1], height - kalibr[:, 1], atol=1e-12)
    assert target.shape is None
    assert target.corner_count == 4 * columns * rows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("columns", [3, 4, 5])
@pytest.mark.parametrize("rows", [3, 4, 5, 6])
def test_readings_are_the_turns_that_bring_the_printed_board_onto_itself(kind: str, columns: int, rows: int) -> None:
    """Against brute force with the drawing."""
    from calib.board_drawing import board_image

    extra = {"charuco": (0.007, "DICT_4X4_50"), "aprilgrid": (0.008, "APRILTAG_36h11")}.get(kind, ())
    target = Target(kind, columns, rows, 0.01, *extra)
    image = board_image(target, 2000.0, rim_m=0.002).image
    same = [
        turn
        for turn in range(4)
        if (turned := np.rot90(image, turn)).shape == image.shape and np.abs(turned.astype(int) - image).max() <= 2
    ]
    orders = target.corner_orders()
    assert len(orders) == len(same)
    assert target.is_symmetric == (2 in same)
    points = target.object_points()
    middle = points.mean(0)
    for order in orders:
        motion = np.linalg.lstsq(points - middle, points[order] - middle, rcond=None)[0][:2, :2]
        np.testing.assert_allclose((points - middle)[:, :2] @ motion, (points[order] - middle)[:, :2], atol=1e-12)
        assert np.linalg.det(motion) == pytest.approx(1.0)


APRILGRID = """target_type: 'aprilgrid' #gridtype
tagCols: 6               #number of apriltags
tagRows: 5
tagSize: 8.8e-2          #size of apriltag, edge to edge [m]
tagSpacing: 0.3          #ratio of space between tags to tagSize
codeOffset: 0
"""
CHECKERBOARD = "target_type: 'checkerboard'\ntargetCols: 6\ntargetRows: 7\nrowSpacingMeters: 0.06\ncolSpacingMeters: 0.06\n"
CIRCLES = "target_type: circlegrid\ntargetCols: 6\ntargetRows: 7\nspacingMeters: 0.02\nasymmetricGrid: {}\n"


@pytest.mark.parametrize(
    ("text", "board"),
    [
        (APRILGRID, "aprilgrid:6x5:88mm:0.3"),
        (CHECKERBOARD, "chessboard:6x7:60mm"),
        (CIRCLES.format("False"), "circles:6x7:20mm"),
        (CIRCLES.format("true"), "acircles:6x7:20mm"),
    ],
)
@pytest.mark.parametrize("head", ["aprilgrid:", "", "kalibr: "])
def test_board_files_of_kalibr_are_read(text: str, board: str, head: str, tmp_path: Path) -> None:
    file = tmp_path / "Board 1.YAML"
    file.write_text(text)
    assert str(parse_target(f"{head}{file}")) == board


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: [1", "is not valid YAML"),
        ("target_type: 2001-99-99", "unknown target_type 2001-99-99"),
        (APRILGRID.replace("8.8e-2", "1" + 400 * "0"), "tagSize is no single value of at most 40 characters"),
        (APRILGRID.replace("tagCols: 6", "tagCols: " + 5000 * "9"), "tagCols is no single value of at most 40 characters"),
        (APRILGRID.replace("Offset: 0", "Offset: 0x" + 5000 * "f"), "codeOffset is no single value of at most 40 characters"),
        ("target_type: [aprilgrid]", "target_type is no single value of at most 40 characters"),
        (APRILGRID + 500 * "x" + ": 1", "a setting is no single value of at most 40 characters"),
        ("a: &a [1,1,1]\nb: &b [*a,*a,*a]\ntarget_type: [*b,*b,*b]", "refers to an alias"),
        (19_000 * "[", "nests lists or mappings, which no board needs"),
        ("- 1", "has no target_type; give a board file of Kalibr"),
        ("target_type: pyramid\ntargetCols: 6\ntargetRows: 7", "unknown target_type pyramid"),
        (APRILGRID.replace("tagRows: 5", ""), "tagRows is missing; the aprilgrid needs it"),
        (APRILGRID.replace("tagRows: 5", "tagRows: 5.5"), "tagRows is 5.5; it must be a whole number"),
        (APRILGRID.replace("tagRows: 5", "tagRows: true"), "tagRows is true; it must be a number > 0"),
        (APRILGRID.replace("8.8e-2", "-1"), "tagSize is -1; it must be a number > 0"),
        (APRILGRID.replace("8.8e-2", ".nan"), "tagSize is .nan; it must be a number > 0"),
        (APRILGRID.replace("Offset: 0", "Offset: 10"), "codeOffset is 10; only boards whose first tag is 0"),
        (APRILGRID.replace("tagRows: 5", "tagRows: 500"), "500 rows of tags; 1 to 100 are possible"),
        (CHECKERBOARD.replace("colSpacingMeters: 0.06", "colSpacingMeters: 0.05"), "fields of 0.05 x 0.06 m"),
        (CIRCLES.format("maybe"), "asymmetricGrid is maybe; it must be true or false"),
    ],
)
def test_mistakes_in_a_board_file_are_named_with_the_file(text: str, what: str, tmp_path: Path) -> None:
    file = tmp_path / "board.yaml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        parse_target(f"aprilgrid:{file}")
    assert what in str(caught.value)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ConfigError) or "possible" in what


def test_a_board_file_of_another_kind_than_named_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "board.yml"
    file.write_text(CHECKERBOARD)
    assert str(parse_target(f"checkerboard:{file}")) == "chessboard:6x7:60mm"
    with pytest.raises(UsageError, match="holds a board of kind chessboard, not circles; write kalibr:"):
        parse_target(f"circles:{file}")


def test_a_board_file_that_is_missing_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not found"):
        parse_target(f"aprilgrid:{tmp_path / 'none.yaml'}")


def test_dictionaries_are_those_of_opencv() -> None:
    assert {"DICT_4X4_50", "DICT_7X7_1000", "DICT_ARUCO_ORIGINAL", "DICT_APRILTAG_36h11"} <= set(markers.dictionary_names())
    for name in markers.dictionary_names():
        cells = markers.marker_cells(name, markers.marker_count(name) - 1)
        assert cells[0].all()
        assert cells[:, -1].all()
        assert len(cells) == markers.dictionary(name).markerSize + 2
        assert not cells.all()
