"""Maps on disk: every bit of a number comes back, damage and other kinds are refused."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calib.errors import InputError, OutputError, UsageError
from calib.images import write_image
from stereo.map_files import read_float_map, read_reason, write_float_map, write_reason


@pytest.fixture
def values(rng: np.random.Generator) -> NDArray[np.float32]:
    bits = rng.integers(0, 2**32, (37, 53), dtype=np.uint64).astype(np.uint32)  # any float there is, subnormal and huge
    made = bits.view(np.float32).copy()
    made[0, :6] = np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45
    return made


@pytest.mark.parametrize("name", ["map.tiff", "map.tif", "MAP.TIFF"])
def test_float_maps_come_back_exactly(tmp_path: Path, values: NDArray[np.float32], name: str) -> None:
    write_float_map(tmp_path / name, values)
    back = read_float_map(tmp_path / name)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(back), np.isnan(values))
    numbers = ~np.isnan(values)
    np.testing.assert_array_equal(back[numbers].view(np.uint32), values[numbers].view(np.uint32))  # signs of zero too


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (129, 511)])
def test_odd_shapes(tmp_path: Path, shape: tuple[int, int], rng: np.random.Generator) -> None:
    values = rng.normal(size=shape).astype(np.float32)
    write_float_map(tmp_path / "map.tiff", values)
    np.testing.assert_array_equal(read_float_map(tmp_path / "map.tiff"), values)


def test_reasons_come_back_exactly(tmp_path: Path) -> None:
    reason = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    write_reason(tmp_path / "reason.png", reason)
    back = read_reason(tmp_path / "reason.png")
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back, reason)


def test_read_only_and_strided_maps_are_written(tmp_path: Path, values: NDArray[np.float32]) -> None:
    values.setflags(write=False)
    write_float_map(tmp_path / "map.tiff", values[::2, ::3])
    np.testing.assert_array_equal(read_float_map(tmp_path / "map.tiff"), values[::2, ::3])


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("map.png", np.zeros((3, 4), np.float32), r"use \.tif or \.tiff"),
        ("map", np.zeros((3, 4), np.float32), "without a suffix"),
        ("map.tiff", np.zeros((3, 4)), "float64"),
        ("map.tiff", np.zeros((3, 4, 3), np.float32), r"\(H, W\)"),
        ("map.tiff", np.zeros((0, 4), np.float32), r"\(0, 4\)"),
    ],
)
def test_what_is_no_float_map_is_refused(tmp_path: Path, name: str, array: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        write_float_map(tmp_path / name, array)
    assert not list(tmp_path.iterdir())


def test_reasons_go_into_16_bit_png_only(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"use \.png"):
        write_reason(tmp_path / "reason.tiff", np.zeros((3, 4), np.uint16))
    with pytest.raises(UsageError, match="uint8"):
        write_reason(tmp_path / "reason.png", np.zeros((3, 4), np.uint8))


def test_another_kind_of_image_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "photo.png", np.zeros((3, 4, 3), np.uint8))
    with pytest.raises(InputError, match="must be a float32 map"):
        read_float_map(tmp_path / "photo.png")
    with pytest.raises(InputError, match="must be a uint16 map"):
        read_reason(tmp_path / "photo.png")
    with pytest.raises(InputError, match="not found"):
        read_float_map(tmp_path / "none.tiff")


def test_a_truncated_map_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    write_float_map(tmp_path / "map.tiff", rng.normal(size=(200, 300)).astype(np.float32))
    data = (tmp_path / "map.tiff").read_bytes()
    for part in (len(data) // 3, len(data) - 50):
        (tmp_path / "map.tiff").write_bytes(data[:part])
        with pytest.raises(InputError):
            read_float_map(tmp_path / "map.tiff")


def test_a_lossy_encoder_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = cv2.imencode
    monkeypatch.setattr(cv2, "imencode", lambda suffix, image: encode(suffix, np.nan_to_num(image)))
    with pytest.raises(OutputError, match="without loss"):
        write_float_map(tmp_path / "map.tiff", np.full((3, 4), np.nan, np.float32))
    assert not list(tmp_path.iterdir())
