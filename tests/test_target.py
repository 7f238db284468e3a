import numpy as np
import pytest

from calib.errors import UsageError
from calib.target import Target, parse_target


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
    assert (target.kind, target.columns, target.rows) == ("chessboard", columns, rows)
    assert target.square_m == pytest.approx(square_m, rel=1e-12)


@pytest.mark.parametrize("text", ["chessboard:6x4:30mm", "chessboard:9x6:24.23mm", "chessboard:7x5:0.0254m"])
def test_a_board_in_words_reads_back_as_itself(text: str) -> None:
    target = parse_target(text)
    again = parse_target(str(target))
    assert (again.columns, again.rows) == (target.columns, target.rows)
    assert again.square_m == pytest.approx(target.square_m, rel=1e-9)


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
        ("haruco:9x6x25mm:1", "unknown kind of board 'haruco'; did you mean 'charuco'?"),
    ],
)
def test_mistakes_are_named_with_what_would_be_right(text: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(text)
    assert what in str(caught.value)
    assert "chessboard:9x6:25mm" in str(caught.value) or "possible" in str(caught.value) or "between" in str(caught.value)
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
