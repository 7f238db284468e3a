"""Images: exact round trips, one clear refusal for every kind of damage, and never None."""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calib import images
from calib.errors import InputError, OutputError, UsageError
from calib.images import find_images, read_image, read_pair, to_grey, write_image

Array = NDArray[Any]


def picture(dtype: str, *, is_colour: bool = True, size: tuple[int, int] = (37, 53)) -> Array:
    """Smooth structure with noise, so that compressed data are neither trivial nor huge."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[: size[0], : size[1]]
    base = np.sin(x / 7.0) + np.cos(y / 5.0)
    grey = (base - base.min()) / np.ptp(base) * 0.9 + rng.uniform(0.0, 0.1, size)
    values = np.dstack([grey, grey**2, 1.0 - grey]) if is_colour else grey
    return values.astype(np.float32) if dtype == "float32" else (values * np.iinfo(dtype).max).astype(dtype)


def encoded(suffix: str, image: Array, *flags: int) -> bytes:
    good, data = cv2.imencode(suffix, image, list(flags))
    assert good
    return data.tobytes()


def refused(tmp_path: Path, data: bytes, words: str, name: str = "x.png") -> str:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError, match=words) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("is_colour", [True, False])
@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [(".png", "uint8"), (".png", "uint16"), (".tiff", "uint8"), (".tif", "uint16"), (".tiff", "float32")],
)
def test_round_trip_is_exact(tmp_path: Path, suffix: str, dtype: str, is_colour: bool) -> None:
    image = picture(dtype, is_colour=is_colour)
    path = tmp_path / f"ü ñ{suffix}"
    write_image(path, image)
    back = read_image(path)
    assert back.dtype == image.dtype
    np.testing.assert_array_equal(back, image)
    assert back.flags.c_contiguous
    assert back.flags.writeable
    assert list(tmp_path.iterdir()) == [path]


def test_float_tiff_keeps_nan_and_infinity(tmp_path: Path) -> None:
    image = picture("float32", is_colour=False)
    image[3, 4], image[5, 6], image[7, 8] = np.nan, np.inf, -1e-30
    write_image(tmp_path / "d.tiff", image)
    np.testing.assert_array_equal(read_image(tmp_path / "d.tiff"), image)


def test_jpeg_is_near(tmp_path: Path) -> None:
    image = picture("uint8", is_colour=False, size=(64, 64))
    write_image(tmp_path / "x.jpg", image)
    assert np.abs(read_image(tmp_path / "x.jpg").astype(int) - image).mean() < 4.0


@pytest.mark.parametrize("suffix", [".bmp", ".ppm", ".webp"])
def test_other_lossless_formats_are_read(tmp_path: Path, suffix: str) -> None:
    image = picture("uint8")
    (tmp_path / "x").write_bytes(encoded(suffix, image, *([cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else [])))
    np.testing.assert_array_equal(read_image(tmp_path / "x"), image)


def test_pgm_of_16_bits(tmp_path: Path) -> None:
    image = picture("uint16", is_colour=False)
    (tmp_path / "x.pgm").write_bytes(b"P5\n# made by hand\n53 37\n65535\n" + image.astype(">u2").tobytes())
    np.testing.assert_array_equal(read_image(tmp_path / "x.pgm"), image)
    refused(tmp_path, b"P5 53 37 255\n" + bytes(53 * 37 - 1), "is truncated: 1960 bytes of image where 1961 are needed")


def test_alpha_is_dropped_not_multiplied(tmp_path: Path) -> None:
    image = picture("uint16")
    alpha = np.zeros(image.shape[:2], np.uint16)
    (tmp_path / "x.png").write_bytes(encoded(".png", np.dstack([image, alpha])))
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), image)


def test_exif_orientation_is_ignored(tmp_path: Path) -> None:
    """The same JPEG with and without "turn by 90 degrees" gives the same array."""
    plain = encoded(".jpg", picture("uint8"))
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + bytes(4)
    turned = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]
    upright = cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR)
    assert upright is not None
    assert upright.shape[:2] == (53, 37)  # the tag is understood
    (tmp_path / "a.jpg").write_bytes(plain)
    (tmp_path / "b.jpg").write_bytes(turned)
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), read_image(tmp_path / "b.jpg"))


def test_palette_and_cmyk_become_bgr(tmp_path: Path) -> None:
    pil = pytest.importorskip("PIL.Image")
    red = pil.new("RGB", (20, 16), (250, 10, 5))
    red.quantize(4).save(tmp_path / "palette.png")
    red.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    for name, tolerance in (("palette.png", 0), ("cmyk.jpg", 6)):
        image = read_image(tmp_path / name)
        assert image.shape == (16, 20, 3)
        assert np.abs(image.astype(int) - [5, 10, 250]).max() <= tolerance


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff", ".ppm", ".bmp", ".webp"])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, part: float, capfd: pytest.CaptureFixture[str]) -> None:
    data = encoded(suffix, picture("uint8", size=(200, 300)))
    message = refused(tmp_path, data[: int(len(data) * part)], "truncated|corrupt", f"x{suffix}")
    assert len(message) < 400
    assert capfd.readouterr().err == ""  # the one message is the program's, not the decoder's


def test_every_truncation_of_a_jpeg_is_refused(tmp_path: Path) -> None:
    data = encoded(".jpg", picture("uint8"))
    for end in range(1, len(data)):
        refused(tmp_path, data[:end], "truncated|corrupt|not an image")


def test_every_truncation_of_a_progressive_jpeg_with_restarts_is_refused(tmp_path: Path) -> None:
    data = encoded(".jpg", picture("uint8"), cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
    (tmp_path / "whole.jpg").write_bytes(data)
    assert read_image(tmp_path / "whole.jpg").shape == (37, 53, 3)
    for end in range(2, len(data), 7):
        refused(tmp_path, data[:end], "truncated|corrupt")


def test_every_flipped_bit_of_a_png_is_refused(tmp_path: Path) -> None:
    data = encoded(".png", picture("uint8", is_colour=False, size=(8, 9)))
    for bit in range(8 * len(data)):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        refused(tmp_path, bytes(broken), "truncated|corrupt|not an image")


def test_flipped_bits_of_a_png_name_the_chunk(tmp_path: Path) -> None:
    data = bytearray(encoded(".png", picture("uint8")))
    data[len(data) // 2] ^= 4
    refused(tmp_path, bytes(data), "is corrupt: the CRC of PNG chunk 'IDAT' at byte .* does not agree")


def test_a_png_with_too_few_rows_behind_good_checksums_is_refused(tmp_path: Path) -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 30, 8, 0, 0, 0, 0))
    rows = zlib.compress(bytes(41 * 12))
    refused(tmp_path, head + chunk(b"IDAT", rows) + chunk(b"IEND", b""), "is corrupt: its data cannot be decoded")
    refused(tmp_path, head + chunk(b"IEND", b""), "no image data")


def test_a_spoilt_marker_inside_a_jpeg_is_refused(tmp_path: Path) -> None:
    data = encoded(".jpg", picture("uint8", size=(200, 300)), cv2.IMWRITE_JPEG_RST_INTERVAL, 4)
    first = data.index(b"\xff\xd0")
    refused(tmp_path, data[:first] + b"\xff\xd3" + data[first + 2 :], "JPEG restart marker 3 at byte .* is out of order", "a.jpg")
    refused(tmp_path, data[:first] + b"\xff\x37" + data[first + 2 :], "unexpected JPEG marker FF37", "a.jpg")
    refused(tmp_path, data[:2] + b"\0" + data[2:], "marker is missing at byte 2", "a.jpg")


def test_bytes_behind_a_jpeg_are_ignored(tmp_path: Path) -> None:
    """An MPO holds a second JPEG there; cut, it must not spoil the first."""
    data, other = encoded(".jpg", picture("uint8")), encoded(".jpg", picture("uint8", size=(80, 90)))
    (tmp_path / "x.mpo").write_bytes(data + other[: len(other) // 2])
    (tmp_path / "x.jpg").write_bytes(data)
    np.testing.assert_array_equal(read_image(tmp_path / "x.mpo"), read_image(tmp_path / "x.jpg"))


def test_an_embedded_thumbnail_does_not_hide_a_truncation(tmp_path: Path) -> None:
    """Its end-of-image marker lies inside a segment and is not the picture's."""
    data, thumbnail = encoded(".jpg", picture("uint8", size=(200, 300))), encoded(".jpg", picture("uint8", size=(16, 16)))
    with_thumbnail = data[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + data[2:]
    (tmp_path / "whole.jpg").write_bytes(with_thumbnail)
    assert read_image(tmp_path / "whole.jpg").shape == (200, 300, 3)
    refused(tmp_path, with_thumbnail[: len(with_thumbnail) // 2], "is truncated: this JPEG stops after")


def test_tiff_strips_must_lie_inside_the_file(tmp_path: Path) -> None:
    pil = pytest.importorskip("PIL.Image")
    image = picture("uint8", is_colour=False, size=(100, 100))
    for options in ({}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}, {"big_tiff": True}):
        pil.fromarray(image).save(tmp_path / "x.tif", **options)
        np.testing.assert_array_equal(read_image(tmp_path / "x.tif"), image)
    data = encoded(".tiff", image, cv2.IMWRITE_TIFF_COMPRESSION, 1)
    refused(tmp_path, data[:100], "is truncated", "y.tiff")
    directory = struct.unpack_from("<I", data, 4)[0]
    assert directory > 10_000  # the directory lies at the end: cutting it out leaves the strips pointing beyond
    body = data[directory:]
    refused(tmp_path, data[:4] + struct.pack("<I", 8) + body, "truncated|corrupt", "z.tiff")


@pytest.mark.parametrize("offset", [2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1])
def test_big_tiff_offsets_beyond_every_file_are_refused(tmp_path: Path, offset: int) -> None:
    head = b"II\x2b\x00\x08\x00\x00\x00"
    refused(tmp_path, head + struct.pack("<Q", offset) + bytes(64), "is truncated", "directory.tif")
    entry = struct.pack("<HHQQ", 273, 16, 2, offset)  # two offsets of strips, which do not fit into the entry itself
    data = head + struct.pack("<QQ", 16, 1) + entry + bytes(64)
    refused(tmp_path, data, "is truncated", "strips.tif")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"just some text, long enough to be looked at", "is not an image; PNG, JPEG, TIFF"),
        (b"GIF89a" + bytes(50), "is a GIF file, which is not read; convert it to PNG"),
        (b"\x00\x00\x00\x20ftypheic" + bytes(50), "HEIC or AVIF"),
        (b"\x00\x00\x00\x20ftypisom" + bytes(50), "is a video file"),
        (b"\x76\x2f\x31\x01" + bytes(50), "OpenEXR"),
        (b"\x89PNG\r\n\x1a\n", "is truncated"),
        (b"\xff\xd8\xff\xd9", "this JPEG ends before its image"),
        (b"II*\0" + bytes(3), "is truncated after 7 bytes"),
        (b"II*\0\x08\0\0\0\0\0", "states no image size"),
        (b"BM" + bytes(10), "is truncated"),
        (b"P5 x 3 255\n", "header of this PGM/PPM cannot be understood"),
        (b"PF\n3 3\n", "header of this PFM cannot be understood"),
        (b"\x93NUMPY\x01\x00", "header of this NPY cannot be understood"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    refused(tmp_path, data, words)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_random_damage_never_gives_none_or_a_crash(tmp_path: Path, rng: np.random.Generator) -> None:
    """Each answer is an image of one of the three types or an `InputError`."""
    stream = io.BytesIO()
    np.save(stream, picture("float32"))
    pfm = b"PF\n53 37\n-1.0\n" + picture("float32").tobytes()
    sources = [encoded(s, picture("uint8")) for s in (".jpg", ".png", ".tiff", ".bmp", ".ppm", ".webp")] + [
        stream.getvalue(),
        pfm,
    ]
    path = tmp_path / "x"
    answers = {"image": 0, "refused": 0}
    for _ in range(40):
        for data in sources:
            broken = bytearray(data)
            for _ in range(int(rng.integers(1, 4))):
                at = int(rng.integers(0, min(len(broken), 300) if rng.random() < 0.7 else len(broken)))
                broken[at] = int(rng.integers(0, 256))
            path.write_bytes(broken)
            try:
                image = read_image(path)
            except InputError:
                answers["refused"] += 1
            else:
                assert image.dtype in (np.uint8, np.uint16, np.float32)
                assert image.ndim == 2 or image.shape[2] == 3
                answers["image"] += 1
    assert min(answers.values()) > 20


def test_huge_headers_are_refused_before_decoding(tmp_path: Path) -> None:
    body = struct.pack(">IIBBBBB", 50_000, 40_000, 8, 0, 0, 0, 0)
    idat = zlib.compress(b"\0")
    png = b"\x89PNG\r\n\x1a\n"
    for name, content in ((b"IHDR", body), (b"IDAT", idat), (b"IEND", b"")):
        png += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    refused(tmp_path, png, r"has 2000 megapixels \(50000 x 40000 px\), the limit is 500")
    refused(tmp_path, b"Pf\n99999 99999\n-1.0\n", "has 9999800001|has 10000 megapixels")
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (90_000, 90_000)})
    refused(tmp_path, stream.getvalue(), "has 8100 megapixels")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    write_image(tmp_path / "left1.png", picture("uint8"))
    os.mkfifo(tmp_path / "pipe.png")
    for name, words in (
        ("left2.png", "not found; did you mean 'left1.png'"),
        ("pipe.png", "is a pipe or a device"),
        (".", "is a folder"),
    ):
        with pytest.raises(InputError, match=words):
            read_image(tmp_path / name)
    with pytest.raises(InputError, match="is a pipe or a device"):
        read_image(os.devnull)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("header", ["{}\n{} {}\n{}\n", "{} \n{} {}  \n{}  \n", "{}\r\n{} {}\r\n{}\r\n", "{} {} {} {}\n"])
