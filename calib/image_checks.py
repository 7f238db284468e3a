"""Is an image file whole? Structure checks made before decoding, because decoders return pictures from broken files.

OpenCV gives a full-size image for half a JPEG. Each check walks the file's own structure, returns (width, height) in pixels and
raises `DamageError` in words. What cannot be seen: a flipped bit inside the compressed data of a JPEG, a WebP or an uncompressed
TIFF, for these formats carry no checksum.
"""

import re
import struct
import zlib
from collections.abc import Callable

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ANEW = "copy or record it again"


class DamageError(ValueError):
    """The file is truncated, corrupt or of a kind that is not read; the text says which."""


def check_structure(data: bytes) -> tuple[int, int]:
    """Size in pixels of an encoded image (PNG, JPEG, TIFF, PGM/PPM, BMP, WebP) after walking its structure.

    Raises
    ------
    DamageError
    """
    for magic, check in _CHECKS:
        if re.match(magic, data, re.DOTALL):
            try:
                return check(data)
            except (struct.error, IndexError, OverflowError) as error:  # a field lies beyond the end
                raise DamageError(f"is truncated after {len(data)} bytes; {_ANEW}") from error
    for magic, name in _FOREIGN:
        if re.match(magic, data, re.DOTALL):
            raise DamageError(f"is a {name} file, which is not read; convert it to PNG or TIFF first")
    raise DamageError("is not an image; PNG, JPEG, TIFF, PGM/PPM, BMP, WebP, PFM and NPY are read")


def check_png(data: bytes) -> tuple[int, int]:
    """Walk the chunks of a PNG: each CRC must agree and IEND must be there (PNG specification, section 5)."""
    position, size, has_data = len(_PNG_SIGNATURE), None, False
    while True:
        if position + 12 > len(data):
            raise DamageError(f"is truncated: this PNG stops after {len(data)} bytes without its end chunk; {_ANEW}")
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise DamageError(f"is truncated: this PNG has {len(data)} bytes, but a chunk reaches to byte {end}; {_ANEW}")
        stored = struct.unpack_from(">I", data, end - 4)[0]
        if zlib.crc32(data[position + 4 : end - 4]) != stored:
            raise DamageError(
                f"is corrupt: the CRC of PNG chunk {name.decode('latin-1')!r} at byte {position} does not agree; {_ANEW}"
            )
        if name == b"IHDR" and length == 13:
            size = struct.unpack_from(">II", data, position + 8)
        has_data |= name == b"IDAT"
        position = end
        if name == b"IEND":
            break
    if size is None or not has_data:
        raise DamageError(f"is corrupt: this PNG has no header or no image data; {_ANEW}")
    return int(size[0]), int(size[1])


def check_jpeg(data: bytes) -> tuple[int, int]:
    """Walk the markers of a JPEG up to the end-of-image marker behind its last scan (ITU-T T.81, annex B).

    Bytes behind that marker are ignored: multi-picture files keep their second image there.
    """
    position, size, has_scan = 2, None, False
    while True:
        if position + 2 > len(data):
            raise _jpeg_truncated(data)
        if data[position] != 0xFF:
            raise DamageError(f"is corrupt: a JPEG marker is missing at byte {position}; {_ANEW}")
        marker = data[position + 1]
        position += 1 if marker == 0xFF else 2  # FF may be repeated as filling
        if marker == 0xFF:
            continue
        if marker == 0xD9:
            break
        if marker < 0xC0 or 0xD0 <= marker <= 0xD8 or 0xF0 <= marker <= 0xFD or marker == 0xC8:
            raise DamageError(f"is corrupt: unexpected JPEG marker FF{marker:02X} at byte {position - 2}; {_ANEW}")
        if position + 2 > len(data):
            raise _jpeg_truncated(data)
        length = struct.unpack_from(">H", data, position)[0]
        if length < 2 or position + length > len(data):
            raise _jpeg_truncated(data)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xCC):
            bits, height, width = struct.unpack_from(">BHH", data, position + 2)
            if bits != 8:
                raise DamageError(f"is a JPEG of {bits} bits per sample; only 8 are read; convert it to PNG first")
            size = (width, height)
        position += length
        if marker == 0xDA:
            has_scan = True
            position = _skip_scan(data, position)
    if size is None or not has_scan:
        raise DamageError(f"is corrupt: this JPEG ends before its image; {_ANEW}")
    return size


def _skip_scan(data: bytes, position: int) -> int:
    """Position of the first marker behind the entropy-coded data; restart markers must count 0..7 round and round."""
    restarts = 0
    while True:
        position = data.find(b"\xff", position)
        if position < 0 or position + 1 >= len(data):
            raise _jpeg_truncated(data)
        marker = data[position + 1]
        if 0xD0 <= marker <= 0xD7:
            if marker - 0xD0 != restarts % 8:
                raise DamageError(f"is corrupt: JPEG restart marker {marker - 0xD0} at byte {position} is out of order; {_ANEW}")
            restarts += 1
        elif marker not in (0x00, 0xFF):
            return position
        position += 1 if marker == 0xFF else 2


