"""Captures that went wrong, each in one known way: what the naming of faults is proved on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib.detection import BoardViews, Detection, PairView
from calib.geometry import Array, rotation_from_vector
from calib.rig import StereoRig
from calib.synthetic.capture import Capture, simulate
from calib.synthetic.rigs import simulated_rigs
from calib.target import Target

BOARD = Target("chessboard", 9, 6, 0.03)
EVEN_BOARD = Target("chessboard", 8, 6, 0.03)
"""one that looks the same after half a turn"""

_RIGS = simulated_rigs()
_USUAL = ("normal", "wide", "tele", "toe-in", "vertical", "unequal")

Rng = np.random.Generator


@dataclass(frozen=True, slots=True, eq=False)
class Spoiled:
    """A capture with a fault."""

    views: BoardViews
    model: str = "auto"
    """the lens model that the user asks for"""


def clean(rng: Rng) -> BoardViews:
    """A capture without a fault: any rig, 10 to 30 pairs, noise of 0.05 to 0.5 px, and the odd corner that went astray."""
    name = str(rng.choice(list(_RIGS)))
    low = name == "low-tilt"
    board = BOARD if rng.random() < 0.7 else EVEN_BOARD
    capture = simulate(
        _RIGS[name],
        board,
        int(rng.integers(10, 31)),
        noise_px=float(np.exp(rng.uniform(np.log(0.05), np.log(0.5)))),
        outlier_share=float(rng.choice([0.0, 0.01])),
        one_sided=int(rng.choice([0, 0, 2])),
        tilt_deg=11.0 if low else 35.0,
        seed=_seed(rng),
    )
    return sharp(capture.views, rng)


def sharp(views: BoardViews, rng: Rng) -> BoardViews:
    """With the edge widths that a detector measures in sharp images."""
    return _each(views, lambda d, *_: replace(d, blur_px=float(rng.uniform(1.6, 2.8))))


def flipped(rng: Rng, share: float = 0.0) -> Spoiled:
    """Some pairs (one for a share of 0) read from the other end in one camera."""
    views = _usual(rng, EVEN_BOARD).views
    count = max(1, round(share * len(views.pairs)))
    chosen, side = _some(rng, len(views.pairs), count), int(rng.integers(2))
    return Spoiled(
        _each(views, lambda d, moment, s: _reordered(d, slice(None, None, -1)) if moment in chosen and s == side else d)
    )


def unsynchronised(rng: Rng, shift_m: float) -> Spoiled:
    """Half the pairs taken while the board moved by `shift_m` between the two pictures."""
    name = str(rng.choice([n for n in _USUAL if n != "tele" or shift_m > 0.002]))
    rig, noise = _RIGS[name], _noise(rng)
    capture = _usual(rng, BOARD, name, noise)
    late = _some(rng, len(capture.poses_left), len(capture.poses_left) // 2)
    moved = []
    for moment, (R, t) in enumerate(capture.poses_left):
        way = rng.standard_normal(3)
        moved.append((R, t + shift_m * way / np.linalg.norm(way) * (moment in late)))
    right = simulate(rig, BOARD, len(moved), noise_px=noise, seed=_seed(rng), poses=moved).views
    pairs = [replace(a, right=_aged(b.right, a.right)) for a, b in zip(capture.views.pairs, right.pairs, strict=True)]
    return Spoiled(replace(capture.views, pairs=tuple(pairs)))


def exchanged_order(rng: Rng) -> Spoiled:
    """Corners listed column by column."""
    order = np.arange(BOARD.corner_count).reshape(BOARD.rows, BOARD.columns).T.ravel()
    return Spoiled(_each(_usual(rng).views, lambda d, *_: _reordered(d, order)))


def exchanged_cameras(rng: Rng) -> Spoiled:
    """Left images given as right ones."""
    views = _usual(rng, rig=str(rng.choice([n for n in _USUAL if n != "vertical"]))).views
    pairs = tuple(replace(pair, left=pair.right, right=pair.left) for pair in views.pairs)
    return Spoiled(replace(views, pairs=pairs, left_size=views.right_size, right_size=views.left_size))


def bent(rng: Rng, bow_m: float) -> Spoiled:
    """A board that bows along x, and half as much the other way along y."""
    rig = str(rng.choice([n for n in _USUAL if n != "tele"]))
    return Spoiled(
        sharp(
            simulate(_RIGS[rig], BOARD, _count(rng), noise_px=_noise(rng), bow_m=(bow_m, -0.5 * bow_m), seed=_seed(rng)).views,
            rng,
        )
    )


def bumped_row(rng: Rng) -> Spoiled:
    """One row of corners moved by 0.8 px in one view."""
    views = _usual(rng).views
    moment, side, row = int(rng.integers(len(views.pairs))), int(rng.integers(2)), int(rng.integers(BOARD.rows))
    angle = rng.uniform(0.0, 2.0 * np.pi)

    def bump(d: Detection, m: int, s: int) -> Detection:
        hit = (d.ids // BOARD.columns == row) & (m == moment and s == side)
        return replace(d, corners_uv=d.corners_uv + np.where(hit, 0.8, 0.0)[:, None] * [np.cos(angle), np.sin(angle)])

    return Spoiled(_each(views, bump))


def half_resolution(rng: Rng) -> Spoiled:
    """Corners of images at half size, declared at full size, in one camera or both."""
    sides = [(0,), (1,), (0, 1)][int(rng.integers(3))]
    return Spoiled(_each(_usual(rng).views, lambda d, _, s: _halved(d) if s in sides else d))


def mixed_resolutions(rng: Rng) -> Spoiled:
    """Some images of one camera at half size."""
    views = _usual(rng).views
    chosen, side = _some(rng, len(views.pairs), int(rng.integers(3, len(views.pairs) // 2 + 1))), int(rng.integers(2))
    return Spoiled(_each(views, lambda d, m, s: _halved(d) if m in chosen and s == side else d))


def low_tilt(rng: Rng) -> Spoiled:
    """A board that always faces the cameras."""
    rig = str(rng.choice(["normal", "tele", "toe-in", "vertical", "unequal"]))
    views = simulate(
        _RIGS[rig], BOARD, _count(rng), noise_px=_noise(rng), tilt_deg=2.0, least_tilt_deg=0.0, seed=_seed(rng)
    ).views
    return Spoiled(sharp(views, rng))


def too_few(rng: Rng) -> Spoiled:
    """One to four pairs."""
    return Spoiled(_usual(rng, count=int(rng.integers(1, 5))).views)


def blurred(rng: Rng) -> Spoiled:
    """A third or more of the pairs out of focus or moving, with corners four to eight times as uncertain."""
    views = _usual(rng).views
    chosen = _some(rng, len(views.pairs), int(rng.integers(len(views.pairs) // 3, len(views.pairs))))

    def blur(d: Detection, m: int, s: int) -> Detection:
        if m not in chosen:
            return d
        return replace(
            d, corners_uv=d.corners_uv + 0.5 * rng.standard_normal(d.corners_uv.shape), blur_px=float(rng.uniform(6.0, 12.0))
        )

    return Spoiled(_each(views, blur))


def glare(rng: Rng) -> Spoiled:
    """A reflection that shifts the corners around one place, in a third of one camera's views."""
    views = _usual(rng).views
    chosen, side = _some(rng, len(views.pairs), max(3, len(views.pairs) // 3)), int(rng.integers(2))

    def shine(d: Detection, m: int, s: int) -> Detection:
        if m not in chosen or s != side:
            return d
        centre = d.corners_uv[int(rng.integers(len(d.ids)))]
        pitch = np.sqrt(np.prod(np.ptp(d.corners_uv, axis=0)) / len(d.ids))
        away = d.corners_uv - centre
        near = np.exp(-0.5 * (away**2).sum(1) / (1.2 * pitch) ** 2)
        way = rng.standard_normal(2)
        return replace(d, corners_uv=d.corners_uv + rng.uniform(2.0, 6.0) * near[:, None] * way / np.linalg.norm(way))

    return Spoiled(_each(views, shine))


def mirrored(rng: Rng) -> Spoiled:
    """One camera's images mirrored; half the time the detector orders the corners as if they were not."""
    views, side, ordered = _usual(rng).views, int(rng.integers(2)), rng.random() < 0.5
    order = np.arange(BOARD.corner_count).reshape(BOARD.rows, BOARD.columns)[::-1].ravel()

    def mirror(d: Detection, _: int, s: int) -> Detection:
        if s != side:
            return d
        width = (views.left_size, views.right_size)[s][0]
        there = replace(d, corners_uv=np.array([width - 1.0, 0.0]) + d.corners_uv * [-1.0, 1.0])
        return _reordered(there, order) if ordered else there

    return Spoiled(_each(views, mirror))


def duplicates(rng: Rng) -> Spoiled:
    """Every place of the board two or three times."""
    views = _usual(rng, count=int(rng.integers(6, 10))).views
    times = int(rng.integers(2, 4))
    pairs = [replace(pair, name=f"{i:02d}{'abc'[k]}") for i, pair in enumerate(views.pairs) for k in range(times)]
    return Spoiled(replace(views, pairs=tuple(pairs)))


def moved_camera(rng: Rng) -> Spoiled:
    """The right camera knocked by 0.3 to 1 degree and about 1 mm after some of the pairs."""
    name = str(rng.choice(_USUAL))
    rig, noise = _RIGS[name], _noise(rng)
    capture = _usual(rng, BOARD, name, noise)
    n = len(capture.poses_left)
    when = int(rng.integers(n // 4 + 1, 3 * n // 4 + 1))
    turn = rng.standard_normal(3)
    knock = rotation_from_vector(np.radians(rng.uniform(0.3, 1.0)) * turn / np.linalg.norm(turn))
    after = StereoRig(rig.left, rig.right, knock @ rig.R_right_left, knock @ rig.t_right_left_m + 0.001 * rng.standard_normal(3))
    late = simulate(after, BOARD, n, noise_px=noise, seed=_seed(rng), poses=capture.poses_left).views
    pairs = [
        a if i < when else replace(a, right=_aged(b.right, a.right))
        for i, (a, b) in enumerate(zip(capture.views.pairs, late.pairs, strict=True))
    ]
    return Spoiled(replace(capture.views, pairs=tuple(pairs)))


def turned_images(rng: Rng) -> Spoiled:
    """A share of one camera's images upside down (an orientation tag that was obeyed)."""
    views = _usual(rng).views
    chosen, side = _some(rng, len(views.pairs), int(rng.integers(2, len(views.pairs) // 2))), int(rng.integers(2))

    def turn(d: Detection, m: int, s: int) -> Detection:
        size = np.array((views.left_size, views.right_size)[s])
        return replace(d, corners_uv=size - 1.0 - d.corners_uv) if m in chosen and s == side else d

    return Spoiled(_each(views, turn))


def missing_image(rng: Rng) -> Spoiled:
    """One image of one camera lost: all later ones are paired with their neighbours."""
    views, side = _usual(rng).views, int(rng.integers(2))
    n = len(views.pairs)
    lost = int(rng.integers(0, n - 5))
    pairs = []
    for i, pair in enumerate(views.pairs[: n - 1]):
        later = views.pairs[i + (i >= lost)]
        pairs.append(PairView(pair.name, later.left if side == 0 else pair.left, later.right if side == 1 else pair.right))
    return Spoiled(replace(views, pairs=tuple(pairs)))


def interlaced(rng: Rng) -> Spoiled:
    """Odd and even image rows taken one after the other while the board moved sideways."""
    views, side = _usual(rng).views, int(rng.integers(2))

    def comb(d: Detection, _: int, s: int) -> Detection:
        if s != side:
            return d
        shift = rng.uniform(0.8, 2.0) * rng.choice([-1.0, 1.0])
        odd = np.rint(d.corners_uv[:, 1]) % 2.0 == 1.0
        return replace(d, corners_uv=d.corners_uv + np.where(odd, 0.5, -0.5)[:, None] * [shift, 0.0])

    return Spoiled(_each(views, comb))


def fisheye_as_pinhole(rng: Rng) -> Spoiled:
    """A lens of 150 degrees that the user declares to be a pinhole."""
    capture = simulate(_RIGS["fisheye"], BOARD, _count(rng), noise_px=_noise(rng), seed=_seed(rng))
    return Spoiled(sharp(capture.views, rng), "radtan5")


SPOILERS: dict[str, tuple[str, Callable[[Rng], Spoiled]]] = {
    "1 pair flipped": ("flipped-pairs", flipped),
    "20 % flipped": ("flipped-pairs", lambda rng: flipped(rng, 0.2)),
    "unsynchronised 1 mm": ("unsynchronised", lambda rng: unsynchronised(rng, 0.001)),
    "unsynchronised 5 mm": ("unsynchronised", lambda rng: unsynchronised(rng, 0.005)),
    "rows and columns swapped": ("rows-columns-swapped", exchanged_order),
    "left and right swapped": ("left-right-swapped", exchanged_cameras),
    "bow 1 mm": ("bent-board", lambda rng: bent(rng, 0.001)),
    "bow 3 mm": ("bent-board", lambda rng: bent(rng, 0.003)),
    "row bumped 0.8 px": ("shifted-row", bumped_row),
    "half resolution": ("wrong-resolution", half_resolution),
    "mixed resolutions": ("mixed-resolutions", mixed_resolutions),
    "low tilt only": ("low-tilt", low_tilt),
    "too few pairs": ("too-few-pairs", too_few),
    "blur": ("blurred", blurred),
    "glare": ("glare", glare),
    "mirrored camera": ("mirrored-images", mirrored),
    "duplicate views": ("duplicate-views", duplicates),
    "camera moved": ("camera-moved", moved_camera),
    "turned images": ("turned-images", turned_images),
    "missing image": ("shifted-pairs", missing_image),
    "interlaced": ("interlaced", interlaced),
    "fisheye as pinhole": ("wrong-lens-model", fisheye_as_pinhole),
}
"""what went wrong: (the name it must get, how to make it); faults that show in corners"""


def _usual(
    rng: Rng, target: Target = BOARD, rig: str | None = None, noise_px: float | None = None, count: int | None = None
) -> Capture:
    """A good capture, to be spoiled."""
    name = str(rng.choice(_USUAL)) if rig is None else rig
    noise = _noise(rng) if noise_px is None else noise_px
    capture = simulate(_RIGS[name], target, _count(rng) if count is None else count, noise_px=noise, seed=_seed(rng))
    return replace(capture, views=sharp(capture.views, rng))


def _count(rng: Rng) -> int:
    return int(rng.integers(14, 25))


def _noise(rng: Rng) -> float:
    return float(rng.uniform(0.05, 0.15))


def _seed(rng: Rng) -> int:
    return int(rng.integers(2**31))


def _some(rng: Rng, n: int, count: int) -> set[int]:
    return {int(i) for i in rng.choice(n, min(n, max(1, count)), replace=False)}


def _each(views: BoardViews, change: Callable[[Detection, int, int], Detection]) -> BoardViews:
    """Every detection changed: change(detection, moment, side)."""
    pairs = [
        replace(
            pair,
            left=None if pair.left is None else change(pair.left, i, 0),
            right=None if pair.right is None else change(pair.right, i, 1),
        )
        for i, pair in enumerate(views.pairs)
    ]
    return replace(views, pairs=tuple(pairs))


def _reordered(d: Detection, order: slice | NDArray[np.int64] | Sequence[int]) -> Detection:
    """The same corners, given out as others."""
    corners: Array = d.corners_uv[order]
    return replace(d, corners_uv=corners)


def _halved(d: Detection) -> Detection:
    return replace(d, corners_uv=(d.corners_uv + 0.5) * 0.5 - 0.5)


def _aged(new: Detection | None, old: Detection | None) -> Detection | None:
    """A detection with the sharpness of the one it stands for; that one where the board has left the image."""
    return old if new is None or old is None else replace(new, blur_px=old.blur_px)
