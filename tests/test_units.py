"""Lengths as people write them."""

import pytest

from calib.errors import UsageError
from calib.units import parse_length_m


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("25mm", 0.025),
        ("24.23 mm", 0.02423),
        ("3.3cm", 0.033),
        (".5m", 0.5),
        ("2e-2 M", 0.02),
        ("1in", 0.0254),
        ("10IN", 0.254),
        ("-1m", -1.0),
    ],
)
def test_lengths_are_metres(text: str, metres: float) -> None:
    assert parse_length_m(text, what="x", example="y") == metres  # rounded once: equal to the decimal number


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("25", "'25' has no unit"),
        ("25furlong", "unknown unit 'furlong'"),
        ("mm", "'mm' is no length"),
        ("1,5m", "'1,5m' is no length"),
        ("nan m", "'nan m' is no length"),
        ("", "'' is no length"),
        ('1"', "unknown unit '\"'"),
    ],
)
def test_what_is_no_length_is_named(text: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_length_m(text, what="depth 'a'", example="write e.g. 25mm")
    assert str(caught.value).startswith(f"depth 'a': {problem}")
    assert str(caught.value).endswith("; write e.g. 25mm")