def test_pfm_by_hand(tmp_path: Path, order: str, header: str) -> None:
    """Rows from bottom to top, RGB, a negative scale for little-endian; blanks at the ends of lines do no harm."""
    values = np.array([[1.0, np.nan, 3.0], [4.0, np.inf, -6.5]], np.float32)
    scale = "-0.0039" if order == "<" else "1.0"
    data = header.format("Pf", 3, 2, scale).encode() + values[::-1].astype(f"{order}f4").tobytes()
    (tmp_path / "x.pfm").write_bytes(data)
    np.testing.assert_array_equal(read_image(tmp_path / "x.pfm"), values)
    colour = np.dstack([values, values + 1, values + 2])  # BGR
    data = header.format("PF", 3, 2, scale).encode() + colour[::-1, :, ::-1].astype(f"{order}f4").tobytes()
    (tmp_path / "x.pfm").write_bytes(data)
    np.testing.assert_array_equal(read_image(tmp_path / "x.pfm"), colour)
    refused(tmp_path, data[:-1], "is truncated: 71 bytes of image where 72 are needed", "x.pfm")
    refused(tmp_path, data + b"\n", "is corrupt: 73 bytes of image where 72 are needed", "x.pfm")


@pytest.mark.parametrize("scale", ["0", "nan", "-", "inf"])
def test_pfm_without_a_byte_order_is_refused(tmp_path: Path, scale: str) -> None:
    refused(tmp_path, f"Pf\n1 1\n{scale}\n".encode() + bytes(4), "PFM")


