"""The seams refuse what would turn into wrong numbers later, and their arrays cannot be changed."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from calib.camera import Camera
from calib.errors import InputError, UsageError
from calib.rig import StereoRig
from stereo.maps import FILLED, INFORMING, DepthMap, DisparityMap, PointCloud, Reason


def rig(width: int = 4, height: int = 3) -> StereoRig:
    camera = Camera(width, height, 100.0, 100.0, 1.5, 1.0, np.zeros(0))
    return StereoRig(camera, camera, np.eye(3), np.array([-0.1, 0.0, 0.0]))


def disparity(**changes: Any) -> DisparityMap:
    fields: dict[str, Any] = {
        "disparity_px": np.ones((3, 4), np.float32),
        "sigma_px": np.ones((3, 4), np.float32),
        "reason": np.zeros((3, 4), np.uint16),
        "search_range": (-4, 4),
        "rig": rig(),
    }
    return DisparityMap(**{**fields, **changes})


def cloud(**changes: Any) -> PointCloud:
    fields: dict[str, Any] = {
        "points_xyz_m": np.ones((2, 3), np.float32),
        "pixel_uv": np.array([[0, 0], [3, 2]], np.int32),
        "image_size": (4, 3),
    }
    return PointCloud(**{**fields, **changes})


def test_reasons_are_single_bits_of_sixteen() -> None:
    values = [int(reason) for reason in Reason if reason]
    assert len(values) == len(set(values)) >= 13
    assert all(value & (value - 1) == 0 and 0 < value < 2**16 for value in values)
    assert int(Reason.NONE) == 0
    old = ("LEFT_NODATA", "NO_CANDIDATE", "OUTSIDE_RIGHT", "AMBIGUOUS", "LEFT_RIGHT", "SPECKLE", "RANGE_EDGE", "BEYOND_INFINITY")
    assert [Reason[name].value for name in old] == [1, 2, 4, 8, 16, 32, 64, 128]  # files keep their meaning


def test_every_reason_says_whether_it_informs_or_invalidates() -> None:
    import ast
    import inspect

    body = ast.parse(inspect.getsource(Reason)).body[0].body  # type: ignore[attr-defined]
    for line, text in pairwise(body):
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name) and line.targets[0].id != "NONE":
            name = line.targets[0].id
            assert isinstance(text, ast.Expr), name
            assert isinstance(text.value, ast.Constant), name
            word = "informs" if Reason[name] in INFORMING else "invalidates"
            assert str(text.value.value).startswith(word), name
    assert FILLED in INFORMING


def test_filled_pixels_are_told_from_measured_ones() -> None:
    reason = np.zeros((3, 4), np.uint16)
    reason[1] = Reason.AMBIGUOUS | Reason.FILLED_MISMATCH
    reason[2] = Reason.OUTSIDE_RIGHT | Reason.FILLED_OCCLUSION
    np.testing.assert_array_equal(disparity(reason=reason).filled[:, 0], [False, True, True])


def test_arrays_are_read_only_and_contiguous() -> None:
    source = np.asfortranarray(np.ones((3, 4), np.float32))
    made = disparity(disparity_px=source)
    assert made.disparity_px.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        made.disparity_px[0, 0] = 2.0
    source[0, 0] = 5.0  # the caller's own array stays writable


def test_nan_alone_is_invalid_zero_and_negative_are_measurements() -> None:
    made = disparity(disparity_px=np.array([[np.nan, 0.0, -3.5, 2.0]] * 3, np.float32))
    np.testing.assert_array_equal(made.valid[0], [False, True, True, True])


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"disparity_px": np.ones((3, 4, 1), np.float32)}, InputError, r"must be \(H, W\)"),
        ({"disparity_px": np.ones((3, 4))}, InputError, "float64 .* must be float32"),
        ({"disparity_px": np.full((3, 4), np.inf, np.float32)}, InputError, "12 infinite values.*NaN"),
        ({"sigma_px": np.ones((4, 3), np.float32)}, InputError, r"sigma_px.*\(4, 3\)"),
        ({"reason": np.zeros((3, 4), np.uint8)}, InputError, "uint8"),
        ({"confidence": np.ones((3, 4))}, InputError, "confidence.*float64"),
        ({"confidence": np.full((3, 4), 1.5, np.float32)}, InputError, "from 1.5 to 1.5; it must be in 0 ... 1"),
        ({"confidence": np.full((3, 4), np.nan, np.float32)}, InputError, "from nan"),
        ({"search_range": (5, 5)}, UsageError, "5:5 is empty"),
        ({"rig": rig(8, 6)}, InputError, "4 x 3 px but its rig is 8 x 6 px"),
    ],
)
def test_disparity_map_refuses(changes: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        disparity(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"points_xyz_m": np.full((2, 3), np.nan, np.float32)}, "not finite"),
        ({"points_xyz_m": np.full((2, 3), np.inf, np.float32)}, "not finite"),
        ({"pixel_uv": np.array([[0, 0], [4, 2]], np.int32)}, r"runs from \[0, 0\] to \[4, 2\].*4 x 3 px"),
        ({"pixel_uv": np.array([[0, -1], [3, 2]], np.int32)}, "runs from"),
        ({"pixel_uv": np.zeros((2, 2), np.int64)}, "int64"),
        ({"colour_bgr": np.zeros((3, 3), np.uint8)}, r"colour_bgr.*\(3, 3\)"),
        ({"sigma_m": np.zeros(2)}, "sigma_m.*float64"),
    ],
)
def test_point_cloud_refuses(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        cloud(**changes)


def test_an_empty_cloud_is_a_cloud() -> None:
    assert len(cloud(points_xyz_m=np.zeros((0, 3), np.float32), pixel_uv=np.zeros((0, 2), np.int32)).points_xyz_m) == 0


def test_depth_sigma_is_depth_squared_times_sigma_of_inverse_depth() -> None:
    depth = np.array([[2.0, 10.0, np.inf, np.nan]], np.float32)
    sigma = np.full((1, 4), 0.01, np.float32)
    made = DepthMap(depth, np.array([[0.5, 0.1, 0.0, -0.1]], np.float32), sigma, np.zeros((1, 4), np.uint16), rig(4, 1))
    np.testing.assert_allclose(made.depth_sigma_m[0, :2], [0.04, 1.0], rtol=1e-6)
    assert np.isnan(made.depth_sigma_m[0, 2:]).all()
