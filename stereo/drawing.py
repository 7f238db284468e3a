"""Drawing for the pictures of `stereo`: colour ramps, the hatch of pixels without a value, round ticks, legends with crisp text.

Everything is BGR, uint8 and deterministic. Sizes are in `em`, the height of the legend's letters, which grows with the picture.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calib.errors import InputError

Picture = NDArray[np.uint8]
Bgr = tuple[int, int, int]

SMALLEST_SIDE_PX = 320
_INK, _PAPER, _EDGE = (45, 45, 45), (255, 255, 255), (110, 110, 110)
_WIDE = 1.8
# Round depths by how round they are, and how many gaps they keep from those chosen before.
_MANTISSAS: tuple[tuple[float, Sequence[float]], ...] = (
    (1.0, (1.0,)),
    (1.0, (2.0, 5.0)),
    (1.0, (1.5, 3.0, 4.0, 7.0)),
    (1.3, (1.2, 2.5, 6.0, 8.0)),
    (1.6, tuple(n / 10.0 for n in range(10, 100))),
    (1.6, tuple(n / 100.0 for n in range(100, 1000))),
)


@dataclass(frozen=True, slots=True)
class Swatch:
    """One coloured box of a legend with its text; a colour of None is the hatch."""

    colour: Bgr | None
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Bar:
    """A colour bar: `ramp` (N, 3) from low to high; `ticks` gives (place in 0..1, text) for a length and a least gap in px."""

    ramp: Picture
    ticks: Callable[[float, float], list[tuple[float, str]]]


def to_8_bit(image: NDArray[Any]) -> Picture:
    """An image for the eye: uint8 as it is; uint16 and float32 stretched so that percentiles 0.5 and 99.5 become 0 and 255.

    (12-bit cameras and satellite counts have no white level of their own; a division by 257 would show them black.) All channels
    are stretched alike; NaN becomes 0.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) array, uint8, uint16 or float32
    """
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise InputError(f"image of shape {image.shape}; use (H, W) grey or (H, W, 3) in BGR order")
    if image.dtype == np.uint8:
        return np.asarray(image, np.uint8)
    if image.dtype not in (np.uint16, np.float32):
        raise InputError(f"image of type {image.dtype}; use uint8, uint16 or float32")
    values = image.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(image.shape, np.uint8)
    low, high = np.percentile(values[finite], (0.5, 99.5))
    span = high - low if high > low else max(abs(high), 1.0)
    scaled = np.clip((np.where(finite, values, low) - low) / span, 0.0, 1.0) * 255.0
    return np.asarray(np.rint(scaled), np.uint8)


def inferno() -> Picture:
    """(240, 3) from dark indigo over purple and orange to pale yellow; lightness grows all the way.

    Matplotlib's `inferno` without its first entries: what is far should not look like a black hole.
    """
    return _cv_ramp(cv2.COLORMAP_INFERNO)[16:]


def viridis() -> Picture:
    """(256, 3) from dark blue to yellow; lightness grows all the way (matplotlib's `viridis`)."""
    return _cv_ramp(cv2.COLORMAP_VIRIDIS)


def diverging() -> Picture:
    """(511, 3) blue, white in the middle (entry 255), red: after ColorBrewer's RdBu, with an orange step on the warm side."""
    cold = [(255, 255, 255), (209, 229, 240), (146, 197, 222), (67, 147, 195), (33, 102, 172), (5, 48, 97)]
    warm = [(255, 255, 255), (254, 224, 170), (253, 174, 97), (240, 96, 52), (190, 20, 38), (103, 0, 31)]
    half = np.arange(256) / 255.0 * 5.0
    sides = [np.stack([np.interp(half, np.arange(6), np.array(c)[:, i]) for i in (2, 1, 0)], -1) for c in (cold, warm)]
    return np.asarray(np.rint(np.concatenate([sides[0][:0:-1], sides[1]])), np.uint8)


def enlarge_small(picture: Picture) -> Picture:
    """Tiny pictures repeated pixel by pixel until the longer side is large enough to read (`SMALLEST_SIDE_PX`)."""
    factor = -(-SMALLEST_SIDE_PX // max(picture.shape[:2]))
    return np.repeat(np.repeat(picture, factor, 0), factor, 1) if factor > 1 else picture


def fill_hatch(picture: Picture, where: NDArray[np.bool_]) -> None:
    """Paint pixels in a neutral grey with diagonal stripes, in place: the mark of "no answer" in every picture."""
    height, width = where.shape
    picture[where] = _hatch(height, width, _em(width, height))[where][:, None]


def attach_legend(picture: Picture, *, title: str, bar: Bar | None = None, swatches: Sequence[Swatch] = ()) -> Picture:
    """The picture with a legend at its right, or below it when it is much wider than high."""
    height, width = picture.shape[:2]
    em = _em(width, height)
    if width > _WIDE * height:
        return np.concatenate([picture, _legend_below(width, em, title, bar, swatches)], 0)
    panel = _legend_right(height, em, title, bar, swatches)
    short = panel.shape[0] - height
    if short > 0:
        picture = np.concatenate([picture, np.full((short, width, 3), 255, np.uint8)], 0)
    return np.concatenate([picture, panel], 1)


def linear_ticks(
    low: float, high: float, unit: str, *, signed: bool = False
) -> Callable[[float, float], list[tuple[float, str]]]:
    """Multiples of 1, 2 or 5 times a power of ten: as many as fit, but no more than nine."""

    def ticks(length_px: float, gap_px: float) -> list[tuple[float, str]]:
        smallest = (high - low) * max(gap_px / length_px, 0.12)
        power = 10.0 ** np.floor(np.log10(smallest))
        step = next(power * m for m in (1.0, 2.0, 5.0, 10.0) if power * m >= smallest * (1.0 - 1e-9))
        counts = range(int(np.ceil(low / step - 1e-6)), int(np.floor(high / step + 1e-6)) + 1)
        places = [(float(np.clip((n * step - low) / (high - low), 0.0, 1.0)), n * step) for n in counts]
        return [(t, f"{_number(v, signed=signed)} {unit}") for t, v in places]

    return ticks


def depth_ticks(low_per_m: float, high_per_m: float) -> Callable[[float, float], list[tuple[float, str]]]:
    """Round depths in metres at their places on a scale that is linear in inverse depth; infinity where the scale reaches it.

    The roundest numbers come first (1, then 2 and 5, then finer ones) until there are four and no third of the scale is bare.
    """

    def ticks(length_px: float, gap_px: float) -> list[tuple[float, str]]:
        span, gap = high_per_m - low_per_m, gap_px / length_px
        chosen: list[tuple[float, str]] = [(0.0, "∞")] if low_per_m <= 0.0 else []
        nearest, farthest = 1.0 / high_per_m, 1.0 / max(low_per_m, gap * span, 1e-6 * span)
        powers = 10.0 ** np.arange(np.floor(np.log10(nearest)), np.ceil(np.log10(farthest)) + 1.0)
        for room, mantissas in _MANTISSAS:
            depths = np.outer(powers, mantissas).ravel()
            for z in depths[(depths >= nearest * (1.0 - 1e-9)) & (depths <= farthest * (1.0 + 1e-9))]:
                place = float(np.clip((1.0 / z - low_per_m) / span, 0.0, 1.0))
                if all(abs(place - other) >= room * gap for other, _ in chosen):
                    chosen.append((place, f"{_number(float(z))} m"))
            ends = [0.0, *sorted(place for place, _ in chosen), 1.0]
            if len(chosen) >= 4 and max(b - a for a, b in pairwise(ends)) < 0.34:
                break
        return sorted(chosen)

    return ticks


def share(count: int, total: int) -> str:
    """A share in words: "0 %", "< 0.1 %", "7.3 %", "100 %"; never rounded to none or all where it is not."""
    percent = 100.0 * count / max(total, 1)
    if count in (0, total):
        return "100 %" if count else "0 %"
    return "< 0.1 %" if percent < 0.1 else "> 99.9 %" if percent > 99.9 else f"{percent:.1f} %"


def _cv_ramp(code: int) -> Picture:
    return np.asarray(cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], code)[:, 0], np.uint8)