def test_pfm_agrees_with_opencv(tmp_path: Path) -> None:
    image = picture("float32")
    assert cv2.imwrite(str(tmp_path / "x.pfm"), image)
    np.testing.assert_array_equal(read_image(tmp_path / "x.pfm"), image)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", ">f4", ">u2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_the_three_types(tmp_path: Path, dtype: str, order: str) -> None:
    image = picture(np.dtype(dtype).newbyteorder("=").name)
    np.save(tmp_path / "x.npy", np.array(image, dtype, order=order))  # type: ignore[call-overload]
    back = read_image(tmp_path / "x.npy")
    np.testing.assert_array_equal(back, image)
    assert back.dtype == image.dtype
    assert back.flags.c_contiguous


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint32", "int64", "float16", "float64"])
def test_other_types_become_float_where_nothing_is_lost(tmp_path: Path, dtype: str) -> None:
    image = np.array([[0, 1, 100], [3, 4, 127]], dtype)
    np.save(tmp_path / "x.npy", image)
    back = read_image(tmp_path / "x.npy")
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, image.astype(np.float32))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((2, 2), 2**24 + 1, np.int32), "holds int32 values such as 16777217, too large for float32"),
        (np.full((2, 2), 1e300), r"holds float64 values such as 1e\+300"),
        (np.zeros((2, 2), bool), "holds bool values"),
        (np.zeros((2, 2), complex), "holds complex128 values"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (np.zeros(4), r"shape \(4,\)"),
        (np.zeros((0, 4)), "0 px"),
        (np.array([[None]]), "holds object values"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path: Path, array: Array, words: str) -> None:
    stream = io.BytesIO()
    np.save(stream, array)
    refused(tmp_path, stream.getvalue(), words, "x.npy")


def test_a_truncated_npy_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, picture("float32"))
    refused(tmp_path, stream.getvalue()[:-1], "is truncated: 23531 bytes of data where 23532 are needed", "x.npy")


