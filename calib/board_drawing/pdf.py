"""A sheet as PDF (ISO 32000): one page of vectors in millimetres, without any library."""

import math
import zlib
from collections.abc import Iterator

from calib.board_drawing.page import Page
from calib.geometry import Array

_POINTS_PER_MM = 72.0 / 25.4
_ARCS = 8  # cubics for one disc: they leave it by less than 5e-6 of its radius


def pdf_bytes(page: Page) -> bytes:
    """The file. Its viewer is asked to print at actual size."""
    width, height = (_number(side * _POINTS_PER_MM) for side in page.size_mm)
    title = _escaped(page.title)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /ViewerPreferences << /PrintScaling /None >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %s %s] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>"
        % (width.encode(), height.encode()),
        _stream("\n".join(_content(page)).encode("latin-1", "replace")),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Title (%s) /Producer (calib board) >>" % title,
    ]
    file = bytearray(b"%PDF-1.6\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(file)
    file += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    file += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    file += b"trailer\n<< /Size %d /Root 1 0 R /Info 6 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(file)


def _content(page: Page) -> Iterator[str]:
    """Drawing operators: from here a unit is a millimetre, y runs down from the top edge."""
    scale = f"{_POINTS_PER_MM:.12f}"
    yield f"{scale} 0 0 -{scale} 0 {_number(page.size_mm[1] * _POINTS_PER_MM)} cm"
    yield "0 g"
    # All of the board is one path: viewers leave no hairlines between touching boxes of one path.
    for box in page.board.boxes.tolist():
        yield _box(box)
    for disc in page.board.discs.tolist():
        yield from _disc(*disc)
    yield "f"
    yield from _boxes(page.ruler)
    yield "f"
    for words in page.words:
        size = _number(words.size_mm)
        where = f"{size} 0 0 -{size} {_number(words.x_mm)} {_number(words.y_mm)} Tm"
        yield f"BT /F 1 Tf {where} ({_escaped(words.text).decode('latin-1')}) Tj ET"


def _boxes(boxes: Array) -> Iterator[str]:
    yield from map(_box, boxes.tolist())


def _box(box: list[float]) -> str:
    left, top, right, bottom = box
    return f"{_number(left)} {_number(top)} {_number(right - left)} {_number(bottom - top)} re"


def _disc(x: float, y: float, radius: float) -> Iterator[str]:
    """Cubics whose control points lie 4/3 tan(a/4) radii along the tangents."""
    step = 2.0 * math.pi / _ARCS
    reach = 4.0 / 3.0 * math.tan(0.25 * step)
    yield f"{_number(x + radius)} {_number(y)} m"
    for k in range(_ARCS):
        c0, s0, c1, s1 = math.cos(k * step), math.sin(k * step), math.cos((k + 1) * step), math.sin((k + 1) * step)
        ends = [(c0 - reach * s0, s0 + reach * c0), (c1 + reach * s1, s1 - reach * c1), (c1, s1)]
        yield " ".join(f"{_number(x + radius * a)} {_number(y + radius * b)}" for a, b in ends) + " c"
    yield "h"


def _stream(content: bytes) -> bytes:
    packed = zlib.compress(content, 9)
    return b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed)


def _number(value: float) -> str:
    """Decimals without exponent, exact to 1e-7."""
    return f"{value:.7f}".rstrip("0").rstrip(".")


def _escaped(text: str) -> bytes:
    for special in "\\()":
        text = text.replace(special, f"\\{special}")
    return text.encode("latin-1", "replace")