def _number(value: float, *, signed: bool = False) -> str:
    text = f"{value:.6g}".replace("-", "\N{MINUS SIGN}")
    if float(f"{value:.6g}") == 0.0:
        return "0"
    return f"+{text}" if signed and value > 0.0 else text


def _em(width: int, height: int) -> int:
    return int(np.clip(round(0.028 * (width * height) ** 0.5), 12, 96))


def _legend_right(height: int, em: int, title: str, bar: Bar | None, swatches: Sequence[Swatch]) -> Picture:
    row, margin = round(1.6 * em), em
    thick = round(1.2 * em)
    below = row * len(swatches) + (round(0.8 * em) if swatches else 0)
    top, bottom = margin + row, max(height - margin - below, margin + row + (8 * em if bar else 0))
    ticks = bar.ticks(bottom - top, 1.9 * em) if bar else []
    texts = [title, *(text for _, text in ticks), *(s.text for s in swatches)]
    width = 2 * margin + max(_width(title, em), *(thick + 0.6 * em + _width(text, em) for text in texts[1:]), 0)
    panel = np.full((max(height, bottom + below + margin), round(width), 3), 255, np.uint8)
    words: list[tuple[float, float, str]] = [(margin, margin + 0.35 * em, title)]
    if bar:
        panel[top:bottom, margin : margin + thick] = _stretch(bar.ramp[::-1], bottom - top)[:, None]
        _frame(panel, margin, top, thick, bottom - top)
        for place, text in ticks:
            y = round(top + (1.0 - place) * (bottom - top - 1))
            cv2.line(panel, (margin + thick, y), (margin + thick + round(0.25 * em), y), _EDGE, max(1, em // 14))
            words.append((margin + thick + 0.6 * em, y, text))
    start = panel.shape[0] - margin - row * len(swatches) if bar else top
    for i, swatch in enumerate(swatches):
        y = start + i * row
        _box(panel, margin, y + (row - em) // 2, thick, em, swatch.colour)
        words.append((margin + thick + 0.6 * em, y + row / 2, swatch.text))
    return _write(panel, words, em)


def _legend_below(width: int, em: int, title: str, bar: Bar | None, swatches: Sequence[Swatch]) -> Picture:
    row, margin = round(1.6 * em), em
    thick = round(1.2 * em)
    words: list[tuple[float, float, str]] = []
    left = margin + round(_width(title, em) + em)
    y = margin // 2
    boxes: list[tuple[int, int, Bgr | None]] = []
    lines: list[tuple[int, int]] = []
    bar_at = (left, y + (row - thick) // 2, width - margin - left)
    if bar:
        widest = max(_width(text, em) for _, text in bar.ticks(bar_at[2], 1.0 * em))
        words.append((margin, y + row / 2, title))
        for place, text in bar.ticks(bar_at[2], widest + 1.2 * em):
            x = round(bar_at[0] + place * (bar_at[2] - 1))
            lines.append((x, bar_at[1] + thick))
            half = _width(text, em) / 2.0
            words.append((float(np.clip(x, half, width - 0.3 * em - half)) - half, y + row + 0.75 * em, text))
        y += 2 * row + round(0.2 * em)
    x_next = margin
    if not bar:
        words.append((margin, y + row / 2, title))
        x_next = left
    for i, swatch in enumerate(swatches):
        need = round(thick + 0.6 * em + _width(swatch.text, em) + 1.4 * em)
        if i and x_next + need > width:
            x_next, y = margin, y + row
        boxes.append((x_next, y + (row - em) // 2, swatch.colour))
        words.append((x_next + thick + 0.6 * em, y + row / 2, swatch.text))
        x_next += need
    panel = np.full((y + (row if swatches or not bar else 0) + margin // 2, width, 3), 255, np.uint8)
    if bar:
        panel[bar_at[1] : bar_at[1] + thick, left : left + bar_at[2]] = _stretch(bar.ramp, bar_at[2])[None]
        _frame(panel, left, bar_at[1], bar_at[2], thick)
    for x, top in lines:
        cv2.line(panel, (x, top), (x, top + round(0.25 * em)), _EDGE, max(1, em // 14))
    for x, top, colour in boxes:
        _box(panel, x, top, thick, em, colour)
    return _write(panel, words, em)


def _stretch(ramp: Picture, length: int) -> Picture:
    return np.asarray(ramp[np.rint(np.linspace(0.0, len(ramp) - 1.0, length)).astype(int)])


def _hatch(height: int, width: int, em: int) -> Picture:
    period = max(6, round(0.55 * em))
    stripe = np.add.outer(np.arange(height), np.arange(width)) % period < max(2, period // 3)
    return np.where(stripe, np.uint8(158), np.uint8(116))


def _frame(panel: Picture, x: int, y: int, width: int, height: int) -> None:
    cv2.rectangle(panel, (x, y), (x + width - 1, y + height - 1), _EDGE, 1)


def _box(panel: Picture, x: int, y: int, width: int, height: int, colour: Bgr | None) -> None:
    panel[y : y + height, x : x + width] = _hatch(height, width, height)[..., None] if colour is None else colour
    _frame(panel, x, y, width, height)


@cache
def _font(em: int) -> Any:
    """DejaVu Sans, which matplotlib brings along; the basic layout engine does not depend on optional libraries."""
    from pathlib import Path

    import matplotlib
    from PIL import ImageFont

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), em, layout_engine=ImageFont.Layout.BASIC)


def _width(text: str, em: int) -> float:
    return float(_font(em).getlength(text))


def _write(panel: Picture, words: Sequence[tuple[float, float, str]], em: int) -> Picture:
    """Texts given by their left end and the middle of their height."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(panel)
    draw = ImageDraw.Draw(image)
    for x, y, text in words:
        draw.text((round(x), round(y)), text, fill=_INK, font=_font(em), anchor="lm")
    return np.asarray(image, np.uint8).copy()