def test_pair(tmp_path: Path) -> None:
    image = picture("uint8")
    write_image(tmp_path / "l.png", image)
    write_image(tmp_path / "r.png", image[::-1])
    left, right = read_pair(tmp_path / "l.png", tmp_path / "r.png")
    np.testing.assert_array_equal(left, image)
    np.testing.assert_array_equal(right, image[::-1])
    for other, words in (
        (image[:-1], "53 x 37 px 8-bit colour, but .*r.png is 53 x 36 px 8-bit colour"),
        (image[..., 0], "is 53 x 37 px 8-bit grey"),
        (image.astype(np.uint16), "is 53 x 37 px 16-bit colour"),
    ):
        write_image(tmp_path / "r.png", other)
        with pytest.raises(InputError, match=words):
            read_pair(tmp_path / "l.png", tmp_path / "r.png")


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("x.png", np.zeros((2, 2), np.float32), r"\.png cannot hold float32 without loss; use \.tif or \.tiff"),
        ("x.jpg", np.zeros((2, 2), np.uint16), r"\.jpg cannot hold uint16 without loss; use \.png or \.tif or \.tiff"),
        ("x.tiff", np.zeros((2, 2)), r"\.tiff cannot hold float64 without loss; convert it"),
        ("x.png", np.zeros((2, 2), bool), r"cannot hold bool"),
        ("x.gif", np.zeros((2, 2), np.uint8), r"cannot write \.gif; use one of \.png"),
        ("x", np.zeros((2, 2), np.uint8), "cannot write a name without a suffix"),
        ("x.png", np.zeros((2, 2, 4), np.uint8), r"an array of shape \(2, 2, 4\) is no image"),
        ("x.png", np.zeros((0, 2), np.uint8), "is no image"),
    ],
)
def test_lossy_or_unknown_writing_is_refused(tmp_path: Path, name: str, array: Array, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        write_image(tmp_path / name, array)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="folder does not exist"):
        write_image(tmp_path / "no" / "x.png", picture("uint8"))