def _jpeg_truncated(data: bytes) -> DamageError:
    return DamageError(f"is truncated: this JPEG stops after {len(data)} bytes without its end-of-image marker; {_ANEW}")


def check_tiff(data: bytes) -> tuple[int, int]:
    """Every strip or tile of the first image of a TIFF or BigTIFF must lie inside the file (TIFF 6.0, section 2)."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    counter, entry_size, word = ("Q", 20, "Q") if big else ("H", 12, "I")
    directory = struct.unpack_from(order + word, data, 8 if big else 4)[0]
    entries = struct.unpack_from(order + counter, data, directory)[0]
    tags: dict[int, tuple[int, ...]] = {}
    for i in range(entries):
        at = directory + struct.calcsize(counter) + i * entry_size
        tag, kind, count = struct.unpack_from(order + "HH" + word, data, at)
        code = {3: "H", 4: "I", 16: "Q"}.get(kind)
        if tag not in (256, 257, 273, 279, 324, 325) or code is None:
            continue
        if count > len(data):
            raise DamageError(f"is corrupt: TIFF tag {tag} claims {count} values; {_ANEW}")
        form = f"{order}{count}{code}"
        inside = struct.calcsize(form) <= struct.calcsize(word)
        start = at + (12 if big else 8)
        tags[tag] = struct.unpack_from(form, data, start if inside else struct.unpack_from(order + word, data, start)[0])
    if not tags.get(256) or not tags.get(257):
        raise DamageError(f"is corrupt: this TIFF states no image size; {_ANEW}")
    for offsets, lengths in ((tags.get(273, ()), tags.get(279, ())), (tags.get(324, ()), tags.get(325, ()))):
        end = max((a + b for a, b in zip(offsets, lengths, strict=False)), default=0)
        if end > len(data):
            raise DamageError(f"is truncated: this TIFF has {len(data)} bytes, but its image reaches to byte {end}; {_ANEW}")
    return tags[256][0], tags[257][0]


def check_pnm(data: bytes) -> tuple[int, int]:
    """Header of a PBM, PGM or PPM; for the binary kinds the number of bytes that must follow (netpbm formats)."""
    gap = rb"(?:\s|#[^\n]*\n)+"
    found = re.match(rb"P([1-6])" + gap + rb"(\d{1,9})" + gap + rb"(\d{1,9})(?:" + gap + rb"(\d{1,9}))?\s", data)
    if found is None:
        raise DamageError(f"is corrupt: the header of this PGM/PPM cannot be understood; {_ANEW}")
    kind, width, height = int(found[1]), int(found[2]), int(found[3])
    if kind in (5, 6) and found[4]:
        need = width * height * (3 if kind == 6 else 1) * (2 if int(found[4]) > 255 else 1)
        if len(data) - found.end() < need:
            raise DamageError(f"is truncated: {len(data) - found.end()} bytes of image where {need} are needed; {_ANEW}")
    return width, height


def check_bmp(data: bytes) -> tuple[int, int]:
    """Header of a BMP (a negative height means that the first row is on top)."""
    if struct.unpack_from("<I", data, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return int(width), abs(int(height))


def check_webp(data: bytes) -> tuple[int, int]:
    """The RIFF container of a WebP must be whole; its pixels cannot exceed 16383 x 16383, which is returned."""
    need = 8 + struct.unpack_from("<I", data, 4)[0]
    if need > len(data):
        raise DamageError(f"is truncated: this WebP has {len(data)} bytes where {need} are needed; {_ANEW}")
    return 16383, 16383


_CHECKS: tuple[tuple[bytes, Callable[[bytes], tuple[int, int]]], ...] = (
    (re.escape(_PNG_SIGNATURE), check_png),
    (rb"\xff\xd8", check_jpeg),
    (rb"II[\x2a\x2b]\x00|MM\x00[\x2a\x2b]", check_tiff),
    (rb"P[1-6]\s", check_pnm),
    (rb"BM", check_bmp),
    (rb"RIFF....WEBP", check_webp),
)
_FOREIGN = (
    (rb"GIF8", "GIF"),
    (rb"....ftyp(?:heic|heix|mif1|avif)", "HEIC or AVIF"),
    (rb"....ftyp|\x1a\x45\xdf\xa3|RIFF....AVI", "video"),
    (rb"\x00\x00\x00\x0cjP|\xff\x4f\xff\x51", "JPEG 2000"),
    (rb"\x76\x2f\x31\x01", "OpenEXR"),
    (rb"%PDF", "PDF"),
)