def test_a_read_only_strided_view_is_written(tmp_path: Path) -> None:
    image = picture("uint8")
    view = image[::-2, ::3]
    view.setflags(write=False)
    write_image(tmp_path / "x.png", view)
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), view)


def test_find_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "left10.png",
        "left2.PNG",
        "left1.jpg",
        "right1.png",
        ".left3.png",
        "notes.txt",
        "left_intrinsics.yml",
        "disp.pfm",
        "[a].png",
    ):
        (tmp_path / name).touch()
    (tmp_path / "left3.png").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "left1.png").touch()

    def names(spec: str | Path) -> list[str]:
        return [str(path.relative_to(tmp_path)) for path in find_images(spec)]

    assert names(tmp_path / "left*") == ["left1.jpg", "left2.PNG", "left10.png"]
    assert names(tmp_path) == ["[a].png", "left1.jpg", "left2.PNG", "left10.png", "right1.png"]
    assert names(str(tmp_path / "right1.png")) == ["right1.png"]
    assert names(tmp_path / "[a].png") == ["[a].png"]  # a name, though it looks like a pattern
    assert names(tmp_path / "*.pfm") == ["disp.pfm"]
    assert names(tmp_path / "**" / "left1.*") == ["left1.jpg", str(Path("sub") / "left1.png")]
    monkeypatch.chdir(tmp_path)
    assert find_images("right*") == [Path("right1.png")]
    for spec, words in (
        ("top*.png", "no file is called so"),
        ("*.yml", "1 files, but no image"),
        ("rihgt1.png", "not found; did you mean 'right1.png'"),
        ("left3.png", "no file is called so"),
        ("a\0b", "a\0b"),
    ):
        with pytest.raises(InputError, match=words):
            find_images(spec)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_grey_weighs_the_channels_and_keeps_the_type(dtype: str) -> None:
    image = picture(dtype)
    grey = to_grey(image)
    assert grey.dtype == image.dtype
    expected = image.astype(np.float64) @ [0.114, 0.587, 0.299]
    np.testing.assert_allclose(grey, expected, atol={"uint8": 0.6, "uint16": 2.0, "float32": 1e-6}[dtype])
    assert to_grey(grey) is grey


def test_opencvs_log_level_is_left_as_it_was(tmp_path: Path) -> None:
    from cv2.utils import logging as log

    before = log.getLogLevel()
    write_image(tmp_path / "x.png", picture("uint8"))
    read_image(tmp_path / "x.png")
    assert log.getLogLevel() == before


@pytest.mark.realdata
def test_real_photographs_are_all_accepted(data_folder: Path) -> None:
    """No healthy file may be refused: photographs of many cameras and programs."""
    suffixes = images._PICTURE_SUFFIXES | {".pfm"}
    paths = [path for path in sorted(data_folder.rglob("*")) if path.suffix.lower() in suffixes]
    assert len(paths) > 100
    for path in paths:
        assert read_image(path).size > 0
